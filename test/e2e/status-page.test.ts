import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { z } from 'zod';
import { GuardedCluster, type GuardedEtcd } from '../harness/guarded-cluster.ts';
import { until } from '../harness/until.ts';

const statusSchema = z.looseObject({
  counts: z.record(z.string(), z.number()),
  items: z.array(
    z.looseObject({
      metadata: z.looseObject({ name: z.string() }),
      status: z
        .looseObject({
          leader: z.string().nullable(),
          conditions: z.array(z.looseObject({ type: z.string() })),
        })
        .nullable(),
      pods: z.array(z.looseObject({ pod: z.string(), decision: z.string(), reason: z.string() })),
      failure: z.string().nullable(),
    }),
  ),
  decisions: z.array(z.looseObject({ pod: z.string(), reason: z.string() })),
});

async function statusOf(url: string): Promise<z.infer<typeof statusSchema>> {
  return statusSchema.parse(await (await fetch(`${url}/api/status`)).json());
}

/** The namespace's label; null takes it off. */
function label({ api }: GuardedCluster, value: string | null): Promise<unknown> {
  const labels = { 'etcd-guard.io/protect': value };
  return api.admin.patch('/api/v1/namespaces/default', { metadata: { labels } });
}

describe('the status page of two replicas', () => {
  let cluster: GuardedCluster;
  let etcd: GuardedEtcd;

  beforeAll(async () => {
    cluster = await GuardedCluster.start(inject('program'));
    etcd = await cluster.addEtcd({ name: 'paged', firstHost: 61 });
  });
  afterAll(() => cluster.stop());

  it('is the same at either, whoever keeps the status', async () => {
    const { leader } = await etcd.roles();
    for (const { url } of cluster.replicas) {
      const [item] = await until('a look', async () => {
        const { items } = await statusOf(url);
        return items[0]?.status?.leader === leader.name && items;
      });
      expect(item).toMatchObject({ metadata: { name: 'paged' }, failure: null });
      expect(item?.pods.map(({ pod, decision }) => [pod, decision])).toEqual(
        ['paged-0', 'paged-1', 'paged-2'].map((pod) => [
          pod,
          pod === leader.name ? 'deny' : 'allow',
        ]),
      );
      const page = await (await fetch(url)).text();
      expect(page).toContain(`${leader.name} leads. 3 of 3 voters are healthy`);
      // By what whoever holds the Lease has written.
      await until('its standing is known', async () => (await statusOf(url)).counts['fine'] === 1);
    }
  });

  it('has the decisions of the replica that made them', async () => {
    const { leader } = await etcd.roles();
    await expect(etcd.evict(leader.name, { dryRun: ['All'] })).resolves.toBeUndefined();
    const all = await Promise.all(cluster.replicas.map(({ url }) => statusOf(url)));
    const made = all.map(({ decisions }) => decisions.filter(({ pod }) => pod === leader.name));
    expect(made.flat().length).toBeGreaterThan(0);
  });

  it('says so where the API server asks nobody, however healthy the cluster is', async () => {
    await label(cluster, null);
    for (const { url } of cluster.replicas) {
      await until('it is in trouble', async () => (await statusOf(url)).counts['trouble'] === 1);
      const page = await until('the page says so', async () => {
        const text = await (await fetch(url)).text();
        return text.includes('Nothing guards these pods now') && text;
      });
      expect(page).not.toContain('must stay');
      const [item] = (await statusOf(url)).items;
      expect(item?.pods.map(({ decision, reason }) => `${decision} ${reason}`)).toEqual(
        Array.from({ length: 3 }, () => 'allow Unverifiable'),
      );
      expect(item?.status?.conditions.at(-1)).toMatchObject({
        type: 'Accepted',
        status: 'False',
        reason: 'NamespaceNotLabelled',
      });
      expect(page).toContain('kubectl label namespace default etcd-guard.io/protect=enabled');
    }
    await label(cluster, 'enabled');
    for (const { url } of cluster.replicas) {
      await until('it is fine again', async () => (await statusOf(url)).counts['fine'] === 1);
      await until('the page no longer says so', async () => {
        return !(await (await fetch(url)).text()).includes('Nothing guards these pods now');
      });
    }
  });

  it('says which guards have trouble without being asked to look', async () => {
    await etcd.applyGuard({ selector: { matchLabels: { app: 'nobody' } } });
    for (const { url } of cluster.replicas) {
      await until('it is in trouble', async () => (await statusOf(url)).counts['trouble'] === 1);
      expect(await (await fetch(url)).text()).toContain('No pod matches its selector.');
    }
  });
});
