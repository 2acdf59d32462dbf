import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { z } from 'zod';
import { earlierFile } from '../harness/earlier-program.ts';
import type { EtcdMember } from '../harness/etcd-cluster.ts';
import {
  deleteReview,
  evictionReview,
  inOrder,
  type GuardProcess,
  type ReviewResponse,
} from '../harness/guard-process.ts';
import type { Entry, GuardedEtcd } from '../harness/guarded-cluster.ts';
import type { KubeObject } from '../harness/kube-client.ts';
import { MixedCluster, type Age } from '../harness/mixed-cluster.ts';
import { newerCrd } from '../harness/newer-crd.ts';
import { ReviewStream } from '../harness/review-stream.ts';
import { until } from '../harness/until.ts';

const ADMISSIONS = 'etcdguard_admission_requests_total';
const CRD = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/etcdguards.etcd-guard.io';
const LEASE = '/apis/coordination.k8s.io/v1/namespaces/etcd-guard/leases/etcd-guard-status';
const DRY = { dryRun: true };
const BOTH_WAYS: readonly (readonly [Age, Age])[] = [
  ['old', 'new'],
  ['new', 'old'],
];

const statusSchema = z.looseObject({
  health: z.string().optional(),
  conditions: z.array(z.record(z.string(), z.unknown())).default([]),
});
/** Without what two versions may say in different words, for people. */
function wordless({ conditions, ...status }: z.infer<typeof statusSchema>): unknown {
  return { ...status, conditions: conditions.map((one) => ({ ...one, message: '' })) };
}

const leaseSchema = z.looseObject({ holderIdentity: z.string().default('') });

function other(age: Age): Age {
  return age === 'old' ? 'new' : 'old';
}

function refusal({ allowed, status }: ReviewResponse): string {
  expect(allowed).toBe(false);
  return status?.message ?? '';
}

/** All that it has decided, and how much of that it could not decide. */
async function decisionsOf(guard: GuardProcess): Promise<{ all: number; errors: number }> {
  const samples = Object.entries(await guard.samples(`${ADMISSIONS}{`));
  const sum = (counted: typeof samples): number => counted.reduce((all, [, one]) => all + one, 0);
  return {
    all: sum(samples),
    errors: sum(samples.filter(([series]) => series.includes('decision="error"'))),
  };
}

interface Shape {
  readonly type: string;
  /** Names of labels, of each kind of series that there is; of a histogram _bucket, _sum and _count are kinds. */
  readonly labels: readonly string[];
}

/** By the name of the metric. */
async function shapesOf(guard: GuardProcess): Promise<ReadonlyMap<string, Shape>> {
  const text = await guard.metrics();
  const types = [...text.matchAll(/^# TYPE (etcdguard_\w+) (\w+)$/gm)];
  return new Map(
    types.map(([, name = '', type = '']) => {
      const ofIt = new RegExp(
        `^${name}(?<kind>_bucket|_sum|_count)?(?<series>\\{.*\\}) \\S+$`,
        'gm',
      );
      const labels = [...text.matchAll(ofIt)].map(({ groups }) => {
        const names = [...inOrder(groups?.['series'] ?? '').matchAll(/(\w+)="/g)];
        return `${groups?.['kind'] ?? ''}{${names.map(([, label]) => label).join()}}`;
      });
      return [name, { type, labels: [...new Set(labels)].sort() }];
    }),
  );
}

async function keeperIs(guard: GuardProcess): Promise<void> {
  await until(
    'it keeps the status',
    async () => (await guard.samples('etcdguard_keeps_status'))['etcdguard_keeps_status'] === 1,
    { timeoutMs: 40_000 },
  );
}

describe('an earlier version beside this one', () => {
  let cluster: MixedCluster;
  let etcd: GuardedEtcd;

  beforeAll(async () => {
    cluster = await MixedCluster.start(inject('program'));
    await cluster.run('old', 'old');
    etcd = await cluster.addEtcd({ name: 'etcd', firstHost: 91 });
  });

  afterAll(async () => {
    await cluster?.stop();
  });

  beforeEach(async () => {
    await etcd.makeWhole();
  });

  /** The review that the API server would send for a DELETE of this pod as it is now. */
  async function reviewOf({ name }: EtcdMember, options = {}): Promise<unknown> {
    const { metadata } = await cluster.api.admin.get(etcd.podPath(name));
    const { uid = '', labels } = metadata;
    return deleteReview(name, { uid, metadata: { labels }, ...options });
  }

  async function pair(): Promise<Readonly<Record<Age, GuardProcess>>> {
    const [old, fresh] = await cluster.run('old', 'new');
    if (old === undefined || fresh === undefined) throw new Error('two replicas are needed');
    return { old, new: fresh };
  }

  async function guardObject(): Promise<KubeObject> {
    return cluster.api.admin.get(etcd.guardPath);
  }

  async function status(): Promise<z.infer<typeof statusSchema>> {
    return statusSchema.parse((await guardObject()).status ?? {});
  }

  /** A change that the keeper writes, and that ends as it began. */
  async function isKept(): Promise<void> {
    const [follower] = await etcd.etcd.followers();
    const name = follower?.name ?? '';
    await etcd.etcd.killMember(name);
    await until('2/3', async () => (await status()).health === '2/3', { timeoutMs: 40_000 });
    await cluster.api.kubectl('delete', 'pod', name, '--force', '--grace-period=0');
    await etcd.bringBack(etcd.etcd.member(name));
    await until('3/3', async () => (await status()).health === '3/3', { timeoutMs: 40_000 });
  }

  /** Once it is applied it still takes a moment until it is in force. */
  async function applyCrd(crd: string): Promise<void> {
    const applied = await cluster.api.kubectlWith(crd, 'apply', '--validate=false', '-f', '-');
    expect(applied).toMatchObject({ exitCode: 0 });
  }

  /** A replica of this version alone keeps the leader and the quorum, and the status. */
  async function judges(age: Age): Promise<void> {
    const [guard] = await cluster.run(age);
    if (guard === undefined) throw new Error('a replica is needed');
    const { leader, first, second } = await etcd.roles();
    expect(refusal(await guard.review(await reviewOf(leader)))).toContain(`${leader.name} leads`);
    expect(await guard.review(await reviewOf(first))).toMatchObject({ allowed: true });
    expect(refusal(await guard.review(await reviewOf(second)))).toContain('is needed by');
    await until('its status', async () => (await status()).health === '2/3', {
      timeoutMs: 40_000,
    });
  }

  /** That of the one pod that is reserved. */
  async function entryOf(name: string): Promise<Entry> {
    const entry = Object.values(await etcd.ledger()).find(({ pod }) => pod === name);
    if (entry === undefined) throw new Error(`${name} is not reserved`);
    return entry;
  }

  // The first of all, as what it shows takes replicas that leave as slowly as the shipped ones.
  describe('a rolling change of two replicas, one after the other,', () => {
    afterAll(() => {
      cluster.shutdownDelay = 'short';
    });

    it.each(BOTH_WAYS)(
      'from %s to %s under a stream of deletions leaves none undecided and takes no two voters',
      async (from, to) => {
        await cluster.run(from, from);
        const stream = ReviewStream.start(cluster.api, etcd);
        try {
          await stream.goesOn({ asked: 10, deleted: 1, evicted: 1 });
          while (cluster.rotation.some(({ age }) => age === from)) {
            const leaving = cluster.rotation.find(({ age }) => age === from);
            if (leaving === undefined) throw new Error('nobody is left to be replaced');
            await cluster.add(to);
            await stream.goesOn({ asked: 10 });
            expect(await decisionsOf(leaving.guard)).toMatchObject({ errors: 0 });
            expect(await cluster.remove(leaving)).toStrictEqual({ code: 0, signal: null });
            const guards = cluster.rotation.map(({ guard }) => guard);
            const before = await Promise.all(guards.map(decisionsOf));
            await stream.goesOn({ asked: 10, deleted: 2, evicted: 2 });
            for (const [at, guard] of guards.entries()) {
              // The API server keeps its connections: a new replica is asked once it opens another.
              const isAsked = async (): Promise<boolean> =>
                (await decisionsOf(guard)).all > (before[at]?.all ?? Infinity);
              await until('each replica is asked', isAsked, { timeoutMs: 60_000 });
              expect(await decisionsOf(guard)).toMatchObject({ errors: 0 });
            }
          }
          expect(cluster.rotation.map(({ age }) => age)).toStrictEqual([to, to]);
        } finally {
          await stream.stop();
        }
        expect(stream.faults).toStrictEqual([]);
        expect(etcd.refusals).toStrictEqual([]);
        expect(stream.counts.refused).toBeGreaterThan(0);
        expect(Number(await etcd.etcd.get('stream'))).toBe(stream.counts.written - 1);
      },
      300_000,
    );
  });

  describe.each(BOTH_WAYS)('what the %s one writes, the %s one honours:', (writer, reader) => {
    it('a reservation', async () => {
      const guards = await pair();
      const { first, second } = await etcd.roles();
      expect(await guards[writer].review(await reviewOf(first))).toMatchObject({
        allowed: true,
        auditAnnotations: { reason: 'Spared' },
      });
      const entry = await entryOf(first.name);
      expect(refusal(await guards[reader].review(await reviewOf(second)))).toContain(
        `${second.name} is needed by etcd cluster default/etcd`,
      );
      // The API server may ask twice, and the second time somebody else: it is the same deletion.
      expect(await guards[reader].review(await reviewOf(first))).toMatchObject({
        allowed: true,
        auditAnnotations: { reason: 'Spared' },
      });
      expect(await entryOf(first.name)).toStrictEqual(entry);
    });

    it('an end of it', async () => {
      const guards = await pair();
      const { first, second } = await etcd.roles();
      await guards[writer].review(await reviewOf(first));
      await cluster.api.admin.delete(etcd.podPath(first.name));
      await etcd.isGone(first.name);
      await etcd.bringBack(first);
      expect(await guards[reader].review(await reviewOf(second))).toMatchObject({ allowed: true });
      expect(Object.values(await etcd.ledger()).map(({ pod }) => pod)).toStrictEqual([second.name]);
    });

    it('a hand-off', async () => {
      const guards = await pair();
      const { leader } = await etcd.roles();
      expect(await guards[writer].review(evictionReview(leader.name))).toMatchObject({
        allowed: true,
        auditAnnotations: { reason: 'Spared' },
      });
      const next = await etcd.etcd.leader();
      expect(await entryOf(leader.name)).toMatchObject({ handOffTo: next.id });
      const third = etcd.etcd.members.find(({ id }) => id !== leader.id && id !== next.id);
      if (third === undefined) throw new Error('three members are needed');
      const ask = async (member: EtcdMember): Promise<ReviewResponse> =>
        guards[reader].review(await reviewOf(member));
      expect(refusal(await ask(next))).toContain(`${next.name} leads etcd cluster default/etcd`);
      expect(refusal(await ask(third))).toContain(`${third.name} is needed by etcd cluster`);
      expect(await guards[reader].review(evictionReview(leader.name))).toMatchObject({
        allowed: true,
      });
      expect((await etcd.etcd.leader()).id).toBe(next.id);
    });

    it('a hand-off in whose middle it was killed, which the other one makes anew', async () => {
      const guards = await pair();
      const { leader } = await etcd.roles();
      const doomed = await cluster.startReplica(writer);
      // A connection to every member, so that it is the hand-off that takes time.
      await doomed.review(evictionReview(leader.name, DRY));
      const answering = doomed.review(evictionReview(leader.name)).catch(() => 'killed');
      try {
        await until(
          'a hand-off is under way',
          async () => Object.values(await etcd.ledger()).some(({ handOffTo }) => handOffTo),
          { intervalMs: 1 },
        );
      } finally {
        await doomed.process.kill();
      }
      expect(await answering).toBe('killed');
      const { handOffTo } = await entryOf(leader.name);
      const candidate = etcd.etcd.members.find(({ id }) => id === handOffTo);
      if (candidate === undefined) throw new Error('no candidate');
      expect(refusal(await guards[reader].review(await reviewOf(candidate)))).toMatch(
        new RegExp(`^(${candidate.name} leads|Leadership of) etcd cluster default/etcd `),
      );

      // As if the move had never been asked for, and 35 s had gone by.
      await etcd.etcd.moveLeader(leader.name);
      const [uid = ''] = Object.keys(await etcd.ledger());
      const time = new Date(Date.now() - 36_000).toISOString();
      await cluster.api.admin.patch(`${etcd.guardPath}/status`, {
        status: { disruptedPods: { [uid]: { time } } },
      });
      expect(await guards[reader].review(evictionReview(leader.name))).toMatchObject({
        allowed: true,
        auditAnnotations: { reason: 'Spared' },
      });
      expect(await entryOf(leader.name)).toMatchObject({
        handOffTo: (await etcd.etcd.leader()).id,
      });
    });
  });

  describe('metrics', () => {
    it('of both have the same names, types and labels, so that dashboards and alerts go on', async () => {
      // Of some there are series only at the one that keeps the status: each keeps it in its turn.
      const [alone] = await cluster.run('old');
      if (alone === undefined) throw new Error('a replica is needed');
      await keeperIs(alone);
      const guards = await pair();
      const { leader, first } = await etcd.roles();
      const series: Record<Age, readonly string[]> = { old: [], new: [] };
      for (const age of ['old', 'new'] as const) {
        const guard = guards[age];
        await guard.review(await reviewOf(leader));
        await guard.review(await reviewOf(first, DRY));
        await guard.review(evictionReview(first.name, DRY));
        const counted = await Promise.all(
          [`${ADMISSIONS}{`, 'etcdguard_denials_total{', 'etcdguard_handoffs_total{'].map(
            (prefix) => guard.samples(prefix),
          ),
        );
        series[age] = counted.flatMap((samples) =>
          Object.keys(samples).filter((one) => one.includes('guard="etcd"')),
        );
      }
      const decided = [
        'decision="deny",dry_run="false",guard="etcd",namespace="default",operation="delete",reason="LeaderProtected"',
        'decision="allow",dry_run="true",guard="etcd",namespace="default",operation="delete",reason="Spared"',
        'decision="allow",dry_run="true",guard="etcd",namespace="default",operation="eviction",reason="Spared"',
      ].map((labels) => `${ADMISSIONS}{${labels}}`);
      for (const age of ['old', 'new'] as const) {
        expect(series[age]).toEqual(expect.arrayContaining(decided));
      }
      await until('the older one has counted voters', async () => {
        const voters = await guards.old.samples('etcdguard_cluster_voters{');
        return Object.keys(voters).length > 0;
      });
      const before = await shapesOf(guards.old);
      expect([...before.keys()]).toEqual(
        expect.arrayContaining([
          ADMISSIONS,
          'etcdguard_denials_total',
          'etcdguard_admission_duration_seconds',
          'etcdguard_handoffs_total',
          'etcdguard_cluster_voters',
        ]),
      );
      expect(before.get('etcdguard_cluster_voters')?.labels).toStrictEqual([
        '{guard,health,namespace}',
      ]);
      expect(before.get('etcdguard_admission_duration_seconds')).toStrictEqual({
        type: 'histogram',
        labels: [
          '_bucket{decision,le,operation}',
          '_count{decision,operation}',
          '_sum{decision,operation}',
        ],
      });
      await cluster.run('new');
      await keeperIs(guards.new);
      await until(
        'the newer one has them all',
        async () => {
          const now = await shapesOf(guards.new);
          const same = [...before.keys()].map((name) => [name, now.get(name)]);
          expect(Object.fromEntries(same)).toStrictEqual(Object.fromEntries(before));
          return true;
        },
        { timeoutMs: 40_000 },
      );
    });
  });

  describe('a rollback of the CRD as well', () => {
    const FILE = 'deploy/webhook/10-crd.yaml';

    it('takes what only the newer one has out of the guard, and the guard goes on', async () => {
      const [older, newer] = await Promise.all([earlierFile(FILE), readFile(FILE, 'utf8')]);
      await etcd.applyGuard({ inject: { terminationGracePeriodSeconds: 60 } });
      expect((await guardObject()).spec).toHaveProperty('inject');
      try {
        await applyCrd(older);
        await until('it is in force', async () => {
          return !Object.hasOwn((await guardObject()).spec ?? {}, 'inject');
        });
        await judges('old');
      } finally {
        await applyCrd(newer);
      }
      await etcd.clearLedger();
      await judges('new');
    });
  });

  describe('with a CRD that lets through what neither knows', () => {
    const MARK = { promises: { x: [1, 2] } };

    beforeAll(async () => {
      const { metadata } = await cluster.api.admin.get(CRD);
      const crd = z.looseObject({ metadata: z.looseObject({}) }).parse(await newerCrd());
      await cluster.api.admin.request('PUT', CRD, {
        ...crd,
        metadata: { ...crd.metadata, resourceVersion: metadata.resourceVersion },
      });
      await until('it is in force', async () => {
        await cluster.api.admin.patch(`${etcd.guardPath}/status`, { status: MARK });
        return (await guardObject()).status?.['promises'] !== undefined;
      });
      // Which fields there are kubectl is told later.
      await until(
        'kubectl knows it',
        async () => {
          await etcd.applyGuard({ policy: { drain: 'Slowly' } });
          return true;
        },
        { timeoutMs: 60_000, intervalMs: 500 },
      );
    });

    it.each(BOTH_WAYS)(
      'the status goes from the %s keeper to the %s one, and nothing of it is lost',
      async (from, to) => {
        const [leaving] = await cluster.run(from);
        if (leaving === undefined) throw new Error('a replica is needed');
        await keeperIs(leaving);
        await cluster.add(to);
        await cluster.api.admin.patch(`${etcd.guardPath}/status`, { status: MARK });
        await isKept();
        // What a version to come adds to an entry, of a pod that is there and so keeps it.
        const { first } = await etcd.roles();
        await etcd.reserve(first.name, 1);
        const [uid = ''] = Object.keys(await etcd.ledger());
        await cluster.api.admin.patch(`${etcd.guardPath}/status`, {
          status: { disruptedPods: { [uid]: { zones: { from: 'a', to: ['b'] } } } },
        });
        await until('it is counted', async () => (await status()).health === '2/3', {
          timeoutMs: 40_000,
        });
        const before = await status();
        expect(before).toMatchObject(MARK);
        expect(JSON.stringify(before['disruptedPods'])).toContain(
          '"zones":{"from":"a","to":["b"]}',
        );

        const { spec: held } = await cluster.api.admin.get(LEASE);
        const last = cluster.rotation.find(({ guard }) => guard === leaving);
        const next = cluster.rotation.find(({ guard }) => guard !== leaving);
        if (last === undefined || next === undefined) throw new Error('two replicas are needed');
        await cluster.remove(last);
        await keeperIs(next.guard);
        const { spec: holds } = await cluster.api.admin.get(LEASE);
        expect(leaseSchema.parse(holds).holderIdentity).not.toBe(
          leaseSchema.parse(held).holderIdentity,
        );
        // Every write of the next one rests on what the last one left.
        await next.guard.review(await reviewOf(first, DRY));
        await until('it has looked', async () => {
          const seen = await next.guard.samples('etcdguard_cluster_has_leader{');
          return Object.values(seen).includes(1);
        });
        expect(wordless(await status())).toStrictEqual(wordless(before));
        await etcd.clearLedger();
        await isKept();
        expect(await status()).toMatchObject(MARK);
      },
      240_000,
    );

    it.each(['old', 'new'] as const)(
      'the %s one goes on with a guard that has fields of another version, and decides by those it knows',
      async (age) => {
        const [guard] = await cluster.run(age);
        if (guard === undefined) throw new Error('a replica is needed');
        await etcd.applyGuard({
          policy: { drain: 'Slowly' },
          inject: { readinessGate: true, terminationGracePeriodSeconds: 60 },
          backups: { before: ['Delete'] },
        });
        const { leader, first, second } = await etcd.roles();
        expect(refusal(await guard.review(await reviewOf(leader)))).toContain(
          `${leader.name} leads etcd cluster default/etcd`,
        );
        expect(await guard.review(await reviewOf(first))).toMatchObject({ allowed: true });
        expect(refusal(await guard.review(await reviewOf(second)))).toContain('is needed by');
        expect((await guardObject()).spec).toMatchObject({
          policy: { drain: 'Slowly' },
          backups: { before: ['Delete'] },
        });
        await until(
          'the status says so',
          async () => JSON.stringify((await status()).conditions).includes('"FieldsIgnored"'),
          { timeoutMs: 40_000 },
        );
        expect(guard.process.running).toBe(true);
      },
    );

    it.each(['old', 'new'] as const)(
      'the %s one refuses where a field that it knows has a value that it does not know',
      async (age) => {
        const [guard] = await cluster.run(age);
        if (guard === undefined) throw new Error('a replica is needed');
        const { leader, first } = await etcd.roles();
        await etcd.applyGuard({ policy: { quorum: 'Ask' } });
        for (const member of [leader, first]) {
          const said = refusal(await guard.review(await reviewOf(member)));
          expect(said).toContain('policy.quorum');
        }
        // Without that value it is as it was.
        await cluster.api.admin.patch(etcd.guardPath, { spec: { policy: { quorum: null } } });
        expect(await guard.review(await reviewOf(first))).toMatchObject({ allowed: true });
        expect(guard.process.running).toBe(true);
      },
    );

    it('an upgrade and a rollback leave the other’s fields alone', async () => {
      await etcd.applyGuard({ policy: { drain: 'Slowly' } });
      const written = (await guardObject()).spec;
      for (const age of ['old', 'new', 'old'] as const) {
        const [guard] = await cluster.run(age, other(age));
        if (guard === undefined) throw new Error('a replica is needed');
        await etcd.clearLedger();
        const { first } = await etcd.roles();
        expect(await guard.review(await reviewOf(first))).toMatchObject({ allowed: true });
        expect((await guardObject()).spec).toStrictEqual(written);
      }
    });
  });
});
