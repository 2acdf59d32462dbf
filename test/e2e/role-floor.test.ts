import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { GuardedCluster, type GuardedEtcd } from '../harness/guarded-cluster.ts';
import { until } from '../harness/until.ts';

const ROLE = 'etcd-guard.io/role';

// The policy itself needs a newer server: test/deploy/role-floor.test.ts evaluates it.
describe('role labels, with the rights that the floor brings', { timeout: 120_000 }, () => {
  let cluster: GuardedCluster;
  let etcd: GuardedEtcd;

  beforeAll(async () => {
    cluster = await GuardedCluster.start(inject('program'), {
      args: ['--role-labels'],
      manifests: ['components/role-floor/rbac.yaml'],
    });
    etcd = await cluster.addEtcd({ name: 'etcd', firstHost: 151 });
  });

  afterAll(async () => {
    await cluster?.stop();
  });

  /** Waits until every pod is labelled with what its member is. */
  async function labelsFollow(): Promise<void> {
    await until(
      'the labels are those of the members',
      async () => {
        const { name: leader } = await etcd.etcd.leader();
        const pods = await Promise.all(etcd.etcd.members.map(({ name }) => etcd.pod(name)));
        const labelled = pods.map((pod) => pod?.metadata.labels?.[ROLE]);
        const right = etcd.etcd.members.map(({ name }) =>
          name === leader ? 'leader' : 'follower',
        );
        return labelled.join() === right.join();
      },
      { timeoutMs: 45_000 },
    );
  }

  it('follow the leadership, also one that a hand-off moved', async () => {
    await labelsFollow();
    const { leader, first } = await etcd.roles();
    await etcd.etcd.moveLeader(first.name);
    await labelsFollow();
    await etcd.evict(first.name);
    await etcd.isGone(first.name);
    await etcd.bringBack(first);
    await labelsFollow();
    expect((await etcd.etcd.leader()).name).not.toBe(first.name);
    expect((await etcd.pod(leader.name))?.metadata.labels?.['app']).toBe('etcd');
  });
});
