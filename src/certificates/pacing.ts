/** Some writes at once, then ever fewer; after a long quiet as at first. */
export interface Pace {
  readonly burst: number;
  readonly firstMs: number;
  readonly longestMs: number;
}

/** Keeps us from writing without end against somebody who writes something else. */
export class Pacing {
  readonly #pace: Pace;
  #count = 0;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(pace: Pace) {
    this.#pace = pace;
  }

  /** How long the next write has to wait; 0: it may be made. Milliseconds of any one clock. */
  waitMs(nowMs: number): number {
    const { burst, firstMs, longestMs } = this.#pace;
    if (nowMs - this.#lastMs >= 3 * longestMs) this.#count = 0;
    if (this.#count < burst) return 0;
    const pauseMs = Math.min(longestMs, firstMs * 2 ** (this.#count - burst));
    return Math.max(0, this.#lastMs + pauseMs - nowMs);
  }

  written(nowMs: number): void {
    this.#count += 1;
    this.#lastMs = nowMs;
  }
}
