import type { MemberView } from './cluster-view.ts';
import type { MemberId } from './member-id.ts';
import type { Case } from './case.ts';
import type { Caller, Operation, PodFacts, Policy } from './situation.ts';

/** Who is to lead next. */
export interface Candidate {
  readonly pod: string;
  readonly id: MemberId;
}

const CONTROLLERS: ReadonlySet<string> = new Set([
  'system:serviceaccount:kube-system:statefulset-controller',
  // kube-controller-manager without --use-service-account-credentials
  'system:kube-controller-manager',
]);

/** Whether the policy gives this caller a hand-off rather than a refusal. */
export function getsHandOff(policy: Policy, operation: Operation, caller: Caller): boolean {
  if (policy.leader === 'HandOff') return true;
  return policy.handOff.some((entry) => {
    if (entry === 'Evictions') return operation === 'eviction';
    if (entry === 'Controllers') return CONTROLLERS.has(caller.user);
    if (entry.startsWith('group:')) return caller.groups.includes(entry.slice('group:'.length));
    return entry === caller.user;
  });
}

/** Of the healthy voters that would be left: rather on a node that is not cordoned, then least behind. */
export function handOffCandidate(
  c: Pick<Case, 'after'> & { readonly situation: { readonly pods: readonly PodFacts[] } },
): Candidate | null {
  const cordoned = new Set(c.situation.pods.filter((pod) => pod.cordoned).map((pod) => pod.name));
  const ranked = c.after
    .flatMap((member) => {
      const [pod] = member.pods;
      return pod === undefined ? [] : [{ pod, member, rank: cordoned.has(pod) ? 1 : 0 }];
    })
    .sort((a, b) => a.rank - b.rank || compareLag(a.member, b.member) || compare(a.pod, b.pod));
  const [best] = ranked;
  return best === undefined ? null : { pod: best.pod, id: best.member.id };
}

function compareLag(a: MemberView, b: MemberView): number {
  return compare(a.lag ?? 0n, b.lag ?? 0n);
}

function compare<T extends bigint | string>(a: T, b: T): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
