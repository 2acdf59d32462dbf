/** When a key is worked on again. */
export interface RefreshTiming {
  /** After a change, for what comes right after it. */
  readonly settleMs: number;
  /** Between the beginnings of two runs for one key, whatever happens. */
  readonly spacingMs: number;
  /** Runs at once, over all keys. */
  readonly concurrency: number;
}

interface Entry {
  readonly key: string;
  timer: NodeJS.Timeout | undefined;
  dueAt: number;
  startedAt: number;
  state: 'waiting' | 'queued' | 'running';
  /** Asked for while it ran: when to run again. */
  again: number;
}

/**
 * Runs work for many keys: never twice at once for one, few at once over all, and again as soon as
 * each run says. First come, first served, so that a few busy keys don't starve the others.
 */
export class RefreshQueue {
  readonly #work: (key: string) => Promise<number>;
  readonly #timing: RefreshTiming;
  readonly #entries = new Map<string, Entry>();
  #queue: Entry[] = [];
  #running = 0;

  /** `work` never rejects, and resolves with the milliseconds until its key is due again. */
  constructor(work: (key: string) => Promise<number>, timing: RefreshTiming) {
    this.#work = work;
    this.#timing = timing;
  }

  /** Something of this key has changed. */
  changed(key: string): void {
    const entry = this.#entries.get(key) ?? this.#added(key);
    const now = performance.now();
    this.#schedule(
      entry,
      Math.max(now + this.#timing.settleMs, entry.startedAt + this.#timing.spacingMs),
    );
  }

  /** What runs for it now comes to its end. */
  forget(key: string): void {
    clearTimeout(this.#entries.get(key)?.timer);
    this.#entries.delete(key);
    this.#queue = this.#queue.filter((entry) => entry.key !== key);
  }

  clear(): void {
    for (const { timer } of this.#entries.values()) clearTimeout(timer);
    this.#entries.clear();
    this.#queue = [];
  }

  #added(key: string): Entry {
    const entry: Entry = {
      key,
      timer: undefined,
      dueAt: Infinity,
      startedAt: -Infinity,
      state: 'waiting',
      again: Infinity,
    };
    this.#entries.set(key, entry);
    return entry;
  }

  /** Never later than it is due already. */
  #schedule(entry: Entry, at: number): void {
    if (entry.state === 'running') entry.again = Math.min(entry.again, at);
    if (entry.state !== 'waiting' || at >= entry.dueAt) return;
    clearTimeout(entry.timer);
    entry.dueAt = at;
    entry.timer = setTimeout(() => this.#enqueue(entry), Math.max(0, at - performance.now()));
    entry.timer.unref();
  }

  #enqueue(entry: Entry): void {
    entry.state = 'queued';
    this.#queue.push(entry);
    this.#runNext();
  }

  #runNext(): void {
    while (this.#running < this.#timing.concurrency) {
      const entry = this.#queue.shift();
      if (entry === undefined) return;
      void this.#run(entry);
    }
  }

  async #run(entry: Entry): Promise<void> {
    this.#running += 1;
    entry.state = 'running';
    entry.dueAt = Infinity;
    entry.again = Infinity;
    entry.startedAt = performance.now();
    const nextMs = await this.#work(entry.key);
    this.#running -= 1;
    if (this.#entries.get(entry.key) === entry) {
      entry.state = 'waiting';
      this.#schedule(entry, Math.min(entry.again, performance.now() + nextMs));
    }
    this.#runNext();
  }
}
