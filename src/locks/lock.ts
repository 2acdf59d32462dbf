import type { LabelSelector } from '../guards/label-selector.ts';

/** What a lock can forbid; scale, eviction and the like count as one of these. */
export type LockOperation = 'CREATE' | 'UPDATE' | 'DELETE';

/** Somebody who may pass a lock. */
export type Actor =
  | { readonly kind: 'User' | 'Group'; readonly name: string }
  | { readonly kind: 'ServiceAccount'; readonly namespace: string; readonly name: string };

/** An ExclusiveLock: what carries these labels may be changed by these actors only. */
export interface Lock {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly operations: readonly LockOperation[];
  readonly selector: LabelSelector;
  /** The selector as people write it: `aura=red,tier in (a,b)`. */
  readonly selectorText: string;
  /** Plural names, with their group where there is one: `pods`, `statefulsets.apps`. */
  readonly resources: readonly string[];
  readonly exclusive: readonly Actor[];
  readonly reason: string;
  /** Milliseconds since the epoch from which on the lock is as if it were not there; null: never. */
  readonly untilMs: number | null;
  readonly enforcement: 'Deny' | 'Warn';
  /** What of it can't be read, the first of its faults; null: all of it can. */
  readonly fault: string | null;
}
