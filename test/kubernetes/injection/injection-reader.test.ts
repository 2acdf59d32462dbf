import { describe, expect, test } from 'vitest';
import { GuardSourceError } from '../../../src/admission/guard-source.ts';
import { ApiError } from '../../../src/kubernetes/api/api.ts';
import { InjectionReader } from '../../../src/kubernetes/injection/injection-reader.ts';
import { FakeKubernetes } from '../../fakes/fake-kubernetes.ts';
import { guardObject } from '../../fakes/kubernetes-objects.ts';

const LABELS = { app: 'etcd' };
const FILE = { configMap: 'hello', mountPath: '/etc/config' };

async function guards(...objects: ReturnType<typeof guardObject>[]) {
  const reader = new InjectionReader(new FakeKubernetes(...objects));
  return reader.guardsOf({ namespace: 'default', labels: LABELS }, 1_000);
}

describe('guards that select a pod', () => {
  test('are given with what they inject, defaults filled in', async () => {
    const all = await guards(
      guardObject({ spec: { inject: { files: [FILE] } } }),
      guardObject({ name: 'gated', spec: { inject: { readinessGate: true } } }),
      guardObject({ name: 'plain' }),
      guardObject({ name: 'other', spec: { selector: { matchLabels: { app: 'other' } } } }),
    );
    expect(all).toEqual([
      {
        namespace: 'default',
        name: 'etcd',
        injection: {
          files: [{ ...FILE, inInitContainers: false }],
          readinessGate: false,
          terminationGracePeriodSeconds: null,
        },
      },
      {
        namespace: 'default',
        name: 'gated',
        injection: { files: [], readinessGate: true, terminationGracePeriodSeconds: null },
      },
      { namespace: 'default', name: 'plain', injection: null },
    ]);
  });

  test('and can not be read are given with what is wrong', async () => {
    const all = await guards(
      guardObject({ spec: { inject: { files: [{ configMap: 'hello', mountPath: 'etc' }] } } }),
      guardObject({ name: 'nobodys', spec: { selector: { matchLabels: {} } } }),
    );
    expect(all).toEqual([
      {
        namespace: 'default',
        name: 'etcd',
        injection: null,
        fault:
          'EtcdGuard default/etcd is not valid: spec.inject.files[0].mountPath: must be an absolute path without colons, dots alone and a slash at its end (found "etc")',
      },
    ]);
  });

  test('and are being deleted are left out', async () => {
    const going = guardObject();
    const metadata = { ...going.metadata, deletionTimestamp: '2026-03-04T05:06:07Z' };
    expect(await guards({ ...going, metadata })).toEqual([]);
  });
});

test('a ConfigMap is looked for in its namespace', async () => {
  const api = new FakeKubernetes();
  await api.create(
    { prefix: '/api/v1', plural: 'configmaps', namespace: 'default' },
    { metadata: { name: 'hello' } },
    1_000,
  );
  const reader = new InjectionReader(api);
  expect(await reader.hasConfigMap('default', 'hello', 1_000)).toBe(true);
  expect(await reader.hasConfigMap('other', 'hello', 1_000)).toBe(false);
});

test('what the API server refuses is said in its words', async () => {
  const api = new FakeKubernetes();
  api.fault = () => new ApiError('forbidden', 'missing permission');
  const failure = new GuardSourceError('missing permission');
  const reader = new InjectionReader(api);
  const pod = { namespace: 'default', labels: LABELS };
  await expect(reader.guardsOf(pod, 1_000)).rejects.toEqual(failure);
  await expect(reader.hasConfigMap('default', 'hello', 1_000)).rejects.toEqual(failure);
});
