import { describe, expect, it } from 'vitest';
import { healthIn } from '../../../src/cli/wait/health.ts';
import { FakeEtcd } from '../../fakes/etcd.ts';
import { loadedGuard, sourceOf } from '../../fakes/guards.ts';

const PODS = ['etcd-0', 'etcd-1', 'etcd-2'];

/** One guard of namespace default; `fault`: its pods could not be read. */
function setUp(fault?: string) {
  const etcd = new FakeEtcd(PODS);
  const [guard] = sourceOf(etcd, loadedGuard({ pods: PODS })).guards;
  if (guard === undefined) throw new Error('there is one');
  const find = async () => {
    const cluster = guard.clusterFor(null);
    const unread = fault === undefined ? cluster : { ...cluster, pods: [], endpoints: [], fault };
    return [{ cluster: unread, recorded: [] }];
  };
  return { etcd, clusters: { namespace: 'default', find } };
}

describe('waiting for a healthy member', () => {
  it('is over once it is a healthy voter', async () => {
    const { etcd, clusters } = setUp();
    const [, second] = etcd.members;
    if (second !== undefined) second.running = false;
    const down = await healthIn(clusters, 'etcd-1');
    expect(down.reached).toBe(false);
    expect(down.words).toMatch(/^etcd-1 is unknown \(.+\)$/);
    if (second !== undefined) second.running = true;
    expect(await healthIn(clusters, 'etcd-1')).toEqual({
      reached: true,
      words: 'etcd-1 is healthy; 3/3 voters are',
    });
  });

  it('says that no guard has the pod', async () => {
    const { clusters } = setUp();
    expect(await healthIn(clusters, 'web-0')).toEqual({
      reached: false,
      words: 'no guard in namespace default has a pod web-0 now',
    });
  });

  it('says so if that is only because pods could not be read', async () => {
    const { clusters } = setUp("its pods can't be read: forbidden");
    expect(await healthIn(clusters, 'etcd-1')).toEqual({
      reached: false,
      words:
        "no guard in namespace default has a pod etcd-1 now, as far as can be told (etcd: its pods can't be read: forbidden)",
    });
  });
});
