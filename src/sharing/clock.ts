/** Time as the etcd side sees it, so that tests need not wait. */
export interface Clock {
  /** Monotonic milliseconds; only differences mean anything. */
  now(): number;
  /** Runs once after that many milliseconds; returns what cancels it. */
  after(ms: number, run: () => void): () => void;
  /** Like `after`, but does not keep the process alive. */
  afterIdle(ms: number, run: () => void): () => void;
}

/** The process' own monotonic clock and timers. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  afterIdle(ms, run) {
    const timer = setTimeout(run, ms).unref();
    return () => clearTimeout(timer);
  },
};
