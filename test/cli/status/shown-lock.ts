import type { ShownLock } from '../../../src/cli/status/shown.ts';

/** A lock in force that lets nobody pass, and that nobody has counted yet. */
export function shownLock(more: Partial<ShownLock> = {}): ShownLock {
  const title = more.title ?? 'default/lockred';
  const [namespace, name] = title.split('/');
  return {
    title,
    selector: 'aura=red',
    exclusive: 'nobody',
    matched: null,
    untilMs: null,
    inForce: 'yes (Enforced)',
    item: {
      apiVersion: 'etcd-guard.io/v1alpha1',
      kind: 'ExclusiveLock',
      metadata: { name, namespace },
      spec: {},
      status: {},
    },
    ...more,
  };
}
