import * as fc from 'fast-check';
import { memberId, type MemberId } from '../../src/decision/member-id.ts';
import type {
  Answer,
  Caller,
  ListedMember,
  PodFacts,
  ProofAnswer,
  Reservation,
  Situation,
} from '../../src/decision/situation.ts';

/** Now, in every random situation. */
export const NOW_MS = Date.UTC(2026, 0, 15, 12);

/** What one pod of a random cluster is like; mostly sound, with faults thrown in. */
interface PodSketch {
  readonly answer: 'status' | 'silent' | 'refused';
  readonly names: 'leader' | 'nobody' | 'itself' | 'next';
  readonly list: 'agreed' | 'other' | 'absent';
  readonly foreign: boolean;
  readonly twin: boolean;
  readonly lag: number;
  readonly corrupt: boolean;
  readonly terminating: boolean;
  readonly cordoned: boolean;
  readonly reserved: boolean;
  readonly address: 'own' | 'next' | 'none';
  readonly hosts: 'own' | 'shared' | 'none';
  readonly named: 'own' | 'next' | 'unnamed';
  readonly proof:
    'good' | 'unserved' | 'noAfter' | 'leader' | 'target' | 'id' | 'cluster' | 'absent';
}

/** A random cluster with a request; `answers` and `proof` are what asking would bring. */
export interface Scene {
  readonly situation: Situation;
  readonly answers: ReadonlyMap<string, Answer>;
  readonly proof: ReadonlyMap<string, ProofAnswer>;
}

function weighted<T>(...choices: readonly (readonly [number, T])[]): fc.Arbitrary<T> {
  return fc.oneof(...choices.map(([weight, value]) => ({ weight, arbitrary: fc.constant(value) })));
}

function oneIn(n: number): fc.Arbitrary<boolean> {
  return weighted([n - 1, false], [1, true]);
}

const podSketch: fc.Arbitrary<PodSketch> = fc.record({
  answer: weighted([24, 'status'], [3, 'silent'], [1, 'refused']),
  names: weighted([45, 'leader'], [1, 'nobody'], [1, 'itself'], [1, 'next']),
  list: weighted([45, 'agreed'], [1, 'other'], [1, 'absent']),
  foreign: oneIn(40),
  twin: oneIn(40),
  lag: weighted([14, 0], [2, 7], [1, 999], [1, 1000], [1, 50_000]),
  corrupt: oneIn(30),
  terminating: oneIn(25),
  cordoned: oneIn(6),
  reserved: oneIn(25),
  address: weighted([10, 'own'], [1, 'next'], [2, 'none']),
  hosts: weighted([10, 'own'], [1, 'shared'], [2, 'none']),
  named: weighted([10, 'own'], [1, 'next'], [2, 'unnamed']),
  proof: weighted(
    [24, 'good'],
    [1, 'unserved'],
    [1, 'noAfter'],
    [1, 'leader'],
    [1, 'target'],
    [1, 'id'],
    [1, 'cluster'],
    [1, 'absent'],
  ),
});

const CALLERS: readonly Caller[] = [
  { user: 'alice', groups: ['ops', 'system:authenticated'] },
  { user: 'system:serviceaccount:kube-system:statefulset-controller', groups: [] },
  { user: 'system:kube-controller-manager', groups: [] },
];

const requestSketch = fc.record({
  operation: fc.constantFrom('delete' as const, 'eviction' as const),
  dryRun: oneIn(8),
  caller: fc.constantFrom(...CALLERS),
  preconditionUid: weighted([40, null], [1, 'uid'], [1, 'another']),
});

const policySketch = fc.record({
  leader: weighted([4, 'Deny' as const], [1, 'HandOff' as const]),
  handOff: fc.constantFrom(['Evictions', 'Controllers'], [], ['alice'], ['group:ops']),
  quorum: weighted([3, 'Enforce' as const], [1, 'Warn' as const]),
  unknown: weighted([3, 'Deny' as const], [1, 'Allow' as const]),
  maxRaftLag: fc.constant(1000),
});

const targetSketch = fc.record({
  terminating: oneIn(40),
  mirror: oneIn(60),
  unscheduled: oneIn(60),
  finished: oneIn(25),
  breakGlass: weighted(
    [40, null],
    [1, { reason: 'disk is lost', until: null }],
    [1, { reason: '  ', until: null }],
    [1, { reason: 'ok', until: '2026-01-15T12:00:01Z' }],
    [1, { reason: 'ok', until: '2026-01-15T12:00:00Z' }],
    [1, { reason: 'ok', until: 'tomorrow' }],
    [1, { reason: null, until: '2026-01-15T12:00:01Z' }],
  ),
  containersDown: oneIn(8),
  onEmptyDir: oneIn(5),
  looksLikeEtcd: fc.boolean(),
});

/** An arbitrary cluster of one to seven voters, and a request for one of its pods. */
export const scenes: fc.Arbitrary<Scene> = fc
  .record({
    voters: weighted([1, 1], [2, 2], [8, 3], [2, 4], [4, 5], [1, 7]),
    learners: weighted([8, 0], [2, 1]),
    extraPods: weighted([12, 0], [1, 1]),
    missingPods: weighted([12, 0], [1, 1]),
    guards: weighted([1, 0], [40, 1], [1, 2]),
    leader: fc.nat(6),
    mood: weighted([12, 'usual'], [1, 'leaderless'], [1, 'mostlySilent']),
    target: fc.nat(8),
    request: requestSketch,
    policy: policySketch,
    facts: targetSketch,
    pods: fc.array(podSketch, { minLength: 9, maxLength: 9 }),
    own: weighted([12, null], [1, 5_000], [1, 59_999], [1, 60_001], [1, 100_000]),
    ownReason: fc.constantFrom('Spared' as const, 'NothingToLose' as const, 'KnownDown' as const),
    handOffTo: weighted([10, null], [1, 0], [1, 1]),
    handOff: weighted([10, 'none'], [1, 'moved'], [1, 'failed']),
    obstacle: weighted([12, null], [1, 'OutOfTime'], [1, 'LedgerUnavailable']),
  })
  .map(buildScene);

/** What the record above generates. */
interface SceneSketch {
  readonly voters: number;
  readonly learners: number;
  readonly extraPods: number;
  readonly missingPods: number;
  readonly guards: number;
  readonly leader: number;
  readonly mood: string;
  readonly target: number;
  readonly request: Situation['request'];
  readonly policy: Situation['guards'][number]['policy'];
  readonly facts: Omit<Situation['target'], 'namespace' | 'name' | 'uid'>;
  readonly pods: readonly PodSketch[];
  readonly own: number | null;
  readonly ownReason: Reservation['reason'];
  readonly handOffTo: number | null;
  readonly handOff: string;
  readonly obstacle: string | null;
}

interface Numbered {
  readonly sketch: SceneSketch;
  readonly members: readonly ListedMember[];
  readonly leader: MemberId;
}

function buildScene(sketch: SceneSketch): Scene {
  const size = sketch.voters + sketch.learners;
  const podCount = Math.max(1, size + sketch.extraPods - sketch.missingPods);
  const members = Array.from({ length: size }, (_, i) => listed(sketch, i, size));
  const world: Numbered = { sketch, members, leader: idOf(sketch.leader % sketch.voters) };
  const numbers = Array.from({ length: podCount }, (_, i) => i);
  const target = sketch.target % podCount;
  return {
    situation: {
      nowMs: NOW_MS,
      request: sketch.request,
      target: { namespace: 'default', name: podName(target), uid: 'uid', ...sketch.facts },
      guards: Array.from({ length: sketch.guards }, (_, i) => ({
        namespace: 'default',
        name: i === 0 ? 'etcd' : 'other',
        policy: sketch.policy,
      })),
      pods: numbers.map((i) => podFacts(sketch, i, size)),
      reservations: reservationsOf(world, numbers, target),
      answers: null,
      proof: null,
      handOff: handOffOf(sketch.handOff),
      obstacle: obstacleOf(sketch.obstacle),
    },
    answers: new Map(numbers.map((i) => [podName(i), answerOf(world, i)])),
    proof: new Map(
      numbers.flatMap((i) => {
        const proof = proofOf(world, i);
        return proof === null ? [] : [[podName(i), proof]];
      }),
    ),
  };
}

function podName(i: number): string {
  return `etcd-${i}`;
}

function idOf(i: number): MemberId {
  return memberId(`${(i + 10).toString(16)}1`);
}

function pod(sketch: SceneSketch, i: number): PodSketch {
  const found = sketch.pods[i];
  if (found === undefined) throw new Error(`no sketch for pod ${i}`);
  return found;
}

function listed(sketch: SceneSketch, i: number, size: number): ListedMember {
  const { named } = pod(sketch, i);
  const next = (i + 1) % size;
  const host = `10.0.0.${i}`;
  return {
    id: idOf(i),
    name: named === 'unnamed' ? '' : podName(named === 'own' ? i : next),
    learner: i >= sketch.voters,
    clientAddresses: [`${host}:2379`],
    hosts: [host],
  };
}

function podFacts(sketch: SceneSketch, i: number, size: number): PodFacts {
  const { address, hosts, terminating, cordoned } = pod(sketch, i);
  const next = (i + 1) % size;
  const own = address === 'own' ? i : next;
  return {
    name: podName(i),
    address: address === 'none' ? null : `10.0.0.${own}:2379`,
    hosts: hosts === 'none' ? [] : [`10.0.0.${hosts === 'own' ? i : next}`],
    terminating,
    cordoned,
  };
}

function reservationsOf(
  { sketch, members }: Numbered,
  numbers: readonly number[],
  target: number,
): Reservation[] {
  const others = numbers.filter((i) => i !== target && pod(sketch, i).reserved);
  const to = sketch.handOffTo === null ? null : (members[sketch.handOffTo]?.id ?? null);
  const all: Reservation[] = others.map((i, nth) => ({
    pod: podName(i),
    own: false,
    ageMs: 10_000,
    reason: 'Spared',
    handOffTo: nth === 0 ? to : null,
  }));
  if (sketch.own === null) return all;
  const own = { pod: podName(target), own: true, ageMs: sketch.own, reason: sketch.ownReason };
  return [...all, { ...own, handOffTo: others.length === 0 && to !== idOf(target) ? to : null }];
}

function handOffOf(kind: string): Situation['handOff'] {
  if (kind === 'failed') return { kind, cause: 'etcdserver: request timed out' };
  return kind === 'moved' ? { kind } : { kind: 'none' };
}

function obstacleOf(kind: string | null): Situation['obstacle'] {
  if (kind === 'LedgerUnavailable') return { kind, cause: 'connection refused' };
  return kind === 'OutOfTime' ? { kind } : null;
}

function answerOf({ sketch, members, leader }: Numbered, i: number): Answer {
  const one = pod(sketch, i);
  const kind = sketch.mood === 'mostlySilent' && i % 3 !== 0 ? 'silent' : one.answer;
  if (kind !== 'status') return { kind, cause: 'connect ECONNREFUSED' };
  const id = idOf(one.twin ? i + 1 : i);
  const named = { leader, nobody: null, itself: id, next: idOf((i + 1) % members.length) };
  const lists = {
    agreed: i % 2 === 0 ? members : members.toReversed(),
    other: members.map((member) => ({ ...member, learner: member.learner || member.id === id })),
    absent: null,
  };
  return {
    kind: 'status',
    id,
    clusterId: one.foreign ? 'f00' : 'c1',
    list: lists[one.list],
    leader: sketch.mood === 'leaderless' ? null : named[one.names],
    term: 7n,
    raftIndex: 100_000n - unreceived(one.lag),
    appliedIndex: 100_000n - BigInt(one.lag),
    corrupt: one.corrupt ? [idOf((i + 1) % members.length)] : [],
    noSpace: [],
  };
}

/** Some that lag have not even received what they lack. */
function unreceived(lag: number): bigint {
  return lag === 7 || lag === 50_000 ? BigInt(lag) : 0n;
}

function proofOf({ sketch, leader }: Numbered, i: number): ProofAnswer | null {
  const one = pod(sketch, i);
  const after = { id: idOf(one.twin ? i + 1 : i), clusterId: 'c1', leader };
  switch (one.proof) {
    case 'good':
      return { served: true, after, cause: null };
    case 'unserved':
      return { served: false, after, cause: 'etcdserver: request timed out' };
    case 'noAfter':
      return { served: true, after: null, cause: 'connection reset' };
    case 'leader':
      return { served: true, after: { ...after, leader: null }, cause: null };
    case 'target':
      return { served: true, after: { ...after, leader: idOf(sketch.target) }, cause: null };
    case 'id':
      return { served: true, after: { ...after, id: memberId('dead') }, cause: null };
    case 'cluster':
      return { served: true, after: { ...after, clusterId: 'f00' }, cause: null };
    case 'absent':
      return null;
  }
}
