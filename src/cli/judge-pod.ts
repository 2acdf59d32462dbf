import { deadlineFor } from '../admission/deadline.ts';
import type { GuardedSubject, GuardSource } from '../admission/guard-source.ts';
import { hear, type Judgement } from '../admission/hearing.ts';
import { decodePod, type PodSnapshot } from '../admission/review.ts';
import type { Operation } from '../decision/situation.ts';

/** What the API server allows a webhook by default. */
export const REVIEW_MS = 10_000;

/** What this request would get now, by the webhook's own code; a dry run, by nobody in particular. */
export async function judgePod(
  subject: GuardedSubject,
  guards: GuardSource,
  timeoutMs = REVIEW_MS,
): Promise<Judgement> {
  const { namespace, name } = subject.kind === 'delete' ? subject.pod : subject;
  const request = {
    uid: '',
    subject,
    namespace,
    name,
    dryRun: true,
    user: { name: '', uid: '', groups: [] },
    preconditionUid: null,
    gracePeriodSeconds: null,
  };
  const deadline = deadlineFor(timeoutMs, monotonicMs(), monotonicMs);
  return hear(request, { guards, nowMs: () => Date.now() }, deadline);
}

/** A DELETE brings its pod along, an eviction only names it. */
export function subjectFor(pod: PodSnapshot, operation: Operation): GuardedSubject {
  if (operation === 'delete') return { kind: 'delete', pod };
  return { kind: 'eviction', namespace: pod.namespace, name: pod.name };
}

/** A pod that is named, not shown: what only its object could tell is taken as absent. */
export function namedPod(namespace: string, name: string): PodSnapshot {
  const pod = decodePod({ metadata: { name } }, namespace);
  if (pod === null) throw new Error('a pod has a name and a namespace');
  return pod;
}

function monotonicMs(): number {
  return performance.now();
}
