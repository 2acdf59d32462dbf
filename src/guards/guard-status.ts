import { byName } from '../decision/by-name.ts';
import type { MemberId } from '../decision/member-id.ts';
import type { Answer } from '../decision/situation.ts';
import { disruptionsAllowed, type ClusterView, type MemberView } from '../decision/cluster-view.ts';
import { whyNoList } from '../decision/wording.ts';

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
  /** Of the gravest condition that is not True; null: all is well. */
  readonly reason: string | null;
  readonly members: readonly MemberStatus[];
  readonly conditions: readonly Condition[];
}

type Finding = Omit<Condition, 'type' | 'lastTransitionTime'>;

/** What is found of the spec, apart from what etcd says. */
export interface Acceptance extends Finding {
  /** Every deletion is refused, whatever the cluster could spare. */
  readonly refusesAll?: boolean;
  /** Nobody is asked about any deletion. */
  readonly protectsNothing?: boolean;
}

/** The guarded pods by name, and what they answered. */
export interface Answered {
  readonly pods: readonly { readonly name: string }[];
  readonly answers: ReadonlyMap<string, Answer>;
  /** As `kubectl get pods -l` takes it; null: there is none. */
  readonly selector?: string | null;
}

/** What etcd's answers amount to; `now` is RFC 3339. */
export function clusterStatus(view: ClusterView, now: string, answered: Answered): ClusterStatus {
  const leaderId = view.leader.kind === 'confirmed' ? view.leader.id : null;
  const leader = view.members.find(({ id }) => id === leaderId);
  const all = conditions(reachable(view, answered), healthy(view), now);
  return {
    leader: leader === undefined ? null : podOf(leader),
    ...(view.list === 'agreed' ? counts(view) : NOT_COUNTED),
    disruptionsAllowed: disruptionsAllowed(view),
    members: [
      ...view.members.map((member) => memberStatus(member, leaderId)),
      ...noMembers(view, answered),
    ].sort(byPodName),
    conditions: all,
    reason: gravest(all),
  };
}

/** Of a cluster that could not be asked, because of this fault; nobody may be disrupted. */
export function unaskedStatus(fault: string, now: string): ClusterStatus {
  const all = conditions(
    { status: 'False', reason: 'NotAsked', message: fault },
    NOT_KNOWN_TO_BE_HEALTHY,
    now,
  );
  return {
    leader: null,
    ...NOT_COUNTED,
    disruptionsAllowed: 0,
    members: [],
    conditions: all,
    reason: gravest(all),
  };
}

/** The status with its third condition. */
export function withAcceptance(
  status: ClusterStatus,
  { refusesAll = false, status: isAccepted, reason, message }: Acceptance,
  now: string,
): ClusterStatus {
  const all: readonly Condition[] = [
    ...status.conditions,
    { type: 'Accepted', status: isAccepted, reason, message, lastTransitionTime: now },
  ];
  return {
    ...status,
    ...(refusesAll && { disruptionsAllowed: 0 }),
    conditions: all,
    reason: gravest(all),
  };
}

/** What of a condition tells since when it has been so. */
export type Since = Readonly<Record<'type' | 'status' | 'lastTransitionTime', string>>;

/** The status with the time of the last change of each condition, as far as it was seen before. */
export function withTimes(status: ClusterStatus, before: readonly Since[]): ClusterStatus {
  const timed = status.conditions.map((condition) => {
    const times = before
      .filter((one) => one.type === condition.type && one.status === condition.status)
      .map(({ lastTransitionTime }) => lastTransitionTime);
    const [lastTransitionTime = ''] = [...times, condition.lastTransitionTime].sort(byTime);
    return { ...condition, lastTransitionTime };
  });
  return { ...status, conditions: timed };
}

/** RFC 3339 with or without fractions of a second. */
function byTime(a: string, b: string): number {
  return Date.parse(a) - Date.parse(b);
}

/** Of a guard whose pods these other guards have too; null: none has. */
export function overlapping(rivals: readonly string[]): Acceptance | null {
  if (rivals.length === 0) return null;
  const names = rivals.join(', ');
  const guards = rivals.length === 1 ? `EtcdGuard ${names} has` : `EtcdGuards ${names} have`;
  const message = `${guards} some of its pods too, so that their deletion is refused: let one guard alone have each pod`;
  return { status: 'False', reason: 'OverlapsAnotherGuard', message, refusesAll: true };
}

/** Of a guard that nothing is wrong with. */
export function accepted(pods: number): Acceptance {
  return { status: 'True', reason: 'Accepted', message: `guards ${pods} pods` };
}

/** What is not accepted may not be protected at all; who does not answer can't be judged. */
const GRAVEST_FIRST: readonly Condition['type'][] = ['Accepted', 'Reachable', 'Healthy'];

function gravest(all: readonly Condition[]): string | null {
  const wrong = all.filter(({ status }) => status !== 'True');
  const [first] = GRAVEST_FIRST.flatMap((type) => wrong.filter((one) => one.type === type));
  return first?.reason ?? null;
}

const NOT_KNOWN_TO_BE_HEALTHY: Finding = {
  status: 'Unknown',
  reason: 'NotReachable',
  message: "can't be told while Reachable is not True",
};

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

function byPodName(a: MemberStatus, b: MemberStatus): number {
  const nameOf = ({ pod, name }: MemberStatus): string => pod ?? name ?? '';
  return byName(nameOf(a), nameOf(b));
}

function conditions(reachableNow: Finding, healthyNow: Finding, now: string): readonly Condition[] {
  return [
    { type: 'Reachable', ...reachableNow, lastTransitionTime: now },
    { type: 'Healthy', ...healthyNow, lastTransitionTime: now },
  ];
}

function reachable({ list }: ClusterView, answered: Answered): Finding {
  const noList = whyNoList(list);
  if (noList === null) {
    return {
      status: 'True',
      reason: 'QuorumAnswers',
      message: 'a quorum of voters gives one member list',
    };
  }
  if (list === 'several') {
    return { status: 'False', reason: 'SeveralMemberLists', message: noList };
  }
  if (answered.pods.length === 0) return noPods(answered);
  return {
    status: 'False',
    reason: 'NoAgreedMemberList',
    message: [noList, ...silences(answered)].join('; '),
  };
}

function noPods({ selector = null }: Answered): Finding {
  return { status: 'False', reason: 'NoPodSelected', message: nothingSelected(selector) };
}

/** Of a selector as `kubectl get pods -l` takes it. */
export function nothingSelected(selector: string | null): string {
  const which = selector === null ? '' : ` (${selector})`;
  return `no pod of this namespace matches spec.selector${which}`;
}

function silences({ pods, answers }: Answered): readonly string[] {
  return pods.flatMap(({ name }) => {
    const answer = answers.get(name);
    return answer === undefined || answer.kind === 'status' ? [] : `${name}: ${answer.cause}`;
  });
}

function healthy(view: ClusterView): Finding {
  if (view.list !== 'agreed') return NOT_KNOWN_TO_BE_HEALTHY;
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
