import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ApiError, type KubernetesApi } from '../../../src/kubernetes/api/api.ts';
import { Lease } from '../../../src/kubernetes/api/lease.ts';
import { FakeKubernetes } from '../../fakes/fake-kubernetes.ts';
import { randomNumbers } from '../../fakes/random-numbers.ts';

/** One replica's claim, and the link between it and the API server. */
interface Replica {
  readonly lease: Lease;
  readonly told: string[];
  /** Nothing gets through. */
  cut: boolean;
}

let api: FakeKubernetes;
let replicas: Replica[];

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse('2026-03-04T05:06:07.000Z') });
  api = new FakeKubernetes();
  replicas = [];
});
afterEach(async () => {
  await Promise.all(replicas.map(({ lease }) => lease.stop()));
  vi.useRealTimers();
});

function replica(identity: string): Replica {
  const told: string[] = [];
  const through = <T>(request: () => Promise<T>): Promise<T> =>
    made.cut ? Promise.reject(new ApiError('unreachable', 'the link is cut')) : request();
  const link: KubernetesApi = {
    get: (...args) => through(() => api.get(...args)),
    list: (...args) => through(() => api.list(...args)),
    create: (...args) => through(() => api.create(...args)),
    replace: (...args) => through(() => api.replace(...args)),
    patch: (...args) => through(() => api.patch(...args)),
    patchStatus: (...args) => through(() => api.patchStatus(...args)),
    watch: (...args) => api.watch(...args),
    close: () => undefined,
  };
  const claim = { namespace: 'etcd-guard', name: 'status', identity };
  const lease = new Lease(link, claim, {
    onHeld: () => told.push('held'),
    onLost: () => told.push('lost'),
    onFailed: ({ code }) => told.push(code),
  });
  const made: Replica = { lease, told, cut: false };
  replicas.push(made);
  lease.start();
  return made;
}

function spec(): unknown {
  return api.at('Lease', 'status')['spec'];
}

function advance(ms: number): Promise<unknown> {
  return vi.advanceTimersByTimeAsync(ms);
}

describe('a Lease', () => {
  test('is created by the first, renewed every two seconds, and kept from others', async () => {
    const first = replica('a');
    await advance(0);
    expect(first.told).toEqual(['held']);
    expect(spec()).toEqual({
      holderIdentity: 'a',
      leaseDurationSeconds: 15,
      acquireTime: '2026-03-04T05:06:07.000000Z',
      renewTime: '2026-03-04T05:06:07.000000Z',
      leaseTransitions: 0,
    });
    const second = replica('b');
    await advance(120_000);
    expect([first.told, second.told]).toEqual([['held'], []]);
    expect(spec()).toMatchObject({
      holderIdentity: 'a',
      acquireTime: '2026-03-04T05:06:07.000000Z',
      renewTime: '2026-03-04T05:08:07.000000Z',
    });
  });

  test('that is given back is another’s within two and a half seconds', async () => {
    const first = replica('a');
    await advance(0);
    const second = replica('b');
    await advance(5_000);
    await first.lease.stop();
    expect(first.told).toEqual(['held', 'lost']);
    expect(spec()).toMatchObject({ holderIdentity: '' });
    await advance(2_500);
    expect(second.told).toEqual(['held']);
    expect(spec()).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
  });

  test('of one that has crashed is another’s after 15 s, not before', async () => {
    const first = replica('a');
    await advance(0);
    const second = replica('b');
    await advance(10_000);
    first.cut = true;
    await advance(12_000);
    expect(second.told).toEqual([]);
    // The other sees the last renewal up to 2.4 s late, counts 15 s, and looks up to 2.4 s after that.
    await advance(8_000);
    expect(second.told).toEqual(['held']);
  });

  test('is lost ten seconds after the last renewal, and found again', async () => {
    const first = replica('a');
    await advance(1_000);
    first.cut = true;
    await advance(8_000);
    expect(first.lease.held).toBe(true);
    await advance(2_000);
    expect(first.lease.held).toBe(false);
    expect(first.told).toContain('lost');
    first.cut = false;
    await advance(3_000);
    expect(first.lease.held).toBe(true);
    expect(first.told.at(-1)).toBe('held');
  });

  test.each(['1999-01-01T00:00:00.000000Z', '2099-01-01T00:00:00.000000Z'])(
    'counts from when it was seen, whatever the clock of its holder says: %s',
    async (renewTime) => {
      api.put({
        kind: 'Lease',
        apiVersion: 'coordination.k8s.io/v1',
        metadata: { namespace: 'etcd-guard', name: 'status' },
        spec: { holderIdentity: 'gone', leaseDurationSeconds: 15, renewTime, leaseTransitions: 4 },
      });
      const second = replica('b');
      await advance(14_000);
      expect(second.told).toEqual([]);
      await advance(4_000);
      expect(second.told).toEqual(['held']);
      expect(spec()).toMatchObject({ leaseTransitions: 5 });
    },
  );

  test('without the right to it, or without its namespace, is never held', async () => {
    api.fault = () => new ApiError('forbidden', 'missing permission "get" on "leases"');
    const first = replica('a');
    await advance(60_000);
    expect(new Set(first.told)).toEqual(new Set(['forbidden']));
    expect(first.lease.held).toBe(false);
  });

  test('taken in a request whose answer is lost is held with the next', async () => {
    api.fault = ({ verb }) => (verb === 'create' ? 'loses its answer' : null);
    const first = replica('a');
    await advance(10_000);
    expect(first.told).toEqual(['timeout', 'held']);
  });

  test('is never held by two, however links break', async () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const random = randomNumbers(seed);
      api = new FakeKubernetes();
      const three = ['a', 'b', 'c'].map((identity) => replica(identity));
      for (let step = 0; step < 400; step += 1) {
        for (const one of three) one.cut = random() < 0.02 ? !one.cut : one.cut;
        await advance(250);
        const holding = three.filter(({ lease }) => lease.held).length;
        expect(holding, `seed ${seed}, step ${step}`).toBeLessThanOrEqual(1);
      }
      for (const one of three) one.cut = false;
      await advance(20_000);
      expect(three.filter(({ lease }) => lease.held)).toHaveLength(1);
      await Promise.all(three.map(({ lease }) => lease.stop()));
    }
  });
});
