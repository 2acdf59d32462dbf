import type { GuardedRequest } from '../../src/admission/hearing.ts';
import { decodePod, type AdmissionRequest } from '../../src/admission/review.ts';

/** What a request for a test differs in. */
export type RequestOptions = Partial<Omit<AdmissionRequest, 'subject'>> & {
  /** Merged into the metadata of a pod that is to be deleted. */
  readonly metadata?: Readonly<Record<string, unknown>>;
};

let serial = 0;

/** A `DELETE` of the pod by an ordinary user; every call is a new review. */
export function deletion(name: string, options: RequestOptions = {}): GuardedRequest {
  const { metadata, ...rest } = options;
  const namespace = options.namespace ?? 'default';
  const pod = decodePod({ metadata: { name, namespace, uid: `uid-of-${name}`, ...metadata } });
  if (pod === null) throw new Error('a pod needs a name and a namespace');
  return { ...common(namespace, name), ...rest, subject: { kind: 'delete', pod } };
}

/** An eviction of the pod, which names no grace period; every call is a new review. */
export function eviction(name: string, options: RequestOptions = {}): GuardedRequest {
  const { metadata: _, ...rest } = options;
  const namespace = options.namespace ?? 'default';
  return { ...common(namespace, name), ...rest, subject: { kind: 'eviction', namespace, name } };
}

function common(namespace: string, name: string): Omit<AdmissionRequest, 'subject'> {
  serial += 1;
  return {
    uid: `review-${serial}`,
    namespace,
    name,
    dryRun: false,
    user: { name: 'alice', uid: '', groups: [] },
    preconditionUid: null,
    gracePeriodSeconds: null,
  };
}
