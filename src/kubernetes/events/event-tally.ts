import type { Announcement } from '../../admission/announce.ts';
import type { ObjectReference } from '../../admission/guard-source.ts';

/** How much may be written and kept; times in milliseconds. */
export const EVENT_LIMITS = {
  /** Between two writes of one Event; twice as long after each, up to the longest. */
  gapMs: 5_000,
  longestGapMs: 60_000,
  /** New Events of one object: so many at once, then one in this time. client-go's figures. */
  newAtOnce: 25,
  newEveryMs: 300_000,
  /** Events that wait to be written; what comes beyond is dropped. */
  waiting: 256,
  /** Events that are written, and objects, that are remembered; the longest unused are forgotten. */
  remembered: 1_024,
  /** How often an Event is tried while nobody knows whether it was written. */
  attempts: 10,
};

/** As `EVENT_LIMITS`. */
export type EventLimits = Readonly<typeof EVENT_LIMITS>;

/** Everything that goes into one Event: the same object, reason and type. */
export interface Series {
  readonly on: ObjectReference;
  /** The last. */
  readonly announcement: Announcement;
  /** Milliseconds since the epoch. */
  readonly firstMs: number;
  readonly lastMs: number;
  readonly count: number;
}

/** What came of writing an Event. */
export type Written =
  | 'written'
  /** It is not there any more: a new one has to be made. */
  | 'gone'
  /** The API server does not want it: there is no sense in trying again unasked. */
  | 'refused'
  /** Nobody knows: try again. */
  | 'unclear';

/** An Event that is to be written now; say what came of it. */
export interface Due {
  readonly series: Series;
  /** The API server has this Event already. */
  readonly created: boolean;
  /** False: there is nothing more to tell, or it is given up until it happens again. */
  done(written: Written, nowMs: number): boolean;
}

/** `nowMs` of a clock that never goes back, `wallMs` since the epoch. */
export interface Instant {
  readonly nowMs: number;
  readonly wallMs: number;
}

interface Entry {
  readonly key: string;
  series: Series;
  created: boolean;
  /** How many of the count the API server knows of. */
  told: number;
  gapMs: number;
  /** Not to be written before. */
  dueMs: number;
  attempts: number;
}

/** Counts what is announced and says what to write when. Does no I/O; what it keeps is bounded. */
export class EventTally {
  readonly #limits: EventLimits;
  readonly #buckets: TokenBuckets;
  /** By key, as all three: what is not told yet and not being written, longest waiting first. */
  readonly #waiting = new Map<string, Entry>();
  readonly #writing = new Map<string, Entry>();
  /** Nothing to tell, or nobody wants to hear it; longest unused first. */
  readonly #quiet = new Map<string, Entry>();

  constructor(limits: EventLimits = EVENT_LIMITS) {
    this.#limits = limits;
    this.#buckets = new TokenBuckets(limits);
  }

  /** False: there is no room for it, and it is dropped. */
  note(on: ObjectReference, announcement: Announcement, at: Instant): boolean {
    const key = `${objectKey(on)}/${announcement.type}/${announcement.reason}`;
    const active = this.#waiting.get(key) ?? this.#writing.get(key);
    if (active !== undefined) {
      active.series = extended(active.series, announcement, at.wallMs);
      return true;
    }
    if (this.#waiting.size >= this.#limits.waiting) return false;
    const entry =
      this.#resumed(key, announcement, at) ?? this.#begun(key, { on, announcement }, at);
    if (entry === null) return false;
    this.#waiting.set(key, entry);
    return true;
  }

  /** One that is to be written now, or, `atOnce`, that waits at all; null: there is none. */
  take(nowMs: number, atOnce = false): Due | null {
    for (const entry of this.#waiting.values()) {
      if (!atOnce && entry.dueMs > nowMs) continue;
      this.#waiting.delete(entry.key);
      this.#writing.set(entry.key, entry);
      const { series, created } = entry;
      return {
        series,
        created,
        done: (written, endedMs) => this.#done(entry, series, { written, nowMs: endedMs }),
      };
    }
    return null;
  }

  /** When `take` will next have something; null: nothing waits. */
  get nextMs(): number | null {
    let next: number | null = null;
    for (const { dueMs } of this.#waiting.values()) next = Math.min(dueMs, next ?? dueMs);
    return next;
  }

  #begun(
    key: string,
    { on, announcement }: Pick<Series, 'on' | 'announcement'>,
    { nowMs, wallMs }: Instant,
  ): Entry | null {
    if (!this.#buckets.take(objectKey(on), nowMs)) return null;
    const series = { on, announcement, firstMs: wallMs, lastMs: wallMs, count: 1 };
    const { gapMs } = this.#limits;
    return { key, series, created: false, told: 0, gapMs, dueMs: nowMs, attempts: 0 };
  }

  #resumed(key: string, announcement: Announcement, { nowMs, wallMs }: Instant): Entry | null {
    const entry = this.#quiet.get(key);
    if (entry === undefined) return null;
    this.#quiet.delete(key);
    entry.series = extended(entry.series, announcement, wallMs);
    // After a long silence people want to hear of it as soon as they did the first time.
    if (nowMs - entry.dueMs >= this.#limits.longestGapMs) entry.gapMs = this.#limits.gapMs;
    return entry;
  }

  /** `sent` is what was written, or was to be: more may have come since. */
  #done(
    entry: Entry,
    sent: Series,
    { written, nowMs }: { readonly written: Written; readonly nowMs: number },
  ): boolean {
    this.#writing.delete(entry.key);
    entry.dueMs = nowMs + entry.gapMs;
    entry.gapMs = Math.min(entry.gapMs * 2, this.#limits.longestGapMs);
    entry.attempts = written === 'unclear' ? entry.attempts + 1 : 0;
    if (written === 'written') {
      entry.created = true;
      entry.told = sent.count;
    }
    const mayBegin = written !== 'gone' || this.#beginAnew(entry, sent, nowMs);
    const givesUp = written === 'refused' || entry.attempts >= this.#limits.attempts || !mayBegin;
    if (givesUp) entry.attempts = 0;
    const goesOn = entry.series.count > entry.told && !givesUp;
    if (goesOn) this.#waiting.set(entry.key, entry);
    else this.#rest(entry);
    return goesOn;
  }

  /** API servers forget Events after an hour or so: the new one counts what no other has told. */
  #beginAnew(entry: Entry, { on, lastMs }: Series, nowMs: number): boolean {
    const count = entry.series.count - entry.told;
    entry.series = { ...entry.series, firstMs: lastMs, count };
    entry.told = 0;
    entry.created = false;
    if (!this.#buckets.take(objectKey(on), nowMs)) return false;
    entry.dueMs = nowMs;
    return true;
  }

  #rest(entry: Entry): void {
    this.#quiet.set(entry.key, entry);
    forgetOldest(this.#quiet, this.#limits.remembered);
  }
}

function extended(series: Series, announcement: Announcement, wallMs: number): Series {
  return { ...series, announcement, lastMs: wallMs, count: series.count + 1 };
}

function objectKey({ kind, namespace, name, uid }: ObjectReference): string {
  return `${kind}/${namespace}/${name}/${uid ?? ''}`;
}

function forgetOldest(map: Map<string, unknown>, most: number): void {
  for (const key of map.keys()) {
    if (map.size <= most) return;
    map.delete(key);
  }
}

interface Bucket {
  tokens: number;
  filledMs: number;
}

/** How many new Events an object may still have. */
class TokenBuckets {
  readonly #limits: EventLimits;
  /** By object, longest unused first. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(limits: EventLimits) {
    this.#limits = limits;
  }

  take(object: string, nowMs: number): boolean {
    const { newAtOnce, newEveryMs, remembered } = this.#limits;
    const bucket = this.#buckets.get(object) ?? { tokens: newAtOnce, filledMs: nowMs };
    this.#buckets.delete(object);
    this.#buckets.set(object, bucket);
    forgetOldest(this.#buckets, remembered);
    const more = Math.floor((nowMs - bucket.filledMs) / newEveryMs);
    bucket.tokens = Math.min(newAtOnce, bucket.tokens + more);
    bucket.filledMs += more * newEveryMs;
    if (bucket.tokens === 0) return false;
    bucket.tokens -= 1;
    return true;
  }
}
