import { beforeEach, describe, expect, test } from 'vitest';
import { ApiError, type KubernetesObject } from '../../src/kubernetes/api.ts';
import { podsIn } from '../../src/kubernetes/cluster-reader.ts';
import { SharedReads } from '../../src/kubernetes/shared-reads.ts';
import { FakeKubernetes } from '../fakes/fake-kubernetes.ts';
import { podObject } from '../fakes/kubernetes-objects.ts';
import { FakeClock, settled } from '../sharing/fake-clock.ts';

const PODS = podsIn('default');

let api: FakeKubernetes;
let clock: FakeClock;
let reads: SharedReads;
let letGo: () => void;

beforeEach(() => {
  api = new FakeKubernetes(podObject('etcd-0'));
  clock = new FakeClock();
  reads = new SharedReads(api, clock);
  const { promise, resolve } = Promise.withResolvers<void>();
  letGo = resolve;
  api.hold = (_call, at) => (at === 'end' ? promise : undefined);
});

function namesIn(objects: readonly KubernetesObject[]): readonly string[] {
  return objects.map(({ metadata }) => metadata.name);
}

describe('reads of the same', () => {
  test('are one for all who wait, begun after the last of them asked', async () => {
    const first = reads.list(PODS, {}, 1_000);
    await settled();
    api.put(podObject('etcd-1'));
    const others = [reads.list(PODS, {}, 1_000), reads.list(PODS, {}, 1_000)];
    letGo();
    expect(namesIn(await first)).toEqual(['etcd-0']);
    for (const other of others) expect(namesIn(await other)).toEqual(['etcd-0', 'etcd-1']);
    expect(api.calls).toHaveLength(2);
  });

  test('fail for all who wait', async () => {
    const first = reads.get(PODS, 'etcd-0', 1_000);
    await settled();
    api.fault = () => new ApiError('forbidden', 'no');
    const others = [reads.get(PODS, 'etcd-0', 1_000), reads.get(PODS, 'etcd-0', 1_000)];
    const outcomes = Promise.allSettled(others);
    letGo();
    expect((await first)?.metadata.name).toBe('etcd-0');
    for (const outcome of await outcomes) {
      expect(outcome).toEqual({ status: 'rejected', reason: new ApiError('forbidden', 'no') });
    }
  });

  test('end for each at its own time, and do not hold up the next for long', async () => {
    const short = reads.list(PODS, {}, 100);
    const outcome = Promise.allSettled([short]);
    await settled();
    const next = reads.list(PODS, {}, 5_000);
    await clock.advance(40);
    expect(api.calls).toHaveLength(1);
    await clock.advance(60);
    expect(api.calls).toHaveLength(2);
    const message = 'no answer from the API server within 100 ms (list pods in namespace default)';
    expect(await outcome).toEqual([
      { status: 'rejected', reason: new ApiError('timeout', message) },
    ]);
    letGo();
    expect(namesIn(await next)).toEqual(['etcd-0']);
  });
});

test('reads of something else are not waited for', async () => {
  const asked = [
    reads.list(PODS, {}, 1_000),
    reads.list(PODS, { labelSelector: 'app=etcd' }, 1_000),
    reads.list(podsIn('other'), {}, 1_000),
    reads.get(PODS, 'etcd-0', 1_000),
    reads.get(PODS, 'etcd-1', 1_000),
  ];
  await settled();
  expect(api.calls).toHaveLength(5);
  letGo();
  await Promise.all(asked);
});
