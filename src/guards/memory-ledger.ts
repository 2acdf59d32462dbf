import type { NewReservation } from '../admission/guard-source.ts';
import type { Reason, Reservation } from '../decision/situation.ts';
import type { MemberId } from '../decision/member-id.ts';

/** How long an entry lives beyond the pod's grace period: the API server's own limits, with room. */
export const RESERVATION_MS = 120_000;

/** The grace period of an eviction that names none, as Kubernetes defaults it. */
export const DEFAULT_GRACE_SECONDS = 30;

interface Entry {
  readonly pod: string;
  readonly reason: Reason;
  readonly handOffTo: MemberId | null;
  readonly madeAtMs: number;
  readonly endsAtMs: number;
  /** Its member was seen silent since: once it is a healthy voter again, the deletion is over. */
  wentSilent: boolean;
}

/** A ledger as it was read; `reservations` are those that live. */
export interface LedgerSnapshot {
  readonly version: number;
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
    return { version: this.#version, reservations };
  }

  /** Answers with a function that takes the entry back, or `conflict` if the ledger has changed. */
  reserve(pod: string, version: number, entry: NewReservation): (() => void) | 'conflict' {
    if (version !== this.#version) return 'conflict';
    const now = this.#nowMs();
    const grace = (entry.gracePeriodSeconds ?? DEFAULT_GRACE_SECONDS) * 1000;
    const made: Entry = {
      pod,
      reason: entry.reason,
      handOffTo: entry.handOffTo,
      madeAtMs: now,
      endsAtMs: now + RESERVATION_MS + grace,
      wentSilent: false,
    };
    this.#entries.set(pod, made);
    this.#version += 1;
    return () => {
      if (this.#entries.get(pod) !== made) return;
      this.#entries.delete(pod);
      this.#version += 1;
    };
  }

  /** Ends the entries whose members have been silent and are healthy voters again. */
  observe(stateOf: (pod: string) => 'silent' | 'healthy' | 'other'): void {
    for (const entry of this.#entries.values()) {
      const state = stateOf(entry.pod);
      if (state === 'silent') entry.wentSilent = true;
      if (state === 'healthy' && entry.wentSilent) {
        this.#entries.delete(entry.pod);
        this.#version += 1;
      }
    }
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
