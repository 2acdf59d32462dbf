import { LockReader } from '../../kubernetes/locks/lock-reader.ts';
import { announcementsOf } from '../../locks/announce.ts';
import { createLockHandler, type LockObserver } from '../../locks/answer.ts';
import { resourceName, type Change } from '../../locks/change.ts';
import type { LockVerdict } from '../../locks/judge.ts';
import type { Capability, CapabilityContext } from './capability.ts';

/** ExclusiveLocks, from the objects of a cluster. */
export function serveLocks(context: CapabilityContext): Capability {
  const handle = createLockHandler({
    source: new LockReader(context.api),
    observer: observer(context),
    nowMs: () => Date.now(),
  });
  return {
    path: '/lock',
    handle,
    registration: {
      kind: 'ValidatingWebhookConfiguration',
      name: `${context.webhookConfiguration}-locks`,
      without: 'no change is held against ExclusiveLocks',
    },
    onHeld: () => undefined,
    onLost: () => undefined,
    close: () => Promise.resolve(),
  };
}

function observer({ recorder, log, announce }: CapabilityContext): LockObserver {
  const denied = recorder.countLockDenials();
  return {
    judged(change, verdict) {
      const line = { ...described(change), decision: verdict.kind, reason: verdict.reason };
      const locks = locksOf(verdict);
      // Most changes are held by no lock, and kubelets make them all the time.
      if (locks.length === 0) log.debug(line, 'decided by locks');
      else log.info({ ...line, locks }, 'decided by locks');
      for (const one of announcementsOf(change, verdict)) announce(one);
      if (verdict.kind !== 'deny' || change.dryRun) return;
      const { operation, place } = change;
      const { namespace, name: lock } = verdict.lock;
      denied({ operation, resource: resourceName(place), namespace, lock });
    },
    failed: (change, error) =>
      log.error(
        { ...(change !== null && described(change)), err: error },
        'could not judge by ExclusiveLocks',
      ),
  };
}

/** Names only: a review of a Secret carries what is in it. */
function described(change: Change): Readonly<Record<string, unknown>> {
  const { requestId, operation, place, subresource, user, dryRun } = change;
  return {
    requestId,
    operation,
    namespace: place.namespace,
    resource: `${resourceName(place)}${subresource === '' ? '' : `/${subresource}`}`,
    name: place.name,
    user: user.name,
    ...(dryRun && { dryRun }),
  };
}

function locksOf({ locks }: LockVerdict): readonly string[] {
  return locks.map(({ name }) => name);
}
