import { active, Dice, SimulatedCluster, type Member } from './simulated-cluster.ts';
import {
  SimulatedGuard,
  USUAL,
  WHOLE,
  type Ask,
  type Design,
  type Permit,
  type Surroundings,
  type World,
} from './simulated-guard.ts';

/** What a run came to. */
export interface Outcome {
  readonly permits: number;
  readonly refusals: number;
  readonly handOffs: number;
  readonly resumed: number;
  readonly reasons: ReadonlyMap<string, number>;
}

/** How many things happen in one run. */
const EVENTS = 500;
const CONCURRENT = 4;

/** The design was broken; says how, and by what history. */
export class BrokenError extends Error {
  override readonly name = 'BrokenError';
}

/**
 * A cluster, two guards and their users, for a while. Throws a BrokenError as soon as
 *
 * - a permitted deletion takes the member that leads in truth, unless the cluster itself elected it
 *   after the guard had seen, by its last read, that it did not lead; or
 * - a permit leaves fewer than a quorum of voters, where all count but those with a permit that may
 *   still be used or has been and is not made good yet, and those that have been of no use since
 *   before the guard began to ask. What breaks later than that no guard can foresee.
 */
export function simulate(
  seed: number,
  design: Design = WHOLE,
  surroundings: Surroundings = USUAL,
): Outcome {
  return new Simulation(seed, design, surroundings).run();
}

interface Pending {
  readonly permit: Permit;
  readonly untilMs: number;
}

interface Running {
  readonly ask: Ask;
  readonly steps: Generator<void, Permit | null>;
}

class Simulation {
  readonly #dice: Dice;
  readonly #cluster: SimulatedCluster;
  readonly #world: World;
  readonly #history: string[] = [];
  readonly #reasons = new Map<string, number>();
  #running: readonly Running[] = [];
  #pending: readonly Pending[] = [];
  /** Pods that were taken by a permit, until their member is back. */
  readonly #taken = new Set<number>();
  #refusals = 0;

  constructor(seed: number, design: Design, surroundings: Surroundings) {
    this.#dice = new Dice(seed);
    this.#cluster = new SimulatedCluster(this.#dice.pick([1, 2, 3, 3, 3, 4, 5, 5]));
    this.#world = {
      cluster: this.#cluster,
      dice: this.#dice,
      design,
      surroundings,
      nowMs: 0,
      resumed: 0,
      entries: [],
      version: 0,
      cutOff: [new Set(), new Set()],
      containersDown: new Set(),
      note: (text) => this.#note(text),
    };
  }

  run(): Outcome {
    for (let n = 0; n < EVENTS; n += 1) {
      this.#world.nowMs += this.#dice.oneIn(80) ? this.#dice.below(50_000) : this.#dice.below(100);
      this.#next();
      this.#cluster.tick();
    }
    const reasons = this.#reasons;
    const permits = [...reasons.values()].reduce((sum, times) => sum + times, 0);
    const moves = [...this.#cluster.elections.values()].filter(({ by }) => by === 'guard');
    const { resumed } = this.#world;
    return { permits, refusals: this.#refusals, handOffs: moves.length, resumed, reasons };
  }

  #next(): void {
    const roll = this.#dice.below(100);
    if (roll < 66 && this.#running.length > 0) this.#step();
    else if (roll < 72) this.#request();
    else if (roll < 78) this.#use();
    else if (roll < 98) this.#mend();
    else this.#harm();
  }

  #note(text: string): void {
    this.#history.push(`${this.#cluster.moment} ${this.#world.nowMs} ms: ${text}`);
  }

  // ---- users and guards ----

  #request(): void {
    const standing = this.#cluster.members.filter(({ uid, terminating }) => uid && !terminating);
    if (this.#running.length >= CONCURRENT || standing.length === 0) return;
    // People try again, and the API server sends some requests twice.
    const again = this.#dice.oneIn(3) ? this.#running[0]?.ask.pod : undefined;
    const leading = this.#dice.oneIn(3) ? this.#cluster.leader()?.pod : undefined;
    const wanted = again ?? leading;
    const member = standing.find(({ pod }) => pod === wanted) ?? this.#dice.pick(standing);
    const ask: Ask = {
      guard: this.#dice.below(2),
      pod: member.pod,
      uid: member.uid ?? '',
      operation: this.#dice.pick(['delete', 'eviction']),
      startedMs: this.#world.nowMs,
    };
    this.#note(`guard ${ask.guard} is asked for an ${ask.operation} of ${ask.pod}`);
    this.#running = [...this.#running, { ask, steps: new SimulatedGuard(this.#world, ask).run() }];
  }

  #step(): void {
    const running = this.#dice.pick(this.#running);
    const { done, value } = running.steps.next();
    if (done !== true) return;
    this.#running = this.#running.filter((one) => one !== running);
    if (value === null) this.#refusals += 1;
    else this.#grant(value);
  }

  #grant(permit: Permit): void {
    const { ask, reason } = permit;
    this.#note(`guard ${ask.guard} permits ${ask.pod} (${reason}), asked at ${permit.askedAt}`);
    this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1);
    this.#pending = [
      ...this.#pending,
      { permit, untilMs: ask.startedMs + this.#world.surroundings.requestMs },
    ];
    if (reason === 'Spared' || reason === 'NothingToLose') this.#checkQuorum(permit);
  }

  #checkQuorum({ ask, askedAt }: Permit): void {
    const { members, quorum } = this.#cluster;
    this.#forgetLate();
    const lost = members.filter(
      ({ index, pod, uselessSince }) =>
        this.#taken.has(index) ||
        this.#pending.some(({ permit }) => permit.ask.pod === pod) ||
        (uselessSince !== null && uselessSince <= askedAt),
    );
    if (members.length - lost.length >= quorum) return;
    const names = lost.map(({ pod }) => pod).join(', ');
    this.#broken(`${ask.pod} may go, though of ${members.length} voters ${names} count no more`);
  }

  #broken(what: string): never {
    throw new BrokenError([what, ...this.#history.slice(-40)].join('\n  '));
  }

  // ---- what becomes of a permit ----

  #forgetLate(): void {
    // The API server asks anew if the pod of that name is another one meanwhile.
    this.#pending = this.#pending.filter(
      ({ untilMs, permit: { ask } }) =>
        untilMs > this.#world.nowMs && this.#cluster.of(ask.pod).uid === ask.uid,
    );
  }

  #use(): void {
    this.#forgetLate();
    if (this.#pending.length === 0) return;
    const pending = this.#dice.pick(this.#pending);
    this.#pending = this.#pending.filter((one) => one !== pending);
    const { ask } = pending.permit;
    const member = this.#cluster.of(ask.pod);
    if (this.#dice.oneIn(4)) return this.#note(`something else refuses ${ask.pod}`);
    if (member.uid !== ask.uid || member.terminating) return;
    this.#checkLeader(pending.permit, member);
    this.#note(`${ask.pod} is deleted`);
    member.terminating = true;
    this.#taken.add(member.index);
  }

  #checkLeader({ ask, seenAt }: Permit, member: Member): void {
    if (this.#cluster.leader() !== member) return;
    const election = this.#cluster.elections.get(member.term);
    const foreseeable = election === undefined || election.by === 'guard';
    if (foreseeable || election.moment <= seenAt) this.#broken(`${ask.pod} is deleted and leads`);
  }

  // ---- the cluster's own life ----

  #mend(): void {
    const member = this.#dice.pick(this.#cluster.members);
    const deeds: readonly (() => void)[] = [
      () => this.#cluster.heartbeat(),
      () => this.#cluster.heartbeat(),
      () => this.#cluster.timeOut(member),
      () => this.#elect(member),
      () => this.#replace(member),
      () => this.#replace(member),
      () => this.#restart(member),
      () => (member.paused = false),
      () => this.#cluster.members.forEach((one) => (one.group = 0)),
      () => this.#world.cutOff.forEach((cut) => cut.clear()),
    ];
    this.#dice.pick(deeds)();
  }

  #elect(member: Member): void {
    if (this.#cluster.leader() !== null || !this.#cluster.elect(member, 'cluster')) return;
    this.#note(`${member.pod} is elected`);
  }

  /** Terminating, then gone, then a new pod, then running again. */
  #replace(member: Member): void {
    if (member.terminating && member.uid !== null) {
      this.#cluster.stop(member);
      member.uid = null;
      this.#note(`${member.pod} is gone`);
    } else if (member.uid === null) {
      this.#cluster.recreate(member);
      this.#world.containersDown.add(member.pod);
      this.#note(`${member.pod} is made anew`);
    } else {
      this.#restart(member);
    }
  }

  #restart(member: Member): void {
    if (member.up || member.uid === null || member.terminating) return;
    member.up = true;
    this.#world.containersDown.delete(member.pod);
    this.#taken.delete(member.index);
    this.#note(`${member.pod} runs`);
  }

  #harm(): void {
    const member = this.#dice.pick(this.#cluster.members);
    const deeds: readonly (() => void)[] = [
      () => this.#crash(member),
      () => (member.paused = true),
      () => (member.group = this.#dice.below(2)),
      () => this.#dice.pick(this.#world.cutOff).add(member.index),
      () => this.#cluster.elect(member, 'cluster'),
      () => this.#kill(),
    ];
    this.#dice.pick(deeds)();
    this.#note(`${member.pod}: up ${active(member)}, group ${member.group}, names ${member.names}`);
  }

  /** A guard's process ends in the middle of a review, and takes nothing back. */
  #kill(): void {
    if (this.#running.length === 0) return;
    const killed = this.#dice.pick(this.#running);
    this.#running = this.#running.filter((one) => one !== killed);
    this.#note(`guard ${killed.ask.guard} is killed while it judges ${killed.ask.pod}`);
  }

  #crash(member: Member): void {
    if (!member.up) return;
    this.#cluster.stop(member);
    if (this.#dice.oneIn(2)) this.#world.containersDown.add(member.pod);
  }
}
