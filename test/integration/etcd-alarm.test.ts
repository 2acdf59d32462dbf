import { expect, it } from 'vitest';

import { connectEtcd } from '../../src/etcd/connect.ts';
import { endpointsOf, Observations, statusOf } from '../etcd/asking.ts';
import { startEtcdCluster } from '../harness/etcd-cluster.ts';
import { until } from '../harness/until.ts';

it('every member tells of a NOSPACE alarm', async () => {
  const cluster = await startEtcdCluster({ args: ['--quota-backend-bytes=200000'] });
  const etcd = connectEtcd({ tls: null, auth: null }, new Observations());
  try {
    await until('an alarm', async () => {
      await cluster.put(`key-${Math.random()}`, 'x'.repeat(20_000)).catch(() => undefined);
      return (await cluster.etcdctl('alarm', 'list')).stdout.includes('NOSPACE');
    });
    const endpoints = endpointsOf(cluster.members);
    const alarmed = await until('the alarm in each Status', async () => {
      const answers = await etcd.ask(endpoints, 5000);
      const all = cluster.members.map(({ name }) => statusOf(answers, name).noSpace);
      return all.every(({ length }) => length > 0) && all;
    });
    const ids = new Set(cluster.members.map(({ id }) => id));
    expect(alarmed.flat().filter((id) => !ids.has(id))).toEqual([]);
    // Writes stop, reads do not.
    const proof = await etcd.prove(endpoints, 5000);
    expect([...proof.values()].map(({ served }) => served)).toEqual([true, true, true]);
  } finally {
    etcd.close();
    await cluster.stop();
  }
});
