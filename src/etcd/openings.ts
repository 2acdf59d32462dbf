import type { Clock } from '../sharing/clock.ts';
import { Slots } from '../sharing/slots.ts';

// To open its connections, and to read the first answers on them, takes some ten milliseconds of a
// processor for each cluster. Of hundreds at once, all would be heard too late.
const AT_ONCE = 32;
// A member that does not answer takes no processor time, so nobody need wait for it.
const HOLD_MS = 250;

/** Lets a few clusters at a time open their connections, in the order in which they were asked. */
export class Openings {
  readonly #slots = new Slots(AT_ONCE);

  /** Resolves when its turn has come, at the latest after patienceMs; call the result when it is over. */
  async turn(patienceMs: number, clock: Clock): Promise<() => void> {
    if (!(await this.#taken(patienceMs, clock))) return () => undefined;
    let held = true;
    const release = (): void => {
      cancel();
      if (held) this.#slots.release();
      held = false;
    };
    const cancel = clock.afterIdle(HOLD_MS, release);
    return release;
  }

  async #taken(patienceMs: number, clock: Clock): Promise<boolean> {
    const patience = new AbortController();
    const cancel = clock.after(patienceMs, () => patience.abort());
    try {
      await this.#slots.take(patience.signal);
      return true;
    } catch {
      return false;
    } finally {
      cancel();
    }
  }
}
