import type { Held, NewReservation } from '../../admission/guard-source.ts';
import { ApiError, type KubernetesApi, type KubernetesObject } from '../api/api.ts';
import {
  entryTime,
  isSameEntry,
  livingEntries,
  rewritten,
  type LedgerPod,
} from './disrupted-pods.ts';
import {
  decodeGuard,
  guardsIn,
  type EtcdGuard,
  type Ledger,
  type LedgerEntry,
} from './guard-resource.ts';

/** How often taking an entry back is tried; among many replicas and reviews most tries may lose. */
const RELEASE_ATTEMPTS = 20;
/** Between tries that did not reach the API server, times the number of the try. */
const RELEASE_PAUSE_MS = 50;
/** Longer user names are cut: every entry is part of one object. */
const LONGEST_NAME = 256;

/** What a ledger was read from: the object as it came, decoded, and the pods read after it. */
export interface LedgerReading {
  readonly object: KubernetesObject;
  readonly guard: EtcdGuard;
  readonly pods: readonly LedgerPod[];
}

/** The pod whose entry is written. */
export interface LedgerTarget {
  readonly uid: string;
  readonly name: string;
}

interface Written {
  readonly entry: LedgerEntry;
  readonly replaced: LedgerEntry | undefined;
}

/** Reservations in `status.disruptedPods`, by compare-and-swap on the guard's resourceVersion. */
export class ResourceLedger {
  readonly #api: KubernetesApi;
  readonly #nowMs: () => number;
  readonly #withinMs: number;
  /** Under way, by the guard's uid and the version that they rest on. */
  readonly #swaps = new Map<string, Promise<'superseded' | 'unclear'>>();

  constructor(api: KubernetesApi, nowMs: () => number, withinMs: number) {
    this.#api = api;
    this.#nowMs = nowMs;
    this.#withinMs = withinMs;
  }

  /** Rejects with an ApiError; a guard that is gone meanwhile is a conflict too: read anew. */
  async reserve(
    { object, guard, pods }: LedgerReading,
    target: LedgerTarget,
    { reason, by, handOffTo }: NewReservation,
  ): Promise<Held | 'conflict'> {
    const nowMs = this.#nowMs();
    const entry: LedgerEntry = {
      pod: target.name,
      time: entryTime(nowMs),
      by: by.slice(0, LONGEST_NAME),
      reason,
      ...(handOffTo !== null && { handOffTo }),
    };
    const living = livingEntries(guard.ledger, pods, nowMs);
    const release = () => this.#release(guard, target.uid, { entry, replaced: living[target.uid] });
    try {
      const swapped = await this.#swap(object, { ...living, [target.uid]: entry });
      return swapped === 'conflict' ? swapped : { release };
    } catch (error) {
      // It may stand all the same, and would keep its candidate for a hand-off that nobody makes.
      // Any other entry may have been relied on at once; it ends by itself.
      if (handOffTo !== null && isUnclear(error)) void release();
      throw error;
    }
  }

  /**
   * The entry still stands as it was read. One of a hand-off, which its writer takes back if the move
   * fails, is written anew, so that its writer no longer finds it.
   */
  async keep({ guard }: LedgerReading, uid: string): Promise<'kept' | 'conflict'> {
    const object = await this.#get(guard);
    const now = object === null ? undefined : decodeGuard(object).guard?.ledger;
    const entry = now?.[uid];
    if (object === null || entry === undefined || !isSameEntry(entry, guard.ledger[uid])) {
      return 'conflict';
    }
    if (entry.handOffTo === undefined) return 'kept';
    return this.#swap(object, { ...now, [uid]: rewritten(entry) });
  }

  /** What can't be taken back ends by itself after two minutes. */
  async #release(guard: EtcdGuard, uid: string, written: Written): Promise<void> {
    for (let attempt = 1; attempt <= RELEASE_ATTEMPTS; attempt += 1) {
      try {
        if ((await this.#takeBack(guard, uid, written)) === 'kept') return;
      } catch (error) {
        if (!isUnclear(error)) return;
        await passing(attempt * RELEASE_PAUSE_MS);
      }
    }
  }

  async #takeBack(
    guard: EtcdGuard,
    uid: string,
    { entry, replaced }: Written,
  ): Promise<'kept' | 'conflict'> {
    const object = await this.#get(guard);
    const ledger = object === null ? undefined : decodeGuard(object).guard?.ledger;
    if (object === null || !ledger || !isSameEntry(ledger[uid], entry)) return 'kept';
    const { [uid]: _own, ...others } = ledger;
    return this.#swap(object, replaced === undefined ? others : { ...others, [uid]: replaced });
  }

  #get({ namespace, name }: EtcdGuard): Promise<KubernetesObject | null> {
    return this.#api.get(guardsIn(namespace), name, this.#withinMs);
  }

  /** Of those that rest on one version only the first can win: the others needn't ask to be told so. */
  async #swap(object: KubernetesObject, ledger: Ledger): Promise<'kept' | 'conflict'> {
    const { uid, resourceVersion } = object.metadata;
    const base = `${uid} ${resourceVersion}`;
    const endsAt = performance.now() + this.#withinMs;
    for (let other = this.#swaps.get(base); other !== undefined; other = this.#swaps.get(base)) {
      // Several that end unclear, one after the other, may outlast the review that waits.
      const outcome = await Promise.race([other, passing(endsAt - performance.now())]);
      if (outcome === 'superseded') return 'conflict';
      if (performance.now() >= endsAt) throw outwaited(object);
    }
    const swapping = this.#put(object, ledger);
    const superseded = swapping.then(
      () => 'superseded' as const,
      () => 'unclear' as const,
    );
    this.#swaps.set(base, superseded);
    try {
      return await swapping;
    } finally {
      if (this.#swaps.get(base) === superseded) this.#swaps.delete(base);
    }
  }

  /** Replaces the whole status, which only the resourceVersion that it was read with allows. */
  async #put(object: KubernetesObject, ledger: Ledger): Promise<'kept' | 'conflict'> {
    const { status } = object;
    const others = typeof status === 'object' && status !== null ? status : {};
    const next = { ...object, status: { ...others, disruptedPods: ledger } };
    const resource = guardsIn(object.metadata.namespace ?? null);
    try {
      await this.#api.replace(resource, next, { subresource: 'status', withinMs: this.#withinMs });
      return 'kept';
    } catch (error) {
      const lost = error instanceof ApiError && ['conflict', 'not-found'].includes(error.code);
      if (lost) return 'conflict';
      throw error;
    }
  }
}

function outwaited({ metadata: { namespace = '', name } }: KubernetesObject): ApiError {
  const what = `other writes to EtcdGuard ${namespace}/${name}`;
  return new ApiError('timeout', `the API server did not answer ${what} in time`);
}

/** The request may have been carried out. */
function isUnclear(error: unknown): boolean {
  return error instanceof ApiError && (error.code === 'timeout' || error.code === 'unreachable');
}

function passing(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms).unref());
}
