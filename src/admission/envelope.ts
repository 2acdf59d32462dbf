import { asRecord, listOf, recordOf, stringOf, type Json } from './json.ts';

/** The two versions a cluster may ask in; the answer repeats the one that was asked. */
export type ReviewVersion = 'admission.k8s.io/v1' | 'admission.k8s.io/v1beta1';

/** What every AdmissionReview has, whatever it is about; `malformed` has no uid to echo. */
export type Envelope =
  | { readonly kind: 'malformed'; readonly error: string }
  | {
      readonly kind: 'review';
      readonly apiVersion: ReviewVersion;
      readonly uid: string;
      readonly request: Json;
    };

/** Takes parsed JSON of any shape; never throws. */
export function decodeEnvelope(body: unknown): Envelope {
  const review = asRecord(body);
  if (review === null) return malformed('the body is not a JSON object');
  const request = asRecord(review['request']);
  if (request === null) return malformed('the review has no request');
  const uid = request['uid'];
  if (typeof uid !== 'string') return malformed('request.uid is not a string');
  if (uid === '') return malformed('request.uid is empty');
  const apiVersion = asVersion(review['apiVersion']);
  if (apiVersion === null || (review['kind'] ?? 'AdmissionReview') !== 'AdmissionReview') {
    return malformed(
      'the body is not an AdmissionReview of admission.k8s.io/v1 or admission.k8s.io/v1beta1',
    );
  }
  return { kind: 'review', apiVersion, uid, request };
}

/** Who asks, as the API server authenticated them; empty where it did not say. */
export interface RequestUser {
  readonly name: string;
  readonly uid: string;
  readonly groups: readonly string[];
}

/** Who asks, in a review's request. */
export function userIn(request: Json): RequestUser {
  const user = recordOf(request['userInfo']);
  return {
    name: stringOf(user['username']),
    uid: stringOf(user['uid']),
    groups: listOf(user['groups']).filter((group) => typeof group === 'string'),
  };
}

/** Whether nothing is to come of it. `kubectl drain --dry-run=server` says so in the Eviction's own options only. */
export function isDryRun(request: Json, deleteOptions: Json): boolean {
  return request['dryRun'] === true || listOf(deleteOptions['dryRun']).includes('All');
}

/** Whether it is about pods, or a subresource of theirs. */
export function isAboutPods(request: Json): boolean {
  const resource = recordOf(request['resource']);
  return (
    resource['resource'] === 'pods' &&
    (resource['group'] ?? '') === '' &&
    (resource['version'] ?? 'v1') === 'v1'
  );
}

function malformed(error: string): Envelope {
  return { kind: 'malformed', error };
}

function asVersion(value: unknown): ReviewVersion | null {
  return value === 'admission.k8s.io/v1' || value === 'admission.k8s.io/v1beta1' ? value : null;
}
