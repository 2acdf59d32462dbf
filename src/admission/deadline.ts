/** The longest that one member is waited for, however much time there is. */
const MEMBER_LIMIT_MS = 2_000;

/** How much of a request's time may be spent on deciding, and how much of that on one member. */
export interface Deadline {
  /** Milliseconds left; never negative. */
  remainingMs(): number;
  /** For one round of calls: at most a third of the whole, and never more than is left. */
  memberMs(): number;
  /** How long a review may wait for its turn, so that a round has its full time afterwards. */
  patienceMs(): number;
  /** What `memberMs` gives while enough is left. */
  readonly fullMemberMs: number;
}

/** A tenth of the time allowed, 500 ms at most, is kept for the way back. */
export function deadlineFor(timeoutMs: number, arrivedAtMs: number, nowMs: () => number): Deadline {
  return new Countdown(timeoutMs - Math.min(500, timeoutMs / 10), arrivedAtMs, nowMs);
}

class Countdown implements Deadline {
  readonly fullMemberMs: number;
  readonly #endsAtMs: number;
  readonly #nowMs: () => number;

  constructor(allowedMs: number, startedAtMs: number, nowMs: () => number) {
    this.fullMemberMs = Math.min(MEMBER_LIMIT_MS, allowedMs / 3);
    this.#endsAtMs = startedAtMs + allowedMs;
    this.#nowMs = nowMs;
  }

  remainingMs(): number {
    return Math.max(0, this.#endsAtMs - this.#nowMs());
  }

  memberMs(): number {
    return Math.min(this.fullMemberMs, this.remainingMs());
  }

  patienceMs(): number {
    return Math.max(0, this.remainingMs() - this.fullMemberMs);
  }
}
