import { isAboutPods } from '../admission/envelope.ts';
import { asRecord, nonEmpty, recordOf, stringOf, stringsOf, type Json } from '../admission/json.ts';
import { MIRROR_ANNOTATION } from '../admission/review.ts';
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

/** What a review's request asks; null: nothing that anything is injected into. Never throws. */
export function creationIn(uid: string, request: Json): Creation | null {
  if (!makesAPod(request)) return null;
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

function makesAPod(request: Json): boolean {
  return (
    request['operation'] === 'CREATE' &&
    (request['subResource'] ?? '') === '' &&
    isAboutPods(request)
  );
}
