import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { z } from 'zod';
import { PROTECTED, webhookConfiguration } from '../harness/admission-webhook.ts';
import { startEtcdCluster, type EtcdCluster, type EtcdMember } from '../harness/etcd-cluster.ts';
import { becomeReady, etcdPod, runsMembersOf } from '../harness/etcd-pods.ts';
import { deleteReview, startGuard, type GuardProcess } from '../harness/guard-process.ts';
import { startKubeApiserver, type KubeApiserver } from '../harness/kube-apiserver.ts';
import { startKubelet, type Kubelet } from '../harness/kubelet.ts';
import { freePort } from '../harness/loopback.ts';
import { until } from '../harness/until.ts';

const MANIFESTS = fileURLToPath(new URL('../../deploy/webhook/', import.meta.url));
const GUARD_USER = 'system:serviceaccount:etcd-guard:etcd-guard';
const GUARD = '/apis/etcd-guard.io/v1alpha1/namespaces/default/etcdguards/etcd';
const PODS = '/api/v1/namespaces/default/pods';
const LEASE = '/apis/coordination.k8s.io/v1/namespaces/etcd-guard/leases/etcd-guard-status';
const NAMESPACE = '/api/v1/namespaces/default';
const KEEPS = 'keeping the status of EtcdGuards';

const statusSchema = z.looseObject({
  reason: z.string().optional(),
  leader: z.string().optional(),
  health: z.string().optional(),
  disruptionsAllowed: z.number().optional(),
  disruptedPods: z.record(z.string(), z.unknown()).optional(),
  conditions: z
    .array(
      z
        .object({
          type: z.string(),
          status: z.string(),
          reason: z.string(),
          message: z.string(),
        })
        .loose(),
    )
    .default([]),
});

const configurationSchema = z.looseObject({ webhooks: z.array(z.looseObject({})) });

describe('the status of a guard, with two replicas', () => {
  let etcd: EtcdCluster;
  let api: KubeApiserver;
  let kubelets: readonly Kubelet[];
  let replicas: GuardProcess[];

  beforeAll(async () => {
    [etcd, api] = await Promise.all([
      startEtcdCluster({
        hosts: ['127.0.0.31', '127.0.0.32', '127.0.0.33'],
        clientPort: await freePort('127.0.0.31'),
      }),
      startKubeApiserver(),
    ]);
    const run = runsMembersOf(etcd);
    kubelets = await Promise.all(
      etcd.members.map(({ name }) => startKubelet({ api, nodeName: nodeOf(name), run })),
    );
    await install();
    await api.admin.patch(NAMESPACE, { metadata: { labels: PROTECTED } });
    await api.apply(registered());
    replicas = await Promise.all([startReplica(), startReplica()]);
    await api.apply({
      apiVersion: 'etcd-guard.io/v1alpha1',
      kind: 'EtcdGuard',
      metadata: { name: 'etcd', namespace: 'default' },
      spec: { selector: { matchLabels: { app: 'etcd' } } },
    });
  });

  afterAll(async () => {
    await Promise.all((kubelets ?? []).map((kubelet) => kubelet.stop()));
    await Promise.all((replicas ?? []).map((replica) => replica.stop()));
    await api?.stop();
    await etcd?.stop();
  });

  beforeEach(async () => {
    await bringBack(...etcd.members);
    await shows({ health: '3/3' });
  });

  async function install(): Promise<void> {
    for (const args of [
      ['apply', '--validate=false', '-f', `${MANIFESTS}10-crd.yaml`],
      ['apply', '-f', `${MANIFESTS}20-rbac.yaml`],
      ['apply', '-f', `${MANIFESTS}components/role-floor/rbac.yaml`],
      ['wait', '--for=condition=Established', 'crd/etcdguards.etcd-guard.io', '--timeout=20s'],
    ]) {
      expect(await api.kubectl(...args)).toMatchObject({ exitCode: 0 });
    }
  }

  async function startReplica(): Promise<GuardProcess> {
    const kubeconfig = await api.kubeconfigFor({ user: GUARD_USER });
    const args = [`--kubeconfig=${kubeconfig}`, '--role-labels'];
    return startGuard({ program: inject('program'), guards: null, args });
  }

  async function bringBack(...members: readonly EtcdMember[]): Promise<void> {
    for (const { name } of members) {
      if (!etcd.member(name).process.running) {
        await api.kubectl('delete', 'pod', name, '--force', '--grace-period=0');
      }
    }
    await api.apply(...members.map((member) => etcdPod(member, { nodeName: nodeOf(member.name) })));
    await becomeReady(api, ...members.map(({ name }) => `/api/v1/namespaces/default/pods/${name}`));
    await etcd.waitHealthy();
  }

  async function read() {
    const { metadata, status } = await api.admin.get(GUARD);
    return { version: metadata.resourceVersion, status: statusSchema.parse(status ?? {}) };
  }

  async function shows(
    expected: Readonly<Record<string, unknown>>,
    timeoutMs = 15_000,
  ): Promise<void> {
    await until(
      `status ${JSON.stringify(expected)}`,
      async () => {
        const { status } = await read();
        expect(status).toMatchObject(expected);
        return true;
      },
      { timeoutMs },
    );
  }

  /** The one that holds the Lease now, and the other. */
  async function holder(): Promise<{ holds: GuardProcess; waits: GuardProcess }> {
    const alive = replicas.filter(({ process }) => process.running);
    const [holds] = await until('one replica holds the Lease', () => {
      const holding = alive.filter(({ log }) => log.some(({ msg }) => msg === KEEPS));
      return holding.length === 1 && holding;
    });
    const waits = alive.find((replica) => replica !== holds);
    if (holds === undefined || waits === undefined) throw new Error('two replicas are needed');
    return { holds, waits };
  }

  it('is what kubectl shows: who leads, how many are healthy', async () => {
    const { name } = await etcd.leader();
    await shows({ leader: name, disruptionsAllowed: 1 });
    const { stdout } = await api.kubectl('get', 'etcdguards');
    const [head = '', row = ''] = stdout.split('\n');
    expect(head.split(/ {2,}/)).toStrictEqual([
      'NAME',
      'LEADER',
      'HEALTHY',
      'QUORUM',
      'DISRUPTIONS ALLOWED',
      'AGE',
      'REASON',
    ]);
    // All is well: there is no reason.
    expect(row.trimEnd().split(/ +/)).toStrictEqual([
      'etcd',
      name,
      '3/3',
      '2',
      '1',
      expect.stringMatching(/^\d+m?\d*s?$/),
    ]);
    const { status } = await read();
    expect(status.conditions).toMatchObject([
      { type: 'Reachable', status: 'True', reason: 'QuorumAnswers' },
      { type: 'Healthy', status: 'True', reason: 'AllVotersHealthy' },
      { type: 'Accepted', status: 'True', reason: 'Accepted' },
    ]);
  });

  it('and labels tell who leads, once a review has shown that it moved', async () => {
    const [follower] = await etcd.followers();
    await etcd.moveLeader(follower?.name ?? '');
    for (const replica of replicas) {
      await replica.review(
        deleteReview('etcd-0', { dryRun: true, metadata: { labels: { app: 'etcd' } } }),
      );
    }
    await shows({ leader: follower?.name }, 5_000);
    await until('the labels follow', async () => {
      const { stdout } = await api.kubectl(
        'get',
        'pods',
        '-l',
        'etcd-guard.io/role=leader',
        '-o',
        'name',
      );
      return stdout.trim() === `pod/${follower?.name}`;
    });
    const { stdout } = await api.kubectl(
      'get',
      'pods',
      '-l',
      'etcd-guard.io/role=follower',
      '-o',
      'name',
    );
    expect(stdout.trim().split('\n')).toHaveLength(2);
  });

  it('follows the leader every second while somebody asks for that', async () => {
    const soon = new Date(Date.now() + 60_000).toISOString();
    await api.admin.patch(GUARD, {
      metadata: { annotations: { 'etcd-guard.io/watch-until': soon } },
    });
    for (const follower of await etcd.followers()) {
      await etcd.moveLeader(follower.name);
      await shows({ leader: follower.name }, 5_000);
    }
    const { metadata } = await api.admin.patch(GUARD, {
      metadata: { annotations: { 'etcd-guard.io/watch-until': null } },
    });
    expect(metadata.annotations ?? {}).not.toHaveProperty('etcd-guard.io/watch-until');
  });

  it('follows a member that ends, with nothing left to spare, and that is back', async () => {
    const [follower] = await etcd.followers();
    const name = follower?.name ?? '';
    await etcd.killMember(name);
    await shows({ health: '2/3', disruptionsAllowed: 0 }, 5_000);
    const { status } = await read();
    expect(status.conditions.find(({ type }) => type === 'Healthy')).toMatchObject({
      status: 'False',
      reason: 'NotAllVotersHealthy',
    });
    await bringBack(etcd.member(name));
    await shows({ health: '3/3', disruptionsAllowed: 1 }, 10_000);
  });

  it('counts a reservation, whichever replica wrote it, and drops one that has ended', async () => {
    const [follower] = await etcd.followers();
    const name = follower?.name ?? '';
    const { waits } = await holder();
    const { metadata } = await api.admin.get(`${PODS}/${name}`);
    const review = deleteReview(name, {
      uid: metadata.uid ?? '',
      metadata: { labels: { app: 'etcd' } },
    });
    expect((await waits.review(review)).allowed).toBe(true);
    await shows({ health: '2/3', disruptionsAllowed: 0 }, 5_000);
    expect(Object.keys((await read()).status.disruptedPods ?? {})).toStrictEqual([metadata.uid]);
    await api.admin.delete(`${PODS}/${name}`);
    await until('its entry is gone', async () => {
      const { status } = await read();
      return Object.keys(status.disruptedPods ?? {}).length === 0;
    });
  });

  it('is not written while nothing changes', async () => {
    // Looks after a change come every second or two at first.
    let before = await read();
    await until('three seconds without a write', async () => {
      await delay(3_000);
      const now = await read();
      const quiet = now.version === before.version;
      before = now;
      return quiet;
    });
    await delay(35_000);
    expect(await read()).toStrictEqual(before);
  });

  it('says what is wrong with the guard', async () => {
    await api.admin.patch(GUARD, { spec: { members: { auth: { secretName: 'none' } } } });
    await until('Reachable is False', async () => {
      const { status } = await read();
      const reachable = status.conditions.find(({ type }) => type === 'Reachable');
      expect(reachable).toMatchObject({ status: 'False', reason: 'NotAsked' });
      expect(status).toMatchObject({ disruptionsAllowed: 0 });
      expect(reachable?.['message']).toContain('Secret default/none (spec.members.auth)');
      return true;
    });
    await api.admin.patch(GUARD, { spec: { members: { auth: null } } });
    await shows({ health: '3/3' });
  });

  it('says that nobody is asked where the namespace is not labelled, and what to do', async () => {
    await api.admin.patch(NAMESPACE, { metadata: { labels: { 'etcd-guard.io/protect': null } } });
    await shows({ reason: 'NamespaceNotLabelled', health: '3/3' }, 5_000);
    const { stdout } = await api.kubectl('get', 'etcdguards');
    expect(stdout).toMatch(/^etcd +etcd-\d +3\/3 +2 +1 +\S+ +NamespaceNotLabelled *$/m);
    const { status } = await read();
    const accepted = status.conditions.find(({ type }) => type === 'Accepted');
    expect(accepted).toMatchObject({ status: 'False', reason: 'NamespaceNotLabelled' });
    const command = accepted?.message.split(': kubectl ')[1] ?? '';
    expect(command).toBe('label namespace default etcd-guard.io/protect=enabled');
    expect(await api.kubectl(...command.split(' '))).toMatchObject({ exitCode: 0 });
    await until('it is accepted', async () => (await read()).status.reason === undefined, {
      timeoutMs: 5_000,
    });
  });

  it('keeps the voters that were last known while all members are silent', async () => {
    const { holds } = await holder();
    await Promise.all(etcd.members.map(({ name }) => etcd.killMember(name)));
    await shows({ health: '0/3', quorum: 2, voters: 3, reason: 'NoAgreedMemberList' });
    const { stdout } = await api.kubectl('get', 'etcdguards');
    expect(stdout).toMatch(/^etcd +0\/3 +2 +0 +\S+ +NoAgreedMemberList *$/m);
    await until('the gauges follow', async () => {
      expect(await holds.samples('etcdguard_cluster_voters{')).toStrictEqual({
        'etcdguard_cluster_voters{guard="etcd",health="healthy",namespace="default"}': 0,
        'etcdguard_cluster_voters{guard="etcd",health="unhealthy",namespace="default"}': 0,
        'etcdguard_cluster_voters{guard="etcd",health="unknown",namespace="default"}': 3,
      });
      return true;
    });
    await bringBack(...etcd.members);
    await shows({ health: '3/3', disruptionsAllowed: 1 });
  });

  it('of a guard without pods names its selector; its gauges go with it', async () => {
    await api.apply({
      apiVersion: 'etcd-guard.io/v1alpha1',
      kind: 'EtcdGuard',
      metadata: { name: 'empty', namespace: 'default' },
      spec: { selector: { matchLabels: { app: 'nothing' } } },
    });
    await until('its reason', async () => {
      const { status } = await api.admin.get(GUARD.replace(/etcd$/, 'empty'));
      const { reason, conditions } = statusSchema.parse(status ?? {});
      expect(reason).toBe('NoPodSelected');
      expect(conditions.map(({ message }) => message)).toContain(
        'no pod of this namespace matches spec.selector (app=nothing)',
      );
      return true;
    });
    const { holds } = await holder();
    const gauges = [
      'etcdguard_cluster_voters{',
      'etcdguard_cluster_has_leader{',
      'etcdguard_cluster_disruptions_allowed{',
      'etcdguard_reservations{',
      'etcdguard_guarded_pods{',
    ];
    const ofEmpty = async (gauge: string): Promise<readonly string[]> =>
      Object.keys(await holds.samples(gauge)).filter((series) => series.includes('"empty"'));
    for (const gauge of gauges) expect(await ofEmpty(gauge)).not.toStrictEqual([]);
    await api.admin.delete(GUARD.replace(/etcd$/, 'empty'));
    for (const gauge of gauges) {
      await until(`${gauge} is gone`, async () => (await ofEmpty(gauge)).length === 0);
    }
  });

  it('has its gauges at one replica only', async () => {
    const { holds, waits } = await holder();
    const gauges = ['etcdguard_cluster_', 'etcdguard_reservations{', 'etcdguard_guarded_pods{'];
    for (const gauge of gauges) {
      expect(Object.keys(await holds.samples(gauge)).length).toBeGreaterThan(0);
      expect(await waits.samples(gauge)).toStrictEqual({});
    }
    expect(await holds.samples('etcdguard_guarded_pods{')).toStrictEqual({
      'etcdguard_guarded_pods{guard="etcd",namespace="default"}': 3,
    });
    for (const replica of [holds, waits]) {
      const counted = Object.keys(await replica.samples('etcdguard_denials_total{'));
      expect(counted.some((series) => series.includes('guard="etcd"'))).toBe(true);
    }
  });

  it('is kept by the other replica at once after a graceful stop, after a crash within 20 s', async () => {
    for (const [end, withinMs] of [
      ['SIGTERM', 5_000],
      ['SIGKILL', 20_000],
    ] as const) {
      const { holds, waits } = await holder();
      holds.process.signal(end);
      await until('the other keeps it', () => waits.log.some(({ msg }) => msg === KEEPS), {
        timeoutMs: withinMs,
      });
      const [follower] = await etcd.followers();
      await etcd.moveLeader(follower?.name ?? '');
      await waits.review(
        deleteReview('etcd-0', { dryRun: true, metadata: { labels: { app: 'etcd' } } }),
      );
      await shows({ leader: follower?.name }, 5_000);
      const { spec } = await api.admin.get(LEASE);
      expect(spec?.['holderIdentity']).not.toBe('');
      replicas = [waits, await startReplica()];
      await holds.stop();
    }
  });
});

/** Registered as far as it can be read; of pods that have no such label the API server asks nobody. */
function registered(): unknown {
  const { webhooks, ...configuration } = configurationSchema.parse(webhookConfiguration(1, ''));
  const objectSelector = { matchLabels: { 'test.example/never': 'asked' } };
  return {
    ...configuration,
    webhooks: webhooks.map((webhook) => ({ ...webhook, objectSelector })),
  };
}

function nodeOf(member: string): string {
  return `node-of-${member}`;
}
