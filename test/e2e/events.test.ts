import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { z } from 'zod';
import type { EtcdMember } from '../harness/etcd-cluster.ts';
import { GuardedCluster, nodeOf, type GuardedEtcd } from '../harness/guarded-cluster.ts';
import { deleteReview, type GuardProcess, type LogLine } from '../harness/guard-process.ts';
import { KubeError } from '../harness/kube-client.ts';
import { until } from '../harness/until.ts';

const EVENTS = '/api/v1/namespaces/default/events';
const ROLE = '/apis/rbac.authorization.k8s.io/v1/clusterroles/etcd-guard';

const eventSchema = z.looseObject({
  metadata: z.looseObject({ name: z.string(), resourceVersion: z.string() }),
  involvedObject: z.looseObject({ kind: z.string(), name: z.string(), uid: z.string() }),
  type: z.string(),
  reason: z.string(),
  message: z.string(),
  count: z.number(),
  source: z.looseObject({ component: z.string().optional() }),
});
type Event = z.infer<typeof eventSchema>;

const roleSchema = z.looseObject({
  rules: z.array(z.looseObject({ resources: z.array(z.string()) })),
});

describe('Events, through a real API server, with the rights that are shipped', () => {
  let cluster: GuardedCluster;
  let etcd: GuardedEtcd;

  beforeAll(async () => {
    cluster = await GuardedCluster.start(inject('program'));
    etcd = await cluster.addEtcd({ name: 'etcd', firstHost: 51 });
  });

  afterAll(async () => {
    await cluster?.stop();
  });

  beforeEach(async () => {
    await etcd.makeWhole();
  });

  /** All that the guard has written about this object, as it is now. */
  async function eventsOf(uid: string): Promise<readonly Event[]> {
    const text = await cluster.api.admin.text('GET', EVENTS);
    const { items } = z.object({ items: z.array(z.unknown()) }).parse(JSON.parse(text));
    return items
      .flatMap((item) => eventSchema.safeParse(item).data ?? [])
      .filter(({ source }) => source.component === 'etcd-guard')
      .filter(({ involvedObject }) => involvedObject.uid === uid);
  }

  /** Reads those of them that are not there now. */
  async function newEventsOf(uid: string): Promise<() => Promise<readonly Event[]>> {
    const old = new Set((await eventsOf(uid)).map(({ metadata }) => metadata.name));
    return async () => (await eventsOf(uid)).filter(({ metadata }) => !old.has(metadata.name));
  }

  async function uidOf(path: string): Promise<string> {
    const { metadata } = await cluster.api.admin.get(path);
    return metadata.uid ?? '';
  }

  async function uids({ name }: Pick<EtcdMember, 'name'>): Promise<{ pod: string; guard: string }> {
    const [pod, guard] = await Promise.all([uidOf(etcd.podPath(name)), uidOf(etcd.guardPath)]);
    return { pod, guard };
  }

  /** Waits for an Event of this reason on the object. */
  function event(uid: string, reason: string): Promise<Event> {
    return until(`an Event ${reason}`, async () =>
      (await eventsOf(uid)).find((one) => one.reason === reason),
    );
  }

  async function describeObject(what: string): Promise<string> {
    return (await cluster.api.kubectl('describe', what)).stdout;
  }

  /** The review of a DELETE of this pod as it is now. */
  async function reviewOf({ name }: EtcdMember): Promise<unknown> {
    const { metadata } = await cluster.api.admin.get(etcd.podPath(name));
    const { uid = '', labels } = metadata;
    return deleteReview(name, { uid, metadata: { labels } });
  }

  it('tell of a refusal where kubectl describe shows it', async () => {
    const { leader } = await etcd.roles();
    const { pod, guard } = await uids(leader);
    expect(await etcd.remove(leader.name)).toMatchObject({ exitCode: 1 });
    const said = `Delete of ${leader.name} by kubernetes-admin refused: ${leader.name} leads etcd cluster default/etcd`;
    expect(await event(pod, 'LeaderProtected')).toMatchObject({
      type: 'Warning',
      message: expect.stringContaining(said),
      action: 'Refused',
      reportingComponent: 'etcd-guard',
    });
    expect(await event(guard, 'LeaderProtected')).toMatchObject({
      type: 'Warning',
      message: expect.stringContaining(said),
    });
    const row = /Warning +LeaderProtected +\S.* +etcd-guard +Delete of etcd-\d by/;
    expect(await describeObject(`pod/${leader.name}`)).toMatch(row);
    expect(await describeObject('etcdguard/etcd')).toMatch(row);
    const { stdout } = await cluster.api.kubectl(
      'get',
      'events',
      '--field-selector',
      'source=etcd-guard',
    );
    expect(stdout).toMatch(new RegExp(`Warning +LeaderProtected +pod/${leader.name} +Delete of`));
    expect(stdout).toMatch(/Warning +LeaderProtected +etcdguard\/etcd +Delete of/);
  });

  it('count what is refused again and again, in a few writes', async () => {
    const { leader } = await etcd.roles();
    const { pod, guard } = await uids(leader);
    const review = await reviewOf(leader);
    // One that has no Event yet, and whose count nobody else adds to.
    const other = await cluster.startReplica();
    try {
      const [ofPod, ofGuard] = [await newEventsOf(pod), await newEventsOf(guard)];
      const seen = new Set<string>();
      for (let turn = 0; turn < 50; turn += 1) {
        expect(await other.review(review)).toMatchObject({ allowed: false });
        for (const { metadata } of await ofPod()) seen.add(metadata.resourceVersion);
      }
      await until(
        'all are counted',
        async () => {
          const events = await ofPod();
          for (const { metadata } of events) seen.add(metadata.resourceVersion);
          return countOf(events, 'LeaderProtected') === 50;
        },
        { timeoutMs: 70_000 },
      );
      expect(await ofPod()).toMatchObject([{ reason: 'LeaderProtected', count: 50 }]);
      await until('all are counted on the guard', async () => {
        return countOf(await ofGuard(), 'LeaderProtected') === 50;
      });
      expect(await ofGuard()).toHaveLength(1);
      expect(seen.size).toBeLessThanOrEqual(5);
    } finally {
      await other.stop();
    }
  }, 120_000);

  it('tell of a drain that had leadership moved', async () => {
    const { leader } = await etcd.roles();
    const { pod, guard } = await uids(leader);
    const drained = await cluster.api.kubectl(
      'drain',
      nodeOf(leader.name),
      '--force',
      '--ignore-daemonsets',
      '--timeout=60s',
    );
    expect(drained).toMatchObject({ exitCode: 0 });
    const next = await etcd.etcd.leader();
    const told = {
      type: 'Normal',
      action: 'MovedLeadership',
      message: `Eviction of ${leader.name} by kubernetes-admin: leadership of etcd cluster default/etcd was moved from ${leader.name} to ${next.name} first.`,
    };
    expect(await event(pod, 'LeadershipMoved')).toMatchObject(told);
    expect(await event(guard, 'LeadershipMoved')).toMatchObject(told);
  });

  it('tell of an eviction that is refused, on the pod that is there', async () => {
    await etcd.applyGuard({ policy: { handOff: [] } });
    const { leader } = await etcd.roles();
    const { pod } = await uids(leader);
    await expect(etcd.evict(leader.name)).rejects.toBeInstanceOf(KubeError);
    await until('it is told', async () =>
      (await eventsOf(pod)).some(({ message }) => message.startsWith('Eviction of')),
    );
    await etcd.applyGuard({ policy: { handOff: ['Evictions', 'Controllers'] } });
  });

  it('tell of break-glass', async () => {
    const { leader } = await etcd.roles();
    const { pod, guard } = await uids(leader);
    const annotation = 'etcd-guard.io/break-glass=the disk is on fire';
    await cluster.api.kubectl('annotate', 'pod', leader.name, annotation);
    expect(await etcd.remove(leader.name, '--timeout=30s')).toMatchObject({ exitCode: 0 });
    const told = { type: 'Warning', message: expect.stringContaining('the disk is on fire') };
    expect(await event(pod, 'BreakGlass')).toMatchObject(told);
    expect(await event(guard, 'BreakGlass')).toMatchObject(told);
  });

  it('tell nothing of a dry run', async () => {
    const [first] = await etcd.etcd.followers();
    if (first === undefined) throw new Error('no follower');
    await etcd.etcd.moveLeader(first.name);
    const other = await cluster.startReplica();
    try {
      const { pod } = await uids(first);
      const before = await eventsOf(pod);
      const { metadata } = await cluster.api.admin.get(etcd.podPath(first.name));
      const { labels } = metadata;
      const dry = deleteReview(first.name, { uid: pod, metadata: { labels }, dryRun: true });
      expect(await other.review(dry)).toMatchObject({ allowed: false });
      expect(await etcd.remove(first.name, '--dry-run=server')).toMatchObject({ exitCode: 1 });
      // What a replica still has it writes before it ends: nothing here.
      other.process.signal('SIGTERM');
      await other.process.exit;
      expect(await eventsOf(pod)).toStrictEqual(before);
    } finally {
      await other.stop();
    }
  });

  it('that wait are written before a replica ends', async () => {
    const { leader } = await etcd.roles();
    const { pod } = await uids(leader);
    const review = await reviewOf(leader);
    const other = await cluster.startReplica();
    try {
      const ofPod = await newEventsOf(pod);
      for (let turn = 0; turn < 7; turn += 1) await other.review(review);
      other.process.signal('SIGTERM');
      await other.process.exit;
      expect(await ofPod()).toMatchObject([{ reason: 'LeaderProtected', count: 7 }]);
    } finally {
      await other.stop();
    }
  });

  it('that may not be written change no answer, and the log says so once', async () => {
    const { rules } = roleSchema.parse(await cluster.api.admin.get(ROLE));
    const without = rules.filter(({ resources }) => !resources.includes('events'));
    expect(without).toHaveLength(rules.length - 1);
    await cluster.api.admin.patch(ROLE, { rules: without });
    const other = await cluster.startReplica();
    try {
      const { leader, first } = await etcd.roles();
      const [refused, allowed] = await Promise.all([reviewOf(leader), reviewOf(first)]);
      const expected = await other.review(refused);
      expect(expected).toMatchObject({ allowed: false, status: { code: 403 } });
      await other.logged('could not write Events; no answer depends on them');
      for (let turn = 0; turn < 20; turn += 1) {
        const { status } = await other.review(refused);
        expect(status).toStrictEqual(expected.status);
      }
      expect(await other.review(allowed)).toMatchObject({ allowed: true });
      other.process.signal('SIGTERM');
      await other.process.exit;
      const lines = spoken(other);
      expect(lines).toMatchObject([
        { level: 'warn', msg: 'could not write Events; no answer depends on them' },
      ]);
      expect(JSON.stringify(lines)).toMatch(/missing permission .*\\"create\\" on \\"events\\"/);
    } finally {
      await other.stop();
      await cluster.api.admin.patch(ROLE, { rules });
    }
  });
});

function countOf(events: readonly Event[], reason: string): number {
  return events.reduce((sum, one) => sum + (one.reason === reason ? one.count : 0), 0);
}

/** What a replica has logged about Events. */
function spoken({ log }: GuardProcess): readonly LogLine[] {
  return log.filter(({ msg }) => /Events/.test(String(msg)));
}
