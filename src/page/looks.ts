import { withTimes, type Since } from '../guards/guard-status.ts';
import { keyOf, type GuardLook, type GuardName, type StatusSource } from './port.ts';

/** The last look at a guard; both null: it has gone. */
export interface Looked {
  readonly look: GuardLook | null;
  /** Why there is none, a sentence. */
  readonly failure: string | null;
  /** When it ended, milliseconds since the epoch. */
  readonly atMs: number;
}

/** What looking needs from outside. */
export interface LooksContext {
  readonly source: StatusSource;
  /** Wall clock, milliseconds since the epoch. */
  readonly nowMs: () => number;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicMs: () => number;
  /** Looks that may begin within any second, whoever asks for them. */
  readonly perSecond: number;
}

const AT_ONCE = 8;
const SECOND_MS = 1_000;
/** What nobody has asked for lately goes first. */
const REMEMBERED = 200;

interface Entry {
  last: Looked | null;
  /** Of the last look that was one. */
  conditions: readonly Since[];
  startedAt: number;
  running: Promise<void> | null;
}

/**
 * Looks at guards while somebody watches them: each at most once at a time for all who watch, and
 * all together no more often than is fair to etcd, however many pages are asked for.
 */
export class Looks {
  readonly #context: LooksContext;
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<(key: string) => void>();
  readonly #queue: (() => void)[] = [];
  /** Of the looks within the last second, oldest first. */
  readonly #starts: number[] = [];
  #running = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(context: LooksContext) {
    this.#context = context;
  }

  get(guard: GuardName): Looked | null {
    return this.#entries.get(keyOf(guard))?.last ?? null;
  }

  /** Resolves once each has been looked at that has no look younger than `maxAgeMs`; never rejects. */
  async freshen(guards: readonly GuardName[], maxAgeMs: number): Promise<void> {
    await Promise.all(guards.map((guard) => this.#fresh(guard, maxAgeMs)));
  }

  /** Hears the key of each guard after a look; returns what ends it. */
  onLooked(listener: (key: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Nobody is asked any more; what waits for its turn waits in vain. */
  stop(): void {
    this.#queue.length = 0;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  async #fresh(guard: GuardName, maxAgeMs: number): Promise<void> {
    const key = keyOf(guard);
    const entry = this.#touched(key);
    const { monotonicMs } = this.#context;
    const young = entry.last !== null && monotonicMs() - entry.startedAt < maxAgeMs;
    if (young && entry.running === null) return;
    entry.running ??= this.#look(guard, entry).finally(() => {
      entry.running = null;
      for (const listener of this.#listeners) listener(key);
    });
    await entry.running;
  }

  /** The map is in the order in which guards were last asked for. */
  #touched(key: string): Entry {
    const entry = this.#entries.get(key) ?? {
      last: null,
      conditions: [],
      startedAt: -Infinity,
      running: null,
    };
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (this.#entries.size > REMEMBERED) this.#forgetOldest(key);
    return entry;
  }

  /** One that waits for its turn is still wanted: forgotten, it would be put into the queue again. */
  #forgetOldest(wanted: string): void {
    for (const [key, { running }] of this.#entries) {
      if (running !== null || key === wanted) continue;
      this.#entries.delete(key);
      return;
    }
  }

  async #look(guard: GuardName, entry: Entry): Promise<void> {
    const { source, nowMs, monotonicMs } = this.#context;
    await this.#turn();
    entry.startedAt = monotonicMs();
    try {
      const look = timed(await source.look(guard), entry);
      entry.conditions = look?.status.conditions ?? [];
      entry.last = { look, failure: null, atMs: nowMs() };
    } catch (error) {
      const failure = error instanceof Error ? error.message : 'it could not be looked at';
      entry.last = { look: null, failure, atMs: nowMs() };
    } finally {
      this.#running -= 1;
      this.#next();
    }
  }

  #turn(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#queue.push(resolve);
    this.#next();
    return promise;
  }

  #next(): void {
    const { monotonicMs, perSecond } = this.#context;
    while (this.#queue.length > 0 && this.#running < AT_ONCE) {
      const now = monotonicMs();
      while (now - (this.#starts[0] ?? now) >= SECOND_MS) this.#starts.shift();
      const [oldest] = this.#starts;
      if (oldest !== undefined && this.#starts.length >= perSecond) {
        this.#nextIn(SECOND_MS - (now - oldest));
        return;
      }
      this.#starts.push(now);
      this.#running += 1;
      this.#queue.shift()?.();
    }
  }

  #nextIn(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#next();
    }, ms).unref();
  }
}

/** With the times of changes that only earlier looks have seen. */
function timed(look: GuardLook | null, { conditions }: Entry): GuardLook | null {
  return look === null ? null : { ...look, status: withTimes(look.status, conditions) };
}
