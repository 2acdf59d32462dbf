import type { Held, NewReservation } from '../admission/guard-source.ts';
import { ApiError, type KubernetesApi, type KubernetesObject } from './api.ts';
import { isSameEntry, livingEntries, type LedgerPod } from './disrupted-pods.ts';
import {
  decodeGuard,
  guardsIn,
  type EtcdGuard,
  type Ledger,
  type LedgerEntry,
} from './guard-resource.ts';

/** How often a lost race to take an entry back is run again. */
const RELEASE_ATTEMPTS = 5;

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

/** Reservations in `status.disruptedPods`, by compare-and-swap on the guard's resourceVersion. */
export class ResourceLedger {
  readonly #api: KubernetesApi;
  readonly #nowMs: () => number;
  readonly #withinMs: number;

  constructor(api: KubernetesApi, nowMs: () => number, withinMs: number) {
    this.#api = api;
    this.#nowMs = nowMs;
    this.#withinMs = withinMs;
  }

  /** Rejects with an ApiError; a guard that is gone meanwhile is a conflict too: read anew. */
  async reserve(
    reading: LedgerReading,
    target: LedgerTarget,
    { reason, by, handOffTo }: NewReservation,
  ): Promise<Held | 'conflict'> {
    const nowMs = this.#nowMs();
    const entry: LedgerEntry = {
      pod: target.name,
      time: new Date(nowMs).toISOString(),
      by,
      reason,
      ...(handOffTo !== null && { handOffTo }),
    };
    const replaced = reading.guard.ledger[target.uid];
    const living = livingEntries(reading.guard.ledger, reading.pods, nowMs);
    if ((await this.#swap(reading.object, { ...living, [target.uid]: entry })) === 'conflict') {
      return 'conflict';
    }
    return { release: () => this.#release(reading.guard, target.uid, { entry, replaced }) };
  }

  /**
   * The entry still stands as it was read. One that another hearing may take back, because its
   * hand-off is under way, is written anew, so that its writer no longer finds it.
   */
  async keep({ guard }: LedgerReading, uid: string): Promise<'kept' | 'conflict'> {
    const object = await this.#get(guard);
    const now = object === null ? null : decodeGuard(object).guard;
    const entry = now?.ledger[uid];
    if (object === null || !now || entry === undefined || !isSameEntry(entry, guard.ledger[uid])) {
      return 'conflict';
    }
    if (entry.handOffTo === undefined) return 'kept';
    const { handOffTo: _done, ...relied } = entry;
    return this.#swap(object, { ...now.ledger, [uid]: relied });
  }

  async #release(
    guard: EtcdGuard,
    uid: string,
    {
      entry,
      replaced,
    }: { readonly entry: LedgerEntry; readonly replaced: LedgerEntry | undefined },
  ): Promise<void> {
    for (let attempt = 1; attempt <= RELEASE_ATTEMPTS; attempt += 1) {
      try {
        const object = await this.#get(guard);
        const ledger = object === null ? null : decodeGuard(object).guard?.ledger;
        if (object === null || !ledger || !isSameEntry(ledger[uid], entry)) return;
        const { [uid]: _own, ...others } = ledger;
        const next = replaced === undefined ? others : { ...others, [uid]: replaced };
        if ((await this.#swap(object, next)) === 'kept') return;
      } catch {
        // It ends by itself after two minutes; nothing waits for it that can't wait so long.
        return;
      }
    }
  }

  #get({ namespace, name }: EtcdGuard): Promise<KubernetesObject | null> {
    return this.#api.get(guardsIn(namespace), name, this.#withinMs);
  }

  /** Replaces the whole status, which only the resourceVersion that it was read with allows. */
  async #swap(object: KubernetesObject, ledger: Ledger): Promise<'kept' | 'conflict'> {
    const { status } = object;
    const others = typeof status === 'object' && status !== null ? status : {};
    const next = { ...object, status: { ...others, disruptedPods: ledger } };
    const resource = guardsIn(object.metadata.namespace ?? null);
    try {
      await this.#api.replace(resource, next, {
        subresource: 'status',
        withinMs: this.#withinMs,
      });
      return 'kept';
    } catch (error) {
      const lost = error instanceof ApiError && ['conflict', 'not-found'].includes(error.code);
      if (lost) return 'conflict';
      throw error;
    }
  }
}
