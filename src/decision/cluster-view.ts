import { identify, type Identities } from './identity.ts';
import type { MemberId } from './member-id.ts';
import { quorumOf } from './quorum.ts';
import type {
  Answer,
  Guard,
  ListedMember,
  PodFacts,
  ProofAnswer,
  Reservation,
  StatusAnswer,
} from './situation.ts';

/** Healthy counts towards the quorum; the others never do. */
export type Health = 'Healthy' | 'Unhealthy' | 'Unknown';

/** One listed member as the guard sees it. */
export interface MemberView {
  readonly id: MemberId;
  readonly name: string;
  readonly learner: boolean;
  /** Pods that answer as it, then those that match it; usually one. */
  readonly pods: readonly string[];
  readonly health: Health;
  /** Why it is not healthy, in a few words; empty if it is. */
  readonly why: string;
  /** Entries behind the highest raft index that any voter gave; null while it does not answer. */
  readonly lag: bigint | null;
  /** It would be healthy if it did not lag. */
  readonly onlyLags: boolean;
  readonly namesItselfLeader: boolean;
}

/** Who leads, as far as that is known. */
export type LeaderView =
  | { readonly kind: 'confirmed'; readonly id: MemberId }
  | { readonly kind: 'leaderless' }
  | { readonly kind: 'unclear' };

/** The member list that a quorum of its own voters gives, or why there is none. */
export type ListView = 'agreed' | 'none' | 'several';

/** An etcd cluster as its members' answers show it. */
export interface ClusterView {
  readonly list: ListView;
  readonly clusterId: string | null;
  readonly leader: LeaderView;
  /** Highest term in any answer of a voter, for display; null while none answers. */
  readonly term: bigint | null;
  readonly members: readonly MemberView[];
  readonly voters: number;
  readonly quorum: number;
  readonly healthyVoters: number;
  /** Members with a NOSPACE alarm: writes are refused, the quorum stands. */
  readonly noSpace: readonly MemberId[];
  /** Which members a pod may be; empty without an agreed list. */
  readingsOf(pod: string): readonly (MemberId | null)[];
}

/** Healthy voters beyond the quorum; none while no leader is confirmed. */
export function disruptionsAllowed(view: ClusterView): number {
  if (view.leader.kind !== 'confirmed') return 0;
  return Math.max(0, view.healthyVoters - view.quorum);
}

/** What a view is made of. */
export interface Observed {
  readonly pods: readonly PodFacts[];
  readonly answers: ReadonlyMap<string, Answer>;
  readonly proof: ReadonlyMap<string, ProofAnswer> | null;
  readonly reservations: readonly Reservation[];
  readonly maxRaftLag: number;
}

interface PodStatus {
  readonly pod: string;
  readonly answer: StatusAnswer;
}

interface AgreedList {
  readonly clusterId: string;
  readonly key: string;
  readonly members: readonly ListedMember[];
}

/** Makes the view; pure, and the same for the same observation. */
export function viewOf(observed: Observed): ClusterView {
  const statuses = statusesOf(observed);
  const agreed = agreedLists(statuses);
  const [only] = agreed;
  if (only === undefined || agreed.length > 1) {
    return viewWithoutList(agreed.length > 1 ? 'several' : 'none', statuses);
  }
  return viewOfList(only, statuses, observed);
}

/** A cluster as it was read: its guard, pods and ledger. */
export interface ReadCluster {
  readonly guard: Guard;
  readonly pods: readonly PodFacts[];
  readonly reservations: readonly Reservation[];
}

/** The view of it by these answers, before anybody is asked for proof. */
export function viewBeforeProof(
  { guard, pods, reservations }: ReadCluster,
  answers: ReadonlyMap<string, Answer>,
): ClusterView {
  const { maxRaftLag } = guard.policy;
  return viewOf({ pods, answers, proof: null, reservations, maxRaftLag });
}

function statusesOf(observed: Observed): readonly PodStatus[] {
  return observed.pods.flatMap(({ name }) => {
    const answer = observed.answers.get(name);
    return answer?.kind === 'status' ? [{ pod: name, answer }] : [];
  });
}

/** Ids and learner flags, in one comparable string. */
function listKey(list: readonly ListedMember[]): string {
  return list
    .map((member) => `${member.id}${member.learner ? '+' : ''}`)
    .sort()
    .join(',');
}

/** Every list that at least a quorum of its own voters give with the same cluster id. */
function agreedLists(statuses: readonly PodStatus[]): readonly AgreedList[] {
  const given = new Map<string, AgreedList & { readonly givers: Set<MemberId> }>();
  for (const { answer } of statuses) {
    if (answer.list === null) continue;
    const key = listKey(answer.list);
    const at = `${answer.clusterId} ${key}`;
    const entry = given.get(at) ?? {
      clusterId: answer.clusterId,
      key,
      members: answer.list,
      givers: new Set<MemberId>(),
    };
    given.set(at, entry);
    entry.givers.add(answer.id);
  }
  return [...given.values()].filter(({ members, givers }) => {
    const voters = members.filter((member) => !member.learner);
    return voters.filter(({ id }) => givers.has(id)).length >= quorumOf(voters.length);
  });
}

/**
 * Without a list nothing can be allowed, but "no leader" is still worth telling apart: after a lost
 * quorum it is only ever heard from a minority of survivors, so it must not depend on a quorum.
 */
function viewWithoutList(list: 'none' | 'several', statuses: readonly PodStatus[]): ClusterView {
  const voters = statuses.filter(({ answer }) => !listsItselfAsLearner(answer));
  const leaderless = list === 'none' && namesNobody(voters);
  return {
    list,
    clusterId: null,
    leader: { kind: leaderless ? 'leaderless' : 'unclear' },
    term: highest(voters.map(({ answer }) => answer.term)),
    members: [],
    voters: 0,
    quorum: 0,
    healthyVoters: 0,
    noSpace: [],
    readingsOf: () => [],
  };
}

function listsItselfAsLearner(answer: StatusAnswer): boolean {
  return answer.list?.some(({ id, learner }) => id === answer.id && learner) ?? false;
}

function namesNobody(voters: readonly PodStatus[]): boolean {
  return voters.length > 0 && voters.every(({ answer }) => answer.leader === null);
}

function viewOfList(
  list: AgreedList,
  statuses: readonly PodStatus[],
  observed: Observed,
): ClusterView {
  const voterIds = new Set(list.members.filter((m) => !m.learner).map((m) => m.id));
  const here = statuses.filter(({ answer }) => answer.clusterId === list.clusterId);
  const fromVoters = here.filter(({ answer }) => voterIds.has(answer.id));
  const leader = leaderOf(fromVoters, voterIds);
  const identities = identify(list.members, observed.pods, observed.answers, list.clusterId);
  const context: HealthContext = {
    list,
    leader,
    observed,
    identities,
    statuses: here,
    corrupt: new Set(here.flatMap(({ answer }) => answer.corrupt)),
    highestIndex: highest(fromVoters.map(({ answer }) => answer.raftIndex)) ?? 0n,
  };
  const members = list.members.map((member) => memberView(member, context));
  return {
    list: 'agreed',
    clusterId: list.clusterId,
    leader,
    term: highest(fromVoters.map(({ answer }) => answer.term)),
    members,
    voters: voterIds.size,
    quorum: quorumOf(voterIds.size),
    healthyVoters: members.filter((m) => !m.learner && m.health === 'Healthy').length,
    noSpace: [...new Set(fromVoters.flatMap(({ answer }) => answer.noSpace))],
    readingsOf: (pod) => identities.readingsOf(pod),
  };
}

/** Confirmed by a quorum of voters, whether or not the one that they name answers. */
function leaderOf(fromVoters: readonly PodStatus[], voterIds: ReadonlySet<MemberId>): LeaderView {
  if (namesNobody(fromVoters)) return { kind: 'leaderless' };
  const votes = new Map<MemberId, number>();
  for (const voter of voterIds) {
    const named = leaderNamedBy(fromVoters.filter(({ answer }) => answer.id === voter));
    if (named !== null) votes.set(named, (votes.get(named) ?? 0) + 1);
  }
  for (const id of voterIds) {
    if ((votes.get(id) ?? 0) >= quorumOf(voterIds.size)) return { kind: 'confirmed', id };
  }
  return { kind: 'unclear' };
}

/** null as well if one member answers through two pods and names two leaders. */
function leaderNamedBy(own: readonly PodStatus[]): MemberId | null {
  const named = own[0]?.answer.leader ?? null;
  return own.every(({ answer }) => answer.leader === named) ? named : null;
}

function highest(values: readonly bigint[]): bigint | null {
  return values.reduce<bigint | null>((a, b) => (a === null || b > a ? b : a), null);
}

interface HealthContext {
  readonly list: AgreedList;
  readonly leader: LeaderView;
  readonly observed: Observed;
  readonly identities: Identities;
  readonly statuses: readonly PodStatus[];
  readonly corrupt: ReadonlySet<MemberId>;
  readonly highestIndex: bigint;
}

function memberView(member: ListedMember, context: HealthContext): MemberView {
  const own = context.statuses.filter(({ answer }) => answer.id === member.id);
  const pods = answeringFirst(context.identities.podsOf(member.id), own);
  const faults = faultsOf(member.id, own, pods, context);
  const lag = lagOf(own, context);
  const lagging = lag !== null && isBehind(lag, own, context);
  return {
    id: member.id,
    name: member.name,
    learner: member.learner,
    pods,
    health: healthOf(own, pods, faults.length > 0 || lagging, context),
    why:
      own.length === 0
        ? silenceOf(member.id, pods, context)
        : (faults[0] ?? (lagging ? behind(lag) : '')),
    lag,
    onlyLags: own.length > 0 && faults.length === 0 && lagging,
    namesItselfLeader: own.some(({ answer }) => answer.leader === member.id),
  };
}

function answeringFirst(pods: readonly string[], own: readonly PodStatus[]): readonly string[] {
  return [...new Set([...own.map(({ pod }) => pod), ...pods])];
}

function healthOf(
  own: readonly PodStatus[],
  pods: readonly string[],
  faulty: boolean,
  context: HealthContext,
): Health {
  if (own.length > 0) return faulty ? 'Unhealthy' : 'Healthy';
  const refuses = pods.some((pod) => context.observed.answers.get(pod)?.kind === 'refused');
  return refuses ? 'Unhealthy' : 'Unknown';
}

/** All that keeps an answering member from being healthy, but for lag. */
function faultsOf(
  id: MemberId,
  own: readonly PodStatus[],
  pods: readonly string[],
  context: HealthContext,
): readonly string[] {
  const { leader, list, observed } = context;
  const named = leader.kind === 'confirmed' ? leader.id : null;
  const faults: string[] = [];
  if (own.some(({ answer }) => answer.list === null || listKey(answer.list) !== list.key)) {
    faults.push('gives another member list');
  }
  if (own.some(({ answer }) => answer.leader === null || answer.leader !== named)) {
    faults.push('does not name the confirmed leader');
  }
  if (context.corrupt.has(id)) faults.push('has a CORRUPT alarm');
  if (observed.pods.some((pod) => pods.includes(pod.name) && pod.terminating)) {
    faults.push('its pod is terminating');
  }
  const entry = observed.reservations.find((r) => !r.own && pods.includes(r.pod));
  if (entry !== undefined) faults.push(deletionAllowed(entry));
  return faults;
}

/** Why a member with a living reservation does not count, in a few words. */
export function deletionAllowed({ ageMs }: Reservation): string {
  return `its deletion was allowed ${Math.round(ageMs / 1000)} s ago`;
}

function lagOf(own: readonly PodStatus[], context: HealthContext): bigint | null {
  const applied = own.map(({ answer }) => answer.appliedIndex).sort((a, b) => (a < b ? -1 : 1))[0];
  if (applied === undefined) return null;
  return context.highestIndex > applied ? context.highestIndex - applied : 0n;
}

/** A follower that has just served its own linearizable read is not behind, whatever the indexes say. */
function isBehind(lag: bigint, own: readonly PodStatus[], context: HealthContext): boolean {
  if (lag < BigInt(context.observed.maxRaftLag)) return false;
  return !own.every(({ pod }) => context.observed.proof?.get(pod)?.served === true);
}

function behind(lag: bigint | null): string {
  return `is ${lag ?? '?'} entries behind`;
}

function silenceOf(id: MemberId, pods: readonly string[], context: HealthContext): string {
  for (const pod of pods) {
    const answer = context.observed.answers.get(pod);
    if (answer !== undefined && answer.kind !== 'status') return answer.cause;
  }
  if (pods.length > 0) return 'no answer';
  const { observed, identities } = context;
  const perhaps = observed.pods.some(({ name }) => identities.readingsOf(name).includes(id));
  return perhaps ? 'no pod is known to run it' : 'it has no pod';
}
