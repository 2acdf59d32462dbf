import type { MemberId } from '../../src/decision/member-id.ts';
import type {
  Answer,
  Guard,
  ListedMember,
  PodFacts,
  Reason,
  Situation,
  StatusAnswer,
} from '../../src/decision/situation.ts';

/** The part of a Decision that two implementations have to agree on. */
export type Core =
  | {
      readonly kind: 'allow';
      readonly reason: Reason;
      readonly member: MemberId | null;
      readonly reserve: 'required' | 'ifPossible' | 'no';
    }
  | { readonly kind: 'deny'; readonly reason: Reason; readonly member: MemberId | null }
  | { readonly kind: 'ask' }
  | { readonly kind: 'prove'; readonly pods: readonly string[] }
  | { readonly kind: 'handOff'; readonly reason: Reason; readonly to: MemberId };

/** A member that the target may be, or null: it is nobody. */
type Reading = MemberId | null;

interface World {
  readonly s: Situation;
  readonly guard: Guard;
  readonly heard: readonly { readonly pod: string; readonly status: StatusAnswer }[];
  readonly clusterId: string | null;
  /** The agreed list, null without one. */
  readonly list: readonly ListedMember[] | null;
  readonly leader: MemberId | null;
  readonly leaderless: boolean;
}

/**
 * The decision once more, written down clause by clause from the documentation, without regard for
 * speed and without a look at the other one: it exists to be compared with.
 */
export function decideNaively(s: Situation): Core {
  const early = withoutEtcd(s);
  if (early !== null) return early;
  const [guard] = s.guards;
  if (guard === undefined) throw new Error('row 1 covers this');
  if (s.answers === null) return withoutAnswers(s, guard);
  const world = look(s, guard, s.answers);
  return combine(readings(world).map((id, _, all) => judge(world, id, all.length === 1)));
}

/** Row 3 needs etcd for an ended pod; rows 4 and 5 do not, but come after it. */
function withoutAnswers(s: Situation, guard: Guard): Core {
  const later = withoutEtcdOrPhase(s);
  if (later !== null && (s.obstacle !== null || !s.target.finished)) return later;
  return s.obstacle === null ? { kind: 'ask' } : unverifiable(s, guard, null);
}

function withoutEtcd(s: Situation): Core | null {
  if (s.guards.length === 0) return allow(s, 'NotGuarded', null, 'no');
  if (s.target.terminating) return allow(s, 'AlreadyGoing', null, 'no');
  if (s.target.mirror || s.target.unscheduled)
    return allow(s, 'NotRunningHere', null, 'ifPossible');
  if (s.guards.length > 1)
    return withoutEtcdOrPhase(s) ?? { kind: 'deny', reason: 'AmbiguousGuard', member: null };
  return null;
}

function withoutEtcdOrPhase(s: Situation, id: Reading = null): Core | null {
  const { preconditionUid } = s.request;
  if (preconditionUid !== null && s.target.uid !== null && preconditionUid !== s.target.uid)
    return allow(s, 'PreconditionStale', id, 'no');
  if (glassIsBroken(s)) return allow(s, 'BreakGlass', id, 'ifPossible');
  return null;
}

function glassIsBroken(s: Situation): boolean {
  const glass = s.target.breakGlass;
  if (glass === null || glass.reason === null || glass.reason.trim() === '') return false;
  return glass.until === null || isToCome(glass.until, s.nowMs);
}

function isToCome(text: string, nowMs: number): boolean {
  const rfc3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;
  if (!rfc3339.test(text)) return false;
  const [year = 0, month = 0, day = 0] = text.slice(0, 10).split('-').map(Number);
  if (day > new Date(Date.UTC(year, month, 0)).getUTCDate()) return false;
  const until = Date.parse(text.toUpperCase());
  return !Number.isNaN(until) && until > nowMs;
}

// ---- what the answers say ----

function look(s: Situation, guard: Guard, answers: ReadonlyMap<string, Answer>): World {
  const heard = s.pods.flatMap(({ name }) => {
    const answer = answers.get(name);
    return answer?.kind === 'status' ? [{ pod: name, status: answer }] : [];
  });
  const agreed = agreedLists(heard);
  const [only] = agreed;
  if (agreed.length !== 1 || only === undefined) {
    // An answer without a list may be a voter's; only a learner by its own list is none.
    const voters = heard.filter(({ status: { id, list } }) => !isLearnerIn(list ?? [], id));
    const leaderless = agreed.length === 0 && allNameNobody(voters);
    return { s, guard, heard, clusterId: null, list: null, leader: null, leaderless };
  }
  const { clusterId, list } = only;
  const voters = votersOf(list);
  const named = voters.map((id) => nameGivenBy(heard, clusterId, id));
  const leader = voters.find(
    (id) => named.filter((name) => name === id).length >= majority(voters.length),
  );
  const leaderless = allNameNobody(
    heard.filter(({ status }) => status.clusterId === clusterId && voters.includes(status.id)),
  );
  return { s, guard, heard, clusterId, list, leader: leader ?? null, leaderless };
}

function allNameNobody(voters: World['heard']): boolean {
  return voters.length > 0 && voters.every(({ status }) => status.leader === null);
}

function isLearnerIn(list: readonly ListedMember[], id: MemberId): boolean {
  return list.some((member) => member.id === id && member.learner);
}

/** Every list, with its cluster id, that a quorum of its own voters gives: tried one by one. */
function agreedLists(
  heard: World['heard'],
): readonly { readonly clusterId: string; readonly list: readonly ListedMember[] }[] {
  const found = new Map<string, { clusterId: string; list: readonly ListedMember[] }>();
  for (const {
    status: { clusterId, list },
  } of heard) {
    if (list === null) continue;
    const print = fingerprint(clusterId, list);
    const givers = votersOf(list).filter((id) =>
      heard.some(
        ({ status }) =>
          status.id === id &&
          status.list !== null &&
          fingerprint(status.clusterId, status.list) === print,
      ),
    );
    if (givers.length >= majority(votersOf(list).length) && !found.has(print))
      found.set(print, { clusterId, list });
  }
  return [...found.values()];
}

function nameGivenBy(
  heard: World['heard'],
  clusterId: string,
  id: MemberId,
): MemberId | null | 'silent' {
  const names = heard
    .filter(({ status }) => status.id === id && status.clusterId === clusterId)
    .map(({ status }) => status.leader);
  const [first] = names;
  if (first === undefined) return 'silent';
  return names.every((name) => name === first) ? first : null;
}

function fingerprint(clusterId: string, list: readonly ListedMember[]): string {
  return [clusterId, ...list.map(({ id, learner }) => `${id}${learner ? 'L' : ''}`).sort()].join();
}

function votersOf(list: readonly ListedMember[]): MemberId[] {
  return [...new Set(list.filter(({ learner }) => !learner).map(({ id }) => id))];
}

function majority(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

// ---- which member a pod is ----

function targetPod(s: Situation): PodFacts {
  return (
    s.pods.find(({ name }) => name === s.target.name) ?? {
      name: s.target.name,
      address: null,
      hosts: [],
      terminating: false,
      cordoned: false,
    }
  );
}

function statusOf(w: World, pod: string): StatusAnswer | null {
  return w.heard.find((one) => one.pod === pod)?.status ?? null;
}

/** The members that a pod which gives no Status matches: by URL or host, and by name. */
function matches(w: World, pod: PodFacts): MemberId[] {
  const list = w.list ?? [];
  const byAddress = list.filter(
    ({ clientAddresses }) => pod.address !== null && clientAddresses.includes(pod.address),
  );
  const byHost = list.filter((member) => isHostOf(pod, member));
  const [sole] = byHost;
  const hostIsClear =
    byHost.length === 1 &&
    sole !== undefined &&
    !w.s.pods.some((other) => other.name !== pod.name && isHostOf(other, sole));
  const byUrl = byAddress.length === 1 ? byAddress : hostIsClear ? byHost : [];
  const byName = list.filter(({ name }) => name === pod.name);
  return [...new Set([...byUrl, ...byName].map(({ id }) => id))];
}

/** A host name also goes by its longer forms in DNS, an address only by itself. */
function isHostOf(pod: PodFacts, member: ListedMember): boolean {
  return member.hosts.some(
    (host) =>
      pod.hosts.includes(host) ||
      (/[^0-9.]/.test(host) && pod.hosts.some((short) => host.startsWith(`${short}.`))),
  );
}

/** The members that a pod takes up for itself. */
function claims(w: World, pod: PodFacts): MemberId[] {
  const status = statusOf(w, pod.name);
  if (status === null) return matches(w, pod);
  const listed = (w.list ?? []).some(({ id }) => id === status.id);
  return listed && status.clusterId === w.clusterId ? [status.id] : [];
}

function readings(w: World): Reading[] {
  if (w.list === null) return [null];
  const others = w.s.pods.filter(({ name }) => name !== w.s.target.name);
  const claimed = new Set(others.flatMap((pod) => claims(w, pod)));
  const unclaimed = w.list.map(({ id }) => id).filter((id) => !claimed.has(id));
  const status = statusOf(w, w.s.target.name);
  if (status !== null) {
    const [own] = claims(w, targetPod(w.s));
    if (own === undefined) return [null];
    return claimed.has(own) ? distinct([own, ...unclaimed, null]) : [own];
  }
  const found = matches(w, targetPod(w.s));
  const [sole] = found;
  if (found.length === 1 && sole !== undefined && !claimed.has(sole)) return [sole];
  return distinct([...found, ...unclaimed, null]);
}

function distinct(all: readonly Reading[]): Reading[] {
  return [...new Set(all)];
}

// ---- who is healthy ----

type Flaw = 'lag' | 'other';

function flaw(w: World, id: MemberId): Flaw | null {
  const answers = w.heard.filter(
    ({ status }) => status.id === id && status.clusterId === w.clusterId,
  );
  if (answers.length === 0) return 'other';
  const print = w.list === null ? '' : fingerprint(w.clusterId ?? '', w.list);
  const sound = answers.every(
    ({ status }) =>
      status.list !== null &&
      fingerprint(status.clusterId, status.list) === print &&
      status.leader === w.leader,
  );
  if (!sound) return 'other';
  const corrupt = w.heard.some(
    ({ status }) => status.clusterId === w.clusterId && status.corrupt.includes(id),
  );
  if (corrupt) return 'other';
  const going = w.s.pods.some(
    (pod) => claims(w, pod).includes(id) && (pod.terminating || isReserved(w.s, pod.name)),
  );
  if (going) return 'other';
  const lags =
    answers.some(({ status }) => behind(w, status) >= BigInt(w.guard.policy.maxRaftLag)) &&
    !answers.every(({ pod }) => w.s.proof?.get(pod)?.served === true);
  return lags ? 'lag' : null;
}

function behind(w: World, status: StatusAnswer): bigint {
  const voters = votersOf(w.list ?? []);
  let highest = 0n;
  for (const one of w.heard) {
    const counts = one.status.clusterId === w.clusterId && voters.includes(one.status.id);
    if (counts && one.status.raftIndex > highest) highest = one.status.raftIndex;
  }
  return highest - status.appliedIndex;
}

function isReserved(s: Situation, pod: string): boolean {
  return s.reservations.some((entry) => entry.pod === pod && !entry.own);
}

interface After {
  readonly members: readonly MemberId[];
  readonly laggards: readonly MemberId[];
  readonly quorum: number;
}

function afterwards(w: World, id: MemberId): After {
  const voters = votersOf(w.list ?? []);
  const others = voters.filter((voter) => voter !== id);
  return {
    members: others.filter((voter) => flaw(w, voter) === null),
    laggards: others.filter((voter) => flaw(w, voter) === 'lag'),
    quorum: majority(voters.length),
  };
}

// ---- the proof ----

/** Everybody that may count is asked at once; those that lag are among them. */
function askForProof(w: World, after: After): Core | null {
  if (w.s.proof !== null || w.s.obstacle !== null) return null;
  const members = [...after.members, ...after.laggards];
  if (members.length === 0) return null;
  const pods = members.flatMap((id) => podsAnsweringAs(w, id));
  return { kind: 'prove', pods };
}

function podsAnsweringAs(w: World, id: MemberId): string[] {
  return w.heard
    .filter(({ status }) => status.id === id && status.clusterId === w.clusterId)
    .map(({ pod }) => pod);
}

function proofStands(w: World, target: MemberId, after: After): boolean {
  const going = w.s.pods.some(
    (pod) =>
      w.leader !== null &&
      claims(w, pod).includes(w.leader) &&
      (pod.terminating || isReserved(w.s, pod.name)),
  );
  const proven = after.members.filter((id) =>
    podsAnsweringAs(w, id).every((pod) => {
      const given = w.s.proof?.get(pod);
      return (
        given?.served === true &&
        given.after?.id === id &&
        given.after.clusterId === w.clusterId &&
        given.after.leader === w.leader
      );
    }),
  );
  const need = Math.min(after.quorum, after.members.length);
  const words = [...(w.s.proof?.values() ?? [])].map((given) => given.after);
  const elected =
    target !== w.leader &&
    words.some((word) => word?.leader === target && word.clusterId === w.clusterId);
  return !going && !elected && proven.length > 0 && proven.length >= need;
}

// ---- the rows, for one reading ----

function judge(w: World, id: Reading, alone: boolean): Core {
  return (
    finishedForGood(w, id) ??
    withoutEtcdOrPhase(w.s, id) ??
    knownDown(w, id) ??
    unclear(w, id) ??
    asMember(w, id, alone)
  );
}

function targetIsSilent({ s }: World): boolean {
  return (s.answers?.get(s.target.name)?.kind ?? 'silent') === 'silent';
}

function finishedForGood(w: World, id: Reading): Core | null {
  const applies = w.s.target.finished && targetIsSilent(w) && !namedLeader(w);
  return applies ? allow(w.s, 'NotRunningHere', id, 'ifPossible') : null;
}

function knownDown(w: World, id: Reading): Core | null {
  const { containersDown, onEmptyDir } = w.s.target;
  const applies = containersDown && targetIsSilent(w) && (w.leader !== null || !onEmptyDir);
  return applies ? allow(w.s, 'KnownDown', id, 'ifPossible') : null;
}

/** Row 8 without the demand for proof, and row 12 where it stands for it. */
function unclear(w: World, id: Reading): Core | null {
  const lost = w.leader === null && w.leaderless;
  if (w.list === null)
    return lost
      ? { kind: 'deny', reason: 'QuorumLost', member: null }
      : unverifiable(w.s, w.guard, null);
  const own = statusOf(w, w.s.target.name);
  const foreign = own !== null && own.clusterId !== w.clusterId;
  return foreign || (w.leader === null && !lost) ? unverifiable(w.s, w.guard, id) : null;
}

function asMember(w: World, id: Reading, alone: boolean): Core {
  if (id === null) return allow(w.s, 'NotAMember', null, 'no');
  if (!votersOf(w.list ?? []).includes(id)) return allow(w.s, 'Learner', id, 'ifPossible');
  const after = afterwards(w, id);
  if (w.leader === id) return leaderRow(w, id, after, alone);
  if (isCandidate(w, id)) return { kind: 'deny', reason: 'LeaderProtected', member: id };
  return selfNamed(w, id, after) ?? asFollower(w, id, after);
}

/** A member that names itself leader, refuted only by a full quorum's proof for another. */
function selfNamed(w: World, id: MemberId, after: After): Core | null {
  const names = w.heard.some(
    ({ status }) =>
      status.clusterId === w.clusterId && status.id === id && status.leader === status.id,
  );
  if (!names) return null;
  const mayBeEnough = after.members.length + after.laggards.length >= after.quorum;
  const step = mayBeEnough ? askForProof(w, after) : null;
  if (step !== null) return step;
  const refuted = after.members.length >= after.quorum && proofStands(w, id, after);
  return refuted ? null : { kind: 'deny', reason: 'LeaderProtected', member: id };
}

/** Anybody's word counts here: an ended pod that somebody still names is looked at more closely. */
function namedLeader(w: World): boolean {
  const named = w.heard.flatMap(({ status }) => (status.leader === null ? [] : [status.leader]));
  return w.list === null
    ? named.length > 0
    : readings(w).some((id) => id !== null && named.includes(id));
}

function isCandidate(w: World, id: MemberId): boolean {
  return w.s.reservations.some(({ handOffTo }) => handOffTo === id);
}

function leaderRow(w: World, id: MemberId, after: After, alone: boolean): Core {
  const refusal: Core = { kind: 'deny', reason: 'LeaderProtected', member: id };
  if (!mayHandOff(w, id, alone)) return refusal;
  const step = askLaggards(w, after);
  if (step !== null) return step;
  const to = candidate(w, after);
  if (to === null || mustRefuse(w, after)) return refusal;
  if (w.s.request.dryRun) return asFollower(w, id, after);
  return { kind: 'handOff', reason: followerReason(w, id, after), to };
}

function mayHandOff(w: World, id: MemberId, alone: boolean): boolean {
  const { s } = w;
  return (
    alone &&
    statusOf(w, s.target.name)?.id === id &&
    s.handOff.kind === 'none' &&
    s.obstacle === null &&
    !staleOwn(s) &&
    !isCandidate(w, id) &&
    getsHandOff(s, w.guard)
  );
}

/** Not cordoned before cordoned, then least behind by its worst answer, then by pod name. */
function candidate(w: World, after: After): MemberId | null {
  const ranked = after.members
    .map((id) => {
      const [pod] = podsAnsweringAs(w, id);
      const answers = w.heard.filter(
        ({ status }) => status.id === id && status.clusterId === w.clusterId,
      );
      return {
        id,
        pod: pod ?? '',
        cordoned: w.s.pods.some(({ name, cordoned }) => name === pod && cordoned),
        lag: Math.max(0, ...answers.map(({ status }) => Number(behind(w, status)))),
      };
    })
    .sort(
      (a, b) =>
        Number(a.cordoned) - Number(b.cordoned) || a.lag - b.lag || (a.pod < b.pod ? -1 : 1),
    );
  return ranked[0]?.id ?? null;
}

function getsHandOff(s: Situation, guard: Guard): boolean {
  if (guard.policy.leader === 'HandOff') return true;
  const { user, groups } = s.request.caller;
  return guard.policy.handOff.some((who) => {
    if (who === 'Evictions') return s.request.operation === 'eviction';
    if (who === 'Controllers')
      return (
        user === 'system:serviceaccount:kube-system:statefulset-controller' ||
        user === 'system:kube-controller-manager'
      );
    if (who.startsWith('group:')) return groups.includes(who.slice('group:'.length));
    return who === user;
  });
}

function followerReason(w: World, id: MemberId, after: After): Reason {
  if (after.members.length < after.quorum) return 'QuorumAtRisk';
  return flaw(w, id) === null ? 'Spared' : 'NothingToLose';
}

function asFollower(w: World, id: MemberId, after: After): Core {
  const { s, guard } = w;
  if (w.leaderless) return { kind: 'deny', reason: 'QuorumLost', member: id };
  const step = askLaggards(w, after);
  if (step !== null) return step;
  if (mustRefuse(w, after)) return { kind: 'deny', reason: 'QuorumAtRisk', member: id };
  if (s.obstacle !== null) return unverifiable(s, guard, id);
  const proof = askForProof(w, after);
  if (proof !== null) return proof;
  if (!proofStands(w, id, after)) return unverifiable(s, guard, id);
  return allow(s, ownEntry(s)?.reason ?? followerReason(w, id, after), id, 'required');
}

/** Lag alone never refuses unasked. */
function askLaggards(w: World, after: After): Core | null {
  const short = after.members.length < after.quorum;
  const lagAlone = short && after.members.length + after.laggards.length >= after.quorum;
  return lagAlone ? askForProof(w, after) : null;
}

/** The refusals of row 14. */
function mustRefuse(w: World, after: After): boolean {
  const short = after.members.length < after.quorum;
  return (short && w.guard.policy.quorum === 'Enforce') || staleOwn(w.s);
}

function staleOwn(s: Situation): boolean {
  return (ownEntry(s)?.ageMs ?? 0) > 60_000;
}

function ownEntry(s: Situation): { readonly ageMs: number; readonly reason: Reason } | null {
  return s.reservations.find((entry) => entry.own) ?? null;
}

// ---- answers ----

function allow(
  s: Situation,
  reason: Reason,
  member: MemberId | null,
  reserve: 'required' | 'ifPossible' | 'no',
): Core {
  const nothing = s.request.dryRun || (ownEntry(s) !== null && !staleOwn(s));
  return { kind: 'allow', reason, member, reserve: nothing ? 'no' : reserve };
}

function unverifiable(s: Situation, guard: Guard, member: MemberId | null): Core {
  // "If the move fails or is not confirmed in time, the request is refused", whatever the policy.
  return guard.policy.unknown === 'Allow' && s.handOff.kind === 'none'
    ? allow(s, 'Unverifiable', member, 'ifPossible')
    : { kind: 'deny', reason: 'Unverifiable', member };
}

/** A refusal of any reading refuses; then what any must find out; only then is it allowed. */
function combine(verdicts: readonly Core[]): Core {
  const refusal = verdicts.find(({ kind }) => kind === 'deny');
  if (refusal !== undefined) return refusal;
  const asked = verdicts.flatMap((one) => (one.kind === 'prove' ? one.pods : []));
  if (asked.length > 0) return { kind: 'prove', pods: [...new Set(asked)] };
  const ranks = ['required', 'ifPossible', 'no'];
  const rank = (one: Core): number => (one.kind === 'allow' ? ranks.indexOf(one.reserve) : -1);
  const [verdict] = [...verdicts].sort((a, b) => rank(a) - rank(b));
  if (verdict === undefined) throw new Error('there is always a reading');
  return verdict;
}
