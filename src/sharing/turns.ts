import type { Clock } from './clock.ts';
import { Slots } from './slots.ts';

// To judge one review takes milliseconds of processor time, and tens where connections to etcd have to
// be opened. Of hundreds at once, all would hear the members too late.
const AT_ONCE = 16;
// Whoever waits for others takes no processor time, so that nobody need wait for it.
const HOLD_MS = 250;
const IDLE_BELOW = 0.75;
/** Holds in a row, however busy the processor is. */
const MOST_HOLDS = 4;

/** Ends a turn. */
export type EndTurn = () => void;

/** Says how busy this process was, 0 to 1, since `utilization` was called. */
export type Utilization = () => () => number;

const ofTheEventLoop: Utilization = () => {
  const before = performance.eventLoopUtilization();
  return () => performance.eventLoopUtilization(before).utilization;
};

/**
 * Lets work for a few groups at a time be done, in the order in which it came; for more when those only
 * wait, and after a second in any case. While some of a group is done, more of it need not wait: it
 * shares the rounds of etcd.
 */
export class Turns {
  readonly #clock: Clock;
  readonly #utilization: Utilization;
  readonly #slots = new Slots(AT_ONCE);
  readonly #groups = new Map<string, Group>();

  constructor(clock: Clock, utilization: Utilization = ofTheEventLoop) {
    this.#clock = clock;
    this.#utilization = utilization;
  }

  /** null: its turn has not come within that many milliseconds. */
  take(name: string, patienceMs: number): EndTurn | Promise<EndTurn | null> {
    const group = this.#groups.get(name) ?? this.#add(name);
    if (group.running === 0 && group.waiting.size === 0 && this.#slots.tryTake()) {
      this.#hold(group, MOST_HOLDS);
    } else if (group.running === 0) {
      return this.#await(group, patienceMs);
    }
    return this.#enter(group);
  }

  #add(name: string): Group {
    const group: Group = {
      name,
      running: 0,
      waiting: new Set(),
      queueing: null,
      release: () => undefined,
    };
    this.#groups.set(name, group);
    return group;
  }

  #enter(group: Group): EndTurn {
    group.running += 1;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      group.running -= 1;
      if (group.running > 0) return;
      group.release();
      this.#forgetIfUnused(group);
    };
  }

  #await(group: Group, patienceMs: number): Promise<EndTurn | null> {
    const { promise, resolve } = Promise.withResolvers<EndTurn | null>();
    const cancel = this.#clock.after(patienceMs, () => {
      group.waiting.delete(come);
      resolve(null);
      if (group.waiting.size > 0) return;
      group.queueing?.abort();
      group.queueing = null;
      this.#forgetIfUnused(group);
    });
    const come = (): void => {
      cancel();
      resolve(this.#enter(group));
    };
    group.waiting.add(come);
    if (group.queueing === null) void this.#queue(group);
    return promise;
  }

  /** Stands in the queue for all of the group. */
  async #queue(group: Group): Promise<void> {
    const queueing = new AbortController();
    group.queueing = queueing;
    try {
      await this.#slots.take(queueing.signal);
    } catch {
      return;
    }
    if (group.queueing === queueing) group.queueing = null;
    const { waiting } = group;
    // The last of them may have lost its patience just when the slot was there.
    if (group.running > 0 || waiting.size === 0) this.#slots.release();
    else this.#hold(group, MOST_HOLDS);
    group.waiting = new Set();
    for (const come of waiting) come();
    this.#forgetIfUnused(group);
  }

  #hold(group: Group, holds: number): void {
    const utilization = this.#utilization();
    const cancel = this.#clock.afterIdle(HOLD_MS, () => {
      if (holds > 1 && utilization() >= IDLE_BELOW) this.#hold(group, holds - 1);
      else group.release();
    });
    group.release = () => {
      cancel();
      group.release = () => undefined;
      this.#slots.release();
    };
  }

  #forgetIfUnused(group: Group): void {
    const unused = group.running === 0 && group.waiting.size === 0 && group.queueing === null;
    if (unused && this.#groups.get(group.name) === group) this.#groups.delete(group.name);
  }
}

interface Group {
  readonly name: string;
  running: number;
  waiting: Set<() => void>;
  queueing: AbortController | null;
  /** Gives the slot back; nothing, where it has none. */
  release: () => void;
}
