import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { z } from 'zod';
import { PROTECTED, REFUSED } from '../harness/admission-webhook.ts';
import { CertificateAuthority } from '../harness/certificates.ts';
import type { CommandResult, EtcdCluster, EtcdMember } from '../harness/etcd-cluster.ts';
import { runsMembersOf } from '../harness/etcd-pods.ts';
import {
  deleteReview,
  evictionReview,
  type DeletionOptions,
  type ReviewResponse,
} from '../harness/guard-process.ts';
import {
  GuardedCluster,
  ledgerIn,
  nodeOf,
  type Entry,
  type GuardedEtcd,
} from '../harness/guarded-cluster.ts';
import type { KubeApiserver } from '../harness/kube-apiserver.ts';
import { KubeError, type KubeObject } from '../harness/kube-client.ts';
import type { KubeletOptions } from '../harness/kubelet.ts';
import { StatefulEtcd } from '../harness/stateful-etcd.ts';
import { until } from '../harness/until.ts';

const MANIFESTS = fileURLToPath(new URL('../../deploy/webhook/', import.meta.url));
/** Whom the shipped ClusterRoleBinding names. */
const GUARD_USER = 'system:serviceaccount:etcd-guard:etcd-guard';
const GUARDS = '/apis/etcd-guard.io/v1alpha1/namespaces/default/etcdguards';
const CRD = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/etcdguards.etcd-guard.io';
const DRY = { dryRun: true };
/** Metadata that every write of a status changes, too. */
const OF_STATUS_TOO: ReadonlySet<string> = new Set(['resourceVersion', 'managedFields']);

const crdSchema = z.looseObject({
  versions: z.array(z.record(z.string(), z.unknown())),
});

describe('guards from a cluster, two replicas with the rights that are shipped', () => {
  let cluster: GuardedCluster;
  let api: KubeApiserver;
  let replicas: GuardedCluster['replicas'];
  let etcd: GuardedEtcd;
  /** Every entry that was ever written, by the pod's uid: one that has ended may go at any time. */
  const written = new Map<string, Entry>();
  const watching = new AbortController();

  function noteEntries(object: KubeObject): void {
    for (const [uid, entry] of Object.entries(ledgerIn(object))) written.set(uid, entry);
  }

  beforeAll(async () => {
    cluster = await GuardedCluster.start(inject('program'));
    ({ api, replicas } = cluster);
    etcd = await cluster.addEtcd({ name: 'etcd', firstHost: 11 });
    const handlers = { synced: () => undefined, changed: noteEntries, deleted: () => undefined };
    void api.admin.watch(GUARDS, handlers, watching.signal).catch(() => undefined);
  });

  afterAll(async () => {
    watching.abort();
    await cluster?.stop();
  });

  beforeEach(async () => {
    await etcd.makeWhole();
  });

  function drain(member: EtcdMember, ...args: readonly string[]): Promise<CommandResult> {
    return api.kubectl('drain', nodeOf(member.name), '--force', '--ignore-daemonsets', ...args);
  }

  async function stays({ name }: EtcdMember): Promise<void> {
    const pod = await etcd.pod(name);
    expect(pod?.metadata.name).toBe(name);
    expect(pod?.metadata.deletionTimestamp).toBeUndefined();
    expect(etcd.etcd.member(name).process.running).toBe(true);
  }

  async function entries(): Promise<readonly Entry[]> {
    return Object.values(await etcd.ledger());
  }

  /** All of guard and pods that only requests change: their status is kept meanwhile, as at any time. */
  async function standing(): Promise<unknown> {
    const paths = [etcd.guardPath, ...etcd.etcd.members.map(({ name }) => etcd.podPath(name))];
    const objects = await Promise.all(paths.map((path) => api.admin.get(path)));
    const kept = objects.map(({ metadata, spec }) => ({
      spec,
      metadata: Object.entries(metadata).filter(([key]) => !OF_STATUS_TOO.has(key)),
    }));
    return { kept, ledger: await etcd.ledger() };
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
    const { metadata } = await api.admin.get(etcd.podPath(name));
    const { uid = '', labels } = metadata;
    return deleteReview(name, { uid, metadata: { labels }, ...options });
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
      ['list', 'namespaces'],
      ['watch', 'namespaces'],
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
      asked.slice(0, 13).map(([verb, what]) => `${verb} ${what}`),
    );
  });

  it('are listed by kubectl', async () => {
    const { stdout } = await api.kubectl('get', 'etcdguards');
    const [head, row] = stdout.split('\n');
    expect(head).toMatch(/^NAME +LEADER +HEALTHY +QUORUM +DISRUPTIONS ALLOWED +AGE +REASON$/);
    expect(row).toMatch(/^etcd /);
    expect((await api.kubectl('get', 'eg', '-o', 'name')).stdout).toBe(
      'etcdguard.etcd-guard.io/etcd',
    );
  });

  describe('kubectl delete pod', () => {
    it('refuses the leader, and says why and what to do', async () => {
      const { leader, first, second } = await etcd.roles();
      const refusal = await etcd.remove(leader.name);
      expect(refusal).toMatchObject({ exitCode: 1, stdout: '' });
      expect(refusal.stderr).toContain(
        `Error from server (Forbidden): ${REFUSED}${leader.name} leads etcd cluster default/etcd ` +
          `(member ${leader.id}, term `,
      );
      expect(refusal.stderr).toContain('; 3/3 voters healthy, quorum 2). Move leadership first: ');
      expect(refusal.stderr).toContain(` or delete a follower: ${first.name}, ${second.name}.`);
      expect(await entries()).toStrictEqual([]);
      await stays(leader);
    });

    it('lets a follower go, then no other until it is back', async () => {
      const { leader, first, second } = await etcd.roles();
      const { metadata } = await api.admin.get(etcd.podPath(first.name));
      const startedMs = Date.now();
      expect(await etcd.remove(first.name, '--timeout=30s')).toMatchObject({
        exitCode: 0,
        stderr: `Warning: etcd cluster default/etcd can lose no further member after ${first.name}: 2 healthy voters would be left, which is its quorum.`,
      });
      const entry = await until('its reservation', () => written.get(metadata.uid ?? ''));
      expect(entry).toMatchObject({ pod: first.name, by: 'kubernetes-admin', reason: 'Spared' });
      expect(Date.parse(entry.time)).toBeGreaterThanOrEqual(startedMs);

      const refused = await etcd.remove(second.name);
      expect(refused).toMatchObject({ exitCode: 1, stdout: '' });
      expect(refused.stderr).toContain(
        `Error from server (Forbidden): ${REFUSED}${second.name} is needed by etcd cluster default/etcd `,
      );
      expect((await etcd.remove(leader.name)).stderr).toContain(`${leader.name} leads`);
      await stays(second);
      await stays(leader);

      await etcd.bringBack(first);
      expect(await etcd.remove(second.name, '--timeout=30s')).toMatchObject({ exitCode: 0 });
      // The entry of a pod that is gone goes with it.
      await until('no entry', async () => (await entries()).length === 0);
      expect(etcd.refusals).toStrictEqual([]);
    });

    it('in a dry run reserves nothing, and changes neither guard nor pods', async () => {
      const { leader, first, second } = await etcd.roles();
      const before = await standing();
      expect(await etcd.remove(leader.name, '--dry-run=server')).toMatchObject({ exitCode: 1 });
      for (const { name } of [first, second]) {
        expect(await etcd.remove(name, '--dry-run=server')).toMatchObject({ exitCode: 0 });
      }
      await etcd.evict(leader.name, { dryRun: ['All'] });
      await etcd.evict(first.name, { dryRun: ['All'] });
      expect((await etcd.etcd.leader()).id).toBe(leader.id);
      expect(await standing()).toStrictEqual(before);
      await Promise.all([leader, first, second].map((member) => stays(member)));
    });

    it('leaves a stale precondition to the API server, and minds one that holds', async () => {
      const { leader } = await etcd.roles();
      const path = etcd.podPath(leader.name);
      const since = new Date();
      const stale = { preconditions: { uid: 'of-another-pod' } };
      // Of a DELETE the API server minds it before it asks the guard, of an eviction after.
      await expect(api.admin.delete(path, stale)).rejects.toMatchObject({ code: 409 });
      await expect(etcd.evict(leader.name, stale)).rejects.toMatchObject({ code: 409 });
      expect(await cluster.decided(leader.name, since)).toMatchObject({
        operation: 'eviction',
        reason: 'PreconditionStale',
      });
      const { metadata } = await api.admin.get(path);
      await expect(
        api.admin.delete(path, { preconditions: { uid: metadata.uid } }),
      ).rejects.toMatchObject({ code: 403, reason: 'Forbidden' });
      expect(await entries()).toStrictEqual([]);
      await stays(leader);
    });
  });

  describe('eviction', () => {
    it('of the leader hands leadership over', async () => {
      const { leader } = await etcd.roles();
      const { metadata } = await api.admin.get(etcd.podPath(leader.name));
      const since = new Date();
      await etcd.evict(leader.name);
      await etcd.isGone(leader.name);
      const next = await etcd.etcd.leader();
      expect(next.id).not.toBe(leader.id);
      const entry = await until('its reservation', () => written.get(metadata.uid ?? ''));
      expect(entry).toMatchObject({ pod: leader.name, by: 'kubernetes-admin', reason: 'Spared' });
      expect(await cluster.decided(leader.name, since)).toMatchObject({
        reason: 'Spared',
        handOff: 'moved',
      });
    });

    it('by a drain of the leader’s node completes', async () => {
      const { leader } = await etcd.roles();
      expect(await drain(leader, '--timeout=60s')).toMatchObject({ exitCode: 0 });
      await etcd.isGone(leader.name);
      expect((await etcd.etcd.leader()).id).not.toBe(leader.id);
    });

    it('without a hand-off is refused with 429, and a drain retries until it may', async () => {
      await etcd.applyGuard({ policy: { handOff: [] } });
      const { leader, first } = await etcd.roles();
      await expect(etcd.evict(leader.name)).rejects.toMatchObject({
        code: 429,
        reason: 'TooManyRequests',
      });
      await stays(leader);
      const since = new Date();
      const patient = drain(leader, '--timeout=60s');
      await until('the drain was refused', () => cluster.decisions(leader.name, since).length > 0);
      await etcd.etcd.moveLeader(first.name);
      const { exitCode, stderr } = await patient;
      expect(stderr).toContain('will retry after 5s');
      expect(exitCode).toBe(0);
      await etcd.isGone(leader.name);
    });
  });

  describe('storms', () => {
    const ROUNDS = 10;

    it('of 200 deletes over repeated rounds take one follower a round, never the leader', async () => {
      for (let round = 1; round <= ROUNDS; round += 1) {
        const { leader, first, second } = await etcd.roles();
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
        await etcd.isGone(gone[0] ?? '');
        const kept = etcd.etcd.members.filter(({ name }) => name !== gone[0]);
        await Promise.all(kept.map((member) => stays(member)));
        await etcd.makeWhole();
      }
      // The API server asked both.
      for (const { log } of replicas) expect(log.length).toBeGreaterThan(ROUNDS);
    }, 240_000);

    it('of 200 reviews to both replicas let one follower go', async () => {
      const { first, second } = await etcd.roles();
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
      expect(await entries()).toMatchObject([{ pod: granted[0], reason: 'Spared' }]);
    });

    it.each([1, 2, 3, 4, 5])(
      'of an eviction of the leader and deletes of the followers let one go (round %i)',
      async () => {
        const { leader, first, second } = await etcd.roles();
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
        const reserved = await entries();
        expect(reserved.map(({ pod }) => pod)).toStrictEqual(granted.map(({ name }) => name));
      },
    );
  });

  /** To one replica or the other. */
  function ask(turn: number, review: unknown): Promise<ReviewResponse> {
    return replicas[turn % 2 === 0 ? 0 : 1].review(review);
  }

  async function wasDeleted(name: string): Promise<boolean> {
    try {
      await api.admin.delete(etcd.podPath(name));
      return true;
    } catch (error) {
      // 404: another one of the storm was faster. 409: the pod changed under its deletion.
      if (error instanceof KubeError && [403, 404, 409].includes(error.code)) return false;
      throw error;
    }
  }

  describe('an API server that goes away', () => {
    it('before the guards are read: refused in time, and it says why', async () => {
      const { first } = await etcd.roles();
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
      const { first, second } = await etcd.roles();
      const review = await reviewOf(first);
      // Both have a connection to every member: a paused one is waited for.
      await ask(0, evictionReview(first.name, DRY));
      const asked = await statusRequests();
      const startedMs = performance.now();
      etcd.etcd.pauseMember(second.name);
      const answering = replicas[0].review(review);
      try {
        // The others have answered, so guards and pods have been read.
        await until('etcd is asked', async () => (await statusRequests()) >= asked + 2);
        api.process.pause();
        etcd.etcd.resumeMember(second.name);
        const { allowed, status } = await answering;
        expect(performance.now() - startedMs).toBeLessThan(10_000);
        expect(allowed).toBe(false);
        expect(status?.message).toContain('the API server');
        expect(status?.message).toContain(first.name);
      } finally {
        etcd.etcd.resumeMember(second.name);
        api.process.resume();
      }
      expect(await etcd.remove(first.name, '--timeout=30s')).toMatchObject({ exitCode: 0 });
    });

    it('and comes back is used again', async () => {
      const { leader, first } = await etcd.roles();
      const review = await reviewOf(first);
      const restarting = api.restart();
      const refused = await ask(1, review);
      await restarting;
      expect(refused.allowed).toBe(false);
      expect(refused.status?.message).toContain('the API server');
      await etcd.isWatched();
      expect(await etcd.remove(first.name, '--timeout=30s')).toMatchObject({ exitCode: 0 });
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
      const { first } = await etcd.roles();
      const refusal = await etcd.remove(first.name);
      expect(refusal).toMatchObject({ exitCode: 1 });
      expect(refusal.stderr).toMatch(
        /default\/another.*default\/etcd|default\/etcd.*default\/another/,
      );
      await stays(first);
      await api.kubectl('delete', 'etcdguard', 'another');
      expect(await etcd.remove(first.name, '--dry-run=server')).toMatchObject({ exitCode: 0 });
    });

    it('one that is being deleted guards nothing', async () => {
      await api.kubectl('delete', 'etcdguard', 'etcd');
      const { leader } = await etcd.roles();
      await api.apply(guard('held', ['example.com/hold']));
      expect(await etcd.remove(leader.name, '--dry-run=server')).toMatchObject({ exitCode: 1 });
      await api.kubectl('delete', 'etcdguard', 'held', '--wait=false');
      expect(await etcd.remove(leader.name, '--dry-run=server')).toMatchObject({
        exitCode: 0,
        stderr: `Warning: ${leader.name} looks like etcd, but no EtcdGuard selects it: it is not protected.`,
      });
      await api.admin.patch(`${GUARDS}/held`, { metadata: { finalizers: null } });
      await etcd.applyGuard();
      expect(await etcd.remove(leader.name, '--dry-run=server')).toMatchObject({ exitCode: 1 });
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
        await etcd.applyGuard({ policy: { quorum: 'Sometimes' } });
        return true;
      });
      await api.admin.patch(CRD, { spec: { versions } });
      const { first } = await etcd.roles();
      const refusal = await etcd.remove(first.name);
      expect(refusal).toMatchObject({ exitCode: 1 });
      expect(refusal.stderr).toContain('EtcdGuard default/etcd is not valid: spec.policy.quorum: ');
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
      await etcd.applyGuard({ policy: { quorum: 'Enforce' } });
      expect(await etcd.remove(first.name, '--dry-run=server')).toMatchObject({ exitCode: 0 });
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
    let secure: GuardedEtcd;
    let leader: EtcdMember;
    let follower: EtcdMember;

    beforeAll(async () => {
      const tls = { secretName: SECRET, serverName: '{pod}.etcd.default.svc' };
      secure = await cluster.addEtcd({
        name: 'secure',
        firstHost: 21,
        clientCertAuth: true,
        guard: { members: { tls } },
      });
      ({ leader, first: follower } = await secure.roles());
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
      const { caFile, certFile, keyFile } = secure.etcd.certificates ?? {};
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
      expect(await etcd.remove(leader.name)).toMatchObject({ exitCode: 1 });
      expect(await etcd.remove(follower.name, '--timeout=30s')).toMatchObject({ exitCode: 0 });
    });
  });

  describe('controllers', () => {
    let db: StatefulEtcd;
    let watchStops = true;
    const stopped: { readonly pod: string; readonly left: number }[] = [];

    beforeAll(async () => {
      db = await StatefulEtcd.start(api, { name: 'db', firstHost: 31, run: runDb });
      await api.startControllerManager();
      await db.apply();
    });

    afterAll(async () => {
      watchStops = false;
      await db?.stop();
    });

    /** Remembers who was left when a member had stopped, and that they still took a write. */
    function runDb(members: EtcdCluster): KubeletOptions['run'] {
      const run = runsMembersOf(members);
      return async (pod) => {
        const running = await run(pod);
        let ended = false;
        return {
          ...running,
          async stop(graceMs) {
            await running.stop(graceMs);
            if (ended || !watchStops) return;
            ended = true;
            const left = members.members.filter(({ process }) => process.running).length;
            stopped.push({ pod: pod.metadata.name, left });
            await until('a write without it', async () => {
              await members.put('without', pod.metadata.name);
              return true;
            });
          },
        };
      };
    }

    it('replace all members of a StatefulSet one at a time, and leadership is handed over', async () => {
      await db.etcd.moveLeader('db-1');
      stopped.length = 0;
      const since = new Date();
      const { exitCode } = await api.kubectl('rollout', 'restart', 'statefulset/db');
      expect(exitCode).toBe(0);
      await db.rolledOut();
      expect(stopped).toStrictEqual([
        { pod: 'db-2', left: 2 },
        { pod: 'db-1', left: 2 },
        { pod: 'db-0', left: 2 },
      ]);
      expect(cluster.decisions('db-1', since)).toContainEqual(
        expect.objectContaining({
          user: 'system:serviceaccount:kube-system:statefulset-controller',
          reason: 'Spared',
          handOff: 'moved',
        }),
      );
    });

    it('can’t scale a StatefulSet down below the quorum of the member list', async () => {
      await db.etcd.moveLeader('db-0');
      await api.kubectl('scale', 'statefulset/db', '--replicas=1');
      await until('db-2 is gone and db-1 refused', async () => {
        const { stdout } = await api.kubectl('get', 'events', '-o', 'yaml');
        const gone = (await etcd.pod('db-2')) === undefined;
        return gone && stdout.includes('db-1 is needed by etcd cluster default/db');
      });
      expect(await etcd.pod('db-1')).toMatchObject({ metadata: { name: 'db-1' } });
      await api.kubectl('scale', 'statefulset/db', '--replicas=3');
      await db.rolledOut();
    });

    it('delete a namespace, its guard and its etcd with it', async () => {
      const namespace = 'doomed';
      await api.apply({
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: namespace, labels: PROTECTED },
      });
      const doomed = await cluster.addEtcd({ name: 'doomed', firstHost: 41, namespace });
      const { leader } = await doomed.roles();
      const refused = await doomed.remove(leader.name);
      expect(refused.stderr).toContain(`${leader.name} leads etcd cluster doomed/doomed`);
      const deleted = await api.kubectl('delete', 'namespace', namespace, '--timeout=60s');
      expect(deleted).toMatchObject({ exitCode: 0 });
      expect(doomed.refusals).toStrictEqual([]);
    });
  });
});

/** Another one for the same pods. */
function guard(name: string, finalizers: readonly string[] = []): unknown {
  return {
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'EtcdGuard',
    metadata: { name, namespace: 'default', finalizers },
    spec: { selector: { matchLabels: { app: 'etcd' } } },
  };
}
