import { shownUser, type Announcement } from '../admission/announce.ts';
import type { ObjectReference } from '../admission/guard-source.ts';
import { resourceName, type Change } from './change.ts';
import type { LockVerdict } from './judge.ts';
import type { Lock } from './lock.ts';

const API_VERSION = 'etcd-guard.io/v1alpha1';

/** What there is to tell of a verdict, on the object and on each lock that stood against it. */
export function announcementsOf(change: Change, verdict: LockVerdict): readonly Announcement[] {
  if (change.dryRun) return [];
  if (verdict.kind === 'deny') {
    return [
      {
        about: about(change, verdict.lock),
        type: 'Warning',
        reason: 'Locked',
        action: 'Refused',
        message: `${asked(change)} refused: ${verdict.message}`,
      },
    ];
  }
  if (verdict.reason !== 'Warned') return [];
  return [
    {
      about: verdict.locks.slice(0, 1).flatMap((lock) => about(change, lock)),
      type: 'Warning',
      reason: 'LockedAllowed',
      action: 'Allowed',
      message: `${asked(change)} allowed: ${verdict.warnings.join('; ')}`,
    },
  ];
}

function about({ object, place }: Change, lock: Lock): readonly ObjectReference[] {
  const { namespace, name } = place;
  const of: ObjectReference = {
    apiVersion: API_VERSION,
    kind: 'ExclusiveLock',
    namespace: lock.namespace,
    name: lock.name,
    uid: lock.uid,
  };
  // What is only being made has no Events yet.
  return object === null ? [of] : [{ ...object, namespace, name }, of];
}

/** `UPDATE of pods my-pod by alice` */
function asked({ operation, subresource, place, user }: Change): string {
  const what = `${resourceName(place)}${subresource === '' ? '' : `/${subresource}`} ${place.name}`;
  return `${operation} of ${what} by ${shownUser(user.name)}`;
}
