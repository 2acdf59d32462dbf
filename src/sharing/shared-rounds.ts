import type { Clock } from './clock.ts';

/** A round in flight: requests to several members whose answers come in one by one. */
export interface Round<T> {
  /** Resolves when nothing more will come; never rejects. */
  readonly ended: Promise<unknown>;
  /** What has come so far, for somebody who allowed it that many milliseconds. */
  snapshot(withinMs: number): T;
  /** Nobody waits for it any more, and it has not ended. */
  giveUp(): void;
}

/** How rounds of one kind are begun. */
export interface RoundKind<T> {
  /** Begins a round whose requests may run until that moment of the clock. */
  begin(untilMs: number): Round<T>;
  /** What somebody gets whose allowance ended before a round could begin. */
  nothing(withinMs: number): T;
}

/** When a round may begin beside others that have not ended. */
export interface OverlapLimits {
  /** A round that has run for less than this is waited for. */
  readonly afterMs: number;
  /** At most this many rounds at once. */
  readonly rounds: number;
}

const DEFAULT_OVERLAP: OverlapLimits = { afterMs: 50, rounds: 16 };

/** Gives a function that runs others in the asynchronous context of this moment. */
export type KeepContext = () => <R>(run: () => R) => R;

interface Waiter<T> {
  /** null: nobody wants to know on whose behalf a round is made. */
  readonly inContext: ReturnType<KeepContext> | null;
  readonly withinMs: number;
  readonly deadlineMs: number;
  readonly resolve: (result: T) => void;
  cancelTimer: () => void;
  running: Running<T> | null;
}

interface Running<T> {
  readonly round: Round<T>;
  readonly waiters: Set<Waiter<T>>;
  /** When the next round may begin beside this one. */
  readonly overlapAtMs: number;
}

/**
 * Lets callers that wait at the same time share a round, and never gives a caller a round that
 * began before its call; each gets what has come when its own allowance ends.
 */
export class SharedRounds<T> {
  readonly #kind: RoundKind<T>;
  readonly #clock: Clock;
  readonly #limits: OverlapLimits;
  readonly #keepContext: KeepContext | null;
  readonly #running = new Set<Running<T>>();
  #waiting = new Set<Waiter<T>>();
  #newest: Running<T> | null = null;
  #cancelOverlap: (() => void) | null = null;

  constructor(
    kind: RoundKind<T>,
    clock: Clock,
    {
      limits = DEFAULT_OVERLAP,
      keepContext = null,
    }: { readonly limits?: OverlapLimits; readonly keepContext?: KeepContext | null } = {},
  ) {
    this.#kind = kind;
    this.#clock = clock;
    this.#limits = limits;
    this.#keepContext = keepContext;
  }

  /** Nobody waits and nothing runs. */
  get idle(): boolean {
    return this.#running.size === 0 && this.#waiting.size === 0;
  }

  /** Resolves at the latest after withinMs; never rejects. */
  join(withinMs: number): Promise<T> {
    return new Promise((resolve) => {
      const waiter: Waiter<T> = {
        inContext: this.#keepContext?.() ?? null,
        withinMs,
        deadlineMs: this.#clock.now() + withinMs,
        resolve,
        cancelTimer: this.#clock.after(withinMs, () => this.#expire(waiter)),
        running: null,
      };
      this.#waiting.add(waiter);
      this.#advance();
    });
  }

  #advance(): void {
    if (this.#waiting.size === 0) return;
    const newest = this.#newest;
    if (newest === null) {
      if (this.#running.size < this.#limits.rounds) this.#begin();
      return;
    }
    const waitMs = newest.overlapAtMs - this.#clock.now();
    if (waitMs <= 0) {
      if (this.#running.size < this.#limits.rounds) this.#begin();
      return;
    }
    this.#cancelOverlap ??= this.#clock.after(waitMs, () => {
      this.#cancelOverlap = null;
      this.#advance();
    });
  }

  /** Whoever shares a round is known when it begins, so its requests get the longest allowance. */
  #begin(): void {
    this.#cancelOverlap?.();
    this.#cancelOverlap = null;
    const waiters = this.#waiting;
    this.#waiting = new Set();
    const nowMs = this.#clock.now();
    let untilMs = nowMs;
    for (const waiter of waiters) untilMs = Math.max(untilMs, waiter.deadlineMs);
    // Rounds that hang live as long as they are allowed. Spacing them by a fraction of that keeps
    // them below the limit, so that nobody ever has to wait for one of them to end.
    const spacingMs = Math.max(this.#limits.afterMs, (untilMs - nowMs) / this.#limits.rounds);
    const [{ inContext = null } = {}] = waiters;
    const begin = (): Round<T> => this.#kind.begin(untilMs);
    const running: Running<T> = {
      // It may begin long after it was asked for, at the end of somebody else's.
      round: inContext === null ? begin() : inContext(begin),
      waiters,
      overlapAtMs: nowMs + spacingMs,
    };
    for (const waiter of waiters) waiter.running = running;
    this.#running.add(running);
    this.#newest = running;
    void running.round.ended.then(() => this.#end(running));
  }

  #end(running: Running<T>): void {
    if (!this.#remove(running)) return;
    const snapshots = new Map<number, T>();
    for (const { withinMs, cancelTimer, resolve } of running.waiters) {
      cancelTimer();
      const snapshot = snapshots.get(withinMs) ?? running.round.snapshot(withinMs);
      snapshots.set(withinMs, snapshot);
      resolve(snapshot);
    }
    this.#advance();
  }

  #expire(waiter: Waiter<T>): void {
    const { running } = waiter;
    if (running === null) {
      this.#waiting.delete(waiter);
      waiter.resolve(this.#kind.nothing(waiter.withinMs));
      return;
    }
    running.waiters.delete(waiter);
    waiter.resolve(running.round.snapshot(waiter.withinMs));
    if (running.waiters.size > 0) return;
    this.#remove(running);
    running.round.giveUp();
    this.#advance();
  }

  /** Whether it was running; nothing is left of it, since what members said is large. */
  #remove(running: Running<T>): boolean {
    if (this.#newest === running) this.#newest = null;
    return this.#running.delete(running);
  }
}
