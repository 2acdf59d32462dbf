/** The longest that one member is waited for, however much time there is. */
const MEMBER_LIMIT_MS = 2_000;

/** How much of a request's time may be spent on deciding, and how much of that on one member. */
export interface Deadline {
  /** Milliseconds left; never negative. */
  remainingMs(): number;
  /** For one round of calls: at most a third of the whole, and never more than is left. */
  memberMs(): number;
  /** What may be waited so that there is enough for that many rounds afterwards. */
  patienceMs(rounds: number): number;
  /** What `memberMs` gives while enough is left. */
  readonly fullMemberMs: number;
}

/** A tenth of the time allowed, 500 ms at most, is kept for the way back. */
export function deadlineFor(timeoutMs: number, arrivedAtMs: number, nowMs: () => number): Deadline {
  const allowedMs = timeoutMs - Math.min(500, timeoutMs / 10);
  const endsAtMs = arrivedAtMs + allowedMs;
  const remainingMs = (): number => Math.max(0, endsAtMs - nowMs());
  const fullMemberMs = Math.min(MEMBER_LIMIT_MS, allowedMs / 3);
  return {
    remainingMs,
    memberMs: () => Math.min(fullMemberMs, remainingMs()),
    patienceMs: (rounds) => Math.max(0, remainingMs() - rounds * fullMemberMs),
    fullMemberMs,
  };
}
