import type { BadRequestKind } from '../../server/refusal.ts';
import type { Clock } from '../../sharing/clock.ts';
import type { Logger } from '../../telemetry/logger.ts';

/** Of each kind; docs/logs.md tells of both. */
const LINES = 10;
const MINUTE_MS = 60_000;

/** A minute that begins with the first request of its kind. */
interface Minute {
  requests: number;
  readonly cancel: () => void;
}

/**
 * Logs requests that hold no review, as whoever reaches the port can send them by the thousand: ten lines
 * a minute of each kind, then one that says how many more there were. Decisions don't come by here.
 */
export class RefusedRequests {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #minutes = new Map<BadRequestKind, Minute>();

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  note(kind: BadRequestKind): void {
    const minute = this.#minutes.get(kind) ?? this.#begin(kind);
    minute.requests += 1;
    if (minute.requests <= LINES) this.#log.warn({ kind }, 'refused what is no review');
  }

  /** Says at once what was left out. */
  close(): void {
    for (const kind of this.#minutes.keys()) this.#end(kind);
  }

  #begin(kind: BadRequestKind): Minute {
    const cancel = this.#clock.afterIdle(MINUTE_MS, () => this.#end(kind));
    const minute = { requests: 0, cancel };
    this.#minutes.set(kind, minute);
    return minute;
  }

  #end(kind: BadRequestKind): void {
    const minute = this.#minutes.get(kind);
    if (minute === undefined) return;
    this.#minutes.delete(kind);
    minute.cancel();
    const leftOut = minute.requests - LINES;
    if (leftOut > 0) this.#log.warn({ kind, leftOut }, 'refused more of what is no review');
  }
}
