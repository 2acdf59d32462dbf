import type { Lock } from '../../locks/lock.ts';
import { systemClock, type Clock } from '../../sharing/clock.ts';
import { drained } from '../../sharing/drain.ts';
import { ApiError, type KubernetesApi, type KubernetesObject } from '../api/api.ts';
import { decodeLock, locksIn, type LockStatus } from './lock-resource.ts';

/** A change that a lock has refused. */
export interface Denial {
  readonly lock: Pick<Lock, 'namespace' | 'name' | 'uid'>;
  readonly user: string;
  /** Plural name and group. */
  readonly resource: string;
  /** Of the object. */
  readonly name: string;
}

/** What writing denials needs from outside. */
export interface DenialLedgerContext {
  readonly api: Pick<KubernetesApi, 'get' | 'replace'>;
  /** Wall clock, milliseconds since the epoch. */
  readonly nowMs: () => number;
  /** What could not be written is lost; the metrics and the log have it. */
  readonly onLost: (error: unknown, denials: number) => void;
  readonly clock?: Clock;
}

/** Of one lock, not written yet. */
interface Waiting {
  readonly lock: Denial['lock'];
  count: number;
  last: NonNullable<LockStatus['lastDenied']>;
  dueMs: number;
  attempts: number;
}

/** Between two writes to one lock by this replica. */
const SPACING_MS = 3_000;
const RETRY_MS = 300;
const ATTEMPTS = 8;
const WRITE_MS = 3_000;
/** Locks that wait; denials of more than these are lost to their status. */
const MOST_WAITING = 256;
const LONGEST_USER = 512;

/**
 * Adds denials to the status of their locks: by whichever replica refused, compare-and-swap, one write
 * for many. No answer waits for it.
 */
export class DenialLedger {
  readonly #context: DenialLedgerContext;
  readonly #clock: Clock;
  readonly #waiting = new Map<string, Waiting>();
  readonly #writing = new Map<string, Promise<void>>();
  /** When each lock may be written again; forgotten once that has passed. */
  readonly #quietUntilMs = new Map<string, number>();
  #cancel: () => void = () => undefined;
  #closing = false;

  constructor(context: DenialLedgerContext) {
    this.#context = context;
    this.#clock = context.clock ?? systemClock;
  }

  denied({ lock, user, resource, name }: Denial): void {
    const key = keyOf(lock);
    const time = new Date(this.#context.nowMs()).toISOString();
    const last = { time, user: user.slice(0, LONGEST_USER).toWellFormed(), resource, name };
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) {
      waiting.count += 1;
      waiting.last = last;
    } else if (this.#waiting.size < MOST_WAITING) {
      const dueMs = Math.max(this.#clock.now(), this.#quietUntilMs.get(key) ?? 0);
      this.#waiting.set(key, { lock, count: 1, last, dueMs, attempts: 0 });
    } else {
      this.#context.onLost(new Error('too many locks refuse at once'), 1);
    }
    // Never from here: the answer goes out first.
    this.#wake();
  }

  /** Writes what waits, for no longer than this; never rejects. */
  async close(withinMs: number): Promise<void> {
    this.#closing = true;
    this.#cancel();
    this.#writeDue();
    await drained(() => this.#writing.values(), withinMs, this.#clock);
  }

  #wake(): void {
    this.#cancel();
    if (this.#closing || this.#waiting.size === 0) return;
    const next = Math.min(...[...this.#waiting.values()].map(({ dueMs }) => dueMs));
    this.#cancel = this.#clock.afterIdle(Math.max(0, next - this.#clock.now()), () => {
      this.#writeDue();
    });
  }

  #writeDue(): void {
    const nowMs = this.#clock.now();
    for (const [key, untilMs] of this.#quietUntilMs) {
      if (untilMs <= nowMs) this.#quietUntilMs.delete(key);
    }
    for (const [key, waiting] of this.#waiting) {
      if (this.#writing.has(key) || (!this.#closing && waiting.dueMs > nowMs)) continue;
      this.#waiting.delete(key);
      this.#writing.set(key, this.#write(key, waiting));
    }
    this.#wake();
  }

  async #write(key: string, waiting: Waiting): Promise<void> {
    this.#quietUntilMs.set(key, this.#clock.now() + SPACING_MS);
    try {
      await this.#add(waiting);
    } catch (error) {
      this.#again(key, waiting, error);
    }
    this.#writing.delete(key);
    if (this.#closing) this.#writeDue();
    else this.#wake();
  }

  async #add({ lock, count, last }: Waiting): Promise<void> {
    const { api } = this.#context;
    const resource = locksIn(lock.namespace);
    const object = await api.get(resource, lock.name, WRITE_MS);
    // Gone, or another by its name.
    if (object === null || object.metadata.uid !== lock.uid) return;
    await api.replace(resource, withDenials(object, count, last), {
      subresource: 'status',
      withinMs: WRITE_MS,
    });
  }

  #again(key: string, failed: Waiting, error: unknown): void {
    if (error instanceof ApiError && error.code === 'not-found') return;
    const attempts = failed.attempts + 1;
    const hopeless = !(error instanceof ApiError) || error.code === 'forbidden';
    if (hopeless || attempts >= ATTEMPTS) {
      this.#context.onLost(error, failed.count);
      return;
    }
    const later = this.#waiting.get(key);
    const dueMs = this.#clock.now() + RETRY_MS * 2 ** attempts * (0.5 + Math.random());
    this.#waiting.set(key, {
      lock: failed.lock,
      count: failed.count + (later?.count ?? 0),
      last: later?.last ?? failed.last,
      dueMs,
      attempts,
    });
  }
}

function withDenials(
  object: KubernetesObject,
  count: number,
  last: NonNullable<LockStatus['lastDenied']>,
): KubernetesObject {
  const { status } = decodeLock(object);
  const { denials = 0, lastDenied } = status;
  const given = object['status'];
  return {
    ...object,
    status: {
      // What another version shows besides stays.
      ...(typeof given === 'object' && given !== null ? given : {}),
      denials: denials + count,
      lastDenied:
        lastDenied !== undefined && Date.parse(lastDenied.time) > Date.parse(last.time)
          ? lastDenied
          : last,
    },
  };
}

function keyOf({ namespace, name, uid }: Denial['lock']): string {
  return `${namespace}/${name}/${uid}`;
}
