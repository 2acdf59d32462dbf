import { DenialLedger } from '../../kubernetes/locks/denial-ledger.ts';
import { adviceOn } from '../../kubernetes/locks/lock-advice.ts';
import { LockReader } from '../../kubernetes/locks/lock-reader.ts';
import { LockStatusKeeper } from '../../kubernetes/locks/lock-status-keeper.ts';
import { announcementsOf } from '../../locks/announce.ts';
import { createLockHandler, type LockObserver } from '../../locks/answer.ts';
import { resourceName, type Change } from '../../locks/change.ts';
import type { LockVerdict } from '../../locks/judge.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Capability, CapabilityContext } from './capability.ts';

/** From a replica's refusals to the status of locks, when it stops. */
const LAST_DENIALS_MS = 2_000;

const nowMs = (): number => Date.now();

/** ExclusiveLocks, from the objects of a cluster. */
export function serveLocks(context: CapabilityContext): Capability {
  const { api, discovery, log, mayWrite } = context;
  const webhookConfiguration = `${context.webhookConfiguration}-locks`;
  const denials = new DenialLedger({
    api,
    nowMs,
    onLost: (error, count) =>
      log.warn({ err: error, denials: count }, 'the status of a lock lacks some denials'),
  });
  const keeper = new LockStatusKeeper({
    api,
    discovery,
    webhookConfiguration,
    nowMs,
    mayWrite,
    onFailed: (about, error) => log.warn({ about, err: error }, "can't keep the status of locks"),
  });
  const handle = createLockHandler({
    source: new LockReader(api),
    observer: observer(context, denials),
    adviceOn,
    nowMs,
  });
  return {
    path: '/lock',
    handle,
    registration: {
      kind: 'ValidatingWebhookConfiguration',
      name: webhookConfiguration,
      without: 'no change is held against ExclusiveLocks',
    },
    onHeld: () => keeper.start(),
    onLost: () => keeper.stop(),
    async close() {
      keeper.stop();
      await denials.close(LAST_DENIALS_MS);
    },
  };
}

function observer(
  { recorder, log, announce }: CapabilityContext,
  denials: DenialLedger,
): LockObserver {
  const count = recorder.countLockDenials();
  return {
    judged(change, verdict) {
      tell(log, change, verdict);
      for (const one of announcementsOf(change, verdict)) announce(one);
      if (verdict.kind !== 'deny' || change.dryRun) return;
      const { operation, place, user } = change;
      const { lock } = verdict;
      const resource = resourceName(place);
      count({ operation, resource, namespace: lock.namespace, lock: lock.name });
      denials.denied({ lock, user: user.name, resource, name: place.name });
    },
    failed: (change, error) =>
      log.error(
        { ...(change !== null && described(change)), err: error },
        'could not judge by ExclusiveLocks',
      ),
  };
}

function tell(log: Logger, change: Change, verdict: LockVerdict): void {
  const line = { ...described(change), decision: verdict.kind, reason: verdict.reason };
  const locks = verdict.locks.map(({ name }) => name);
  // Most changes are held by no lock, and kubelets make them all the time.
  if (locks.length === 0) log.debug(line, 'decided by locks');
  else log.info({ ...line, locks }, 'decided by locks');
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
