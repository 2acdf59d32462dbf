import type { ClusterView, MemberView } from './cluster-view.ts';
import type { MemberId } from './member-id.ts';
import type { Answer, Guard, Reservation, Situation } from './situation.ts';

/** A situation together with all that is derived from it, for one reading of which member the pod is. */
export interface Case {
  readonly situation: Situation;
  /** The one guard that selects the pod; null if none or several do. */
  readonly guard: Guard | null;
  /** null: etcd has not been asked. */
  readonly view: ClusterView | null;
  /** The pod's own answer; null: etcd has not been asked. */
  readonly answer: Answer | null;
  /** The member that the pod is taken to be; null: none, or not known. */
  readonly member: MemberView | null;
  readonly memberId: MemberId | null;
  /** All members that it could be. */
  readonly readings: readonly (MemberId | null)[];
  /** Healthy voters without the target. */
  readonly after: readonly MemberView[];
  /** Voters without the target that would be healthy if they did not lag. */
  readonly laggards: readonly MemberView[];
  /** The target's own reservation, if it was allowed to go before. */
  readonly own: Reservation | null;
}

/** The pod answers, but with the id of another cluster. */
export function answersForAnotherCluster({ view, answer }: Case): boolean {
  return (
    answer?.kind === 'status' && view?.clusterId !== null && answer.clusterId !== view?.clusterId
  );
}

/** Its member is the one that a quorum of voters names. */
export function isConfirmedLeader({ view, memberId }: Case): boolean {
  return view?.leader.kind === 'confirmed' && view.leader.id === memberId;
}

/** Fewer healthy voters than a quorum would be left. */
export function isShort({ after, view }: Case): boolean {
  return after.length < (view?.quorum ?? 0);
}
