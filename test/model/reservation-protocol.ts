import type { Model, Step } from './explore.ts';

/**
 * The reservation protocol, small enough to be explored to its end: three voters, a few requests at
 * a time, each reviewed by a replica of its own. Every read, write, answer and deletion is a step of
 * its own, in any order; a replica may crash between any two of them.
 *
 * Time goes in halves of a minute. A request lives for less than a minute, an entry for two, and a
 * pod may be asked for again under its own entry for one. Etcd itself is without fault here: who
 * leads and who answers is plain, and linearizable reads are never wrong. That is what the
 * simulation in test/decision is for.
 */

/** Parts of the protocol that can be left out, to see what each is there for. */
export interface Protocol {
  /** The ledger is written only on the version that was read. */
  readonly compareAndSwap: boolean;
  /** In which order a review reads. */
  readonly order: readonly [Read, Read];
  /** Who loses the swap reads everything again, not the ledger alone. */
  readonly readsAllAgain: boolean;
  readonly entryEndsAt: number;
  /** How old an own entry may be under which the same pod is allowed again. */
  readonly reusedUntil: number;
  /** Who is allowed under an entry that stands first makes sure of it. */
  readonly keeps: boolean;
  /** ... and makes an entry of a hand-off one that its writer no longer takes for its own. */
  readonly rewrites: boolean;
  /** A hand-off that fails puts back the entry that it replaced. */
  readonly restores: boolean;
  /** The candidate of a hand-off is protected like the leader. */
  readonly protectsCandidate: boolean;
  /** A leader that is reserved or terminating proves nobody spared. */
  readonly leaderStays: boolean;
  /** Whoever is reserved is no candidate, and does not count as healthy. */
  readonly reservedCount: boolean;
  /** An allow is entered before it is answered. */
  readonly reservesFirst: boolean;
  /** An entry ends with its pod, not with another pod of that name. */
  readonly byUid: boolean;
  /** A pod that is terminating does not count, though its member still answers. */
  readonly seesTerminating: boolean;
}

type Read = 'ledger' | 'pods';

/** What the world around the guard is like. */
export interface Surroundings {
  readonly voters: number;
  /** How many requests there are at a time. */
  readonly requests: number;
  /** Some of them are evictions of the leader, which is handed over. */
  readonly handOffs: boolean;
  /** How long a request lives, in halves of a minute. */
  readonly requestLives: number;
  /** What was allowed for one pod may be done to another one of its name. */
  readonly evictionsByName: boolean;
  /** etcd moves leadership after its answer was given up. */
  readonly lateMoves: boolean;
  /** etcd elects whomever it likes at any moment. What it does so is not held against the guard. */
  readonly elections: boolean;
  readonly timePasses: boolean;
}

/** As it is built. */
export const PROTOCOL: Protocol = {
  compareAndSwap: true,
  order: ['ledger', 'pods'],
  readsAllAgain: true,
  entryEndsAt: 4,
  reusedUntil: 2,
  keeps: true,
  rewrites: true,
  restores: true,
  protectsCandidate: true,
  leaderStays: true,
  reservedCount: true,
  reservesFirst: true,
  byUid: true,
  seesTerminating: true,
};

/** As they are reckoned with. */
export const SURROUNDINGS: Surroundings = {
  voters: 3,
  requests: 2,
  handOffs: true,
  requestLives: 2,
  evictionsByName: false,
  lateMoves: false,
  elections: false,
  timePasses: true,
};

type Voter = number;

/** `starting`: a new pod, whose member does not answer yet. */
type Phase = 'up' | 'terminating' | 'gone' | 'starting';

interface Entry {
  readonly age: number;
  /** The candidate of a hand-off. */
  readonly to: Voter | null;
}

type Ledger = readonly (Entry | null)[];

/** What a review has read and found so far. */
interface Review {
  readonly stage: 'reads' | 'asks' | 'reserves' | 'keeps' | 'moves' | 'secured' | 'releases';
  readonly ledger: Ledger | null;
  readonly pods: readonly Phase[] | null;
  /** The ledger is still the one that was read. */
  readonly fresh: boolean;
  /** The target's entry is still the one that was read. */
  readonly same: boolean;
  /** The hand-off that is to be entered, or was. */
  readonly to: Voter | null;
  /** It has made a hand-off: its entry, while it still is its own, is taken back unless it is allowed. */
  readonly held: 'none' | 'own' | 'lost';
  readonly replaced: Entry | null;
}

interface Request {
  readonly target: Voter;
  /** The pod that it is about is no more; another may have its name. */
  readonly outdated: boolean;
  readonly age: number;
  readonly again: boolean;
  /** null: it was allowed, and may be carried out at any moment. */
  readonly review: Review | null;
}

export interface State {
  readonly pods: readonly Phase[];
  readonly leader: Voter;
  readonly ledger: Ledger;
  readonly requests: readonly (Request | null)[];
  /** A move of leadership that etcd may yet make. */
  readonly move: { readonly from: Voter; readonly to: Voter } | null;
}

const FRESH_REVIEW: Review = {
  stage: 'reads',
  ledger: null,
  pods: null,
  fresh: false,
  same: false,
  to: null,
  held: 'none',
  replaced: null,
};

/** Everybody is there, and nothing is reserved. */
export function peaceOf({ voters, requests }: Surroundings): State {
  return {
    pods: Array.from({ length: voters }, () => 'up' as const),
    leader: 0,
    ledger: Array.from({ length: voters }, () => null),
    requests: Array.from({ length: requests }, () => null),
    move: null,
  };
}

/** The protocol in its surroundings, as something that can be explored. */
export function reservationProtocol(protocol: Protocol, surroundings: Surroundings): Model<State> {
  const world = new World(protocol, surroundings);
  return {
    start: peaceOf(surroundings),
    steps: (state) => world.steps(state),
    key,
    broken: (state) => world.broken(state),
  };
}

class World {
  readonly #protocol: Protocol;
  readonly #surroundings: Surroundings;

  constructor(protocol: Protocol, surroundings: Surroundings) {
    this.#protocol = protocol;
    this.#surroundings = surroundings;
  }

  /** What must never be. */
  broken(state: State): string | null {
    const permits = state.requests.filter((one) => one !== null && one.review === null);
    const { voters, elections } = this.#surroundings;
    const away = votersOf(state).filter(
      (voter) =>
        state.pods[voter] !== 'up' ||
        permits.some((one) => one?.target === voter && this.#mayHit(one, state)),
    );
    if (voters - away.length < quorumOf(voters))
      return `${names(away)} are away or may go at any moment`;
    if (!elections && away.includes(state.leader))
      return `${name(state.leader)} leads and may go at any moment`;
    return null;
  }

  #mayHit(request: Request, { pods }: State): boolean {
    if (request.outdated && !this.#surroundings.evictionsByName) return false;
    return pods[request.target] === 'up' || pods[request.target] === 'starting';
  }

  steps(state: State): readonly Step<State>[] {
    return [
      ...this.#begin(state),
      ...state.requests.flatMap((request, slot) =>
        request === null ? [] : this.#ofRequest(state, request, slot),
      ),
      ...votersOf(state).flatMap((voter) => this.#ofPod(state, voter)),
      ...this.#lateMove(state),
      ...this.#elect(state),
      ...this.#tidy(state),
      ...(this.#surroundings.timePasses
        ? [{ label: 'half a minute passes', next: this.#tick(state) }]
        : []),
    ];
  }

  // ---- the world ----

  #begin(state: State): readonly Step<State>[] {
    const slot = state.requests.indexOf(null);
    if (slot < 0) return [];
    return votersOf(state)
      .filter((target) => state.pods[target] !== 'gone')
      .map((target) => ({
        label: `request ${slot} for ${name(target)}`,
        next: withRequest(state, slot, {
          target,
          outdated: false,
          age: 0,
          again: true,
          review: FRESH_REVIEW,
        }),
      }));
  }

  #ofPod(state: State, voter: Voter): readonly Step<State>[] {
    const to = (phase: Phase): State => ({ ...state, pods: state.pods.with(voter, phase) });
    switch (state.pods[voter]) {
      case 'terminating':
        return [{ label: `${name(voter)} is gone`, next: this.#forget(to('gone'), voter) }];
      case 'gone':
        return [{ label: `${name(voter)} is made anew`, next: to('starting') }];
      case 'starting':
        return [{ label: `${name(voter)} is back`, next: to('up') }];
      default:
        return [];
    }
  }

  /** Whatever speaks of the pod that is gone speaks of no other. */
  #forget(state: State, voter: Voter): State {
    const { byUid } = this.#protocol;
    const requests = state.requests.map((request) => {
      if (request === null) return null;
      const outdated = request.outdated || request.target === voter;
      if (!byUid || request.review === null) return { ...request, outdated };
      const { ledger, same, held } = request.review;
      return {
        ...request,
        outdated,
        review: {
          ...request.review,
          ledger: ledger?.with(voter, null) ?? null,
          same: same && request.target !== voter,
          held: request.target === voter ? lost(held) : held,
        },
      };
    });
    return { ...state, requests, ledger: byUid ? state.ledger.with(voter, null) : state.ledger };
  }

  #tick(state: State): State {
    const requests = state.requests.map((request) =>
      request === null ? null : this.#olderRequest(state, request),
    );
    return { ...state, requests, ledger: state.ledger.map((entry) => this.#older(entry)) };
  }

  /** Whatever has ended may be forgotten. */
  #older(entry: Entry | null): Entry | null {
    const isOver = entry === null || entry.age + 1 >= this.#protocol.entryEndsAt;
    return isOver ? null : { ...entry, age: entry.age + 1 };
  }

  #olderRequest(state: State, request: Request): Request | null {
    const { review } = request;
    const age = request.age + 1;
    const isDead = age >= this.#surroundings.requestLives;
    if (review === null) return isDead ? null : { ...request, age };
    const older = this.#olderReview(state, request, review);
    if (!isDead) return { ...request, age, review: older };
    // What a replica takes back it may take back later than that.
    const releases = { ...unread(older), stage: 'releases' } as const;
    return review.held === 'none' ? null : { ...request, review: releases };
  }

  #olderReview({ ledger }: State, { target }: Request, review: Review): Review {
    const entry = ledger[target] ?? null;
    const ended = entry !== null && this.#older(entry) === null;
    // Ages are judged when ledger and pods have been read.
    const isReading = review.stage === 'reads' && review.ledger !== null;
    return {
      ...review,
      ledger: isReading ? review.ledger.map((one) => this.#older(one)) : review.ledger,
      replaced: this.#older(review.replaced),
      same: review.same && !ended,
      held: ended ? lost(review.held) : review.held,
    };
  }

  #elect(state: State): readonly Step<State>[] {
    if (!this.#surroundings.elections) return [];
    const others = votersOf(state).filter(
      (voter) => voter !== state.leader && answers(state, voter),
    );
    return others.map((leader) => ({
      label: `etcd elects ${name(leader)}`,
      next: { ...state, leader },
    }));
  }

  /** Who keeps the status clears away what has ended: it reads and swaps as reviews do. */
  #tidy(state: State): readonly Step<State>[] {
    const ended = (entry: Entry | null, voter: Voter): boolean =>
      entry !== null && (state.pods[voter] === 'terminating' || state.pods[voter] === 'gone');
    if (!state.ledger.some(ended)) return [];
    const ledger = state.ledger.map((entry, voter) => (ended(entry, voter) ? null : entry));
    return [{ label: 'what has ended is cleared away', next: this.#write(state, -1, ledger) }];
  }

  #lateMove(state: State): readonly Step<State>[] {
    const { move } = state;
    if (move === null) return [];
    const dropped = { label: 'etcd gives the move up', next: { ...state, move: null } };
    if (state.leader !== move.from || !answers(state, move.to)) return [dropped];
    return [
      dropped,
      { label: `${name(move.to)} leads, late`, next: { ...state, leader: move.to, move: null } },
    ];
  }

  // ---- a request ----

  #ofRequest(state: State, request: Request, slot: number): readonly Step<State>[] {
    const { review } = request;
    if (review === null) return this.#ofPermit(state, request, slot);
    const steps = this.#ofReview(state, { request, review, slot });
    return [
      ...steps,
      { label: `replica of ${slot} crashes`, next: withRequest(state, slot, null) },
    ];
  }

  #ofPermit(state: State, request: Request, slot: number): readonly Step<State>[] {
    const refused: Step<State> = {
      label: `something else refuses ${slot}`,
      next: withRequest(state, slot, null),
    };
    if (!this.#mayHit(request, state)) return [refused];
    const { target } = request;
    const deleted = withRequest(state, slot, null);
    const steps = [
      refused,
      {
        label: `${slot} deletes ${name(target)}`,
        next: { ...deleted, pods: deleted.pods.with(target, 'terminating') },
      },
    ];
    if (!request.again) return steps;
    const again = { ...request, again: false, review: FRESH_REVIEW };
    return [
      ...steps,
      { label: `${slot} is reviewed again`, next: withRequest(state, slot, again) },
    ];
  }

  // ---- a review ----

  #ofReview(state: State, at: At): readonly Step<State>[] {
    switch (at.review.stage) {
      case 'reads':
        return this.#read(state, at);
      case 'asks':
        return this.#decide(state, at);
      case 'reserves':
        return this.#reserve(state, at);
      case 'keeps':
        return this.#keep(state, at);
      case 'moves':
        return this.#moveLeader(state, at);
      case 'secured':
        return [{ label: `${at.slot} is allowed`, next: this.#allow(state, at) }];
      case 'releases':
        return [{ label: `${at.slot} takes its entry back`, next: this.#release(state, at) }];
    }
  }

  #read(state: State, at: At): readonly Step<State>[] {
    const { review, request, slot } = at;
    const [first, second] = this.#protocol.order;
    const what = this.#has(review, first) ? second : first;
    const read: Partial<Review> =
      what === 'ledger'
        ? { ledger: state.ledger, fresh: true, same: state.ledger[request.target] !== null }
        : { pods: seenIn(state, request) };
    const next = { ...review, ...read };
    return [{ label: `${slot} reads the ${what}`, next: set(state, at, judged(next)) }];
  }

  #has(review: Review, what: Read): boolean {
    return (what === 'ledger' ? review.ledger : review.pods) !== null;
  }

  /** Asks etcd and decides. */
  #decide(state: State, at: At): readonly Step<State>[] {
    const { request, review, slot } = at;
    const { target } = request;
    const view = this.#viewOf(review);
    // It goes already, or the API server finds nothing to delete.
    if (view.going.includes(target)) return [this.#end(state, at)];
    const own = view.living[target] ?? null;
    const healthy = votersOf(state).filter(
      (voter) => voter !== target && this.#isHealthy(state, voter, view),
    );
    const deny = this.#end(state, at);
    const isShort = healthy.length < quorumOf(this.#surroundings.voters);
    if (isShort || view.candidates.includes(target) || this.#isUnused(own)) return [deny];
    if (state.leader === target) return this.#handOff(state, at, { own, healthy, deny });
    if (!this.#proves(healthy, state.leader)) return [deny];
    const stage = own === null ? 'reserves' : 'keeps';
    return [
      {
        label: `${slot} finds ${name(target)} spared`,
        next: set(state, at, { ...(own === null ? review : unread(review)), stage, to: null }),
      },
    ];
  }

  /** Those who are asked must still name a leader that stays. */
  #proves(healthy: readonly Voter[], leader: Voter): boolean {
    return !this.#protocol.leaderStays || healthy.includes(leader);
  }

  /** It was allowed long ago and has not gone: the slot has to come free. */
  #isUnused(own: Entry | null): boolean {
    return own !== null && own.age > this.#protocol.reusedUntil;
  }

  #isHealthy(state: State, voter: Voter, view: View): boolean {
    const { reservedCount, seesTerminating } = this.#protocol;
    if (!answers(state, voter)) return false;
    if (seesTerminating && view.going.includes(voter)) return false;
    return !reservedCount || view.living[voter] === null;
  }

  #viewOf({ ledger, pods }: Review): View {
    const going = [...(pods ?? []).keys()].filter((voter) => pods?.[voter] === 'gone');
    const living = ledger ?? [];
    const candidates = this.#protocol.protectsCandidate
      ? living.flatMap((entry) => entry?.to ?? [])
      : [];
    return { going, living, candidates };
  }

  #handOff(
    state: State,
    at: At,
    { own, healthy, deny }: { own: Entry | null; healthy: readonly Voter[]; deny: Step<State> },
  ): readonly Step<State>[] {
    const { review, slot } = at;
    // It has moved leadership once, and that did not last.
    if (!this.#surroundings.handOffs || review.held !== 'none') return [deny];
    if (own !== null && own.to !== null) {
      return [
        deny,
        { label: `${slot} waits for the other hand-off`, next: this.#again(state, at) },
      ];
    }
    return [
      deny,
      ...healthy.map((to) => ({
        label: `${slot} chooses ${name(to)} to lead`,
        next: set(state, at, { ...review, stage: 'reserves', to, replaced: own }),
      })),
    ];
  }

  #reserve(state: State, at: At): readonly Step<State>[] {
    const { request, review, slot } = at;
    const { compareAndSwap, reservesFirst } = this.#protocol;
    if (!reservesFirst) {
      return [{ label: `${slot} reserves nothing`, next: this.#secured(state, at) }];
    }
    if (compareAndSwap && !review.fresh) {
      const next = this.#again(state, at);
      return [{ label: `${slot} loses the swap`, next }];
    }
    const { living } = this.#viewOf(review);
    // Nobody sees an entry of a pod that is no more.
    const entry: Entry | null = request.outdated ? null : { age: 0, to: review.to };
    const written = this.#write(state, slot, living.with(request.target, entry));
    const held = review.to === null ? lost(review.held) : 'own';
    const stage = review.to === null ? 'secured' : 'moves';
    return [
      {
        label: `${slot} reserves ${name(request.target)}`,
        next: set(written, at, { ...unread(review), held, stage }),
      },
    ];
  }

  /** Everybody else's reading is out of date. */
  #write(state: State, by: number, ledger: Ledger): State {
    const requests = state.requests.map((request, slot) => {
      if (request === null || request.review === null || slot === by) return request;
      const { review, target } = request;
      const same = review.same && ledger[target] === state.ledger[target];
      const held = ledger[target] === state.ledger[target] ? review.held : lost(review.held);
      return { ...request, review: { ...review, fresh: false, same, held } };
    });
    return { ...state, ledger, requests };
  }

  #keep(state: State, at: At): readonly Step<State>[] {
    const { request, review, slot } = at;
    if (!this.#protocol.keeps) {
      return [{ label: `${slot} trusts its entry`, next: this.#secured(state, at) }];
    }
    const entry = state.ledger[request.target] ?? null;
    if (entry === null || !review.same) {
      return [{ label: `${slot} has lost its entry`, next: this.#again(state, at) }];
    }
    const rewritten =
      entry.to !== null && this.#protocol.rewrites
        ? this.#write(state, slot, state.ledger.with(request.target, { ...entry }))
        : state;
    const kept = { ...at, review: { ...review, held: lost(review.held) } };
    return [{ label: `${slot} keeps its entry`, next: this.#secured(rewritten, kept) }];
  }

  #moveLeader(state: State, at: At): readonly Step<State>[] {
    const { request, review, slot } = at;
    const { to } = review;
    if (to === null) throw new Error('nobody to move to');
    const releases = { ...review, stage: 'releases' } as const;
    const failed = set(state, at, releases);
    const late = this.#surroundings.lateMoves ? { from: request.target, to } : null;
    const steps = [
      { label: `the hand-off of ${slot} fails`, next: { ...failed, move: late ?? state.move } },
    ];
    if (state.leader === request.target && answers(state, to)) {
      const moved = { ...state, leader: to };
      steps.push(
        { label: `${slot} moves leadership to ${name(to)}`, next: this.#again(moved, at) },
        {
          label: `${slot} moves leadership to ${name(to)} and does not hear of it`,
          next: set(moved, at, releases),
        },
      );
    }
    return steps;
  }

  #release(state: State, at: At): State {
    const { request, review, slot } = at;
    if (review.held !== 'own') return withRequest(state, slot, null);
    const back = this.#protocol.restores ? review.replaced : null;
    return withRequest(
      this.#write(state, slot, state.ledger.with(request.target, back)),
      slot,
      null,
    );
  }

  #again(state: State, at: At): State {
    const { review } = at;
    const kept = { held: review.held, replaced: review.replaced };
    const read = this.#protocol.readsAllAgain ? {} : { pods: review.pods };
    return set(state, at, { ...FRESH_REVIEW, ...read, ...kept });
  }

  #secured(state: State, at: At): State {
    return set(state, at, { ...unread(at.review), stage: 'secured' });
  }

  #allow(state: State, { request, slot }: At): State {
    return withRequest(state, slot, { ...request, review: null });
  }

  /** Refused: whoever has made a hand-off takes its entry back. */
  #end(state: State, at: At): Step<State> {
    const { review, slot } = at;
    const next =
      review.held !== 'none'
        ? set(state, at, { ...unread(review), stage: 'releases' })
        : withRequest(state, slot, null);
    return { label: `${slot} is refused`, next };
  }
}

interface At {
  readonly request: Request;
  readonly review: Review;
  readonly slot: number;
}

interface View {
  readonly going: readonly Voter[];
  readonly living: Ledger;
  readonly candidates: readonly Voter[];
}

function answers({ pods }: State, voter: Voter): boolean {
  return pods[voter] === 'up' || pods[voter] === 'terminating';
}

function lost(held: Review['held']): Review['held'] {
  return held === 'none' ? 'none' : 'lost';
}

/** Of pods it only matters who goes; whoever is another pod by now has gone. */
function seenIn({ pods }: State, { target, outdated }: Request): readonly Phase[] {
  const seen = pods.map((phase): Phase => (phase === 'terminating' ? 'gone' : phase));
  const there = seen.map((phase): Phase => (phase === 'starting' ? 'up' : phase));
  return outdated ? there.with(target, 'gone') : there;
}

/** Entries of pods that go have ended, once both are read. */
function judged(review: Review): Review {
  const { ledger, pods } = review;
  if (ledger === null || pods === null) return review;
  const living = ledger.map((entry, voter) => (pods[voter] === 'gone' ? null : entry));
  return { ...review, ledger: living, stage: 'asks' };
}

/** What was read matters no more once it is decided. */
function unread(review: Review): Review {
  return { ...review, ledger: null, pods: null, fresh: false };
}

function set(state: State, { slot, request }: At, review: Review): State {
  const current = state.requests[slot] ?? request;
  return withRequest(state, slot, { ...current, review });
}

function withRequest(state: State, slot: number, request: Request | null): State {
  return { ...state, requests: state.requests.with(slot, request) };
}

function votersOf({ pods }: State): readonly Voter[] {
  return [...pods.keys()];
}

function quorumOf(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

function name(voter: Voter): string {
  return `etcd-${voter}`;
}

function names(voters: readonly Voter[]): string {
  return voters.map((voter) => name(voter)).join(' and ');
}

/** Voters by any other name, and requests in any other order, are the same. */
function key(state: State): string {
  const marks = state.pods.map((_, voter) => markOf(state, voter));
  let least: string | undefined;
  // Only who looks the same may change places.
  for (const order of ordersOf(marks)) {
    const text = textOf(state, order);
    if (least === undefined || text < least) least = text;
  }
  return least ?? '';
}

const ORDERS = new Map<string, readonly Order[]>();

/** All orders by mark: those who have the same one stand in any order among themselves. */
function ordersOf(marks: readonly number[]): readonly Order[] {
  const pattern = marks.join();
  let orders = ORDERS.get(pattern);
  if (orders === undefined) {
    const sorted = [...marks.keys()].toSorted((a, b) => (marks[a] ?? 0) - (marks[b] ?? 0));
    orders = permutationsOf(sorted, marks).map((voters) => ({
      voters,
      places: voters.map((_, voter) => voters.indexOf(voter)),
    }));
    ORDERS.set(pattern, orders);
  }
  return orders;
}

interface Order {
  /** Who stands at each place. */
  readonly voters: readonly Voter[];
  /** Where each stands. */
  readonly places: readonly number[];
}

/** All orders in which each place is taken by one with the same mark as in the given one. */
function permutationsOf(
  sorted: readonly Voter[],
  marks: readonly number[],
): readonly (readonly Voter[])[] {
  let orders: readonly (readonly Voter[])[] = [[]];
  for (const place of sorted) {
    const alike = sorted.filter((voter) => marks[voter] === marks[place]);
    orders = orders.flatMap((order) =>
      alike.filter((voter) => !order.includes(voter)).map((voter) => [...order, voter]),
    );
  }
  return orders;
}

const PHASES: Readonly<Record<Phase, number>> = { up: 0, terminating: 1, gone: 2, starting: 3 };

/** What can be told of a voter without naming another. */
function markOf({ pods, leader, ledger, requests }: State, voter: Voter): number {
  const entry = ledger[voter] ?? null;
  let targets = 0;
  for (const request of requests) if (request?.target === voter) targets += 1;
  const age = entry === null ? 9 : entry.age;
  const handedOver = entry !== null && entry.to !== null ? 1 : 0;
  const phase = PHASES[pods[voter] ?? 'gone'];
  return (((phase * 10 + age) * 2 + handedOver) * 10 + targets) * 2 + (leader === voter ? 1 : 0);
}

/** The state as it looks when voters stand in this order. */
function textOf(state: State, order: Order): string {
  const requests = state.requests.map((one) => (one === null ? '' : requestText(one, order)));
  const { move, leader } = state;
  const moving = move === null ? '' : placeOf(move.from, order) + placeOf(move.to, order);
  const world = phasesText(state.pods, order) + placeOf(leader, order);
  return `${world}${ledgerText(state.ledger, order)}|${moving}|${requests.sort().join('|')}`;
}

function requestText({ target, outdated, age, again, review }: Request, order: Order): string {
  const head = `${placeOf(target, order)}${flag(outdated)}${age}${flag(again)}`;
  if (review === null) return head;
  const { stage, fresh, same, held, to, replaced } = review;
  const flags = `${flag(fresh)}${flag(same)}${held}${placeOf(to, order)}`;
  const seen = `${ledgerText(review.ledger, order)},${phasesText(review.pods, order)}`;
  return `${head}${stage}${seen},${flags}${entryText(replaced, order)}`;
}

function ledgerText(ledger: Ledger | null, order: Order): string {
  let text = '';
  if (ledger !== null) for (const voter of order.voters) text += entryText(ledger[voter], order);
  return text;
}

function phasesText(phases: readonly Phase[] | null, { voters }: Order): string {
  let text = '';
  if (phases !== null) for (const voter of voters) text += String(PHASES[phases[voter] ?? 'gone']);
  return text;
}

function entryText(entry: Entry | null | undefined, order: Order): string {
  if (entry === null || entry === undefined) return '-';
  return `${entry.age}${placeOf(entry.to, order)}`;
}

function placeOf(voter: Voter | null, { places }: Order): string {
  return voter === null ? '-' : String(places[voter]);
}

function flag(value: boolean): string {
  return value ? '1' : '0';
}
