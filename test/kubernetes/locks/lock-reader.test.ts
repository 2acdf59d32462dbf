import { describe, expect, test } from 'vitest';
import { ApiError } from '../../../src/kubernetes/api/api.ts';
import { LockReader } from '../../../src/kubernetes/locks/lock-reader.ts';
import { FakeKubernetes } from '../../fakes/fake-kubernetes.ts';
import { lockObject } from './lock-objects.ts';

const POD = { group: '', version: 'v1', resource: 'pods', namespace: 'default', name: 'my-pod' };

describe('the locks of a namespace', () => {
  test('are those that hold now', async () => {
    const api = new FakeKubernetes(
      lockObject(),
      lockObject({}, { name: 'going', deletionTimestamp: '2026-05-01T12:00:00Z' }),
      lockObject({ selector: {} }, { name: 'void' }),
      lockObject({ enforcement: 'Audit' }, { name: 'odd' }),
      lockObject({}, { name: 'foreign', namespace: 'shop' }),
    );
    const reader = new LockReader(api);
    const names = async (): Promise<readonly string[]> =>
      (await reader.locksIn('default', 1_000)).map(({ name }) => name);
    expect(await names()).toEqual(['lockred', 'odd']);
    api.put(lockObject({}, { name: 'new' }));
    expect(await names()).toEqual(['lockred', 'odd', 'new']);
    api.remove('ExclusiveLock', 'lockred');
    expect(await names()).toEqual(['odd', 'new']);
  });

  test.each([
    ['timeout', 'Try again once the API server answers.'],
    ['forbidden', 'Give etcd-guard that permission and try again'],
    ['not-found', 'Install the CustomResourceDefinition of ExclusiveLock'],
  ] as const)('that can’t be read are a reason to refuse, in words: %s', async (code, helps) => {
    const api = new FakeKubernetes();
    api.fault = () => new ApiError(code, 'it went wrong');
    await expect(new LockReader(api).locksIn('default', 1_000)).rejects.toMatchObject({
      name: 'GuardSourceError',
      message: expect.stringContaining(
        `Refused, since etcd-guard can't find out which ExclusiveLocks there are in default: it went wrong. ${helps}`,
      ),
    });
  });
});

test('an object is read where it is, and null where there is none', async () => {
  const api = new FakeKubernetes({
    kind: 'Pod',
    metadata: { name: 'my-pod', namespace: 'default', labels: { aura: 'red' } },
  });
  const reader = new LockReader(api);
  expect(await reader.read(POD, 1_000)).toMatchObject({ metadata: { labels: { aura: 'red' } } });
  expect(await reader.read({ ...POD, name: 'other' }, 1_000)).toBeNull();
  expect(await reader.read({ ...POD, group: 'apps', resource: 'pods' }, 1_000)).toBeNull();
});
