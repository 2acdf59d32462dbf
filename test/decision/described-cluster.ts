import { memberId, type MemberId } from '../../src/decision/member-id.ts';
import { REASONS } from '../../src/decision/situation.ts';
import type {
  Answer,
  ListedMember,
  PodFacts,
  Policy,
  ProofAnswer,
  Reason,
  Reservation,
  Situation,
} from '../../src/decision/situation.ts';
import type { Description, Item } from './dsl.ts';

/** What asking and proving would bring in a described cluster while `leader` leads. */
export interface Cluster {
  readonly situation: Situation;
  readonly leader: MemberId | null;
  answers(leader: MemberId | null): ReadonlyMap<string, Answer>;
  proof(leader: MemberId | null): ReadonlyMap<string, ProofAnswer>;
}

/** Noon of 2026-01-15, UTC. */
const NOW_MS = Date.UTC(2026, 0, 15, 12);
const CLUSTER = 'c1d2';

/** The id of the member with that letter: a is a0, b is b0. */
export function idOf(letter: string): MemberId {
  return memberId(`${(letter.charCodeAt(0) - 87).toString(16)}0`);
}

/** The cluster that a description describes; throws an Error about what does not fit. */
export function clusterOf(description: Description): Cluster {
  const words = new Words(description);
  const marked = words.items('voters');
  const leader = marked.find(({ name }) => name.endsWith('*'));
  const leaderId = leader === undefined ? null : idOf(leader.name);
  const members = [
    ...marked.map(({ name }) => listed(words, letterOf(name), false)),
    ...words.items('learners').map(({ name }) => listed(words, name, true)),
  ];
  const letters = [...marked, ...words.items('learners')].map(({ name }) => letterOf(name));
  const pods = words.has('pods') ? words.names('pods') : letters;
  return {
    situation: situationOf(words, description, pods),
    leader: leaderId,
    answers: (now) => new Map(pods.map((pod) => [pod, answerOf(words, pod, { members, now })])),
    proof: (now) =>
      new Map(
        pods.flatMap((pod) => {
          const proof = proofOf(words, pod, now);
          return proof === null ? [] : [[pod, proof]];
        }),
      ),
  };
}

/** Typed access to a description's words. */
class Words {
  readonly #words: Description['words'];

  constructor({ words }: Description) {
    this.#words = words;
  }

  has(key: string): boolean {
    return this.#words.has(key);
  }

  items(key: string): readonly Item[] {
    return this.#words.get(key) ?? [];
  }

  names(key: string): string[] {
    return this.items(key).map(({ name }) => name);
  }

  lists(key: string, name: string): boolean {
    return this.names(key).includes(name);
  }

  /** The value that an item of this list carries; undefined if it is not in the list. */
  of(key: string, name: string): string | null | undefined {
    const item = this.items(key).find((one) => one.name === name);
    return item === undefined ? undefined : item.value;
  }

  text(key: string): string | null {
    return this.has(key) ? (this.items(key)[0]?.name ?? '') : null;
  }

  choice<T extends string>(key: string, choices: readonly [T, ...T[]]): T {
    const text = this.text(key);
    if (text === null) return choices[0];
    const found = choices.find((choice) => choice === text);
    if (found === undefined) throw new Error(`${key}=${text} is none of ${choices.join(', ')}`);
    return found;
  }
}

function letterOf(name: string): string {
  return name.replace('*', '');
}

function listed(words: Words, letter: string, learner: boolean): ListedMember {
  const host = words.of('urls', letter) ?? letter;
  return {
    id: idOf(letter),
    name: words.of('named', letter) ?? letter,
    learner,
    clientAddresses: [`${host}:2379`],
    hosts: [host],
  };
}

function situationOf(
  words: Words,
  { verb }: Description,
  pods: readonly string[],
): Cluster['situation'] {
  const name = words.text('target');
  if (name === null) throw new Error('a description needs a target');
  const guards = Number(words.text('guards') ?? '1');
  return {
    nowMs: NOW_MS,
    request: {
      operation: verb === 'evict' ? 'eviction' : 'delete',
      dryRun: words.has('dryRun'),
      caller: { user: words.text('user') ?? 'jane', groups: words.names('groups') },
      preconditionUid: words.text('precondition'),
    },
    target: targetOf(words, name),
    guards: ['etcd', 'other', 'third'].slice(0, guards).map((guard) => ({
      namespace: 'default',
      name: guard,
      policy: policyOf(words),
      ...(words.has('fromFile') && { podsFrom: 'addresses' as const }),
    })),
    pods: pods.map((pod) => podOf(words, pod)),
    reservations: reservationsOf(words, name),
    answers: null,
    proof: null,
    handOff: { kind: 'none' },
    obstacle:
      words.has('outOfTime') && words.text('outOfTime') === '' ? { kind: 'OutOfTime' } : null,
  };
}

function targetOf(words: Words, name: string): Situation['target'] {
  const reason = words.text('breakGlass');
  const until = words.text('until');
  return {
    namespace: 'default',
    name,
    uid: words.has('noUid') ? null : 'own',
    terminating: words.has('going'),
    mirror: words.has('mirror'),
    unscheduled: words.has('unscheduled'),
    finished: words.has('finished'),
    breakGlass: reason === null && until === null ? null : { reason, until },
    containersDown: words.has('containersDown'),
    onEmptyDir: words.has('emptyDir'),
    looksLikeEtcd: words.has('looksLikeEtcd'),
  };
}

function policyOf(words: Words): Policy {
  return {
    leader: words.choice('leader', ['Deny', 'HandOff']),
    handOff: words.has('handOff')
      ? words.items('handOff').map(whole)
      : ['Evictions', 'Controllers'],
    quorum: words.choice('quorum', ['Enforce', 'Warn']),
    unknown: words.choice('unknown', ['Deny', 'Allow']),
    maxRaftLag: Number(words.text('maxLag') ?? '1000'),
  };
}

function whole({ name, value }: Item): string {
  return value === null ? name : `${name}:${value}`;
}

function podOf(words: Words, name: string): PodFacts {
  const at = words.of('address', name) ?? name;
  const hosts = words.of('hosts', name) ?? name;
  return {
    name,
    address: at === 'none' ? null : `${at}:2379`,
    hosts: hosts === 'none' ? [] : hosts.split('+'),
    terminating: words.lists('terminating', name),
    cordoned: words.lists('cordoned', name),
  };
}

function reservationsOf(words: Words, target: string): readonly Reservation[] {
  const entry = { own: false, ageMs: 10_000, reason: 'Spared' as const, handOffTo: null };
  const own = words.text('own');
  return [
    ...words.items('reserved').map(({ name, value }) => ({
      ...entry,
      pod: name,
      ageMs: value === null ? entry.ageMs : millis(value),
    })),
    ...words
      .items('candidate')
      .map(({ name, value }) => ({ ...entry, pod: name, handOffTo: idOf(value ?? '') })),
    ...(own === null ? [] : [{ ...entry, ...ownOf(words, own), pod: target, own: true }]),
  ];
}

function ownOf(words: Words, age: string): Pick<Reservation, 'ageMs' | 'reason' | 'handOffTo'> {
  const to = words.text('ownCandidate');
  const reason = words.text('ownReason') ?? 'Spared';
  return { ageMs: millis(age), reason: reasonOf(reason), handOffTo: to === null ? null : idOf(to) };
}

function reasonOf(text: string): Reason {
  const found = REASONS.find((reason) => reason === text);
  if (found === undefined) throw new Error(`no such reason: ${text}`);
  return found;
}

function millis(text: string): number {
  if (!/^\d+(\.\d+)?s$/.test(text)) throw new Error(`not an age in seconds: '${text}'`);
  return Number(text.slice(0, -1)) * 1000;
}

interface Now {
  readonly members: readonly ListedMember[];
  readonly now: MemberId | null;
}

function answerOf(words: Words, pod: string, { members, now }: Now): Answer {
  const silent = words.of('silent', pod);
  if (silent !== undefined) return { kind: 'silent', cause: silent ?? 'connection refused' };
  const refused = words.of('refusing', pod);
  if (refused !== undefined) return { kind: 'refused', cause: refused ?? 'permission denied' };
  const lag = BigInt(words.of('lag', pod) ?? '0');
  const tells = !words.has('corruptBy') || words.lists('corruptBy', pod);
  return {
    kind: 'status',
    id: answeredId(words, pod),
    clusterId: words.of('cluster', pod) ?? (words.lists('cluster', pod) ? 'dead' : CLUSTER),
    list: listOf(words, pod, members),
    leader: namedBy(words, pod, now),
    term: 7n,
    raftIndex: 100_000n,
    appliedIndex: 100_000n - lag,
    corrupt: tells ? words.names('corrupt').map(idOf) : [],
    noSpace: words.names('noSpace').map(idOf),
  };
}

function answeredId(words: Words, pod: string): MemberId {
  return idOf(words.of('ids', pod) ?? pod);
}

function namedBy(words: Words, pod: string, now: MemberId | null): MemberId | null {
  const named = words.of('names', pod) ?? words.of('names', '*');
  if (named === undefined || named === null) return now;
  return named === 'none' ? null : idOf(named);
}

function listOf(
  words: Words,
  pod: string,
  members: readonly ListedMember[],
): readonly ListedMember[] | null {
  const other = words.of('lists', pod) ?? words.of('lists', '*');
  if (other === undefined || other === null) return members;
  if (other === 'none') return null;
  return other.split('+').map((name) => listed(words, name.replace('~', ''), name.startsWith('~')));
}

function proofOf(words: Words, pod: string, now: MemberId | null): ProofAnswer | null {
  const id = answeredId(words, pod);
  const after = { id, clusterId: CLUSTER, leader: namedBy(words, pod, now) };
  const good: ProofAnswer = { served: true, after, cause: null };
  const faults: Readonly<Record<string, ProofAnswer | null>> = {
    unserved: { served: false, after, cause: 'etcdserver: request timed out' },
    noStatus: { served: true, after: null, cause: 'connection reset' },
    leaderless: { ...good, after: { ...after, leader: null } },
    renamed: { ...good, after: { ...after, id: memberId('bad') } },
    otherCluster: { ...good, after: { ...after, clusterId: 'dead' } },
    late: null,
  };
  const fault = words.of('proofs', pod) ?? words.of('proofs', '*') ?? null;
  if (fault === null) return good;
  const known = faults[fault];
  return known === undefined ? { ...good, after: { ...after, leader: idOf(fault) } } : known;
}
