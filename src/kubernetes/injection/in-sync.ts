import type { ClusterView, MemberView } from '../../decision/cluster-view.ts';
import type { Answer } from '../../decision/situation.ts';
import { upperFirst, whyNoList } from '../../decision/wording.ts';

/**
 * Whether a pod's member is a healthy, caught-up voter. `unknown`: it could not be asked, or who leads
 * is not known; that says nothing of the member.
 */
export interface Standing {
  readonly kind: 'good' | 'bad' | 'unknown';
  /** CamelCase, of a closed set. */
  readonly reason: string;
  /** One sentence. */
  readonly message: string;
}

/** Told by what the pod itself answered; the view must count no reservations, which are ours alone. */
export function standingOf(answer: Answer | undefined, view: ClusterView): Standing {
  if (answer?.kind !== 'status') {
    const why = answer === undefined ? 'it has no address yet' : answer.cause;
    return { kind: 'unknown', reason: 'NoAnswer', message: `Its member does not answer: ${why}.` };
  }
  const noList = whyNoList(view.list);
  if (noList !== null) {
    return { kind: 'unknown', reason: 'NoMemberList', message: `${upperFirst(noList)}.` };
  }
  const member = view.members.find(({ id }) => id === answer.id);
  if (member === undefined || answer.clusterId !== view.clusterId) {
    const message = `It answers as member ${answer.id}, which the cluster does not list.`;
    return { kind: 'bad', reason: 'NotAMember', message };
  }
  return standingOfMember(member, view);
}

function standingOfMember(member: MemberView, { leader }: ClusterView): Standing {
  if (member.learner) {
    return { kind: 'bad', reason: 'Learner', message: 'Its member is a learner, without a vote.' };
  }
  if (leader.kind !== 'confirmed') {
    const message = 'No leader is named by a quorum of the voters.';
    return { kind: 'unknown', reason: 'NoLeader', message };
  }
  if (member.health === 'Healthy') {
    const message = 'Its member is a healthy voter that has caught up.';
    return { kind: 'good', reason: 'HealthyVoter', message };
  }
  const reason = member.onlyLags ? 'Behind' : 'Unhealthy';
  return { kind: 'bad', reason, message: `Its member ${member.why || 'is not healthy'}.` };
}
