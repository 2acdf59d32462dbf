import { setTimeout as delay } from 'node:timers/promises';
import { onAbort } from '../../sharing/abort.ts';
import { ApiError, type KubernetesObject, type WatchEvents } from './api.ts';

/** All objects at one moment, and the version to follow them from. */
export interface Listed {
  readonly objects: readonly KubernetesObject[];
  readonly resourceVersion: string;
}

/** One event of a watch. An ERROR is no event: the iteration throws it. */
export type WatchedEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: KubernetesObject }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

/** What a watch reads from. Both reject with ApiErrors, and at once when the signal aborts. */
export interface WatchSource {
  readonly list: (signal: AbortSignal) => Promise<Listed>;
  /** Ends when the server ends it; throws Expired when it can't follow from that version. */
  readonly follow: (
    from: { readonly resourceVersion: string; readonly seconds: number },
    signal: AbortSignal,
  ) => AsyncIterable<WatchedEvent>;
}

/** The server can't or should not be followed from that version any more: list again. */
export class Expired extends Error {
  /** null: that is nothing to worry about, only time passed. */
  readonly failure: ApiError | null;

  constructor(failure: ApiError | null) {
    super(failure?.message ?? 'the version is too old');
    this.failure = failure;
  }
}

/** Each pair is a range to choose from at random, so that replicas don't act in step. */
export interface WatchTiming {
  /** Between attempts: the first, and the most after doubling; jittered below that. */
  readonly backoffMs: readonly [number, number];
  readonly relistMs: readonly [number, number];
  /** After which the server is to end a watch. */
  readonly watchSeconds: readonly [number, number];
  /** How much later a watch that still stands is taken for dead. */
  readonly overdueMs: number;
}

export const WATCH_TIMING: WatchTiming = {
  backoffMs: [250, 10_000],
  relistMs: [300_000, 600_000],
  watchSeconds: [240, 300],
  overdueMs: 15_000,
};

/**
 * Lists and follows until stopped. A loop of our own: client-node's informer ends at the first
 * error, never lists again, drops a watch after 30 s of quiet, opens a TLS connection for each and
 * turns timestamps into Dates.
 */
export function startWatch(
  source: WatchSource,
  events: WatchEvents,
  timing: WatchTiming = WATCH_TIMING,
): { stop(): void } {
  const watch = new Watch(source, events, timing);
  void watch.run();
  return { stop: () => watch.stop() };
}

class Watch {
  readonly #source: WatchSource;
  readonly #events: WatchEvents;
  readonly #timing: WatchTiming;
  readonly #stopping = new AbortController();
  readonly #versions = new Versions();
  /** Where to go on; null: list first. */
  #from: string | null = null;
  #relistAt = 0;
  /** Attempts since something last went well. */
  #attempts = 0;

  constructor(source: WatchSource, events: WatchEvents, timing: WatchTiming) {
    this.#source = source;
    this.#events = events;
    this.#timing = timing;
  }

  stop(): void {
    this.#stopping.abort();
  }

  /** Never rejects. */
  async run(): Promise<void> {
    while (!this.#stopped) {
      this.#attempts += 1;
      try {
        await this.#round();
      } catch (error) {
        this.#failed(error);
      }
      await this.#pause();
    }
  }

  get #stopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  async #round(): Promise<void> {
    // The former watch has ended before the list begins, so the list is never older than an event.
    if (this.#from === null || performance.now() >= this.#relistAt) await this.#list();
    const began = performance.now();
    try {
      if (this.#from !== null) await this.#follow(this.#from);
    } finally {
      const [, longest] = this.#timing.backoffMs;
      if (performance.now() - began >= longest) this.#attempts = 0;
    }
  }

  async #list(): Promise<void> {
    try {
      const { objects, resourceVersion } = await this.#source.list(this.#stopping.signal);
      if (this.#stopped) return;
      this.#from = resourceVersion;
      this.#relistAt = performance.now() + within(this.#timing.relistMs);
      this.#versions.reset(objects);
      this.#tell(() => this.#events.onListed(objects));
    } catch (error) {
      // If it can't be listed it may still be followed; the list is tried again a little later.
      this.#relistAt = performance.now() + 3 * this.#timing.backoffMs[1];
      throw error;
    }
  }

  async #follow(resourceVersion: string): Promise<void> {
    const untilRelist = (this.#relistAt - performance.now()) / 1_000;
    const seconds = Math.max(
      1,
      Math.ceil(Math.min(within(this.#timing.watchSeconds), untilRelist)),
    );
    const ending = new AbortController();
    const { signal } = ending;
    const forget = onAbort([this.#stopping.signal], (reason) => ending.abort(reason));
    const limitMs = seconds * 1_000 + this.#timing.overdueMs;
    const timer = setTimeout(() => {
      const message = `the API server neither went on with a watch nor ended it within ${Math.ceil(limitMs / 1_000)} s`;
      ending.abort(new ApiError('timeout', message));
    }, limitMs);
    try {
      for await (const event of this.#source.follow({ resourceVersion, seconds }, signal)) {
        if (this.#stopped) return;
        this.#take(event);
      }
    } finally {
      clearTimeout(timer);
      forget();
    }
  }

  #take(event: WatchedEvent): void {
    const bookmark = event.type === 'BOOKMARK';
    const version = bookmark ? event.resourceVersion : event.object.metadata.resourceVersion;
    // Never back: a bookmark may come from a cache that lags.
    if (this.#from === null || !isOlder(version, this.#from)) this.#from = version;
    if (bookmark) return;
    const { type, object } = event;
    if (!this.#versions.admits(type, object)) return;
    this.#tell(() =>
      type === 'DELETED' ? this.#events.onGone(object) : this.#events.onChanged(object),
    );
  }

  #failed(error: unknown): void {
    if (this.#stopped) return;
    if (error instanceof Expired) {
      this.#from = null;
      if (error.failure === null) return;
    }
    const cause = error instanceof Expired ? error.failure : error;
    const failure =
      cause instanceof ApiError
        ? cause
        : new ApiError('unreachable', 'a watch of the API server broke', cause);
    this.#tellFailure(failure);
  }

  /** A listener that throws must not end the watch. */
  #tell(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      const failure = new ApiError('refused', 'an event of a watch could not be used', error);
      this.#tellFailure(failure);
    }
  }

  #tellFailure(failure: ApiError): void {
    try {
      this.#events.onFailed(failure);
    } catch {
      // There is nobody left to tell.
    }
  }

  async #pause(): Promise<void> {
    if (this.#attempts === 0) return;
    const [first, longest] = this.#timing.backoffMs;
    const ms = Math.min(longest, first * 2 ** Math.min(this.#attempts - 1, 20));
    const { signal } = this.#stopping;
    await delay(within([ms / 2, ms]), undefined, { signal }).catch(() => undefined);
  }
}

function within([least, most]: readonly [number, number]): number {
  return least + Math.random() * (most - least);
}

/** Decimal numbers of any length; what is none is never older. */
function isOlder(version: string, than: string): boolean {
  if (!/^\d+$/.test(version) || !/^\d+$/.test(than)) return false;
  return BigInt(version) < BigInt(than);
}

/** The last version of each object, deleted ones too: an event that is older tells nothing new. */
class Versions {
  readonly #last = new Map<string, string>();

  /** After a list nothing older can come: it was made after the last event. */
  reset(objects: readonly KubernetesObject[]): void {
    this.#last.clear();
    for (const { metadata } of objects) this.#last.set(metadata.uid, metadata.resourceVersion);
  }

  /** An object that leaves a selector is "deleted" and may come back, but only as a newer version. */
  admits(type: 'ADDED' | 'MODIFIED' | 'DELETED', { metadata }: KubernetesObject): boolean {
    const { uid, resourceVersion } = metadata;
    const last = this.#last.get(uid);
    const stale =
      last !== undefined && (last === resourceVersion || isOlder(resourceVersion, last));
    if (!stale) this.#last.set(uid, resourceVersion);
    return !stale || type === 'DELETED';
  }
}
