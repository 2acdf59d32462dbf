import { viewOf, type ClusterView } from '../../src/decision/cluster-view.ts';
import { memberId, type MemberId } from '../../src/decision/member-id.ts';
import type { Answer, Policy, Reason } from '../../src/decision/situation.ts';
import {
  accepted,
  clusterStatus,
  unaskedStatus,
  withAcceptance,
  type Answered,
  type ClusterStatus,
} from '../../src/guards/guard-status.ts';
import type { GuardLook, PodLook } from '../../src/page/port.ts';

/** What tests vary in a look; members are named by their number, and the first leads. */
export interface LookOptions {
  readonly namespace?: string;
  readonly name?: string;
  readonly voters?: number;
  readonly learners?: number;
  /** Before the number of each pod. */
  readonly prefix?: string;
  readonly silent?: readonly number[];
  readonly lag?: Readonly<Record<number, number>>;
  readonly terminating?: readonly number[];
  readonly reserved?: readonly number[];
  readonly leaderless?: boolean;
  readonly fault?: string;
  readonly unasked?: string;
  readonly message?: string;
  readonly verdicts?: readonly (readonly [PodLook['decision'], Reason])[];
  readonly policy?: Partial<Policy>;
}

const POLICY: Policy = {
  leader: 'Deny',
  handOff: ['Evictions'],
  quorum: 'Enforce',
  unknown: 'Deny',
  maxRaftLag: 1_000,
};

const DEFAULTS = {
  namespace: 'default',
  name: 'etcd',
  voters: 3,
  learners: 0,
  prefix: 'etcd-',
  silent: [],
  lag: {},
  terminating: [],
  reserved: [],
  leaderless: false,
  verdicts: [],
} satisfies LookOptions;

type Given = LookOptions & Required<Pick<LookOptions, keyof typeof DEFAULTS>>;

/** A look at a cluster of members that answer, but for those that are named as silent. */
export function guardLook(options: LookOptions = {}): GuardLook {
  const given: Given = { ...DEFAULTS, ...options };
  const { namespace, name, terminating, fault = null, unasked = null } = given;
  const pods = namesOf(given).map((pod, number) => ({
    name: pod,
    address: `10.0.0.${number}:2379`,
    hosts: [pod],
    terminating: terminating.includes(number),
    cordoned: false,
  }));
  const answers = answersOf(given);
  const reservations = given.reserved.map((number) => ({
    pod: `${given.prefix}${number}`,
    own: false,
    ageMs: 7_000,
    reason: 'Spared' as const,
    handOffTo: null,
  }));
  const view = viewOf({ pods, answers, proof: null, reservations, maxRaftLag: 1_000 });
  return {
    guard: { namespace, name, policy: { ...POLICY, ...given.policy } },
    spec: { selector: { matchLabels: { app: 'etcd' } } },
    fault,
    unasked,
    status: statusOf(view, { fault, pods, answers }),
    view: fault === null ? view : null,
    answers,
    pods: pods.map((pod, number) => podLook(pod.name, number, given)),
  };
}

const NOW = '2026-01-15T12:00:00.000Z';

function statusOf(
  view: ClusterView,
  { fault, ...answered }: Answered & { readonly fault: string | null },
): ClusterStatus {
  const status = fault === null ? clusterStatus(view, NOW, answered) : unaskedStatus(fault, NOW);
  return withAcceptance(status, accepted(answered.pods.length), NOW);
}

function namesOf({ voters, learners, prefix }: Given): readonly string[] {
  return Array.from({ length: voters + learners }, (_, number) => `${prefix}${number}`);
}

function idOf(number: number): MemberId {
  return memberId(`a${number}`);
}

function answersOf(given: Given): ReadonlyMap<string, Answer> {
  const list = namesOf(given).map((name, number) => ({
    id: idOf(number),
    name,
    learner: number >= given.voters,
    clientAddresses: [],
    hosts: [name],
  }));
  return new Map(
    list.map(({ id, name }, number): [string, Answer] => {
      if (given.silent.includes(number))
        return [name, { kind: 'silent', cause: 'connection refused' }];
      return [
        name,
        {
          kind: 'status',
          id,
          clusterId: 'c1',
          list,
          leader: given.leaderless ? null : idOf(0),
          term: 7n,
          raftIndex: 9_000n,
          appliedIndex: 9_000n - BigInt(given.lag[number] ?? 0),
          corrupt: [],
          noSpace: [],
        },
      ];
    }),
  );
}

function podLook(pod: string, number: number, given: Given): PodLook {
  const [decision, reason] = given.verdicts[number] ?? usual(number);
  return {
    pod,
    decision,
    reason,
    message: given.message ?? `${pod}: ${reason}.`,
    terminating: given.terminating.includes(number),
    reserved: given.reserved.includes(number),
  };
}

function usual(number: number): readonly [PodLook['decision'], Reason] {
  return number === 0 ? ['deny', 'LeaderProtected'] : ['allow', 'Spared'];
}
