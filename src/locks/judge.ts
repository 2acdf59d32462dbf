import { matchesLabels } from '../guards/label-selector.ts';
import { resourceName, type Change, type ObjectFacts } from './change.ts';
import { isEssential, type KnownChange } from './essential.ts';
import type { Actor, Lock } from './lock.ts';

/** What the locks of a namespace say of a change. */
export type LockVerdict =
  | {
      readonly kind: 'allow';
      /** `Essential`: whatever the locks say. `Exclusive`: its actor may pass all that hold. */
      readonly reason: 'NotLocked' | 'Exclusive' | 'Essential' | 'Warned';
      readonly warnings: readonly string[];
      /** The locks that it was held against. */
      readonly locks: readonly Lock[];
    }
  | {
      readonly kind: 'deny';
      readonly reason: 'Locked';
      readonly message: string;
      readonly warnings: readonly string[];
      /** The lock that denies; of several, the first by name. */
      readonly lock: Lock;
      readonly locks: readonly Lock[];
    };

/**
 * Judges one change by all locks of its namespace: each that holds must let the actor pass. An update
 * is held against the labels before and after it, so that nothing slips out of a lock or into one.
 */
export function judgeChange(
  change: KnownChange,
  locks: readonly Lock[],
  nowMs: number,
): LockVerdict {
  const holding = locks
    .filter((lock) => isInForce(lock, nowMs) && holds(lock, change))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  if (holding.length === 0) return allow('NotLocked', []);
  const against = holding.filter((lock) => !lock.exclusive.some((actor) => isActor(actor, change)));
  if (against.length === 0) return allow('Exclusive', holding);
  if (isEssential(change)) return allow('Essential', holding);
  const warnings = against
    .filter(({ enforcement }) => enforcement === 'Warn')
    .map((lock) => `would be ${sentence(lock, change)}`);
  const denying = against.find(({ enforcement }) => enforcement === 'Deny');
  if (denying === undefined) return { ...allow('Warned', holding), warnings };
  const message = sentence(denying, change);
  return { kind: 'deny', reason: 'Locked', message, warnings, lock: denying, locks: holding };
}

/** Whether any lock could hold a change, whatever its labels: else nothing needs to be read for it. */
export function concerns(lock: Lock, change: Change, nowMs: number): boolean {
  return (
    isInForce(lock, nowMs) &&
    lock.namespace === change.place.namespace &&
    lock.operations.includes(change.operation) &&
    lock.resources.includes(resourceName(change.place))
  );
}

/** A lock past its end is as if it were not there. */
export function isInForce({ untilMs }: Lock, nowMs: number): boolean {
  return untilMs === null || nowMs < untilMs;
}

function allow(
  reason: 'NotLocked' | 'Exclusive' | 'Essential' | 'Warned',
  locks: readonly Lock[],
): LockVerdict & { readonly kind: 'allow' } {
  return { kind: 'allow', reason, warnings: [], locks };
}

function holds(lock: Lock, change: KnownChange): boolean {
  if (lock.namespace !== change.place.namespace) return false;
  if (!lock.operations.includes(change.operation)) return false;
  if (!lock.resources.includes(resourceName(change.place))) return false;
  const sides: readonly (ObjectFacts | null)[] = [change.before, change.after];
  return sides.some((side) => side !== null && matchesLabels(lock.selector, side.labels));
}

function isActor(actor: Actor, { user }: Change): boolean {
  switch (actor.kind) {
    case 'User':
      return user.name === actor.name;
    case 'Group':
      return user.groups.includes(actor.name);
    case 'ServiceAccount':
      // Whole, never the last part: any namespace can have an account of that name.
      return user.name === `system:serviceaccount:${actor.namespace}:${actor.name}`;
  }
}

function sentence(lock: Lock, { operation, place }: Change): string {
  const { namespace, name, selectorText, fault } = lock;
  const reason = oneLine(lock.reason);
  const unread =
    fault === null ? '' : `; the lock can't be read whole (${oneLine(fault)}): mend or delete it`;
  const why = `${reason === '' ? '' : `; ${reason}`}${unread}`;
  const what = `${operation} ${resourceName(place)}`;
  return `denied by ExclusiveLock ${namespace}/${name} (${selectorText}): ${whoMay(lock)} ${what} here${why}`;
}

function whoMay({ exclusive }: Lock): string {
  if (exclusive.length === 0) return 'nobody may';
  const names = exclusive.map((actor) =>
    actor.kind === 'ServiceAccount'
      ? `ServiceAccount ${actor.namespace}/${actor.name}`
      : `${actor.kind} ${actor.name}`,
  );
  const last = names.pop() ?? '';
  return `only ${names.length === 0 ? last : `${names.join(', ')} or ${last}`} may`;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
