import { createLockHandler } from '../../locks/answer.ts';
import { LockReader } from '../../kubernetes/locks/lock-reader.ts';
import type { Capability, CapabilityContext } from './capability.ts';

/** ExclusiveLocks, from the objects of a cluster. */
export function serveLocks({ api, log }: CapabilityContext): Capability {
  const handle = createLockHandler({
    source: new LockReader(api),
    observer: {
      judged: () => undefined,
      failed: (_change, error) => log.error({ err: error }, 'could not judge by ExclusiveLocks'),
    },
    nowMs: () => Date.now(),
  });
  return {
    path: '/lock',
    handle,
    onHeld: () => undefined,
    onLost: () => undefined,
    close: () => Promise.resolve(),
  };
}
