import { deadlineFor } from '../admission/deadline.ts';
import { hear, type GuardedRequest, type Judgement } from '../admission/hearing.ts';
import type { GuardSource } from '../admission/guard-source.ts';
import { decodePod } from '../admission/review.ts';
import type { Operation } from '../decision/situation.ts';

/** What the API server allows a webhook by default. */
const TIMEOUT_MS = 10_000;

/** A pod that is named, not shown: what only its object could tell is taken as absent. */
export interface NamedPod {
  readonly namespace: string;
  readonly name: string;
}

/** What taking the pod away would get now; a dry run. */
export function judgePod(
  pod: NamedPod,
  operation: Operation,
  guards: GuardSource,
): Promise<Judgement> {
  const context = { guards, nowMs: () => Date.now() };
  const deadline = deadlineFor(TIMEOUT_MS, monotonicMs(), monotonicMs);
  return hear(requestFor(pod, operation), context, deadline);
}

function monotonicMs(): number {
  return performance.now();
}

function requestFor({ namespace, name }: NamedPod, operation: Operation): GuardedRequest {
  const common = {
    uid: '',
    namespace,
    name,
    dryRun: true,
    user: { name: '', uid: '', groups: [] },
    preconditionUid: null,
    gracePeriodSeconds: null,
  };
  const snapshot = operation === 'delete' ? decodePod({ metadata: { name } }, namespace) : null;
  if (snapshot === null) return { ...common, subject: { kind: 'eviction', namespace, name } };
  return { ...common, subject: { kind: 'delete', pod: snapshot } };
}
