import type { KubernetesObject } from '../../../src/kubernetes/api/api.ts';

/** The lock of the documentation, as an API server has it. */
export function lockObject(
  spec: Readonly<Record<string, unknown>> = {},
  { name = 'lockred', ...more }: Partial<KubernetesObject['metadata']> = {},
): KubernetesObject {
  return {
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'ExclusiveLock',
    metadata: {
      namespace: 'default',
      name,
      uid: `uid-of-${name}`,
      resourceVersion: '7',
      generation: 3,
      ...more,
    },
    spec: {
      selector: { matchLabels: { aura: 'red' } },
      exclusive: [{ kind: 'ServiceAccount', name: 'jonny-op' }],
      ...spec,
    },
  };
}
