import { execa } from 'execa';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { z } from 'zod';
import { ROOT } from '../deploy/manifests.ts';
import { WEBHOOK } from '../harness/admission-webhook.ts';
import { GuardedCluster, type GuardedEtcd } from '../harness/guarded-cluster.ts';
import type { GuardProcess } from '../harness/guard-process.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../harness/reaper.ts';
import { requireBinary } from '../harness/require-binary.ts';
import { until } from '../harness/until.ts';

const DOCS = readFileSync(join(ROOT, 'docs/audit.md'), 'utf8');
const [, POLICY = ''] = /```yaml\n([\s\S]+?)```/.exec(DOCS) ?? [];
const QUERIES = [...DOCS.matchAll(/```\n(jq [\s\S]+?)```/g)].map(([, query = '']) => query);

const auditSchema = z.looseObject({
  level: z.string(),
  verb: z.string(),
  objectRef: z.looseObject({ name: z.string().optional(), subresource: z.string().optional() }),
  responseStatus: z.looseObject({ code: z.number() }).optional(),
  annotations: z.record(z.string(), z.string()).default({}),
});

/** As they stand in the log. */
function notes(decision: string, reason: string, member: string) {
  return {
    [`${WEBHOOK}/decision`]: decision,
    [`${WEBHOOK}/reason`]: reason,
    [`${WEBHOOK}/guard`]: 'default/etcd',
    [`${WEBHOOK}/member`]: member,
  };
}

/** Its labels in order. */
async function sample(replica: GuardProcess, series: string): Promise<number | undefined> {
  const [name = ''] = series.split('{', 1);
  return (await replica.samples(name))[series];
}

async function keeps(replica: GuardProcess): Promise<boolean> {
  return (await sample(replica, 'etcdguard_keeps_status')) === 1;
}

describe('what is seen of a guard in a cluster', () => {
  let cluster: GuardedCluster;
  let etcd: GuardedEtcd;
  let directory: TemporaryDirectory;
  let auditLog: string;

  beforeAll(async () => {
    // What is in the docs runs it.
    requireBinary('jq');
    directory = await temporaryDirectory('audit');
    auditLog = join(directory.path, 'audit.log');
    const policy = join(directory.path, 'policy.yaml');
    await writeFile(policy, POLICY);
    cluster = await GuardedCluster.start(inject('program'), {
      apiArgs: [
        `--audit-policy-file=${policy}`,
        `--audit-log-path=${auditLog}`,
        '--audit-log-mode=blocking-strict',
      ],
    });
    etcd = await cluster.addEtcd({ name: 'etcd', firstHost: 71 });
  });

  afterAll(async () => {
    await cluster?.stop();
    await directory?.remove();
  });

  /** Of requests that were meant, about this pod, that are there now. */
  function audited(pod: string) {
    return readFileSync(auditLog, 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !line.includes('dryRun=All'))
      .map((line) => auditSchema.parse(JSON.parse(line)))
      .filter(({ objectRef, verb }) => objectRef.name === pod && verb !== 'patch');
  }

  /** The two, the one that keeps the status first. */
  async function inOrder(): Promise<readonly [GuardProcess, GuardProcess]> {
    const [a, b] = cluster.replicas;
    return until('one keeps the status', async () => {
      const [first, second] = await Promise.all([keeps(a), keeps(b)]);
      if (first === second) return undefined;
      return first ? ([a, b] as const) : ([b, a] as const);
    });
  }

  describe('in the audit log, with the policy of the docs,', () => {
    beforeEach(async () => {
      await etcd.makeWhole();
    });

    it('is what was decided, and why: a refusal, an eviction, break-glass', async () => {
      const { leader, first, second } = await etcd.roles();
      expect(await etcd.remove(leader.name)).toMatchObject({ exitCode: 1 });
      expect(audited(leader.name).at(-1)).toMatchObject({
        level: 'Metadata',
        verb: 'delete',
        responseStatus: { code: 403 },
        annotations: notes('deny', 'LeaderProtected', leader.id),
      });

      await etcd.evict(first.name);
      expect(audited(first.name).find(({ verb }) => verb === 'create')).toMatchObject({
        level: 'Metadata',
        objectRef: { subresource: 'eviction' },
        responseStatus: { code: 201 },
        annotations: notes('allow', 'Spared', first.id),
      });
      await etcd.isGone(first.name);

      const { admin } = cluster.api;
      const annotations = { 'etcd-guard.io/break-glass': 'fire drill' };
      await admin.patch(etcd.podPath(second.name), { metadata: { annotations } });
      expect(await etcd.remove(second.name, '--wait=false')).toMatchObject({ exitCode: 0 });
      const broken = audited(second.name).find(({ verb }) => verb === 'delete');
      expect(broken).toMatchObject({
        responseStatus: { code: 200 },
        annotations: {
          [`${WEBHOOK}/decision`]: 'allow',
          [`${WEBHOOK}/reason`]: 'BreakGlass',
          [`${WEBHOOK}/guard`]: 'default/etcd',
        },
      });
      await etcd.isGone(second.name);

      const answers = await Promise.all(
        QUERIES.map(async (query) => {
          const { stdout } = await execa('bash', [
            '-o',
            'pipefail',
            '-c',
            query.replaceAll('audit.log', auditLog),
          ]);
          return stdout;
        }),
      );
      const [who = '', refusals = '', breakGlass = ''] = answers;
      expect(who.split('\n')).toEqual(
        expect.arrayContaining([
          expect.stringMatching(
            `^\\S+Z\tkubernetes-admin\tdelete\tdefault/${leader.name}\tdeny\tLeaderProtected$`,
          ),
          expect.stringMatching(
            `^\\S+Z\tkubernetes-admin\teviction\tdefault/${first.name}\tallow\tSpared$`,
          ),
        ]),
      );
      expect(refusals).toMatch(/^ +\d+ kubernetes-admin LeaderProtected$/m);
      expect(JSON.parse(breakGlass)).toMatchObject({
        user: 'kubernetes-admin',
        pod: { name: second.name, namespace: 'default' },
      });
    });
  });

  describe('in the metrics of two replicas', () => {
    beforeEach(async () => {
      await etcd.makeWhole();
    });

    const LEADS = 'etcdguard_cluster_has_leader{guard="etcd",namespace="default"}';

    it('is each cluster once, from the one that keeps the status, and each guard’s counters from both', async () => {
      const [keeper, other] = await inOrder();
      await until('the cluster was looked at', async () => {
        return (await sample(keeper, LEADS)) === 1;
      });
      for (const name of [
        'etcdguard_cluster_',
        'etcdguard_reservations',
        'etcdguard_guarded_pods',
      ]) {
        expect(Object.keys(await keeper.samples(name)).length).toBeGreaterThan(0);
        expect(await other.samples(name)).toStrictEqual({});
      }
      for (const replica of cluster.replicas) {
        const own = await replica.samples('etcdguard_break_glass_total{');
        expect(Object.keys(own)).toStrictEqual([
          'etcdguard_break_glass_total{guard="etcd",namespace="default"}',
        ]);
        expect(await replica.samples('etcdguard_ready')).toStrictEqual({ etcdguard_ready: 1 });
      }
    });

    it('are pods that look like etcd and have no guard, with the rights that are shipped', async () => {
      const [keeper, other] = await inOrder();
      const stray = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {
          name: 'stray',
          namespace: 'default',
          labels: { 'app.kubernetes.io/name': 'etcd' },
        },
        spec: { containers: [{ name: 'etcd', image: 'etcd:test' }] },
      };
      await cluster.api.apply(stray);
      const counted = 'etcdguard_unguarded_pods{namespace="default"}';
      // It is looked at once a minute.
      await until('it is counted', async () => (await sample(keeper, counted)) === 1, {
        timeoutMs: 90_000,
      });
      expect(await other.samples('etcdguard_unguarded_pods{')).toStrictEqual({});
    });

    it('passes to the other replica when one dies', async () => {
      const [keeper, other] = await inOrder();
      await keeper.process.kill();
      await until(
        'the other looks at the cluster',
        async () => (await keeps(other)) && (await sample(other, LEADS)) === 1,
        { timeoutMs: 60_000 },
      );
      const voters = 'etcdguard_cluster_voters{guard="etcd",health="healthy",namespace="default"}';
      expect(await sample(other, voters)).toBe(3);
    });
  });
});
