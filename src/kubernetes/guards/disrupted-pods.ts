import { randomInt } from 'node:crypto';
import { REASONS, type Reason, type Reservation } from '../../decision/situation.ts';
import type { Ledger, LedgerEntry } from './guard-resource.ts';

/** A pod as a live read showed it. */
export interface LedgerPod {
  readonly uid: string;
  readonly terminating: boolean;
}

/**
 * An API request may live 60 s and other webhooks take up to 30 s: whoever was allowed has gone or
 * been refused by then.
 */
const ENTRY_MS = 120_000;

/**
 * Entries that still count: not yet 120 s old, and of a pod that is there and not terminating; then
 * the pod itself counts as not healthy. Clocks of replicas differ: a time to come is now.
 */
export function livingEntries(ledger: Ledger, pods: readonly LedgerPod[], nowMs: number): Ledger {
  const waiting = new Set(pods.filter(({ terminating }) => !terminating).map(({ uid }) => uid));
  return Object.fromEntries(
    Object.entries(ledger).filter(
      ([uid, entry]) => waiting.has(uid) && ageMs(entry, nowMs) < ENTRY_MS,
    ),
  );
}

/** The entries as a decision sees them. */
export function reservationsOf(
  ledger: Ledger,
  targetUid: string,
  nowMs: number,
): readonly Reservation[] {
  return Object.entries(ledger).map(([uid, entry]) => ({
    pod: entry.pod,
    own: uid === targetUid,
    ageMs: ageMs(entry, nowMs),
    reason: knownReason(entry.reason),
    handOffTo: entry.handOffTo ?? null,
  }));
}

/** Whether these are one entry, as one write left it; `entryTime` makes no time twice. */
export function isSameEntry(a: LedgerEntry | undefined, b: LedgerEntry | undefined): boolean {
  return a?.time === b?.time && a?.by === b?.by && a?.handOffTo === b?.handOffTo;
}

/**
 * RFC 3339. What stands below the milliseconds is random: two entries of one user for one pod,
 * written in the same millisecond by two replicas, must not be taken for each other.
 */
export function entryTime(atMs: number): string {
  const digits = String(randomInt(1_000_000)).padStart(6, '0');
  return new Date(atMs).toISOString().replace('Z', `${digits}Z`);
}

/** The same entry, at the same time, which its writer no longer takes for its own. */
export function rewritten(entry: LedgerEntry): LedgerEntry {
  return { ...entry, time: entryTime(Date.parse(entry.time)) };
}

/** A time that can't be read must not end what it stands for: the pod goes, or somebody mends it. */
function ageMs({ time }: LedgerEntry, nowMs: number): number {
  const writtenMs = Date.parse(time);
  return Number.isNaN(writtenMs) ? 0 : Math.max(0, nowMs - writtenMs);
}

/** A reason that only another version knows is told as the plainest of ours. */
function knownReason(text: string): Reason {
  return REASONS.find((reason) => reason === text) ?? 'Spared';
}
