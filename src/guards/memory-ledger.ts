import type { NewReservation } from '../admission/guard-source.ts';
import type { Reason, Reservation } from '../decision/situation.ts';
import type { MemberId } from '../decision/member-id.ts';

/** How long an entry lives beyond the pod's grace period: the API server's own limits, with room. */
const RESERVATION_MS = 120_000;

/** The grace period of an eviction that names none, as Kubernetes defaults it. */
export const DEFAULT_GRACE_SECONDS = 30;

interface Entry {
  readonly pod: string;
  readonly reason: Reason;
  readonly handOffTo: MemberId | null;
  readonly madeAtMs: number;
  readonly endsAtMs: number;
  readonly madeAt: number;
  /** Its member was seen silent since: once it is a healthy voter again, the deletion is over. */
  silentAt: number | null;
  /** Another request was allowed under it last, so it can't be taken back. */
  reliedOnAt: number | null;
}

/** A ledger as it was read; `reservations` are those that live. */
export interface LedgerSnapshot {
  readonly version: number;
  /** Orders reads and writes: greater than that of all that was written before. */
  readonly readAt: number;
  readonly reservations: readonly Reservation[];
}

/**
 * The reservations of one guard within this process, by pod name. Every write changes the version,
 * and a write counts only against the version it was decided on.
 */
export class MemoryLedger {
  readonly #entries = new Map<string, Entry>();
  readonly #nowMs: () => number;
  #version = 0;
  #moment = 0;

  /** The clock gives milliseconds and never goes back. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** How many entries live. */
  get size(): number {
    this.#expire();
    return this.#entries.size;
  }

  read(target: string): LedgerSnapshot {
    this.#expire();
    const now = this.#nowMs();
    const reservations = [...this.#entries.values()].map((entry) => ({
      pod: entry.pod,
      own: entry.pod === target,
      ageMs: now - entry.madeAtMs,
      reason: entry.reason,
      handOffTo: entry.handOffTo,
    }));
    return { version: this.#version, readAt: this.#next(), reservations };
  }

  /**
   * Answers with a function that takes the entry back, or `conflict` if the ledger has changed. An
   * entry that was replaced stands again then: somebody may have been allowed under it.
   */
  reserve(pod: string, version: number, entry: NewReservation): (() => void) | 'conflict' {
    if (version !== this.#version) return 'conflict';
    const before = this.#entries.get(pod);
    const made = this.#entryFor(pod, entry);
    this.#entries.set(pod, made);
    this.#version += 1;
    return () => {
      if (made.reliedOnAt !== null || this.#entries.get(pod) !== made) return;
      if (before === undefined) this.#entries.delete(pod);
      else this.#entries.set(pod, before);
      this.#version += 1;
    };
  }

  /** Makes the pod's entry as it was read then one that can't be taken back; false if it is gone. */
  keep(pod: string, readAt: number): boolean {
    const entry = this.#entries.get(pod);
    if (entry === undefined || entry.madeAt > readAt) return false;
    entry.reliedOnAt = this.#next();
    entry.silentAt = null;
    return true;
  }

  /**
   * Ends the entries whose members have been silent and are healthy voters again; true if it ended
   * any. What was asked before an entry last let its pod go, or before its member was seen silent,
   * says nothing about it: `readAt` is of the read that preceded the round.
   */
  observe(readAt: number, stateOf: (pod: string) => 'silent' | 'healthy' | 'other'): boolean {
    const version = this.#version;
    for (const entry of this.#entries.values()) {
      if (readAt < (entry.silentAt ?? entry.reliedOnAt ?? entry.madeAt)) continue;
      const state = stateOf(entry.pod);
      if (state === 'silent') entry.silentAt ??= this.#next();
      if (state !== 'healthy' || entry.silentAt === null) continue;
      this.#entries.delete(entry.pod);
      this.#version += 1;
    }
    return this.#version !== version;
  }

  #entryFor(pod: string, { reason, handOffTo, gracePeriodSeconds }: NewReservation): Entry {
    const madeAtMs = this.#nowMs();
    // The API server takes a negative grace period for one second.
    const graceMs = Math.max(0, gracePeriodSeconds ?? DEFAULT_GRACE_SECONDS) * 1000;
    return {
      pod,
      reason,
      handOffTo,
      madeAtMs,
      endsAtMs: madeAtMs + RESERVATION_MS + graceMs,
      madeAt: this.#next(),
      silentAt: null,
      reliedOnAt: null,
    };
  }

  #next(): number {
    this.#moment += 1;
    return this.#moment;
  }

  #expire(): void {
    const now = this.#nowMs();
    for (const entry of this.#entries.values()) {
      if (entry.endsAtMs > now) continue;
      this.#entries.delete(entry.pod);
      this.#version += 1;
    }
  }
}
