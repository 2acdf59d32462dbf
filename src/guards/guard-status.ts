import type { MemberId } from '../decision/member-id.ts';
import type { Answer } from '../decision/situation.ts';
import { disruptionsAllowed, type ClusterView, type MemberView } from '../decision/cluster-view.ts';

/** One row of `status.members` of an EtcdGuard: a member, or a pod that is no known member. */
export interface MemberStatus {
  readonly pod: string | null;
  readonly name: string | null;
  readonly id: MemberId | null;
  readonly role: 'Leader' | 'Follower' | 'Learner' | null;
  readonly health: MemberView['health'];
  readonly lag: number | null;
}

/** metav1.Condition. */
export interface Condition {
  readonly type: 'Reachable' | 'Healthy' | 'Accepted';
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  readonly lastTransitionTime: string;
}

/** `status` of an EtcdGuard, as far as one look at the cluster can fill it in; null: not known. */
export interface ClusterStatus {
  readonly leader: string | null;
  readonly voters: number | null;
  readonly healthyVoters: number | null;
  /** `3/3` */
  readonly health: string | null;
  readonly quorum: number | null;
  readonly disruptionsAllowed: number;
  readonly members: readonly MemberStatus[];
  readonly conditions: readonly Condition[];
}

type Finding = Omit<Condition, 'type' | 'lastTransitionTime'>;

/** The guarded pods by name, and what they answered. */
export interface Answered {
  readonly pods: readonly { readonly name: string }[];
  readonly answers: ReadonlyMap<string, Answer>;
}

const NOBODY: Answered = { pods: [], answers: new Map() };

/** What etcd's answers amount to; `now` is RFC 3339. */
export function clusterStatus(
  view: ClusterView,
  now: string,
  answered: Answered = NOBODY,
): ClusterStatus {
  const leaderId = view.leader.kind === 'confirmed' ? view.leader.id : null;
  const leader = view.members.find(({ id }) => id === leaderId);
  return {
    leader: leader === undefined ? null : podOf(leader),
    ...(view.list === 'agreed' ? counts(view) : NOT_COUNTED),
    disruptionsAllowed: disruptionsAllowed(view),
    members: [
      ...view.members.map((member) => memberStatus(member, leaderId)),
      ...noMembers(view, answered),
    ].sort(byName),
    conditions: conditions(reachable(view, answered), healthy(view), now),
  };
}

/** Of a cluster that could not be asked, because of this fault; nobody may be disrupted. */
export function unaskedStatus(fault: string, now: string): ClusterStatus {
  return {
    leader: null,
    ...NOT_COUNTED,
    disruptionsAllowed: 0,
    members: [],
    conditions: conditions(
      { status: 'False', reason: 'NotAsked', message: fault },
      { status: 'Unknown', reason: 'NotReachable', message: fault },
      now,
    ),
  };
}

const NOT_COUNTED = { voters: null, healthyVoters: null, health: null, quorum: null };

function counts({ voters, healthyVoters, quorum }: ClusterView) {
  return { voters, healthyVoters, health: `${healthyVoters}/${voters}`, quorum };
}

function podOf({ pods, name }: MemberView): string {
  return pods[0] ?? name;
}

function memberStatus(member: MemberView, leaderId: string | null): MemberStatus {
  const follows = member.learner ? 'Learner' : 'Follower';
  return {
    pod: member.pods[0] ?? null,
    name: member.name,
    id: member.id,
    role: member.id === leaderId ? 'Leader' : follows,
    health: member.health,
    lag: member.lag === null ? null : Number(member.lag),
  };
}

function noMembers({ members }: ClusterView, { pods }: Answered): readonly MemberStatus[] {
  const known = new Set(members.flatMap((member) => member.pods));
  return pods
    .filter(({ name }) => !known.has(name))
    .map(({ name }) => ({
      pod: name,
      name: null,
      id: null,
      role: null,
      health: 'Unknown',
      lag: null,
    }));
}

function byName(a: MemberStatus, b: MemberStatus): number {
  const nameOf = ({ pod, name }: MemberStatus): string => pod ?? name ?? '';
  return nameOf(a).localeCompare(nameOf(b), 'en', { numeric: true });
}

function conditions(reachableNow: Finding, healthyNow: Finding, now: string): readonly Condition[] {
  return [
    { type: 'Reachable', ...reachableNow, lastTransitionTime: now },
    { type: 'Healthy', ...healthyNow, lastTransitionTime: now },
  ];
}

function reachable({ list }: ClusterView, answered: Answered): Finding {
  switch (list) {
    case 'agreed':
      return {
        status: 'True',
        reason: 'QuorumAnswers',
        message: 'a quorum of voters answers with one member list',
      };
    case 'several':
      return {
        status: 'False',
        reason: 'SeveralMemberLists',
        message: 'the pods answer for more than one cluster or member list',
      };
    case 'none':
      return {
        status: 'False',
        reason: 'NoAgreedMemberList',
        message: [UNREACHABLE, ...silences(answered)].join('; '),
      };
  }
}

const UNREACHABLE = 'no quorum of voters answers with one member list';

function silences({ pods, answers }: Answered): readonly string[] {
  return pods.flatMap(({ name }) => {
    const answer = answers.get(name);
    return answer === undefined || answer.kind === 'status' ? [] : `${name}: ${answer.cause}`;
  });
}

function healthy(view: ClusterView): Finding {
  if (view.list !== 'agreed') {
    return { status: 'Unknown', reason: 'NotReachable', message: UNREACHABLE };
  }
  const { reason, sentence } = leadership(view);
  const sick = view.members.filter(({ learner, health }) => !learner && health !== 'Healthy');
  const faults = sick.map((member) => `${podOf(member)}: ${member.why}`);
  const whole = reason === null && sick.length === 0;
  return {
    status: whole ? 'True' : 'False',
    reason: whole ? 'AllVotersHealthy' : (reason ?? 'NotAllVotersHealthy'),
    message: [
      ...(whole ? ['a leader is confirmed and all voters are healthy'] : [...sentence, ...faults]),
      ...outOfSpace(view),
    ].join('; '),
  };
}

function leadership({ leader }: ClusterView): {
  readonly reason: string | null;
  readonly sentence: readonly string[];
} {
  switch (leader.kind) {
    case 'confirmed':
      return { reason: null, sentence: [] };
    case 'leaderless':
      return { reason: 'NoLeader', sentence: ['no voter that answers names a leader'] };
    case 'unclear':
      return { reason: 'LeaderUnclear', sentence: ['no quorum of voters names one leader'] };
  }
}

/** It stops writes, not the quorum: shown, never counted. */
function outOfSpace({ members, noSpace }: ClusterView): readonly string[] {
  return members
    .filter(({ id }) => noSpace.includes(id))
    .map((member) => `${podOf(member)} has a NOSPACE alarm, so that writes are refused`);
}
