import { decodeEnvelope, type ReviewVersion } from '../admission/envelope.ts';
import { asRecord, nonEmpty, recordOf, stringOf, stringsOf, type Json } from '../admission/json.ts';
import { ASKING } from './injection.ts';

/** A pod that is about to be made, and asks to be given what its guard names. */
export interface Creation {
  readonly uid: string;
  readonly namespace: string;
  /** For people: that of a pod with generateName ends with an asterisk. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly pod: Json;
}

/** `none`: nothing that anything is injected into. `malformed` has no uid to echo. */
export type DecodedCreation =
  | { readonly kind: 'malformed'; readonly error: string }
  | { readonly kind: 'none'; readonly apiVersion: ReviewVersion; readonly uid: string }
  | {
      readonly kind: 'creation';
      readonly apiVersion: ReviewVersion;
      readonly uid: string;
      readonly creation: Creation;
    };

const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';

/** Takes parsed JSON of any shape; never throws. */
export function decodeCreation(body: unknown): DecodedCreation {
  const envelope = decodeEnvelope(body);
  if (envelope.kind === 'malformed') return envelope;
  const { apiVersion, uid, request } = envelope;
  const creation = makesAPod(request) ? creationIn(uid, request) : null;
  return creation === null
    ? { kind: 'none', apiVersion, uid }
    : { kind: 'creation', apiVersion, uid, creation };
}

function makesAPod(request: Json): boolean {
  const resource = recordOf(request['resource']);
  return (
    request['operation'] === 'CREATE' &&
    (request['subResource'] ?? '') === '' &&
    resource['resource'] === 'pods' &&
    (resource['group'] ?? '') === '' &&
    (resource['version'] ?? 'v1') === 'v1'
  );
}

function creationIn(uid: string, request: Json): Creation | null {
  const pod = asRecord(request['object']);
  const metadata = recordOf(pod?.['metadata']);
  const labels = stringsOf(metadata['labels']);
  // The kubelet compares a mirror pod with the file that it stands for, and may name no ConfigMap.
  const mirror = stringsOf(metadata['annotations'])[MIRROR_ANNOTATION] !== undefined;
  if (pod === null || mirror || labels[ASKING.label] !== ASKING.value) return null;
  const generated = nonEmpty(metadata['generateName']);
  const named = nonEmpty(request['name']) ?? nonEmpty(metadata['name']);
  return {
    uid,
    namespace: stringOf(request['namespace']) || stringOf(metadata['namespace']),
    name: named ?? (generated === null ? '' : `${generated}*`),
    labels,
    pod,
  };
}
