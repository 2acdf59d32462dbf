import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { z } from 'zod';
import { PROTECTED, REFUSED, webhookConfiguration } from '../harness/admission-webhook.ts';
import { CertificateAuthority } from '../harness/certificates.ts';
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
  type DeletionOptions,
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
import {
  startKubelet,
  type Kubelet,
  type KubeletOptions,
  type RunningPod,
} from '../harness/kubelet.ts';
import { freePort, roundRobin, type Listener } from '../harness/loopback.ts';
import { lacksBinary } from '../harness/require-binary.ts';
import { until } from '../harness/until.ts';

const MANIFESTS = fileURLToPath(new URL('../../deploy/webhook/', import.meta.url));
/** Whom the shipped ClusterRoleBinding names. */
const GUARD_USER = 'system:serviceaccount:etcd-guard:etcd-guard';
const PODS = '/api/v1/namespaces/default/pods';
const GUARDS = '/apis/etcd-guard.io/v1alpha1/namespaces/default/etcdguards';
const CRD = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/etcdguards.etcd-guard.io';
const DRY = { dryRun: true };
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
    /** Every entry that was ever written, by the pod's uid: one that has ended may go at any time. */
    const written = new Map<string, Entry>();
    const watching = new AbortController();

    function noteEntries({ status }: KubeObject): void {
      const entries = ledgerSchema.shape.status.parse(status)?.disruptedPods ?? {};
      for (const [uid, entry] of Object.entries(entries)) written.set(uid, entry);
    }

    beforeAll(async () => {
      [etcd, api] = await Promise.all([
        startEtcdCluster({
          hosts: ['127.0.0.11', '127.0.0.12', '127.0.0.13'],
          clientPort: await freePort('127.0.0.11'),
        }),
        startKubeApiserver(),
      ]);
      kubelets = await kubeletsFor(api, runsMembersOf(etcd), etcd);
      await api.admin.patch('/api/v1/namespaces/default', { metadata: { labels: PROTECTED } });
      await install(api);
      replicas = await Promise.all([startReplica(), startReplica()]);
      balancer = await roundRobin(replicas.map(({ https }) => https));
      await api.apply(guard('etcd'), ...etcd.members.map((member) => podOf(member)));
      const authorities = replicas.map(({ ca }) => ca).join('\n');
      await api.apply(webhookConfiguration(balancer.port, authorities));
      await makeWhole();
      await webhookIsInForce();
      const handlers = { synced: () => undefined, changed: noteEntries, deleted: () => undefined };
      void api.admin.watch(GUARDS, handlers, watching.signal).catch(() => undefined);
    });

    afterAll(async () => {
      watching.abort();
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
      await becomeReady(members);
      await etcd.waitHealthy();
      await etcd.leader();
    }

    async function becomeReady(members: readonly EtcdMember[]): Promise<void> {
      const names = members.map(({ name }) => `pod/${name}`);
      const waited = await api.kubectl('wait', '--for=condition=Ready', ...names, '--timeout=30s');
      expect(waited).toMatchObject({ exitCode: 0 });
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
    async function reviewOf({ name }: EtcdMember, options: DeletionOptions = {}): Promise<unknown> {
      const { metadata } = await api.admin.get(`${PODS}/${name}`);
      const { uid = '', labels } = metadata;
      return deleteReview(name, { uid, metadata: { labels }, ...options });
    }

    /** What both replicas have logged since then of requests for this pod that were meant. */
    function decisions(pod: string, since: Date): readonly LogLine[] {
      return replicas
        .flatMap(({ log }) => log)
        .filter(({ msg, dryRun }) => msg === 'decided' && dryRun !== true)
        .filter((line) => line['pod'] === pod)
        .filter(({ time }) => Date.parse(String(time)) >= since.getTime());
    }

    /** Waits for what the logs say first of this pod since then. */
    async function decided(pod: string, since: Date): Promise<LogLine> {
      return until(`a decision about ${pod}`, () => decisions(pod, since)[0]);
    }

    it('come with the rights that the guard uses, and no others', async () => {
      const asked = [
        ['list', 'etcdguards'],
        ['get', 'etcdguards'],
        ['update', 'etcdguards/status'],
        ['list', 'pods'],
        ['get', 'pods'],
        ['get', 'nodes'],
        ['get', 'namespaces'],
        ['create', 'events'],
        ['patch', 'events'],
        ['watch', 'etcdguards'],
        ['watch', 'pods'],
        ['get', 'events'],
        ['delete', 'events'],
        ['update', 'etcdguards'],
        ['delete', 'etcdguards'],
        ['delete', 'pods'],
        ['patch', 'pods'],
        ['create', 'pods/eviction'],
        ['get', 'secrets'],
        ['list', 'secrets'],
        ['list', 'nodes'],
      ] as const;
      const answers = await Promise.all(
        asked.map(async ([verb, what]) => ((await may(verb, what)) ? [`${verb} ${what}`] : [])),
      );
      expect(answers.flat()).toStrictEqual(
        asked.slice(0, 11).map(([verb, what]) => `${verb} ${what}`),
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
        const entry = await until('its reservation', () => written.get(metadata.uid ?? ''));
        expect(entry).toMatchObject({ pod: first.name, by: 'kubernetes-admin', reason: 'Spared' });
        expect(Date.parse(entry.time)).toBeGreaterThanOrEqual(startedMs);

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
        // The entry of a pod that is gone goes with it.
        await until('no entry', async () => (await ledger()).length === 0);
        expect(kubelets.flatMap(({ refusals }) => refusals)).toStrictEqual([]);
      });

      it('in a dry run reserves nothing', async () => {
        const { leader, first, second } = await roles();
        const before = await ledger();
        expect(await remove(leader.name, '--dry-run=server')).toMatchObject({ exitCode: 1 });
        for (const { name } of [first, second]) {
          expect(await remove(name, '--dry-run=server')).toMatchObject({ exitCode: 0 });
        }
        await evict(leader.name, { dryRun: ['All'] });
        await evict(first.name, { dryRun: ['All'] });
        expect((await etcd.leader()).id).toBe(leader.id);
        expect(await ledger()).toStrictEqual(before);
        await Promise.all([leader, first, second].map((member) => stays(member)));
      });

      it('leaves a stale precondition to the API server, and minds one that holds', async () => {
        const { leader } = await roles();
        const path = `${PODS}/${leader.name}`;
        const since = new Date();
        const stale = { preconditions: { uid: 'of-another-pod' } };
        // Of a DELETE the API server minds it before it asks the guard, of an eviction after.
        await expect(api.admin.delete(path, stale)).rejects.toMatchObject({ code: 409 });
        await expect(evict(leader.name, stale)).rejects.toMatchObject({ code: 409 });
        expect(await decided(leader.name, since)).toMatchObject({
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
        const { metadata } = await api.admin.get(`${PODS}/${leader.name}`);
        const since = new Date();
        await evict(leader.name);
        await isGone(leader.name);
        const next = await etcd.leader();
        expect(next.id).not.toBe(leader.id);
        const entry = await until('its reservation', () => written.get(metadata.uid ?? ''));
        expect(entry).toMatchObject({ pod: leader.name, by: 'kubernetes-admin', reason: 'Spared' });
        expect(await decided(leader.name, since)).toMatchObject({
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
        const since = new Date();
        const patient = drain(leader, '--timeout=60s');
        await until('the drain was refused', () => decisions(leader.name, since).length > 0);
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
        for (const { log } of replicas) expect(log.length).toBeGreaterThan(ROUNDS);
      }, 240_000);

      it('of 200 reviews to both replicas let one follower go', async () => {
        const { first, second } = await roles();
        const reviews = await Promise.all([reviewOf(first), reviewOf(second)]);
        const names = [first.name, second.name];
        const answers: ReviewResponse[] = [];
        // Fifty at once: all of them would take a slow machine longer than a review may last.
        while (answers.length < 200) {
          const wave = Array.from({ length: 50 }, (_, at) => ask(at >> 1, reviews[at % 2]));
          answers.push(...(await Promise.all(wave)));
        }
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
            /^Refused, since etcd-guard can't find out .*the API server/,
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
        await ask(0, evictionReview(first.name, DRY));
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
        await restarting;
        expect(refused.allowed).toBe(false);
        expect(refused.status?.message).toContain('the API server');
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

    /** Waits until both replicas refuse this deletion in these words: rights take effect with a delay. */
    async function bothSay(member: EtcdMember, words: string): Promise<void> {
      const review = await reviewOf(member, DRY);
      for (const turn of [0, 1]) {
        await until(`replica ${turn} says ${words}`, async () => {
          const { allowed, status } = await ask(turn, review);
          return !allowed && status?.message.includes(words);
        });
      }
    }

    describe('an etcd that speaks TLS', () => {
      const SECRET = 'etcd-client-tls';
      let secure: EtcdCluster;
      let nodes: readonly Kubelet[];
      let leader: EtcdMember;
      let follower: EtcdMember;

      beforeAll(async () => {
        secure = await startEtcdCluster({
          names: ['secure-0', 'secure-1', 'secure-2'],
          hosts: ['127.0.0.21', '127.0.0.22', '127.0.0.23'],
          clientPort: await freePort('127.0.0.21'),
          clientCertAuth: true,
        });
        nodes = await kubeletsFor(api, runsMembersOf(secure), secure);
        const tls = { secretName: SECRET, serverName: '{pod}.etcd.default.svc' };
        const selector = { matchLabels: { app: 'secure' } };
        await api.apply(
          guard('secure', { selector, members: { tls } }),
          ...secure.members.map((member) => podOf(member, 'secure')),
        );
        await becomeReady(secure.members);
        leader = await secure.leader();
        const [first] = await secure.followers();
        if (first === undefined) throw new Error('no follower');
        follower = first;
      });

      afterAll(async () => {
        await Promise.all((nodes ?? []).map((node) => node.stop()));
        await secure?.stop();
      });

      async function writeSecret(files: Readonly<Record<string, string>>): Promise<void> {
        const metadata = { name: SECRET, namespace: 'default' };
        await api.apply({ apiVersion: 'v1', kind: 'Secret', metadata, stringData: files });
      }

      it('is refused without the right to read its Secret, and without the Secret', async () => {
        await bothSay(follower, `Secret default/${SECRET} (spec.members.tls) can't be read`);
        const { exitCode } = await api.kubectl(
          'apply',
          '-f',
          `${MANIFESTS}components/secrets/secrets-role.yaml`,
        );
        expect(exitCode).toBe(0);
        await bothSay(follower, `Secret default/${SECRET} (spec.members.tls) does not exist`);
      });

      it('is asked with the Secret as it is now, however often that is rotated', async () => {
        const { caFile, certFile, keyFile } = secure.certificates ?? {};
        if (!caFile || !certFile || !keyFile) throw new Error('no certificates');
        const [ca, crt, key] = await Promise.all(
          [caFile, certFile, keyFile].map((file) => readFile(file, 'utf8')),
        );
        const right = { 'ca.crt': ca ?? '', 'tls.crt': crt ?? '', 'tls.key': key ?? '' };
        const stranger = await CertificateAuthority.create('stranger');
        const strange = await stranger.issue({ commonName: 'client' });

        await writeSecret({ ...right, 'tls.crt': 'no certificate' });
        await bothSay(follower, 'tls.crt');
        await writeSecret({ ...right, 'ca.crt': stranger.cert });
        await bothSay(follower, `Can't tell whether etcd cluster default/secure can spare`);
        await writeSecret(right);
        await bothSay(leader, `${leader.name} leads etcd cluster default/secure`);
        expect(await ask(0, await reviewOf(follower, DRY))).toMatchObject({ allowed: true });
        await writeSecret({ ...right, 'tls.crt': strange.cert, 'tls.key': strange.key });
        await bothSay(follower, `Can't tell whether etcd cluster default/secure can spare`);
        await writeSecret(right);
        expect(await remove(leader.name)).toMatchObject({ exitCode: 1 });
        expect(await remove(follower.name, '--timeout=30s')).toMatchObject({ exitCode: 0 });
      });
    });

    /** A scheduler for pods that each have a node of their own. */
    async function bind({ metadata: { name }, spec }: KubeObject): Promise<void> {
      if (spec?.['nodeName'] !== undefined) return;
      const target = { apiVersion: 'v1', kind: 'Node', name: nodeOf(name) };
      await api.admin
        .text('POST', `${PODS}/${name}/binding`, {
          apiVersion: 'v1',
          kind: 'Binding',
          metadata: { name, namespace: 'default' },
          target,
        })
        // Bound by the event before, or gone.
        .catch(() => undefined);
    }

    describe('controllers', () => {
      let db: EtcdCluster;
      let nodes: readonly Kubelet[];
      const binding = new AbortController();
      const stopped: { readonly pod: string; readonly left: number }[] = [];

      beforeAll(async () => {
        db = await startEtcdCluster({
          names: ['db-0', 'db-1', 'db-2'],
          hosts: ['127.0.0.31', '127.0.0.32', '127.0.0.33'],
          clientPort: await freePort('127.0.0.31'),
        });
        nodes = await kubeletsFor(api, runDb, db);
        void api.admin
          .watch(
            `${PODS}?labelSelector=app%3Ddb`,
            {
              synced: (pods) => pods.forEach((pod) => void bind(pod)),
              changed: (pod) => void bind(pod),
              deleted: () => undefined,
            },
            binding.signal,
          )
          .catch(() => undefined);
        await api.startControllerManager();
        const [{ port } = { port: 0 }] = db.members;
        await api.apply(
          guard('db', { selector: { matchLabels: { app: 'db' } } }),
          statefulSet('db', db.members.length, port),
        );
        await rolledOut();
      });

      afterAll(async () => {
        binding.abort();
        await Promise.all((nodes ?? []).map((node) => node.stop()));
        await db?.stop();
      });

      /** Remembers who was left when a member had stopped, and that they still took a write. */
      async function runDb(pod: KubeObject): Promise<RunningPod> {
        const running = await runsMembersOf(db)(pod);
        let ended = false;
        return {
          ...running,
          async stop(graceMs) {
            await running.stop(graceMs);
            if (ended || binding.signal.aborted) return;
            ended = true;
            const left = db.members.filter(({ process }) => process.running).length;
            stopped.push({ pod: pod.metadata.name, left });
            await until('a write without it', async () => {
              await db.put('without', pod.metadata.name);
              return true;
            });
          },
        };
      }

      async function rolledOut(): Promise<void> {
        const args = ['rollout', 'status', 'statefulset/db', '--timeout=90s'];
        const { exitCode, stdout, stderr } = await api.kubectl(...args);
        if (exitCode !== 0) throw new Error(`${stdout}\n${stderr}`);
        await db.waitHealthy();
      }

      it('replace all members of a StatefulSet one at a time, and leadership is handed over', async () => {
        await db.moveLeader('db-1');
        stopped.length = 0;
        const since = new Date();
        const { exitCode } = await api.kubectl('rollout', 'restart', 'statefulset/db');
        expect(exitCode).toBe(0);
        await rolledOut();
        expect(stopped).toStrictEqual([
          { pod: 'db-2', left: 2 },
          { pod: 'db-1', left: 2 },
          { pod: 'db-0', left: 2 },
        ]);
        expect(decisions('db-1', since)).toContainEqual(
          expect.objectContaining({
            user: 'system:serviceaccount:kube-system:statefulset-controller',
            reason: 'Spared',
            handOff: 'moved',
          }),
        );
      });

      it('can’t scale a StatefulSet down below the quorum of the member list', async () => {
        await db.moveLeader('db-0');
        await api.kubectl('scale', 'statefulset/db', '--replicas=1');
        await until('db-2 is gone and db-1 refused', async () => {
          const { stdout } = await api.kubectl('get', 'events', '-o', 'yaml');
          const gone = (await get('db-2')) === undefined;
          return gone && stdout.includes('db-1 is needed by etcd cluster default/db');
        });
        expect(await get('db-1')).toMatchObject({ metadata: { name: 'db-1' } });
        await api.kubectl('scale', 'statefulset/db', '--replicas=3');
        await rolledOut();
      });

      it('delete a namespace, its guard and its etcd with it', async () => {
        const doomed = await startEtcdCluster({
          names: ['doomed-0', 'doomed-1', 'doomed-2'],
          hosts: ['127.0.0.41', '127.0.0.42', '127.0.0.43'],
          clientPort: await freePort('127.0.0.41'),
        });
        const doomedNodes = await kubeletsFor(api, runsMembersOf(doomed), doomed);
        const namespace = 'doomed';
        try {
          await api.apply({
            apiVersion: 'v1',
            kind: 'Namespace',
            metadata: { name: namespace, labels: PROTECTED },
          });
          await api.apply(
            guard('etcd', {}, { namespace }),
            ...doomed.members.map(({ name }) =>
              etcdPod(doomed.member(name), { nodeName: nodeOf(name), namespace }),
            ),
          );
          const pods = ['--all', 'pods', `--namespace=${namespace}`];
          const ready = await api.kubectl('wait', '--for=condition=Ready', ...pods);
          expect(ready).toMatchObject({ exitCode: 0 });
          const leader = await doomed.leader();
          const refused = await remove(leader.name, `--namespace=${namespace}`);
          expect(refused.stderr).toContain(`${leader.name} leads etcd cluster doomed/etcd`);
          const deleted = await api.kubectl('delete', 'namespace', namespace, '--timeout=60s');
          expect(deleted).toMatchObject({ exitCode: 0 });
          expect(doomedNodes.flatMap(({ refusals }) => refusals)).toStrictEqual([]);
        } finally {
          await Promise.all(doomedNodes.map((node) => node.stop()));
          await doomed.stop();
        }
      });
    });
  },
);

/** The CRD, for API servers with and without CEL, and the guard's rights. */
async function install(api: KubeApiserver): Promise<void> {
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
function kubeletsFor(
  api: KubeApiserver,
  run: KubeletOptions['run'],
  { members }: EtcdCluster,
): Promise<readonly Kubelet[]> {
  return Promise.all(members.map(({ name }) => startKubelet({ api, nodeName: nodeOf(name), run })));
}

function nodeOf(member: string): string {
  return `node-of-${member}`;
}

function podOf(member: EtcdMember, app = 'etcd'): Record<string, unknown> {
  return etcdPod(member, { nodeName: nodeOf(member.name), labels: { app } });
}

function statefulSet(name: string, replicas: number, containerPort: number): unknown {
  const labels = { app: name };
  const ports = [{ name: 'client', containerPort }];
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name, namespace: 'default' },
    spec: {
      replicas,
      serviceName: name,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { containers: [{ name: 'etcd', image: 'etcd:test', ports }] },
      },
    },
  };
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
