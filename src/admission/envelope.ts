import { asRecord, type Json } from './json.ts';

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

function malformed(error: string): Envelope {
  return { kind: 'malformed', error };
}

function asVersion(value: unknown): ReviewVersion | null {
  return value === 'admission.k8s.io/v1' || value === 'admission.k8s.io/v1beta1' ? value : null;
}
