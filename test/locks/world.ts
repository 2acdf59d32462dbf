import type { Change, ObjectFacts } from '../../src/locks/change.ts';
import type { KnownChange } from '../../src/locks/essential.ts';
import type { Lock } from '../../src/locks/lock.ts';

/** The lock of the documentation: what is red, for jonny-op alone. */
export function lock(changes: Partial<Lock> = {}): Lock {
  return {
    namespace: 'default',
    name: 'lockred',
    uid: 'uid-of-lockred',
    operations: ['UPDATE', 'DELETE'],
    selector: { matchLabels: { aura: 'red' } },
    selectorText: 'aura=red',
    resources: ['pods', 'configmaps', 'statefulsets.apps', 'endpoints', 'persistentvolumeclaims'],
    exclusive: [{ kind: 'ServiceAccount', namespace: 'default', name: 'jonny-op' }],
    reason: 'restoring from snapshot',
    untilMs: null,
    enforcement: 'Deny',
    fault: null,
    ...changes,
  };
}

/** What a lock sees of an object. */
export function facts(
  labels: Readonly<Record<string, string>>,
  changes: Partial<ObjectFacts> = {},
): ObjectFacts {
  return { labels, terminating: false, owned: false, ...changes };
}

export const RED = facts({ aura: 'red' });
export const BLUE = facts({ aura: 'blue' });

/** As the API server has it. */
export const RED_POD = { metadata: { name: 'my-pod', labels: { aura: 'red' } } };

/** The request of a review: an update of a red pod by the cluster's administrator. */
export function request(changes: Readonly<Record<string, unknown>> = {}) {
  return {
    uid: 'u-1',
    operation: 'UPDATE',
    resource: { group: '', version: 'v1', resource: 'pods' },
    namespace: 'default',
    name: 'my-pod',
    userInfo: { username: 'kubernetes-admin', groups: ['system:masters'] },
    oldObject: RED_POD,
    object: RED_POD,
    ...changes,
  };
}

/** The same as it is judged. */
export function change(
  changes: Partial<Omit<KnownChange, 'user'>> & {
    readonly by?: string;
    readonly groups?: readonly string[];
    readonly resource?: string;
  } = {},
): KnownChange {
  const { by = 'kubernetes-admin', groups = [], resource = 'pods', ...rest } = changes;
  const [plural = '', ...group] = resource.split('.');
  const place: Change['place'] = {
    group: group.join('.'),
    version: 'v1',
    resource: plural,
    namespace: 'default',
    name: 'my-pod',
  };
  return {
    requestId: 'u-1',
    object: { apiVersion: 'v1', kind: 'Pod', uid: 'uid-of-my-pod' },
    operation: 'UPDATE',
    subresource: '',
    before: RED,
    after: RED,
    dryRun: false,
    place,
    ...rest,
    user: { name: by, groups: [...groups, 'system:authenticated'] },
  };
}
