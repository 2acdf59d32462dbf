import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { FileGuard } from '../../src/guards/file-source.ts';
import { FileSource } from '../../src/guards/file-source.ts';
import { refreshClusters } from '../../src/guards/refresh.ts';
import { FakeEtcd } from '../fakes/etcd.ts';
import { loadedGuard } from '../fakes/guards.ts';

const PODS = ['etcd-0', 'etcd-1', 'etcd-2'];

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** Looks at so many guards from files for some seconds; the first of them have reservations. */
async function looked({ guards, reserved, seconds }: Readonly<Record<string, number>>) {
  const loaded = Array.from({ length: guards ?? 0 }, (_, at) =>
    loadedGuard({ name: `etcd-${at}`, pods: PODS }),
  );
  const source = new FileSource(loaded, {
    connect: () => new FakeEtcd(PODS),
    monotonicMs: () => 0,
    activeMs: () => 0,
    viewed: () => undefined,
  });
  const entry = { reason: 'Spared', by: 'alice', gracePeriodSeconds: 30, handOffTo: null } as const;
  for (const guard of source.guards.slice(0, reserved)) {
    await guard.clusterFor('etcd-1').reserve(entry);
  }
  const seen: { readonly name: string; readonly second: number }[] = [];
  let second = 0;
  const refreshing = refreshClusters(source, (guard: FileGuard) => {
    seen.push({ name: guard.guard.name, second });
    return Promise.resolve();
  });
  for (second = 1; second <= (seconds ?? 0); second += 1) {
    await vi.advanceTimersByTimeAsync(1_000);
  }
  refreshing.stop();
  const of = (name: string) => seen.filter((one) => one.name === name).map((one) => one.second);
  const inSecond = (at: number) => seen.filter((one) => one.second === at).length;
  return { seen, of, inSecond };
}

describe('clusters of guards from files are looked at', () => {
  it('every 30 s, and every second while they have reservations', async () => {
    const { of } = await looked({ guards: 40, reserved: 1, seconds: 60 });
    expect(of('etcd-0')).toHaveLength(60);
    for (const at of [1, 17, 39]) expect(of(`etcd-${at}`)).toHaveLength(2);
  });

  it('20 a second in turn where there are many', async () => {
    const { inSecond, of } = await looked({ guards: 1_000, reserved: 0, seconds: 100 });
    for (const second of [1, 50, 100]) expect(inSecond(second)).toBe(20);
    for (const at of [0, 500, 999]) expect(of(`etcd-${at}`)).toHaveLength(2);
  });

  it('20 a second in turn where many have reservations, and none waits longer than its turn', async () => {
    const { inSecond, of } = await looked({ guards: 400, reserved: 100, seconds: 60 });
    for (let second = 1; second <= 60; second += 1) {
      expect(inSecond(second)).toBeLessThanOrEqual(40);
    }
    for (let at = 0; at < 100; at += 1) {
      const seconds = of(`etcd-${at}`);
      const pauses = seconds.map((second, index) => second - (seconds[index - 1] ?? 0));
      expect(Math.max(...pauses)).toBeLessThanOrEqual(5);
    }
    expect(of('etcd-399')).toHaveLength(2);
  });
});
