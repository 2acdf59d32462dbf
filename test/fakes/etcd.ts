import { memberId, type MemberId } from '../../src/decision/member-id.ts';
import { quorumOf } from '../../src/decision/quorum.ts';
import type { Answer, ListedMember, ProofAnswer } from '../../src/decision/situation.ts';
import { EtcdRequestError, type EtcdCluster, type MemberEndpoint } from '../../src/etcd/port.ts';

/** One call of the port, as far as a test may want to look at it or hold it back. */
export type FakeCall = 'ask' | 'prove' | 'moveLeader';

/** What happens to a MoveLeader request. */
export type MoveBehaviour =
  | 'moves'
  /** The leader refuses, and goes on leading. */
  | 'fails'
  /** Nothing comes back, and nothing has moved. */
  | 'hangs'
  /** Leadership moves, but the answer never arrives. */
  | 'losesItsAnswer'
  /** Accepted, and nothing moves. */
  | 'ignores';

/** One member; its fields may be changed between calls. */
export interface FakeMember {
  readonly pod: string;
  readonly id: MemberId;
  readonly learner: boolean;
  /** Its process runs and takes part in the cluster. */
  running: boolean;
  /** What the guard gets from it while it runs; one that does not run refuses connections. */
  reach: 'answers' | 'hangs' | 'forbids';
  lagEntries: number;
  /** Whom it names as leader, if not whom the cluster follows. */
  names: MemberId | null | undefined;
}

const CLUSTER_ID = 'c1';
const RAFT_INDEX = 1_000_000n;

/**
 * An etcd cluster in memory behind the guard's port. It elects by itself: without a quorum of
 * running voters nobody leads; if the leader stops, the first running voter takes over.
 */
export class FakeEtcd implements EtcdCluster {
  readonly members: readonly FakeMember[];
  readonly calls: FakeCall[] = [];
  /** Pods that leadership was moved to, in order. */
  readonly moves: string[] = [];
  closed = 0;
  whenMoved: MoveBehaviour = 'moves';
  /** Awaited before a call looks at the cluster, and again before its answer is delivered. */
  hold: (call: FakeCall, at: 'start' | 'end') => Promise<void> | void = () => undefined;
  #leader: MemberId | null;

  /** The first pod leads. */
  constructor(pods: readonly string[], learners: readonly string[] = []) {
    this.members = [...pods, ...learners].map((pod, index) => ({
      pod,
      id: memberId((0xa1 + index).toString(16)),
      learner: learners.includes(pod),
      running: true,
      reach: 'answers',
      lagEntries: 0,
      names: undefined,
    }));
    this.#leader = this.members[0]?.id ?? null;
  }

  get leader(): string | null {
    return this.members.find(({ id }) => id === this.#leaderNow())?.pod ?? null;
  }

  member(pod: string): FakeMember {
    const found = this.members.find((member) => member.pod === pod);
    if (found === undefined) throw new Error(`the fake cluster has no ${pod}`);
    return found;
  }

  lead(pod: string): void {
    this.#leader = this.member(pod).id;
  }

  stop(pod: string): void {
    this.member(pod).running = false;
  }

  start(pod: string): void {
    this.member(pod).running = true;
  }

  /** Voters whose process runs are enough for a quorum. */
  hasQuorum(): boolean {
    const voters = this.members.filter(({ learner }) => !learner);
    return voters.filter(({ running }) => running).length >= quorumOf(voters.length);
  }

  async ask(
    endpoints: readonly MemberEndpoint[],
    withinMs: number,
  ): Promise<ReadonlyMap<string, Answer>> {
    return this.#round('ask', endpoints, withinMs, (endpoint) => this.#answerOf(endpoint));
  }

  async prove(
    endpoints: readonly MemberEndpoint[],
    withinMs: number,
  ): Promise<ReadonlyMap<string, ProofAnswer>> {
    return this.#round('prove', endpoints, withinMs, (endpoint) => this.#proofOf(endpoint));
  }

  async moveLeader(leader: MemberEndpoint, to: MemberId, withinMs: number): Promise<void> {
    await this.#enter('moveLeader');
    if (this.whenMoved === 'fails') throw new EtcdRequestError('refused', 'not leader');
    if (this.whenMoved !== 'hangs' && this.whenMoved !== 'ignores') {
      const target = this.members.find(({ id }) => id === to);
      if (target === undefined || this.member(leader.pod).id !== this.#leaderNow()) {
        throw new EtcdRequestError('refused', 'not leader');
      }
      this.#leader = to;
      this.moves.push(target.pod);
    }
    if (this.whenMoved === 'hangs' || this.whenMoved === 'losesItsAnswer') {
      await passing(withinMs);
      throw new EtcdRequestError('timeout', 'MoveLeader was not answered in time');
    }
    await this.hold('moveLeader', 'end');
  }

  close(): void {
    this.closed += 1;
  }

  async #enter(call: FakeCall): Promise<void> {
    this.calls.push(call);
    await this.hold(call, 'start');
  }

  async #round<T>(
    call: FakeCall,
    endpoints: readonly MemberEndpoint[],
    withinMs: number,
    answer: (endpoint: MemberEndpoint) => T,
  ): Promise<ReadonlyMap<string, T>> {
    await this.#enter(call);
    const answers = new Map(endpoints.map((endpoint) => [endpoint.pod, answer(endpoint)]));
    // Whoever hangs is waited for until the round ends, as by the real adapter.
    if (endpoints.some((endpoint) => this.#hangs(endpoint))) await passing(withinMs);
    await this.hold(call, 'end');
    return answers;
  }

  #at({ pod, address }: MemberEndpoint): FakeMember | null {
    if (address === null) return null;
    return this.members.find((member) => member.pod === pod) ?? null;
  }

  #hangs(endpoint: MemberEndpoint): boolean {
    const member = this.#at(endpoint);
    return member?.running === true && member.reach === 'hangs';
  }

  #answerOf(endpoint: MemberEndpoint): Answer {
    const member = this.#at(endpoint);
    if (member === null) return { kind: 'silent', cause: 'no address' };
    if (!member.running) return { kind: 'silent', cause: 'connection refused' };
    if (member.reach === 'hangs') return { kind: 'silent', cause: 'timed out' };
    if (member.reach === 'forbids') return { kind: 'refused', cause: 'permission denied' };
    return {
      kind: 'status',
      id: member.id,
      clusterId: CLUSTER_ID,
      list: this.#list(),
      leader: this.#namedBy(member),
      term: 7n,
      raftIndex: RAFT_INDEX,
      appliedIndex: RAFT_INDEX - BigInt(member.lagEntries),
      corrupt: [],
      noSpace: [],
    };
  }

  #proofOf(endpoint: MemberEndpoint): ProofAnswer {
    const member = this.#at(endpoint);
    if (member?.running !== true || member.reach !== 'answers') {
      return { served: false, after: null, cause: 'timed out' };
    }
    const leader = this.#namedBy(member);
    return {
      served: this.#leaderNow() !== null,
      after: { id: member.id, clusterId: CLUSTER_ID, leader },
      cause: null,
    };
  }

  #list(): readonly ListedMember[] {
    return this.members.map(({ id, pod, learner }) => ({
      id,
      name: pod,
      learner,
      clientAddresses: [addressOf(pod)],
      hosts: [`${pod}.etcd`],
    }));
  }

  #namedBy(member: FakeMember): MemberId | null {
    return member.names === undefined ? this.#leaderNow() : member.names;
  }

  #leaderNow(): MemberId | null {
    if (!this.hasQuorum()) return null;
    const leads = this.members.find(({ id }) => id === this.#leader);
    if (leads?.running !== true) {
      this.#leader = this.members.find(({ running, learner }) => running && !learner)?.id ?? null;
    }
    return this.#leader;
  }
}

/** Where the fake cluster's member of this pod serves clients. */
export function addressOf(pod: string): string {
  return `${pod}.etcd:2379`;
}

function passing(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
