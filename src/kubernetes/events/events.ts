import type { Announcement } from '../../admission/announce.ts';
import { systemClock, type Clock } from '../../sharing/clock.ts';
import { drained } from '../../sharing/drain.ts';
import { ApiError, type KubernetesApi } from '../api/api.ts';
import { eventName, eventObject, eventPatch, eventsIn } from './event-object.ts';
import {
  EVENT_LIMITS,
  EventTally,
  type Due,
  type EventLimits,
  type Written,
} from './event-tally.ts';

/** What writing Events needs from outside. */
export interface EventsContext {
  readonly api: KubernetesApi;
  /** This replica, as no other is called at the same time. */
  readonly instance: string;
  /** Wall clock, milliseconds since the epoch. */
  readonly nowMs: () => number;
  readonly observer: EventsObserver;
  readonly clock?: Clock;
  readonly limits?: EventLimits;
}

/** Hears of Events that do not come about. */
export interface EventsObserver {
  /** Once for each stretch of failures, once a minute at most. */
  onFailing(error: unknown): void;
  /** The first success after that. */
  onWrittenAgain(): void;
  /** Of any; `dropped` so far, in all. */
  onDropped(announcement: Announcement, dropped: number): void;
}

const WRITE_MS = 5_000;
const AT_ONCE = 2;
const SPEAK_EVERY_MS = 60_000;

/**
 * Keeps Events on the objects that announcements are about. Whoever announces waits for nothing, and
 * hears of no failure; the same thing again changes the Event that is there, once in a while.
 */
export class Events {
  readonly #context: EventsContext;
  readonly #clock: Clock;
  readonly #tally: EventTally;
  readonly #writing = new Set<Promise<void>>();
  #cancelTimer: () => void = () => undefined;
  #timerMs = Infinity;
  #closing = false;
  #dropped = 0;
  #failing = false;
  #spokeMs = -Infinity;

  constructor(context: EventsContext) {
    this.#context = context;
    this.#clock = context.clock ?? systemClock;
    this.#tally = new EventTally(context.limits ?? EVENT_LIMITS);
  }

  announce(announcement: Announcement): void {
    const at = { nowMs: this.#clock.now(), wallMs: this.#context.nowMs() };
    for (const on of announcement.about) {
      if (this.#closing || !this.#tally.note(on, announcement, at)) this.#drop(announcement);
    }
    // Never from here: the answer to the review goes out first.
    this.#wakeBy(this.#tally.nextMs);
  }

  /** Writes what waits, all of it at once, but no longer than this; then no more. Never rejects. */
  async close(withinMs: number): Promise<void> {
    this.#closing = true;
    this.#cancelTimer();
    this.#writeDue();
    await drained(() => this.#writing, withinMs, this.#clock);
  }

  #wakeBy(dueMs: number | null): void {
    if (dueMs === null || this.#closing || dueMs >= this.#timerMs) return;
    this.#cancelTimer();
    this.#timerMs = dueMs;
    this.#cancelTimer = this.#clock.afterIdle(Math.max(0, dueMs - this.#clock.now()), () => {
      this.#timerMs = Infinity;
      this.#writeDue();
    });
  }

  #writeDue(): void {
    while (this.#writing.size < AT_ONCE) {
      const due = this.#tally.take(this.#clock.now(), this.#closing);
      if (due === null) break;
      const writing = this.#write(due).finally(() => {
        this.#writing.delete(writing);
        this.#writeDue();
      });
      this.#writing.add(writing);
    }
    // With both hands full, the end of a write looks for the next.
    if (this.#writing.size < AT_ONCE) this.#wakeBy(this.#tally.nextMs);
  }

  async #write(due: Due): Promise<void> {
    try {
      const written = await this.#send(due);
      due.done(written, this.#clock.now());
      this.#succeeded();
    } catch (error) {
      const unclear = error instanceof ApiError && ['unreachable', 'timeout'].includes(error.code);
      // Once we are to end, there is no time for another try.
      const written = unclear && !this.#closing ? 'unclear' : 'refused';
      if (!due.done(written, this.#clock.now())) this.#drop(due.series.announcement);
      this.#failed(error);
    }
  }

  async #send({ series, created }: Due): Promise<Written> {
    const { api, instance } = this.#context;
    const events = eventsIn(series.on.namespace);
    if (!created) {
      try {
        await api.create(events, eventObject(series, instance), WRITE_MS);
        return 'written';
      } catch (error) {
        // Its own answer was lost, the last time.
        if (!(error instanceof ApiError && error.code === 'exists')) throw error;
      }
    }
    try {
      await api.patch(events, eventName(series, instance), eventPatch(series), WRITE_MS);
      return 'written';
    } catch (error) {
      if (error instanceof ApiError && error.code === 'not-found') return 'gone';
      throw error;
    }
  }

  #drop(announcement: Announcement): void {
    this.#dropped += 1;
    this.#context.observer.onDropped(announcement, this.#dropped);
  }

  #failed(error: unknown): void {
    const nowMs = this.#clock.now();
    if (this.#failing || nowMs - this.#spokeMs < SPEAK_EVERY_MS) return;
    this.#failing = true;
    this.#spokeMs = nowMs;
    this.#context.observer.onFailing(error);
  }

  #succeeded(): void {
    if (!this.#failing) return;
    this.#failing = false;
    this.#context.observer.onWrittenAgain();
  }
}
