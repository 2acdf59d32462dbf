import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { z } from 'zod';
import { PROTECTED, REFUSED, WEBHOOK, webhookConfiguration } from '../harness/admission-webhook.ts';
import {
  startEtcdCluster,
  type CommandResult,
  type EtcdCluster,
  type EtcdMember,
} from '../harness/etcd-cluster.ts';
import { becomeReady, etcdPod, runsMembersOf } from '../harness/etcd-pods.ts';
import {
  guardFile,
  guardFor,
  startGuard,
  type GuardOptions,
  type GuardProcess,
} from '../harness/guard-process.ts';
import { uncordon } from '../harness/guarded-cluster.ts';
import { startKubeApiserver, type KubeApiserver } from '../harness/kube-apiserver.ts';
import { KubeError, type KubeObject } from '../harness/kube-client.ts';
import { startKubelet, type Kubelet } from '../harness/kubelet.ts';
import { freePort } from '../harness/loopback.ts';
import { startPrometheus } from '../harness/prometheus.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../harness/reaper.ts';
import { until } from '../harness/until.ts';

const PODS = '/api/v1/namespaces/default/pods';

const AUDIT_POLICY = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
  verbs: [delete, create]
  resources: [{group: "", resources: [pods, pods/eviction]}]
- level: None
`;

const auditSchema = z.looseObject({
  verb: z.string(),
  user: z.looseObject({ username: z.string() }),
  objectRef: z.looseObject({ name: z.string().optional(), subresource: z.string().optional() }),
  responseStatus: z.looseObject({ code: z.number() }).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
});

const versionSchema = z.object({ minor: z.string() });

describe('behind a real API server', () => {
  let directory: TemporaryDirectory;
  let etcd: EtcdCluster;
  let api: KubeApiserver;
  let kubelets: readonly Kubelet[];
  let guard: GuardProcess;
  let port: number;
  let auditLog: string;
  /** As many lines of the guard's log are of earlier tests. */
  let logged: number;

  beforeAll(async () => {
    directory = await temporaryDirectory('webhook-test');
    const auditPolicy = join(directory.path, 'audit-policy.yaml');
    auditLog = join(directory.path, 'audit.log');
    await writeFile(auditPolicy, AUDIT_POLICY);
    etcd = await startEtcdCluster();
    api = await startKubeApiserver({
      args: [
        `--audit-policy-file=${auditPolicy}`,
        `--audit-log-path=${auditLog}`,
        '--audit-log-mode=blocking-strict',
      ],
    });
    kubelets = await Promise.all(
      etcd.members.map(({ name }) =>
        startKubelet({ api, nodeName: nodeOf(name), run: runsMembersOf(etcd) }),
      ),
    );
    port = await freePort();
    await api.admin.patch('/api/v1/namespaces/default', { metadata: { labels: PROTECTED } });
    guard = await startGuardWith();
    await registerWebhook();
  });

  afterAll(async () => {
    await Promise.all((kubelets ?? []).map((kubelet) => kubelet.stop()));
    await guard?.stop();
    await api?.stop();
    await etcd?.stop();
    await directory?.remove();
  });

  beforeEach(async () => {
    await makeWhole();
    if ((await guard.reservations()) > 0) await restartGuard();
    logged = guard.log.length;
  });

  /** Every member's pod is there and runs, and the cluster is healthy. */
  async function makeWhole(): Promise<void> {
    const kept = await api.admin.list(PODS);
    for (const { metadata } of kept) {
      const broken = await isBroken(metadata.name);
      if (broken) await deletePastTheGuard(metadata.name);
    }
    await api.apply(...etcd.members.map((member) => podOf(member)));
    await becomeReady(api, ...etcd.members.map(({ name }) => `${PODS}/${name}`));
    await etcd.waitHealthy();
    await etcd.leader();
    for (const { name } of etcd.members) await uncordon(api, nodeOf(name));
  }

  /** A pod whose process has ended stays down: the stand-in kubelet restarts nothing. */
  async function isBroken(name: string): Promise<boolean> {
    const member = etcd.members.find((one) => one.name === name);
    return member === undefined || !member.process.running;
  }

  async function deletePastTheGuard(name: string): Promise<void> {
    const path = `${PODS}/${name}`;
    await api.admin.patch(path, {
      metadata: { annotations: { 'etcd-guard.io/break-glass': 'the test clears up' } },
    });
    await api.admin.delete(path, { gracePeriodSeconds: 0 });
    await isGone(name);
  }

  /** As a controller would: the pod again, and wait until its member is a healthy voter. */
  async function bringBack(name: string): Promise<void> {
    await api.apply(podOf(etcd.member(name)));
    await becomeReady(api, `${PODS}/${name}`);
    await etcd.waitHealthy();
  }

  function startGuardWith(options: GuardOptions = {}): Promise<GuardProcess> {
    return startGuard({
      program: inject('program'),
      port,
      guards: guardFile(guardFor(etcd, { selector: { matchLabels: { app: 'etcd' } }, ...options })),
    });
  }

  /** With an empty ledger, and in a fresh process, so that its metrics begin at zero. */
  async function restartGuard(options: GuardOptions = {}): Promise<void> {
    await guard.stop();
    guard = await startGuardWith(options);
    await registerWebhook();
    logged = guard.log.length;
  }

  async function registerWebhook(): Promise<void> {
    await api.apply(webhookConfiguration(port, guard.ca));
    // The API server follows its configurations with a delay: once a refusal comes, it is in force.
    const leader = await etcd.leader();
    await until('the webhook is in force', async () => {
      const probe = await remove(leader.name, '--dry-run=server');
      return probe.stderr.includes(REFUSED) || probe.stderr.includes('NotFound');
    });
  }

  function remove(...args: readonly string[]): Promise<CommandResult> {
    return api.kubectl('delete', 'pod', ...args);
  }

  function drain(member: EtcdMember, ...args: readonly string[]): Promise<CommandResult> {
    return api.kubectl('drain', nodeOf(member.name), '--force', '--ignore-daemonsets', ...args);
  }

  /** What a metric counted meanwhile: the same process may have served earlier tests. */
  async function counted(
    metric: string,
    meanwhile: () => Promise<void>,
  ): Promise<Readonly<Record<string, number>>> {
    const before = await guard.samples(metric);
    await meanwhile();
    const after = Object.entries(await guard.samples(metric));
    return Object.fromEntries(
      after.map(([series, value]) => [series, value - (before[series] ?? 0)]),
    );
  }

  async function refusedEvictions(): Promise<number> {
    const series =
      'etcdguard_denials_total{guard="etcd",namespace="default",operation="eviction",reason="LeaderProtected"}';
    return (await guard.samples('etcdguard_denials_total'))[series] ?? 0;
  }

  async function evict(name: string, deleteOptions: unknown = {}): Promise<void> {
    const { minor } = versionSchema.parse(JSON.parse(await api.admin.text('GET', '/version')));
    const version = Number.parseInt(minor, 10) < 22 ? 'v1beta1' : 'v1';
    await api.admin.text('POST', `${PODS}/${name}/eviction`, {
      apiVersion: `policy/${version}`,
      kind: 'Eviction',
      metadata: { name, namespace: 'default' },
      deleteOptions,
    });
  }

  function deleteCollection(): Promise<void> {
    return api.admin.delete(`${PODS}?labelSelector=app%3Detcd`);
  }

  async function get(name: string): Promise<KubeObject | undefined> {
    try {
      return await api.admin.get(`${PODS}/${name}`);
    } catch (error) {
      if (error instanceof KubeError && error.code === 404) return undefined;
      throw error;
    }
  }

  async function isGone(name: string): Promise<void> {
    await until(`pod ${name} is gone`, async () => (await get(name)) === undefined);
  }

  async function stays(member: EtcdMember): Promise<void> {
    expect((await get(member.name))?.metadata.deletionTimestamp).toBeUndefined();
    expect(etcd.member(member.name).process.running).toBe(true);
  }

  async function roles(): Promise<{
    leader: EtcdMember;
    first: EtcdMember;
    second: EtcdMember;
  }> {
    const leader = await etcd.leader();
    const [first, second] = etcd.members.filter(({ id }) => id !== leader.id);
    if (first === undefined || second === undefined) throw new Error('three members are needed');
    return { leader, first, second };
  }

  async function audited(pod: string): Promise<readonly z.infer<typeof auditSchema>[]> {
    const lines = (await readFile(auditLog, 'utf8')).split('\n').filter((line) => line !== '');
    return lines
      .map((line) => auditSchema.parse(JSON.parse(line)))
      .filter(({ objectRef }) => objectRef.name === pod);
  }

  describe('kubectl delete pod', () => {
    it('refuses the leader, and says why and what to do', async () => {
      const { leader, first, second } = await roles();
      const { term } = (await etcd.status(leader.name)) ?? {};
      const before = (await audited(leader.name)).length;
      const refusal = await remove(leader.name);
      const sentence = (to: EtcdMember): string =>
        `Error from server (Forbidden): ${REFUSED}${leader.name} leads etcd cluster default/etcd ` +
        `(member ${leader.id}, term ${term}; 3/3 voters healthy, quorum 2). ` +
        `Move leadership first: etcdctl move-leader ${to.id} --endpoints=${leader.address}, ` +
        `or delete a follower: ${first.name}, ${second.name}.`;
      expect(refusal).toMatchObject({ exitCode: 1, stdout: '' });
      expect([sentence(first), sentence(second)]).toContain(refusal.stderr);
      await stays(leader);

      const events = (await audited(leader.name)).slice(before);
      expect(events).toHaveLength(1);
      expect(events[0]).toMatchObject({
        verb: 'delete',
        responseStatus: { code: 403 },
        annotations: {
          [`${WEBHOOK}/decision`]: 'deny',
          [`${WEBHOOK}/reason`]: 'LeaderProtected',
          [`${WEBHOOK}/guard`]: 'default/etcd',
          [`${WEBHOOK}/member`]: leader.id,
        },
      });
    });

    it('refuses the leader by force too', async () => {
      const { leader } = await roles();
      const refusal = await remove(leader.name, '--grace-period=0', '--force');
      expect(refusal).toMatchObject({ exitCode: 1 });
      expect(refusal.stderr).toContain(`${REFUSED}${leader.name} leads etcd cluster default/etcd`);
      await stays(leader);
    });

    it('lets a follower go, then no other until it is back', async () => {
      const { leader, first, second } = await roles();
      const allowed = await remove(first.name, '--timeout=30s');
      expect(allowed).toMatchObject({
        exitCode: 0,
        stderr: `Warning: etcd cluster default/etcd can lose no further member after ${first.name}: 2 healthy voters would be left, which is its quorum.`,
      });
      expect(allowed.stdout).toMatch(new RegExp(`^pod "${first.name}" deleted`));
      // kubectl waited for the kubelet's own DELETE, which the guard lets pass.
      expect(await get(first.name)).toBeUndefined();
      expect(etcd.member(first.name).process.exited).toStrictEqual({
        code: null,
        signal: 'SIGTERM',
      });
      expect(kubelets.flatMap(({ refusals }) => refusals)).toStrictEqual([]);
      expect(await decisions()).toContainEqual({
        user: `system:node:${nodeOf(first.name)}`,
        pod: first.name,
        reason: 'AlreadyGoing',
      });

      const refused = await remove(second.name);
      expect(refused).toMatchObject({ exitCode: 1, stdout: '' });
      expect(refused.stderr).toContain(
        `Error from server (Forbidden): ${REFUSED}${second.name} is needed by etcd cluster default/etcd ` +
          `(member ${second.id}, `,
      );
      expect(refused.stderr).toContain('2/3 voters healthy, quorum 2)');
      await stays(second);
      expect((await remove(leader.name)).stderr).toContain(`${leader.name} leads`);
      await stays(leader);

      await bringBack(first.name);
      await until('the reservation has ended', async () => (await guard.reservations()) === 0);
      expect(await remove(second.name, '--timeout=30s')).toMatchObject({ exitCode: 0 });
      await bringBack(second.name);
    });

    it.each([1, 2, 3])('lets one of two followers go at once, never both (round %i)', async () => {
      const { first, second } = await roles();
      const outcomes = await Promise.all([
        remove(first.name, '--timeout=30s'),
        remove(second.name, '--timeout=30s'),
      ]);
      expect(outcomes.filter(({ exitCode }) => exitCode === 0)).toHaveLength(1);
      const refusal = outcomes.find(({ exitCode }) => exitCode === 1);
      expect(refusal?.stderr).toContain(REFUSED);
      expect(await api.admin.list(PODS)).toHaveLength(2);
    });

    it('with a selector or --all takes one follower at most, and never the leader', async () => {
      for (const which of ['--selector=app=etcd', '--all']) {
        const { leader } = await roles();
        const outcome = await api.kubectl('delete', 'pods', which, '--timeout=30s');
        expect(outcome).toMatchObject({ exitCode: 1 });
        expect(outcome.stderr.split('denied the request')).toHaveLength(3);
        await stays(leader);
        // Once one delete of several is refused, kubectl waits for none of the others.
        const staying = (await api.admin.list(PODS)).filter(
          ({ metadata: { deletionTimestamp } }) => deletionTimestamp === undefined,
        );
        expect(staying).toHaveLength(2);
        await until('one has gone', async () => (await api.admin.list(PODS)).length === 2);
        await makeWhole();
        await restartGuard();
      }
    });

    it('in a dry run reserves nothing', async () => {
      const { leader, first, second } = await roles();
      const denials = await counted('etcdguard_denials_total', async () => {
        expect(await remove(leader.name, '--dry-run=server')).toMatchObject({ exitCode: 1 });
        for (const { name } of [first, second]) {
          expect(await remove(name, '--dry-run=server')).toMatchObject({ exitCode: 0 });
        }
      });
      expect(await guard.reservations()).toBe(0);
      await Promise.all([leader, first, second].map((member) => stays(member)));
      expect(Object.keys(denials)).toContain(
        'etcdguard_denials_total{guard="etcd",namespace="default",operation="delete",reason="LeaderProtected"}',
      );
      expect(Object.values(denials).every((count) => count === 0)).toBe(true);
    });

    it('by a controller that replaces pods hands leadership over', async () => {
      const { leader } = await roles();
      const deleted = await remove(
        leader.name,
        '--as=system:serviceaccount:kube-system:statefulset-controller',
        '--as-group=system:masters',
        '--timeout=30s',
      );
      expect(deleted).toMatchObject({ exitCode: 0 });
      expect((await etcd.leader()).id).not.toBe(leader.id);
      expect(await decisions()).toContainEqual({
        user: 'system:serviceaccount:kube-system:statefulset-controller',
        pod: leader.name,
        reason: 'Spared',
        handOff: 'moved',
      });
    });

    it('leaves a stale precondition to the API server, and minds one that holds', async () => {
      const { leader } = await roles();
      const path = `${PODS}/${leader.name}`;
      await expect(
        api.admin.delete(path, { preconditions: { uid: 'of-another-pod' } }),
      ).rejects.toMatchObject({ code: 409, reason: 'Conflict' });
      const { metadata } = await api.admin.get(path);
      await expect(
        api.admin.delete(path, { preconditions: { uid: metadata.uid } }),
      ).rejects.toMatchObject({ code: 403, reason: 'Forbidden' });
      await stays(leader);
    });
  });

  it('a collection is deleted up to the first refusal', async () => {
    const [zero, one, two] = etcd.members;
    if (zero === undefined || one === undefined || two === undefined) throw new Error('three');

    await etcd.moveLeader(zero.name);
    await expect(deleteCollection()).rejects.toMatchObject({ code: 403, reason: 'Forbidden' });
    await Promise.all([zero, one, two].map((member) => stays(member)));

    await etcd.moveLeader(one.name);
    await expect(deleteCollection()).rejects.toMatchObject({ code: 403, reason: 'Forbidden' });
    await isGone(zero.name);
    await Promise.all([one, two].map((member) => stays(member)));
  });

  describe('eviction', () => {
    it('hands leadership over, so that a drain of the leader’s node completes', async () => {
      const { leader } = await roles();
      const handOffs = await counted('etcdguard_handoffs_total{', async () => {
        expect(await drain(leader, '--timeout=60s')).toMatchObject({ exitCode: 0 });
      });
      await isGone(leader.name);
      const next = await etcd.leader();
      expect(next.id).not.toBe(leader.id);
      expect(handOffs).toStrictEqual({
        'etcdguard_handoffs_total{guard="etcd",namespace="default",outcome="moved"}': 1,
        'etcdguard_handoffs_total{guard="etcd",namespace="default",outcome="failed"}': 0,
        'etcdguard_handoffs_total{guard="etcd",namespace="default",outcome="refused"}': 0,
      });
      // Asked to go by itself, etcd would have handed over too: the guard did so before.
      expect((await decisions()).filter(({ handOff }) => handOff !== undefined)).toStrictEqual([
        { user: 'kubernetes-admin', pod: leader.name, reason: 'Spared', handOff: 'moved' },
      ]);
    });

    // Not with `kubectl drain --dry-run=server`, which some versions refuse ("doesn't support
    // dry-run"), but as it asks: only deleteOptions say so.
    it('in a dry run moves and reserves nothing', async () => {
      const { leader, first } = await roles();
      await evict(leader.name, { dryRun: ['All'] });
      await evict(first.name, { dryRun: ['All'] });
      expect(guard.log.findLast(({ pod }) => pod === leader.name)).toMatchObject({
        operation: 'eviction',
        dryRun: true,
        decision: 'allow',
        reason: 'Spared',
      });
      expect((await etcd.leader()).id).toBe(leader.id);
      expect(await guard.reservations()).toBe(0);
      await stays(leader);
      await stays(first);
    });

    it('without a hand-off is refused with 429, and a drain retries until it may', async () => {
      await restartGuard({ policy: { handOff: [] } });
      const { leader, first } = await roles();
      await expect(evict(leader.name)).rejects.toMatchObject({
        code: 429,
        reason: 'TooManyRequests',
      });
      await stays(leader);

      const hasty = await drain(leader, '--timeout=1s');
      expect(hasty.exitCode).toBe(1);
      expect(hasty.stderr).toContain(`${REFUSED}${leader.name} leads etcd cluster default/etcd`);
      await stays(leader);

      const before = await refusedEvictions();
      const patient = drain(leader, '--timeout=60s');
      await until('the drain was refused', async () => (await refusedEvictions()) > before);
      await etcd.moveLeader(first.name);
      const { exitCode, stderr } = await patient;
      expect(stderr).toContain('will retry after 5s');
      expect(exitCode).toBe(0);
      await isGone(leader.name);
      await restartGuard();
    });
  });

  describe('what no member stands behind', () => {
    it('an unprotected namespace is not looked at', async () => {
      const { leader } = await roles();
      await api.kubectl('create', 'namespace', 'elsewhere');
      const manifest = etcdPod(leader, { nodeName: 'nowhere', namespace: 'elsewhere' });
      await api.apply(manifest);
      const deleted = await remove(leader.name, '--namespace=elsewhere', '--wait=false');
      expect(deleted).toMatchObject({ exitCode: 0, stderr: '' });
      expect(guard.log.filter(({ namespace }) => namespace === 'elsewhere')).toStrictEqual([]);
      await api.kubectl(
        'delete',
        'pod',
        leader.name,
        '--namespace=elsewhere',
        '--force',
        '--grace-period=0',
      );
    });

    it.each([
      ['goes', { app: 'web' }, ''],
      [
        'goes with a warning if it looks like etcd',
        { 'app.kubernetes.io/name': 'etcd' },
        'Warning: other looks like etcd, but no EtcdGuard selects it: it is not protected.',
      ],
    ])('an unguarded pod %s', async (_, labels, stderr) => {
      await api.apply({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'other', namespace: 'default', labels },
        spec: { containers: [{ name: 'main', image: 'none' }] },
      });
      expect(await remove('other')).toMatchObject({ exitCode: 0, stderr });
    });

    it('a guarded pod that was never scheduled goes', async () => {
      const [member] = etcd.members;
      if (member === undefined) throw new Error('no member');
      const { spec, ...rest } = podOf(member);
      const { containers } = z.looseObject({ containers: z.array(z.unknown()) }).parse(spec);
      await api.apply({
        ...rest,
        metadata: { name: 'etcd-9', namespace: 'default', labels: { app: 'etcd' } },
        spec: { containers },
      });
      expect(await remove('etcd-9')).toMatchObject({ exitCode: 0 });
      await isGone('etcd-9');
      expect(await decisions()).toContainEqual({
        user: 'kubernetes-admin',
        pod: 'etcd-9',
        reason: 'NotRunningHere',
      });
    });
  });

  describe('break-glass', () => {
    it('lets the leader go, with a warning', async () => {
      const { leader } = await roles();
      await api.kubectl('annotate', 'pod', leader.name, 'etcd-guard.io/break-glass=disk is dying');
      const used = await counted('etcdguard_break_glass_total', async () => {
        expect(await remove(leader.name, '--timeout=30s')).toMatchObject({
          exitCode: 0,
          stderr: `Warning: etcd-guard lets ${leader.name} go unchecked: etcd-guard.io/break-glass is set.`,
        });
      });
      expect(used).toStrictEqual({
        'etcdguard_break_glass_total{guard="etcd",namespace="default"}': 1,
      });
    });

    it('counts no more once it has expired, and the refusal says so and how to go on', async () => {
      const { leader } = await roles();
      await api.kubectl(
        'annotate',
        'pod',
        leader.name,
        'etcd-guard.io/break-glass=disk is dying',
        'etcd-guard.io/break-glass-until=2026-01-01T00:00:00Z',
      );
      const refusal = await remove(leader.name);
      expect(refusal).toMatchObject({ exitCode: 1 });
      expect(refusal.stderr).toContain(`${REFUSED}${leader.name} leads etcd cluster default/etcd`);
      const [, command = ''] =
        / Its break-glass is not in force: it ended at 2026-01-01T00:00:00Z \(\d+ days ago\)\. To let it go all the same: kubectl (.+)$/.exec(
          refusal.stderr,
        ) ?? [];
      await stays(leader);

      const words = command.replace('"REASON"', 'again').split(' ');
      expect(await api.kubectl(...words)).toMatchObject({ exitCode: 0 });
      expect(await remove(leader.name, '--timeout=30s')).toMatchObject({ exitCode: 0 });
    });
  });

  it('the protection moves with the leadership when the leader is killed', async () => {
    const { leader } = await roles();
    await etcd.killMember(leader.name);
    const next = await etcd.leader();
    expect(next.id).not.toBe(leader.id);
    const refusal = await remove(next.name);
    expect(refusal).toMatchObject({ exitCode: 1 });
    expect(refusal.stderr).toContain(
      `${REFUSED}${next.name} leads etcd cluster default/etcd (member ${next.id}, `,
    );
    expect(refusal.stderr).toContain('2/3 voters healthy, quorum 2)');
    await stays(next);
    // The one that is dead has nothing to lose.
    expect(await remove(leader.name, '--timeout=30s')).toMatchObject({ exitCode: 0 });
    expect(await decisions()).toContainEqual({
      user: 'kubernetes-admin',
      pod: leader.name,
      reason: 'NothingToLose',
    });
  });

  it('without a guard nothing goes', async () => {
    const { first } = await roles();
    await guard.stop();
    const refusal = await remove(first.name);
    expect(refusal).toMatchObject({ exitCode: 1 });
    // The API server's own words; "to call" since 1.22.
    expect(refusal.stderr).toMatch(
      new RegExp(
        `^Error from server \\(InternalError\\): Internal error occurred: failed (calling|to call) webhook "${WEBHOOK}": ` +
          `.*connect: connection refused$`,
      ),
    );
    await stays(first);
    const drained = await drain(first, '--timeout=5s');
    expect(drained.exitCode).toBe(1);
    await stays(first);
    guard = await startGuardWith();
    await registerWebhook();
  });

  it('Prometheus counts the refusals', async () => {
    await restartGuard();
    const { leader } = await roles();
    const prometheus = await startPrometheus({
      scrapeConfigs: [
        {
          job_name: 'etcd-guard',
          static_configs: [{ targets: [guard.url.slice('http://'.length)] }],
        },
      ],
    });
    const ofLeader = 'etcdguard_denials_total{operation="delete",reason="LeaderProtected"}';
    await prometheus.waitFor(ofLeader, (samples) => samples[0]?.value === 0);
    await remove(leader.name);
    const [sample] = await prometheus.waitFor(ofLeader, (samples) => (samples[0]?.value ?? 0) > 0);
    // Some versions of the API server ask twice before they pass a refusal on.
    expect(sample?.value).toBe(
      guard.log.filter(({ pod, dryRun }) => pod === leader.name && dryRun !== true).length,
    );
    expect(sample?.labels).toMatchObject({ namespace: 'default', guard: 'etcd' });
    await prometheus.stop();
  });

  /** What the guard's log says of this test's real requests. */
  async function decisions(): Promise<readonly Readonly<Record<string, unknown>>[]> {
    return guard.log
      .slice(logged)
      .filter(({ msg, dryRun }) => msg === 'decided' && dryRun !== true)
      .map(({ user, pod, reason, handOff }) => ({
        user,
        pod,
        reason,
        ...(handOff !== undefined && { handOff }),
      }));
  }
});

function nodeOf(member: string): string {
  return `node-of-${member}`;
}

function podOf(member: EtcdMember): Record<string, unknown> {
  return etcdPod(member, { nodeName: nodeOf(member.name) });
}
