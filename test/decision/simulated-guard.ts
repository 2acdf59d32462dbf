import { decide } from '../../src/decision/decide.ts';
import type { MemberId } from '../../src/decision/member-id.ts';
import type {
  Answer,
  HandOffState,
  Operation,
  ProofAnswer,
  Reason,
  Reservation,
  Situation,
} from '../../src/decision/situation.ts';
import type { Allow, HandOff } from '../../src/decision/verdict.ts';
import type { Dice, Member, SimulatedCluster } from './simulated-cluster.ts';

/** What the API server would hold in `status.disruptedPods`. */
export interface LedgerEntry {
  readonly pod: string;
  readonly uid: string;
  /** By its writer's clock. */
  readonly atMs: number;
  readonly reason: Reason;
  readonly handOffTo: MemberId | null;
  /** Somebody was allowed under it: it can't be taken back. */
  readonly reliedOn: boolean;
}

/** Parts of the design that a run can go without, to see that it is they that keep the cluster safe. */
export interface Design {
  readonly proof: boolean;
  readonly ledger: boolean;
  /** A request that is allowed under an entry that is there already makes sure of it. */
  readonly keep: boolean;
  /** A hand-off that fails puts back the entry that it replaced, which somebody may rely on. */
  readonly restore: boolean;
  readonly candidates: boolean;
}

export const WHOLE: Design = {
  proof: true,
  ledger: true,
  keep: true,
  restore: true,
  candidates: true,
};

/** What may be otherwise than a cluster's keepers would wish. */
export interface Surroundings {
  /** How far the second guard's clock is ahead of the first one's. */
  readonly clocksApartMs: number;
  /** How long after it was asked for a permitted deletion may still be carried out. */
  readonly requestMs: number;
}

/** An API request lives 60 s. */
export const USUAL: Surroundings = { clocksApartMs: 0, requestMs: 60_000 };

/** Everything that two guards share, and the clock. */
export interface World {
  readonly cluster: SimulatedCluster;
  readonly dice: Dice;
  readonly design: Design;
  readonly surroundings: Surroundings;
  nowMs: number;
  /** Hand-offs that were made in place of one that nobody went on with. */
  resumed: number;
  entries: readonly LedgerEntry[];
  version: number;
  /** Which members each guard can't reach. */
  readonly cutOff: readonly Set<number>[];
  /** Pods whose container does not run, as their status says. */
  readonly containersDown: Set<string>;
  /** For the history of a run. */
  readonly note: (text: string) => void;
}

/** A request of a user, an eviction or a delete. */
export interface Ask {
  readonly guard: number;
  readonly pod: string;
  readonly uid: string;
  readonly operation: Operation;
  readonly startedMs: number;
}

/** A request that was allowed. */
export interface Permit {
  readonly ask: Ask;
  readonly reason: Reason;
  /** The moment at which the guard began to ask etcd, and that of its last read. */
  readonly askedAt: number;
  readonly seenAt: number;
}

const LIVES_MS = 120_000;
const TIME_ALLOWED_MS = 9_000;
/** A hand-off that was entered so long ago is nobody's any more. */
const ABANDONED_MS = 35_000;

/** Thrown where a request has no time left. */
class OutOfTime extends Error {}

/**
 * Drives `decide` as the admission layer does; every `yield` lets the world go on in between. Ends
 * with a permit, or with null for a refusal.
 */
export class SimulatedGuard {
  readonly #world: World;
  readonly #ask: Ask;
  #handOff: HandOffState = { kind: 'none' };
  /** The entry that this request made for a hand-off, and the one that stood there before. */
  #held: { readonly entry: LedgerEntry; readonly before: LedgerEntry | null } | null = null;
  #version = 0;
  #askedAt = 0;
  #seenAt = 0;

  constructor(world: World, ask: Ask) {
    this.#world = world;
    this.#ask = ask;
  }

  *run(): Generator<void, Permit | null> {
    let permit: Permit | null = null;
    try {
      permit = yield* this.#untilDecided();
    } catch (error) {
      if (!(error instanceof OutOfTime)) throw error;
    }
    if (permit === null) yield* this.#release();
    return permit;
  }

  *#untilDecided(): Generator<void, Permit | null> {
    for (;;) {
      const outcome = yield* this.#attempt();
      if (outcome !== 'again') return outcome;
    }
  }

  *#attempt(): Generator<void, Permit | null | 'again'> {
    const situation = yield* this.#read();
    return situation === null ? null : yield* this.#pursue(situation);
  }

  *#pursue(situation: Situation): Generator<void, Permit | null | 'again'> {
    const decision = decide(situation);
    switch (decision.kind) {
      case 'deny':
        return null;
      case 'allow':
        return (yield* this.#secured(decision, situation)) ? this.#permit(decision) : 'again';
      case 'ask':
        return yield* this.#pursue({ ...situation, answers: yield* this.#answers() });
      case 'prove':
        return yield* this.#pursue({ ...situation, proof: yield* this.#proof(decision.pods) });
      case 'handOff':
        if (yield* this.#move(decision)) return 'again';
        return yield* this.#pursue({ ...situation, handOff: this.#handOff });
    }
  }

  /** The ledger first, then the pods; null if the pod is gone. */
  *#read(): Generator<void, Situation | null> {
    const { cluster } = this.#world;
    this.#version = this.#world.version;
    const entries = this.#world.entries;
    yield* this.#pause();
    const target = cluster.of(this.#ask.pod);
    if (target.uid !== this.#ask.uid) return null;
    const pods = cluster.podFacts();
    return {
      nowMs: this.#clockMs(),
      request: {
        operation: this.#ask.operation,
        dryRun: false,
        caller: { user: 'jane', groups: [] },
        preconditionUid: null,
      },
      target: this.#targetFacts(target),
      guards: [{ namespace: 'default', name: 'etcd', policy: POLICY }],
      pods,
      reservations: entries.filter((entry) => this.#lives(entry)).map((e) => this.#seen(e)),
      answers: null,
      proof: null,
      handOff: this.#handOff,
      obstacle: null,
    };
  }

  #targetFacts(target: Member): Situation['target'] {
    return {
      namespace: 'default',
      name: target.pod,
      uid: target.uid,
      terminating: target.terminating,
      mirror: false,
      unscheduled: false,
      finished: false,
      breakGlass: null,
      containersDown: this.#world.containersDown.has(target.pod),
      onEmptyDir: false,
      looksLikeEtcd: true,
    };
  }

  /** An entry ends with its time, or when its pod is seen to go. */
  #lives({ pod, uid, atMs }: LedgerEntry): boolean {
    const member = this.#world.cluster.of(pod);
    return this.#ageMs(atMs) < LIVES_MS && member.uid === uid && !member.terminating;
  }

  #clockMs(): number {
    const { nowMs, surroundings } = this.#world;
    return nowMs + (this.#ask.guard === 1 ? surroundings.clocksApartMs : 0);
  }

  /** A time to come is now. */
  #ageMs(atMs: number): number {
    return Math.max(0, this.#clockMs() - atMs);
  }

  #seen({ pod, uid, atMs, reason, handOffTo }: LedgerEntry): Reservation {
    return {
      pod,
      own: uid === this.#ask.uid,
      ageMs: this.#ageMs(atMs),
      reason,
      handOffTo: this.#world.design.candidates ? handOffTo : null,
    };
  }

  *#answers(): Generator<void, ReadonlyMap<string, Answer>> {
    this.#askedAt = this.#world.cluster.moment;
    const { cluster, dice, cutOff } = this.#world;
    const answers = new Map<string, Answer>();
    for (const member of dice.shuffled(cluster.members)) {
      yield* this.#pause();
      const cut = cutOff[this.#ask.guard]?.has(member.index) === true || member.uid === null;
      answers.set(
        member.pod,
        cut ? { kind: 'silent', cause: 'no route to host' } : cluster.status(member),
      );
    }
    this.#seenAt = this.#askedAt;
    return answers;
  }

  *#proof(pods: readonly string[]): Generator<void, ReadonlyMap<string, ProofAnswer>> {
    const { cluster, dice, cutOff, design } = this.#world;
    const proof = new Map<string, ProofAnswer>();
    for (const pod of dice.shuffled(pods)) {
      yield* this.#pause();
      const member = cluster.of(pod);
      const cut = cutOff[this.#ask.guard]?.has(member.index) === true;
      const served = !design.proof || (!cut && cluster.serves(member));
      if (served) this.#seenAt = cluster.moment;
      yield* this.#pause();
      proof.set(pod, { served, after: cluster.afterRead(member), cause: null });
    }
    return proof;
  }

  /** False: the ledger has changed, and all has to be read anew. */
  *#secured({ reserve, reason }: Allow, situation: Situation): Generator<void, boolean> {
    yield* this.#pause();
    if (reserve !== 'no') return this.#write(reason, null) !== null;
    const own = this.#world.entries.find(({ uid }) => uid === this.#ask.uid);
    const relies = situation.answers !== null && situation.reservations.some((r) => r.own);
    if (!relies || !this.#world.design.keep) return true;
    if (own === undefined || !this.#lives(own)) return false;
    this.#replace(own, { ...own, reliedOn: true });
    return true;
  }

  #write(reason: Reason, handOffTo: MemberId | null): LedgerEntry | null {
    const world = this.#world;
    if (world.version !== this.#version && world.design.ledger) return null;
    const { pod, uid } = this.#ask;
    const entry = { pod, uid, atMs: this.#clockMs(), reason, handOffTo, reliedOn: false };
    world.note(`guard ${this.#ask.guard} reserves ${pod} (${reason}) for ${handOffTo ?? 'nobody'}`);
    const others = world.entries.filter((one) => one.uid !== uid && this.#lives(one));
    world.entries = [...others, entry];
    world.version += 1;
    return entry;
  }

  #replace(before: LedgerEntry, after: LedgerEntry | null): void {
    const rest = this.#world.entries.filter((entry) => entry !== before);
    this.#world.entries = after === null ? rest : [...rest, after];
    this.#world.version += 1;
  }

  /** True: read everything anew. */
  *#move({ from, to, reason }: HandOff): Generator<void, boolean> {
    const other = this.#otherHandOff();
    yield* this.#pause();
    if (other !== null && this.#ageMs(other.atMs) < ABANDONED_MS) return true;
    const before = this.#ownEntry();
    const entry = this.#write(reason, to.id);
    if (entry === null) return true;
    this.#held = { entry, before };
    if (other !== null) this.#world.resumed += 1;
    yield* this.#pause();
    if (yield* this.#isMoved(from, to)) {
      this.#handOff = { kind: 'moved' };
      return true;
    }
    yield* this.#release();
    this.#handOff = { kind: 'failed', cause: 'not confirmed' };
    return false;
  }

  /** Asks for the move at some moment, and waits for a while until another leads. */
  *#isMoved(from: HandOff['from'], to: HandOff['to']): Generator<void, boolean> {
    const { cluster, dice } = this.#world;
    const late = dice.below(4);
    for (let wait = 0; wait < 6; wait += 1) {
      if (wait === late && cluster.moveLeader(cluster.of(from.pod), cluster.of(to.pod)))
        this.#world.note(`guard ${this.#ask.guard} moved leadership ${from.pod} -> ${to.pod}`);
      yield* this.#pause();
      const leader = cluster.leader();
      if (leader !== null && leader.id !== from.id && wait > late) return true;
    }
    return false;
  }

  #otherHandOff(): LedgerEntry | null {
    const own = this.#ownEntry();
    return own !== null && own.handOffTo !== null && this.#lives(own) ? own : null;
  }

  #ownEntry(): LedgerEntry | null {
    return this.#world.entries.find(({ uid }) => uid === this.#ask.uid) ?? null;
  }

  *#release(): Generator<void, void> {
    const held = this.#held;
    this.#held = null;
    yield;
    if (held === null || !this.#world.entries.includes(held.entry)) return;
    this.#world.note(`guard ${this.#ask.guard} takes back ${held.entry.pod}`);
    this.#replace(held.entry, this.#world.design.restore ? held.before : null);
  }

  #permit({ reason }: Allow): Permit {
    return { ask: this.#ask, reason, askedAt: this.#askedAt, seenAt: this.#seenAt };
  }

  *#pause(): Generator<void, void> {
    yield;
    if (this.#world.nowMs - this.#ask.startedMs > TIME_ALLOWED_MS) throw new OutOfTime();
  }
}

const POLICY = {
  leader: 'Deny',
  handOff: ['Evictions'],
  quorum: 'Enforce',
  unknown: 'Deny',
  maxRaftLag: 1000,
} as const;
