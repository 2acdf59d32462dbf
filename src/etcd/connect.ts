import { lookup } from 'node:dns/promises';

import type { MemberId } from '../decision/member-id.ts';
import type { Answer, ProofAnswer } from '../decision/situation.ts';
import { askRound } from './ask-round.ts';
import type { AskContext, AskedMember } from './ask-round.ts';
import { Authentication } from './authentication.ts';
import { systemClock } from '../sharing/clock.ts';
import type { Clock } from '../sharing/clock.ts';
import { ConnectionRoom } from './connection-room.ts';
import { noAnswerWithin, TIMED_OUT } from './failure.ts';
import type { Outcome } from './failure.ts';
import { AnswerReader } from './member-answer.ts';
import { requestWindow } from './member-connection.ts';
import { MemberConnections } from './member-connections.ts';
import { EtcdRequestError } from './port.ts';
import type {
  AskOptions,
  ConnectionSettings,
  EtcdCluster,
  EtcdRequestObserver,
  MemberEndpoint,
} from './port.ts';
import { proofRound } from './proof-round.ts';
import { moveLeaderTo } from './requests.ts';
import { SharedRounds } from '../sharing/shared-rounds.ts';
import type { KeepContext, RoundKind } from '../sharing/shared-rounds.ts';

/** What tests change, and whoever wants to know on whose behalf a round is made. */
export interface ConnectOptions {
  readonly keepContext?: KeepContext;
  readonly clock?: Clock;
  /** Rejects unless the host resolves. */
  readonly lookup?: (host: string) => Promise<unknown>;
  readonly room?: ConnectionRoom;
  /** Of a command: its connections are kept however many they are. */
  readonly keepsAll?: true;
}

const IDLE_MS = 5 * 60_000;
// All clusters share it: what is scarce is the memory of this process.
const ROOM = new ConnectionRoom();
const UNLIMITED = new ConnectionRoom(Infinity);
// The leader keeps the request's deadline as well, and may say before us that it has passed.
const TRANSFER_TIMED_OUT = 'request timed out, leader transfer took too long';
// From the beginning of a look. Spares whoever watches a status a new connection each time, also where a
// silent member is waited for: two seconds, and one until the next look. No longer: a connection takes
// some 100 KB, and of a thousand clusters, 20 looked at a second, each has its turn every 50 s.
const BACKGROUND_IDLE_MS = 3_500;

/** Opens nothing yet: connections are made by the first request to a member. */
export function connectEtcd(
  settings: ConnectionSettings,
  observer: EtcdRequestObserver,
  options: ConnectOptions = {},
): EtcdCluster {
  return new Etcd3Cluster(settings, observer, options);
}

class Etcd3Cluster implements EtcdCluster {
  readonly #clock: Clock;
  readonly #keepContext: KeepContext | null;
  readonly #context: AskContext;
  readonly #connections: MemberConnections;
  readonly #asks = new Map<string, SharedRounds<ReadonlyMap<string, Answer>>>();
  readonly #proofs = new Map<string, SharedRounds<ReadonlyMap<string, ProofAnswer>>>();

  constructor(
    settings: ConnectionSettings,
    observer: EtcdRequestObserver,
    options: ConnectOptions,
  ) {
    this.#clock = options.clock ?? systemClock;
    this.#keepContext = options.keepContext ?? null;
    this.#context = {
      authentication: new Authentication(settings.auth, this.#clock),
      reader: new AnswerReader(),
    };
    this.#connections = new MemberConnections(
      {
        tls: settings.tls,
        clock: this.#clock,
        observer,
        lookup: oneLookUpAtATime(options.lookup ?? lookup),
      },
      options.room ?? (options.keepsAll ? UNLIMITED : ROOM),
    );
  }

  ask(
    endpoints: readonly MemberEndpoint[],
    withinMs: number,
    { keepWarm = true }: AskOptions = {},
  ): Promise<ReadonlyMap<string, Answer>> {
    this.#keep(endpoints, keepWarm ? IDLE_MS : BACKGROUND_IDLE_MS);
    return this.#roundsOf(this.#asks, endpoints, (of) => this.#askKind(of)).join(withinMs);
  }

  prove(
    endpoints: readonly MemberEndpoint[],
    withinMs: number,
  ): Promise<ReadonlyMap<string, ProofAnswer>> {
    this.#keep(endpoints, IDLE_MS);
    return this.#roundsOf(this.#proofs, endpoints, (of) => this.#proofKind(of)).join(withinMs);
  }

  async moveLeader(leader: MemberEndpoint, to: MemberId, withinMs: number): Promise<void> {
    const connection = this.#connections.use(leader, IDLE_MS);
    if (connection === null) {
      throw new EtcdRequestError('unreachable', `MoveLeader: ${leader.pod} has no address yet`);
    }
    // Nothing is sent twice: the first may have moved the leadership already.
    const window = { ...requestWindow(this.#clock, this.#clock.now() + withinMs), sinceMs: 0 };
    const outcome = await this.#within(
      this.#context.authentication.request(connection, moveLeaderTo(to), window, () => undefined),
      withinMs,
    );
    if (outcome.ok) return;
    const { failure } = outcome;
    const { kind, words } = failure.words === TRANSFER_TIMED_OUT ? TIMED_OUT : failure;
    const cause = kind === 'timeout' ? noAnswerWithin(withinMs) : words;
    throw new EtcdRequestError(kind, `MoveLeader at ${leader.pod}: ${cause}`);
  }

  close(): void {
    this.#connections.close();
  }

  #askKind(endpoints: readonly MemberEndpoint[]): RoundKind<ReadonlyMap<string, Answer>> {
    return {
      begin: (untilMs) =>
        askRound(this.#members(endpoints), requestWindow(this.#clock, untilMs), this.#context),
      nothing: (withinMs) => allSay(endpoints, silent(noAnswerWithin(withinMs))),
    };
  }

  #proofKind(endpoints: readonly MemberEndpoint[]): RoundKind<ReadonlyMap<string, ProofAnswer>> {
    return {
      begin: (untilMs) =>
        proofRound(this.#members(endpoints), requestWindow(this.#clock, untilMs), this.#context),
      nothing: (withinMs) => allSay(endpoints, unproven(noAnswerWithin(withinMs))),
    };
  }

  #keep(endpoints: readonly MemberEndpoint[], keepMs: number): void {
    for (const endpoint of endpoints) this.#connections.use(endpoint, keepMs);
  }

  /** Found anew for each round: a round may begin long after the one that it follows. */
  #members(endpoints: readonly MemberEndpoint[]): readonly AskedMember[] {
    return endpoints.map((endpoint) => ({
      pod: endpoint.pod,
      connection: this.#connections.use(endpoint, 0),
    }));
  }

  #roundsOf<T>(
    kept: Map<string, SharedRounds<T>>,
    endpoints: readonly MemberEndpoint[],
    kindOf: (endpoints: readonly MemberEndpoint[]) => RoundKind<T>,
  ): SharedRounds<T> {
    const key = keyOf(endpoints);
    const known = kept.get(key);
    if (known !== undefined) return known;
    // Pods come and go; what nobody waits for needs no keeping.
    for (const [other, rounds] of kept) if (rounds.idle) kept.delete(other);
    const made = new SharedRounds(kindOf(endpoints), this.#clock, {
      keepContext: this.#keepContext,
    });
    kept.set(key, made);
    return made;
  }

  /** grpc-js keeps deadlines, but a name that is being looked up has none. */
  async #within<T>(outcome: Promise<Outcome<T>>, ms: number): Promise<Outcome<T>> {
    const { promise: timeout, resolve } = Promise.withResolvers<Outcome<T>>();
    const cancel = this.#clock.after(ms, () => resolve({ ok: false, failure: TIMED_OUT }));
    try {
      return await Promise.race([outcome, timeout]);
    } finally {
      cancel();
    }
  }
}

/** Calls share rounds when they name the same endpoints in the same order. */
function keyOf(endpoints: readonly MemberEndpoint[]): string {
  let key = '';
  for (const { pod, address } of endpoints) key += `${pod} ${address},`;
  return key;
}

function allSay<T>(endpoints: readonly MemberEndpoint[], what: T): ReadonlyMap<string, T> {
  return new Map(endpoints.map(({ pod }) => [pod, what]));
}

function silent(cause: string): Answer {
  return { kind: 'silent', cause };
}

function unproven(cause: string): ProofAnswer {
  return { served: false, after: null, cause };
}

/** A look-up that hangs holds one of libuv's few threads, however many ask for that name. */
function oneLookUpAtATime(
  lookUp: (host: string) => Promise<unknown>,
): (host: string) => Promise<unknown> {
  const running = new Map<string, Promise<unknown>>();
  return (host) => {
    const known = running.get(host);
    if (known !== undefined) return known;
    const begun = lookUp(host).finally(() => running.delete(host));
    running.set(host, begun);
    return begun;
  };
}
