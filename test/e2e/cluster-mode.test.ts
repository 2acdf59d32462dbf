import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { z } from 'zod';
import { PROTECTED, REFUSED, webhookConfiguration } from '../harness/admission-webhook.ts';
import {
  startEtcdCluster,
  type CommandResult,
  type EtcdCluster,
  type EtcdMember,
} from '../harness/etcd-cluster.ts';
import { etcdPod, runsMembersOf } from '../harness/etcd-pods.ts';
import {
  deleteReview,
  evictionReview,
  startGuard,
  type GuardProcess,
  type LogLine,
  type ReviewResponse,
} from '../harness/guard-process.ts';
import {
  lacksKubernetes,
  startKubeApiserver,
  type KubeApiserver,
} from '../harness/kube-apiserver.ts';
import { KubeError, type KubeObject } from '../harness/kube-client.ts';
import { startKubelet, type Kubelet } from '../harness/kubelet.ts';
import { freePort, roundRobin, type Listener } from '../harness/loopback.ts';
import { lacksBinary } from '../harness/require-binary.ts';
import { until } from '../harness/until.ts';

const MANIFESTS = fileURLToPath(new URL('../../deploy/webhook/', import.meta.url));
/** Whom the shipped ClusterRoleBinding names. */
const GUARD_USER = 'system:serviceaccount:etcd-guard:etcd-guard';
const PODS = '/api/v1/namespaces/default/pods';
const GUARDS = '/apis/etcd-guard.io/v1alpha1/namespaces/default/etcdguards';
const CRD = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/etcdguards.etcd-guard.io';
const HAND_OFF = ['Evictions', 'Controllers'];

const entrySchema = z.object({
  pod: z.string(),
  time: z.string(),
  by: z.string(),
  reason: z.string(),
  handOffTo: z.string().optional(),
});
const ledgerSchema = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string() }),
  status: z.looseObject({ disruptedPods: z.record(z.string(), entrySchema).optional() }).optional(),
});
type Entry = z.infer<typeof entrySchema>;

const crdSchema = z.looseObject({
  versions: z.array(z.record(z.string(), z.unknown())),
});
const versionSchema = z.object({ minor: z.string() });

describe.skipIf(lacksBinary('etcd', 'etcdctl') || (await lacksKubernetes()))(
  'guards from a cluster, two replicas with the rights that are shipped',
  () => {
    let etcd: EtcdCluster;
    let api: KubeApiserver;
    let kubelets: readonly Kubelet[];
    let replicas: readonly [GuardProcess, GuardProcess];
    let balancer: Listener;

    beforeAll(async () => {
      [etcd, api] = await Promise.all([
        startEtcdCluster({
          hosts: ['127.0.0.11', '127.0.0.12', '127.0.0.13'],
          clientPort: await freePort('127.0.0.11'),
        }),
        startKubeApiserver(),
      ]);
      kubelets = await kubeletsFor(api, etcd);
      await api.admin.patch('/api/v1/namespaces/default', { metadata: { labels: PROTECTED } });
      await install(api);
      replicas = await Promise.all([startReplica(), startReplica()]);
      balancer = await roundRobin(replicas.map(({ https }) => https));
      await api.apply(guard('etcd'), ...etcd.members.map((member) => podOf(member)));
      const authorities = replicas.map(({ ca }) => ca).join('\n');
      await api.apply(webhookConfiguration(balancer.port, authorities));
      await makeWhole();
      await webhookIsInForce();
    });

    afterAll(async () => {
      await Promise.all((kubelets ?? []).map((kubelet) => kubelet.stop()));
      await balancer?.close();
      await Promise.all((replicas ?? []).map((replica) => replica.stop()));
      await api?.stop();
      await etcd?.stop();
    });

    beforeEach(async () => {
      await makeWhole();
    });

    async function startReplica(): Promise<GuardProcess> {
      const kubeconfig = await api.kubeconfigFor({ user: GUARD_USER });
      return startGuard({
        program: inject('program'),
        guards: null,
        args: [`--kubeconfig=${kubeconfig}`],
      });
    }

    /** The API server follows its configurations with a delay: once a refusal comes, it is in force. */
    async function webhookIsInForce(): Promise<void> {
      const { name } = await etcd.leader();
      await until('the webhook is in force', async () =>
        (await remove(name, '--dry-run=server')).stderr.includes(`${REFUSED}${name} leads`),
      );
    }

    /** Every member's pod is there, runs and is healthy; nothing is reserved; the policy is the default. */
    async function makeWhole(): Promise<void> {
      await api.admin.patch(`${GUARDS}/etcd`, { spec: { policy: { handOff: HAND_OFF } } });
      await api.admin.patch(`${GUARDS}/etcd/status`, { status: { disruptedPods: null } });
      await api.kubectl('uncordon', ...etcd.members.map(({ name }) => nodeOf(name)));
      await bringBack(...etcd.members);
    }

    /** As a controller would: the pods again, and wait until their members are healthy voters. */
    async function bringBack(...members: readonly EtcdMember[]): Promise<void> {
      for (const { name } of members) {
        await until(`${name} is not terminating`, async () => {
          const pod = await get(name);
          return pod?.metadata.deletionTimestamp === undefined;
        });
      }
      await api.apply(...members.map((member) => podOf(member)));
      const names = members.map(({ name }) => `pod/${name}`);
      const waited = await api.kubectl('wait', '--for=condition=Ready', ...names, '--timeout=30s');
      expect(waited).toMatchObject({ exitCode: 0 });
      await etcd.waitHealthy();
      await etcd.leader();
    }

    function remove(...args: readonly string[]): Promise<CommandResult> {
      return api.kubectl('delete', 'pod', ...args);
    }

    function drain(member: EtcdMember, ...args: readonly string[]): Promise<CommandResult> {
      return api.kubectl('drain', nodeOf(member.name), '--force', '--ignore-daemonsets', ...args);
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

    async function stays({ name }: EtcdMember): Promise<void> {
      const pod = await get(name);
      expect(pod?.metadata.name).toBe(name);
      expect(pod?.metadata.deletionTimestamp).toBeUndefined();
      expect(etcd.member(name).process.running).toBe(true);
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

    async function readGuard(): Promise<z.infer<typeof ledgerSchema>> {
      const { stdout } = await api.kubectl('get', 'etcdguard', 'etcd', '-o', 'json');
      return ledgerSchema.parse(JSON.parse(stdout));
    }

    async function ledger(): Promise<readonly Entry[]> {
      return Object.values((await readGuard()).status?.disruptedPods ?? {});
    }

    /** Whether the guard may do this to any object of any namespace. */
    async function may(verb: string, what: string): Promise<boolean> {
      const [resource, subresource] = what.split('/');
      const group = resource === 'etcdguards' ? 'etcd-guard.io' : '';
      const { status } = await api.admin.create(
        '/apis/authorization.k8s.io/v1/subjectaccessreviews',
        {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SubjectAccessReview',
          spec: { user: GUARD_USER, resourceAttributes: { verb, group, resource, subresource } },
        },
      );
      return status?.['allowed'] === true;
    }

    /** The review that the API server would send for a DELETE of this pod as it is now. */
    async function reviewOf({ name }: EtcdMember): Promise<unknown> {
      const pod = await api.admin.get(`${PODS}/${name}`);
      return deletionOf(pod);
    }

    /** What both replicas say of requests for this pod that were meant, in the order of time. */
    function decisions(pod: string): readonly LogLine[] {
      return replicas
        .flatMap(({ log }) => log)
        .filter(({ msg, dryRun }) => msg === 'decided' && dryRun !== true)
        .filter((line) => line['pod'] === pod)
        .toSorted((a, b) => String(a['time']).localeCompare(String(b['time'])));
    }

    /** Waits for what the logs will say next of this pod. */
    async function decidedNext(pod: string, before: number): Promise<LogLine> {
      return until(`a decision about ${pod}`, () => decisions(pod)[before]);
    }

    it('come with the rights that the guard uses, and no others', async () => {
      const asked = [
        ['list', 'etcdguards'],
        ['get', 'etcdguards'],
        ['update', 'etcdguards/status'],
        ['list', 'pods'],
        ['get', 'pods'],
        ['get', 'nodes'],
        ['watch', 'etcdguards'],
        ['update', 'etcdguards'],
        ['delete', 'etcdguards'],
        ['delete', 'pods'],
        ['create', 'pods/eviction'],
        ['get', 'secrets'],
        ['list', 'secrets'],
        ['list', 'nodes'],
      ] as const;
      const answers = await Promise.all(
        asked.map(async ([verb, what]) => ((await may(verb, what)) ? [`${verb} ${what}`] : [])),
      );
      expect(answers.flat()).toStrictEqual(
        asked.slice(0, 6).map(([verb, what]) => `${verb} ${what}`),
      );
    });

    it('are listed by kubectl', async () => {
      const { stdout } = await api.kubectl('get', 'etcdguards');
      const [head, row] = stdout.split('\n');
      expect(head).toMatch(/^NAME +LEADER +HEALTHY +QUORUM +DISRUPTIONS ALLOWED +AGE$/);
      expect(row).toMatch(/^etcd /);
      expect((await api.kubectl('get', 'eg', '-o', 'name')).stdout).toBe(
        'etcdguard.etcd-guard.io/etcd',
      );
    });

    describe('kubectl delete pod', () => {
      it('refuses the leader, and says why and what to do', async () => {
        const { leader, first, second } = await roles();
        const refusal = await remove(leader.name);
        expect(refusal).toMatchObject({ exitCode: 1, stdout: '' });
        expect(refusal.stderr).toContain(
          `Error from server (Forbidden): ${REFUSED}${leader.name} leads etcd cluster default/etcd ` +
            `(member ${leader.id}, term `,
        );
        expect(refusal.stderr).toContain(
          '; 3/3 voters healthy, quorum 2). Move leadership first: ',
        );
        expect(refusal.stderr).toContain(` or delete a follower: ${first.name}, ${second.name}.`);
        expect(await ledger()).toStrictEqual([]);
        await stays(leader);
      });

      it('lets a follower go, then no other until it is back', async () => {
        const { leader, first, second } = await roles();
        const { metadata } = await api.admin.get(`${PODS}/${first.name}`);
        const startedMs = Date.now();
        expect(await remove(first.name, '--timeout=30s')).toMatchObject({
          exitCode: 0,
          stderr: `Warning: etcd cluster default/etcd can lose no further member after ${first.name}: 2 healthy voters would be left, which is its quorum.`,
        });
        const reserved = (await readGuard()).status?.disruptedPods ?? {};
        expect(Object.keys(reserved)).toStrictEqual([metadata.uid]);
        const entry = reserved[metadata.uid ?? ''];
        expect(entry).toMatchObject({ pod: first.name, by: 'kubernetes-admin', reason: 'Spared' });
        expect(Date.parse(entry?.time ?? '')).toBeGreaterThanOrEqual(startedMs);

        const refused = await remove(second.name);
        expect(refused).toMatchObject({ exitCode: 1, stdout: '' });
        expect(refused.stderr).toContain(
          `Error from server (Forbidden): ${REFUSED}${second.name} is needed by etcd cluster default/etcd `,
        );
        expect((await remove(leader.name)).stderr).toContain(`${leader.name} leads`);
        await stays(second);
        await stays(leader);

        await bringBack(first);
        expect(await remove(second.name, '--timeout=30s')).toMatchObject({ exitCode: 0 });
        // The entry of a pod that is gone goes with the next write.
        expect(await ledger()).toMatchObject([{ pod: second.name }]);
        expect(kubelets.flatMap(({ refusals }) => refusals)).toStrictEqual([]);
      });

      it('in a dry run writes nothing', async () => {
        const { leader, first, second } = await roles();
        const before = await readGuard();
        expect(await remove(leader.name, '--dry-run=server')).toMatchObject({ exitCode: 1 });
        for (const { name } of [first, second]) {
          expect(await remove(name, '--dry-run=server')).toMatchObject({ exitCode: 0 });
        }
        await evict(leader.name, { dryRun: ['All'] });
        await evict(first.name, { dryRun: ['All'] });
        expect((await etcd.leader()).id).toBe(leader.id);
        expect(await readGuard()).toStrictEqual(before);
        await Promise.all([leader, first, second].map((member) => stays(member)));
      });

      it('leaves a stale precondition to the API server, and minds one that holds', async () => {
        const { leader } = await roles();
        const path = `${PODS}/${leader.name}`;
        const before = decisions(leader.name).length;
        const stale = { preconditions: { uid: 'of-another-pod' } };
        // Of a DELETE the API server minds it before it asks the guard, of an eviction after.
        await expect(api.admin.delete(path, stale)).rejects.toMatchObject({ code: 409 });
        await expect(evict(leader.name, stale)).rejects.toMatchObject({ code: 409 });
        expect(await decidedNext(leader.name, before)).toMatchObject({
          operation: 'eviction',
          reason: 'PreconditionStale',
        });
        const { metadata } = await api.admin.get(path);
        await expect(
          api.admin.delete(path, { preconditions: { uid: metadata.uid } }),
        ).rejects.toMatchObject({ code: 403, reason: 'Forbidden' });
        expect(await ledger()).toStrictEqual([]);
        await stays(leader);
      });
    });

    describe('eviction', () => {
      it('of the leader hands leadership over', async () => {
        const { leader } = await roles();
        const before = decisions(leader.name).length;
        await evict(leader.name);
        await isGone(leader.name);
        const next = await etcd.leader();
        expect(next.id).not.toBe(leader.id);
        expect(await ledger()).toMatchObject([
          { pod: leader.name, by: 'kubernetes-admin', reason: 'Spared' },
        ]);
        expect(await decidedNext(leader.name, before)).toMatchObject({
          reason: 'Spared',
          handOff: 'moved',
        });
      });

      it('by a drain of the leader’s node completes', async () => {
        const { leader } = await roles();
        expect(await drain(leader, '--timeout=60s')).toMatchObject({ exitCode: 0 });
        await isGone(leader.name);
        expect((await etcd.leader()).id).not.toBe(leader.id);
      });

      it('without a hand-off is refused with 429, and a drain retries until it may', async () => {
        await api.admin.patch(`${GUARDS}/etcd`, { spec: { policy: { handOff: [] } } });
        const { leader, first } = await roles();
        await expect(evict(leader.name)).rejects.toMatchObject({
          code: 429,
          reason: 'TooManyRequests',
        });
        await stays(leader);
        const before = decisions(leader.name).length;
        const patient = drain(leader, '--timeout=60s');
        await until('the drain was refused', () => decisions(leader.name).length > before);
        await etcd.moveLeader(first.name);
        const { exitCode, stderr } = await patient;
        expect(stderr).toContain('will retry after 5s');
        expect(exitCode).toBe(0);
        await isGone(leader.name);
      });
    });

    describe('storms', () => {
      const ROUNDS = 10;

      it('of 200 deletes over repeated rounds take one follower a round, never the leader', async () => {
        for (let round = 1; round <= ROUNDS; round += 1) {
          const { leader, first, second } = await roles();
          const targets = Array.from({ length: 20 }, (_, at) => {
            if (at % 10 === 9) return leader;
            return at % 2 === 0 ? first : second;
          });
          const granted = await Promise.all(
            targets.map(async ({ name }) => ((await wasDeleted(name)) ? [name] : [])),
          );
          const gone = [...new Set(granted.flat())];
          expect(gone, `round ${round}`).toHaveLength(1);
          expect(gone).not.toContain(leader.name);
          await isGone(gone[0] ?? '');
          const kept = etcd.members.filter(({ name }) => name !== gone[0]);
          await Promise.all(kept.map((member) => stays(member)));
          await makeWhole();
        }
        // The API server asked both.
        const [one, other] = replicas.map(({ log }) => log.length);
        expect(Math.min(one ?? 0, other ?? 0)).toBeGreaterThan(ROUNDS);
      }, 240_000);

      it('of 200 reviews to both replicas let one follower go', async () => {
        const { first, second } = await roles();
        const reviews = await Promise.all([reviewOf(first), reviewOf(second)]);
        const names = [first.name, second.name];
        const answers = await Promise.all(
          Array.from({ length: 200 }, (_, at) => ask(at >> 1, reviews[at % 2])),
        );
        const granted = names.filter((_, which) =>
          answers.some(({ allowed }, at) => at % 2 === which && allowed),
        );
        expect(granted).toHaveLength(1);
        expect(await ledger()).toMatchObject([{ pod: granted[0], reason: 'Spared' }]);
      });

      it.each([1, 2, 3, 4, 5])(
        'of an eviction of the leader and deletes of the followers let one go (round %i)',
        async () => {
          const { leader, first, second } = await roles();
          const reviews = [
            evictionReview(leader.name),
            ...(await Promise.all([reviewOf(first), reviewOf(second)])),
          ];
          const answers = await Promise.all(
            Array.from({ length: 30 }, (_, at) => ask(Math.floor(at / 3), reviews[at % 3])),
          );
          const granted = [leader, first, second].filter((_, which) =>
            answers.some(({ allowed }, at) => at % 3 === which && allowed),
          );
          expect(granted.length).toBeLessThanOrEqual(1);
          const entries = await ledger();
          expect(entries.map(({ pod }) => pod)).toStrictEqual(granted.map(({ name }) => name));
        },
      );
    });

    /** To one replica or the other. */
    function ask(turn: number, review: unknown): Promise<ReviewResponse> {
      return replicas[turn % 2 === 0 ? 0 : 1].review(review);
    }

    async function wasDeleted(name: string): Promise<boolean> {
      try {
        await api.admin.delete(`${PODS}/${name}`);
        return true;
      } catch (error) {
        // 404: another one of the storm was faster. 409: the pod changed under its deletion.
        if (error instanceof KubeError && [403, 404, 409].includes(error.code)) return false;
        throw error;
      }
    }

    describe('an API server that goes away', () => {
      it('before the guards are read: refused in time, and it says why', async () => {
        const { first } = await roles();
        const review = await reviewOf(first);
        api.process.pause();
        try {
          const startedMs = performance.now();
          const { allowed, status } = await replicas[0].review(review);
          expect(performance.now() - startedMs).toBeLessThan(10_000);
          expect(allowed).toBe(false);
          expect(status?.message).toMatch(
            /^etcd-guard can't read what it needs from the Kubernetes API \(.+\), so this is refused; try again\.$/,
          );
        } finally {
          api.process.resume();
        }
        expect((await replicas[0].review(review)).allowed).toBe(true);
      });

      it('between reading and reserving: refused in time, and it says why', async () => {
        const { first, second } = await roles();
        const review = await reviewOf(first);
        // Both have a connection to every member: a paused one is waited for.
        await ask(0, evictionReview(first.name, { dryRun: true }));
        const asked = await statusRequests();
        const startedMs = performance.now();
        etcd.pauseMember(second.name);
        const answering = replicas[0].review(review);
        try {
          // The others have answered, so guards and pods have been read.
          await until('etcd is asked', async () => (await statusRequests()) >= asked + 2);
          api.process.pause();
          etcd.resumeMember(second.name);
          const { allowed, status } = await answering;
          expect(performance.now() - startedMs).toBeLessThan(10_000);
          expect(allowed).toBe(false);
          expect(status?.message).toContain('the API server');
          expect(status?.message).toContain(first.name);
        } finally {
          etcd.resumeMember(second.name);
          api.process.resume();
        }
        expect(await remove(first.name, '--timeout=30s')).toMatchObject({ exitCode: 0 });
      });

      it('and comes back is used again', async () => {
        const { leader, first } = await roles();
        const review = await reviewOf(first);
        const restarting = api.restart();
        const refused = await ask(1, review);
        expect(refused.allowed).toBe(false);
        expect(refused.status?.message).toContain(
          "can't read what it needs from the Kubernetes API",
        );
        await restarting;
        await webhookIsInForce();
        expect(await remove(first.name, '--timeout=30s')).toMatchObject({ exitCode: 0 });
        await stays(leader);
      });
    });

    /** How many Status requests the first replica has had answered. */
    async function statusRequests(): Promise<number> {
      const samples = await replicas[0].samples('etcdguard_etcd_request_duration_seconds_count');
      return (
        samples['etcdguard_etcd_request_duration_seconds_count{method="Status",outcome="ok"}'] ?? 0
      );
    }

    describe('other guards', () => {
      it('two on one pod refuse, and are named', async () => {
        await api.apply(guard('another'));
        const { first } = await roles();
        const refusal = await remove(first.name);
        expect(refusal).toMatchObject({ exitCode: 1 });
        expect(refusal.stderr).toMatch(
          /default\/another.*default\/etcd|default\/etcd.*default\/another/,
        );
        await stays(first);
        await api.kubectl('delete', 'etcdguard', 'another');
        expect(await remove(first.name, '--dry-run=server')).toMatchObject({ exitCode: 0 });
      });

      it('one that is being deleted guards nothing', async () => {
        await api.kubectl('delete', 'etcdguard', 'etcd');
        const { leader } = await roles();
        await api.apply(guard('held', {}, { finalizers: ['example.com/hold'] }));
        expect(await remove(leader.name, '--dry-run=server')).toMatchObject({ exitCode: 1 });
        await api.kubectl('delete', 'etcdguard', 'held', '--wait=false');
        expect(await remove(leader.name, '--dry-run=server')).toMatchObject({
          exitCode: 0,
          stderr: `Warning: ${leader.name} looks like etcd, but no EtcdGuard selects it: it is not protected.`,
        });
        await api.admin.patch(`${GUARDS}/held`, { metadata: { finalizers: null } });
        await api.apply(guard('etcd'));
        expect(await remove(leader.name, '--dry-run=server')).toMatchObject({ exitCode: 1 });
      });

      it('one that is not valid, as another version’s schema may let it be, refuses and says why', async () => {
        const { spec } = await api.admin.get(CRD);
        const { versions } = crdSchema.parse(spec);
        const anything = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
        await api.admin.patch(CRD, {
          spec: {
            versions: versions.map((one) => ({ ...one, schema: { openAPIV3Schema: anything } })),
          },
        });
        await until('the schema is off', async () => {
          await api.apply(guard('etcd', { policy: { quorum: 'Sometimes' } }));
          return true;
        });
        await api.admin.patch(CRD, { spec: { versions } });
        const { first } = await roles();
        const refusal = await remove(first.name);
        expect(refusal).toMatchObject({ exitCode: 1 });
        expect(refusal.stderr).toContain(
          'EtcdGuard default/etcd is not valid: spec.policy.quorum: ',
        );
        await until('the schema is on', async () => {
          const sent = await api.kubectl(
            'patch',
            'etcdguard',
            'etcd',
            '--type=merge',
            '-p',
            '{"spec":{"policy":{"leader":"Sometimes"}}}',
          );
          return sent.exitCode !== 0;
        });
        await api.apply(guard('etcd', { policy: { quorum: 'Enforce' } }));
        expect(await remove(first.name, '--dry-run=server')).toMatchObject({ exitCode: 0 });
      });
    });
  },
);

/** The CRD, for API servers with and without CEL, and the guard's rights. */
async function install(api: KubeApiserver): Promise<void> {
  await api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'etcd-guard' } });
  for (const args of [
    ['apply', '--validate=false', '-f', `${MANIFESTS}10-crd.yaml`],
    ['apply', '-f', `${MANIFESTS}20-rbac.yaml`],
    ['wait', '--for=condition=Established', 'crd/etcdguards.etcd-guard.io', '--timeout=20s'],
  ]) {
    const { exitCode, stderr } = await api.kubectl(...args);
    if (exitCode !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
  }
}

/** One node a member. */
function kubeletsFor(api: KubeApiserver, cluster: EtcdCluster): Promise<readonly Kubelet[]> {
  return Promise.all(
    cluster.members.map(({ name }) =>
      startKubelet({ api, nodeName: nodeOf(name), run: runsMembersOf(cluster) }),
    ),
  );
}

function nodeOf(member: string): string {
  return `node-of-${member}`;
}

function podOf(member: EtcdMember): Record<string, unknown> {
  return etcdPod(member, { nodeName: nodeOf(member.name) });
}

/** Members are found by their pods' addresses and declared ports alone. */
function guard(
  name: string,
  spec: Readonly<Record<string, unknown>> = {},
  metadata: Readonly<Record<string, unknown>> = {},
): unknown {
  return {
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'EtcdGuard',
    metadata: { name, namespace: 'default', ...metadata },
    spec: { selector: { matchLabels: { app: 'etcd' } }, ...spec },
  };
}

function deletionOf({ metadata: { name, uid = '', labels } }: KubeObject): unknown {
  return deleteReview(name, { uid, metadata: { labels } });
}
