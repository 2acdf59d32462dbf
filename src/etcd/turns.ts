import type { Clock } from '../sharing/clock.ts';
import { Slots } from '../sharing/slots.ts';

// A round takes milliseconds of processor time, and some ten where connections have to be opened.
// Of hundreds that begin at once, all would hear the members' answers too late.
const AT_ONCE = 16;
// Whoever is waited for takes no processor time, so that nobody else need wait for it.
const HOLD_MS = 250;
const IDLE_BELOW = 0.75;

/** Says how busy the processor of this process was, 0 to 1, since `utilization` was called. */
export type Utilization = () => () => number;

const ofTheEventLoop: Utilization = () => {
  const before = performance.eventLoopUtilization();
  return () => performance.eventLoopUtilization(before).utilization;
};

/**
 * Lets rounds at a few clusters at a time begin, in the order in which they were asked for. Others
 * come sooner if those only wait: if the processor was idle meanwhile.
 */
export class Turns {
  readonly #slots = new Slots(AT_ONCE);
  readonly #utilization: Utilization;

  constructor(utilization: Utilization = ofTheEventLoop) {
    this.#utilization = utilization;
  }

  ofCluster(clock: Clock): ClusterTurns {
    return new ClusterTurns(this.#slots, clock, this.#utilization);
  }
}

/** The turns of one cluster: whoever asks it while it has one, has it too, as rounds are shared. */
export class ClusterTurns {
  readonly #slots: Slots;
  readonly #clock: Clock;
  readonly #utilization: Utilization;
  #running = 0;
  #release: () => void = () => undefined;

  constructor(slots: Slots, clock: Clock, utilization: Utilization) {
    this.#slots = slots;
    this.#clock = clock;
    this.#utilization = utilization;
  }

  /** Does the work when its turn has come; null if it has not come after that many milliseconds. */
  run<T>(work: () => Promise<T>, patienceMs: number): Promise<T | null> {
    if (this.#running > 0) return this.#carryOut(work);
    if (!this.#slots.tryTake()) return this.#await(work, patienceMs);
    this.#hold();
    return this.#carryOut(work);
  }

  async #await<T>(work: () => Promise<T>, patienceMs: number): Promise<T | null> {
    const patience = new AbortController();
    const cancel = this.#clock.after(patienceMs, () => patience.abort());
    try {
      await this.#slots.take(patience.signal);
    } catch {
      return null;
    } finally {
      cancel();
    }
    if (this.#running > 0) this.#slots.release();
    else this.#hold();
    return this.#carryOut(work);
  }

  async #carryOut<T>(work: () => Promise<T>): Promise<T> {
    this.#running += 1;
    try {
      return await work();
    } finally {
      this.#running -= 1;
      if (this.#running === 0) this.#release();
    }
  }

  #hold(): void {
    const utilization = this.#utilization();
    const cancel = this.#clock.afterIdle(HOLD_MS, () => {
      if (utilization() < IDLE_BELOW) this.#release();
      else this.#hold();
    });
    this.#release = () => {
      cancel();
      this.#release = () => undefined;
      this.#slots.release();
    };
  }
}
