import { describe, expect, test } from 'vitest';
import { ApiError } from '../../../src/kubernetes/api/api.ts';
import { LockReader } from '../../../src/kubernetes/locks/lock-reader.ts';
import { FakeKubernetes } from '../../fakes/fake-kubernetes.ts';
import { settled } from '../../sharing/fake-clock.ts';
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
      (await reader.locksIn('default')).map(({ name }) => name);
    expect(await names()).toEqual(['lockred', 'odd']);
    api.put(lockObject({}, { name: 'new' }));
    expect(await names()).toEqual(['lockred', 'odd', 'new']);
    api.remove('ExclusiveLock', 'lockred');
    expect(await names()).toEqual(['odd', 'new']);
  });

  test('are listed anew for each change, but once for all that wait', async () => {
    const api = new FakeKubernetes(lockObject());
    const { promise: first, resolve: release } = Promise.withResolvers<void>();
    api.hold = (_call, at) => (at === 'end' ? first : undefined);
    const reader = new LockReader(api);
    const names = async (): Promise<readonly string[]> =>
      (await reader.locksIn('default')).map(({ name }) => name);
    const early = names();
    const other = reader.locksIn('shop');
    // Its list has been made already, and is on its way.
    await settled();
    api.put(lockObject({}, { name: 'new' }));
    const late = Array.from({ length: 50 }, names);
    release();
    expect(await early).toEqual(['lockred']);
    for (const found of await Promise.all(late)) expect(found).toEqual(['lockred', 'new']);
    expect(await other).toEqual([]);
    expect(api.calls).toHaveLength(3);
    expect(await names()).toEqual(['lockred', 'new']);
    expect(api.calls).toHaveLength(4);
  });

  test('are listed anew after a list that failed', async () => {
    const api = new FakeKubernetes(lockObject());
    let times = 0;
    api.fault = () => {
      times += 1;
      return times === 1 ? new ApiError('timeout', 'away') : null;
    };
    const reader = new LockReader(api);
    const [first, second] = await Promise.allSettled([
      reader.locksIn('default'),
      reader.locksIn('default'),
    ]);
    expect([first.status, second.status]).toEqual(['rejected', 'fulfilled']);
  });

  test.each([
    ['timeout', 'Try again once the API server answers.'],
    ['forbidden', 'Give etcd-guard that permission and try again'],
    ['not-found', 'Install the CustomResourceDefinition of ExclusiveLock'],
  ] as const)('that can’t be read are a reason to refuse, in words: %s', async (code, helps) => {
    const api = new FakeKubernetes();
    api.fault = () => new ApiError(code, 'it went wrong');
    await expect(new LockReader(api).locksIn('default')).rejects.toMatchObject({
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
