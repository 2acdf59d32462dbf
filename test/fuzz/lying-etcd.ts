import type { IMember, IStatusResponse } from 'etcd3';
import { askRound, type AskContext, type AskedMember } from '../../src/etcd/ask-round.ts';
import { Authentication } from '../../src/etcd/authentication.ts';
import { failureOf, type Outcome } from '../../src/etcd/failure.ts';
import { AnswerReader } from '../../src/etcd/member-answer.ts';
import { requestWindow, type MemberRequest } from '../../src/etcd/member-connection.ts';
import { EtcdRequestError, type EtcdCluster, type MemberEndpoint } from '../../src/etcd/port.ts';
import { proofRound } from '../../src/etcd/proof-round.ts';
import { quorumOf } from '../../src/decision/quorum.ts';
import { systemClock } from '../../src/sharing/clock.ts';
import { addressOf } from '../fakes/etcd.ts';
import type { Random } from './random.ts';

/** A member of a made cluster. A liar's process counts for nothing, and its words are made up. */
export interface MadeMember {
  readonly pod: string;
  /** Decimal, as gRPC gives it. */
  readonly id: string;
  readonly learner: boolean;
  readonly kind: 'honest' | 'silent' | 'liar';
}

const CLUSTER_ID = '99';
const INDEX = 5_000;
const MAX_UINT64 = '18446744073709551615';
/** As gRPC libraries and etcd put it, and as nobody does. */
const ERRORS: readonly string[] = [
  '4 DEADLINE_EXCEEDED: Deadline exceeded',
  '14 UNAVAILABLE: No connection established. Last error: connect ECONNREFUSED 10.0.0.1:2379',
  '14 UNAVAILABLE: Connection dropped',
  '13 INTERNAL: Received RST_STREAM with code 2',
  '13 INTERNAL: Response message parsing error: index out of range: 9 + 100 > 12',
  '12 UNIMPLEMENTED: unknown service',
  '8 RESOURCE_EXHAUSTED: Received message larger than max',
  '7 PERMISSION_DENIED: etcdserver: permission denied',
  '3 INVALID_ARGUMENT: etcdserver: user name is empty',
  '16 UNAUTHENTICATED: etcdserver: invalid auth token',
  '14 UNAVAILABLE: etcdserver: no leader',
  '2 UNKNOWN: etcdserver: \u001b[2J\u0007\r\nkubectl delete everything',
  '2 UNKNOWN: ',
  '',
  `2 UNKNOWN: ${'x'.repeat(100_000)}`,
];

/** Some members of a cluster tell the truth, and the others whatever does most harm, or anything. */
export class LyingEtcd implements EtcdCluster {
  readonly members: readonly MadeMember[];
  readonly #random: Random;
  readonly #context: AskContext;
  leader: string;

  constructor(members: readonly MadeMember[], leader: string, random: Random) {
    this.members = members;
    this.leader = leader;
    this.#random = random;
    const auth = random.oneIn(5) ? { username: 'root', password: 'secret' } : null;
    this.#context = {
      authentication: new Authentication(auth, systemClock),
      reader: new AnswerReader(),
    };
  }

  get voters(): readonly MadeMember[] {
    return this.members.filter(({ learner }) => !learner);
  }

  async ask(endpoints: readonly MemberEndpoint[], withinMs: number) {
    const round = askRound(this.#asked(endpoints), this.#window(withinMs), this.#context);
    await round.ended;
    return round.snapshot(withinMs);
  }

  async prove(endpoints: readonly MemberEndpoint[], withinMs: number) {
    const round = proofRound(this.#asked(endpoints), this.#window(withinMs), this.#context);
    await round.ended;
    return round.snapshot(withinMs);
  }

  /** A liar says that it was done. */
  async moveLeader({ pod }: MemberEndpoint, to: string): Promise<void> {
    const member = this.#member(pod);
    if (member.kind === 'liar') return;
    if (member.kind === 'silent') throw new EtcdRequestError('timeout', 'no answer');
    if (member.id !== this.leader) throw new EtcdRequestError('refused', 'not leader');
    this.leader = BigInt(`0x${to}`).toString();
  }

  close(): void {}

  #window(withinMs: number) {
    return requestWindow(systemClock, systemClock.now() + withinMs);
  }

  #member(pod: string): MadeMember {
    const found = this.members.find((member) => member.pod === pod);
    if (found === undefined) throw new Error(`no member for ${pod}`);
    return found;
  }

  #asked(endpoints: readonly MemberEndpoint[]): readonly AskedMember[] {
    return endpoints.map(({ pod }) => ({
      pod,
      connection: {
        resolving: false,
        discard: () => undefined,
        request: async <T>(request: MemberRequest<T>): Promise<Outcome<T>> => {
          const outcome = this.#outcome(this.#member(pod), request.method);
          // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a liar is of no type
          return outcome as Outcome<T>;
        },
      },
    }));
  }

  #outcome(member: MadeMember, method: string | null): Outcome<unknown> {
    const random = this.#random;
    if (member.kind === 'silent') return { ok: false, failure: failureOf(new Error(ERRORS[1])) };
    if (member.kind === 'liar' && random.oneIn(12)) {
      return { ok: false, failure: failureOf(new Error(random.pick(ERRORS))) };
    }
    const lies = member.kind === 'liar';
    switch (method) {
      case 'Status':
        return { ok: true, value: lies ? this.#lyingStatus(member) : this.#status(member) };
      case 'MemberList':
        return { ok: true, value: lies ? this.#lyingList(member) : this.#list() };
      case 'Range':
        return this.#read(lies);
      default:
        return { ok: true, value: { header: null, token: random.pick(['t.1', 'a\nb', '']) } };
    }
  }

  /** A read index takes a quorum of processes that are really there. */
  #read(lies: boolean): Outcome<unknown> {
    const there = this.voters.filter(({ kind }) => kind === 'honest').length;
    if (lies || there >= quorumOf(this.voters.length)) return { ok: true, value: {} };
    return { ok: false, failure: failureOf(new Error(ERRORS[0])) };
  }

  #status({ id }: MadeMember): IStatusResponse {
    const there = this.voters.filter(({ kind }) => kind === 'honest').length;
    const quorate = there >= quorumOf(this.voters.length);
    return {
      header: { cluster_id: CLUSTER_ID, member_id: id, revision: '1', raft_term: '2' },
      version: '3.5.17',
      dbSize: '1',
      leader: quorate ? this.leader : '0',
      raftIndex: String(INDEX),
      raftTerm: '2',
      raftAppliedIndex: String(INDEX),
      errors: quorate ? [] : ['etcdserver: no leader'],
      dbSizeInUse: '1',
      isLearner: false,
    };
  }

  #list(): readonly IMember[] {
    return this.members.map(({ pod, id, learner }) => ({
      ID: id,
      name: pod,
      peerURLs: [`http://${addressOf(pod)}`],
      clientURLs: [`http://${addressOf(pod)}`],
      isLearner: learner,
    }));
  }

  /** Mostly like the truth: what is nonsense throughout is easily told. */
  #lyingStatus(member: MadeMember): unknown {
    const random = this.#random;
    const truth = this.#status(member);
    const sane = { ...truth, leader: this.leader };
    if (random.oneIn(30)) return { ...sane, header: null };
    const ids = this.members.map(({ id }) => id);
    const id = () => random.pick([...ids, '0', '1', MAX_UINT64]);
    const index = () => random.pick(['0', '1', '4000', '6001', MAX_UINT64]);
    const changes: Partial<Record<keyof IStatusResponse, unknown>> = {
      header: {
        ...truth.header,
        member_id: random.oneIn(2) ? member.id : id(),
        cluster_id: random.oneIn(3) ? id() : CLUSTER_ID,
      },
      leader: id(),
      raftIndex: index(),
      raftAppliedIndex: index(),
      raftTerm: index(),
      version: random.pick(['', '3.3.10', '3.6.0', '3.4.23', '\u0000', '9'.repeat(50)]),
      errors: this.#lyingErrors(),
      isLearner: random.oneIn(2),
      dbSize: '-1',
    };
    const chosen = Object.entries(changes).filter(() => random.oneIn(3));
    return { ...sane, ...Object.fromEntries(chosen) };
  }

  #lyingErrors(): readonly string[] {
    const { id } = this.#random.pick(this.members);
    return this.#random.some(
      [
        'etcdserver: no leader',
        `memberID:${id} alarm:CORRUPT `,
        `memberID:${id} alarm:NOSPACE `,
        `memberID:${'9'.repeat(40)} alarm:CORRUPT`,
        'memberID:0 alarm:CORRUPT',
        'memberID:-1 alarm:\u001b[31m',
        'x'.repeat(10_000),
      ],
      3,
    );
  }

  #lyingList(member: MadeMember): readonly IMember[] {
    const random = this.#random;
    const list = [...this.#list()];
    const own = list.filter(({ ID }) => ID === member.id);
    const lies: readonly (() => readonly IMember[])[] = [
      () => own,
      () => [...own, ...own, ...own],
      () => [],
      () => [...list, ...list],
      () => list.map((one) => ({ ...one, isLearner: one.ID !== member.id })),
      () => list.map((one, nth) => ({ ...one, name: list[(nth + 1) % list.length]?.name ?? '' })),
      () => list.map((one) => ({ ...one, clientURLs: own[0]?.clientURLs ?? [], peerURLs: [':'] })),
      () => this.#giantList(list),
      () => list.map((one) => ({ ...one, ID: random.pick([one.ID, '0', '1', MAX_UINT64]) })),
      () => list.filter(() => random.oneIn(2)),
      () => list,
      () => list,
    ];
    return random.pick(lies)();
  }

  #giantList(list: readonly IMember[]): readonly IMember[] {
    const size = this.#random.pick([50, 1_001, this.#random.oneIn(50) ? 60_000 : 2_000]);
    const [first] = list;
    if (first === undefined) return [];
    return Array.from({ length: size }, (_, nth) => ({ ...first, ID: String(nth + 1) }));
  }
}
