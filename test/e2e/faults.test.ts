import { readFile, rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { REFUSED } from '../harness/admission-webhook.ts';
import type { EtcdMember } from '../harness/etcd-cluster.ts';
import {
  deleteReview,
  evictionReview,
  type GuardProcess,
  type ReviewResponse,
} from '../harness/guard-process.ts';
import { GuardedCluster, nodeOf, type GuardedEtcd } from '../harness/guarded-cluster.ts';
import { ManagedProcess } from '../harness/managed-process.ts';
import { until } from '../harness/until.ts';

const FORBIDDEN = `Error from server (Forbidden): ${REFUSED}`;
const DRY = { dryRun: true };
/** What differs from run to run. */
const FACTS = '\\(member [0-9a-f]+, term \\d+; \\d/3 voters healthy, quorum 2\\)';

describe('what goes wrong around a guarded etcd', { timeout: 180_000 }, () => {
  let cluster: GuardedCluster;

  beforeAll(async () => {
    cluster = await GuardedCluster.start(inject('program'));
  });

  afterAll(async () => {
    await cluster?.stop();
  });

  describe('members that are down', () => {
    let etcd: GuardedEtcd;

    beforeAll(async () => {
      etcd = await cluster.addEtcd({ name: 'etcd', firstHost: 61 });
    });

    beforeEach(async () => {
      await etcd.makeWhole();
    });

    it('a pod that crash-loops from its first start is let go: that is its repair', async () => {
      const { leader, first, second } = await etcd.roles();
      etcd.insteadOf.set(first.name, async () => crashing(first));
      expect(await etcd.remove(first.name)).toMatchObject({ exitCode: 0 });
      await etcd.replace(first);
      await etcd.isDown(first.name);

      const refused = await etcd.remove(second.name);
      expect(refused.exitCode).toBe(1);
      expect(refused.stderr).toMatch(
        new RegExp(
          `^${escaped(FORBIDDEN)}${second.name} is needed by etcd cluster default/etcd ${FACTS}: ` +
            `without it 1 healthy voter would be left\\. ${waitFor(first.name)}$`,
        ),
      );
      const leading = await etcd.remove(leader.name);
      expect(leading.stderr).toMatch(
        new RegExp(
          `${leader.name} leads etcd cluster default/etcd ${FACTS}\\. Without it 1 healthy voter would ` +
            `be left\\. ${waitFor(first.name)}$`,
        ),
      );

      // As often as it takes, without waiting for an entry to end.
      for (const fixed of [false, true]) {
        if (fixed) etcd.insteadOf.clear();
        const since = new Date();
        expect(await etcd.remove(first.name)).toMatchObject({ exitCode: 0, stderr: '' });
        expect(await cluster.decided(first.name, since)).toMatchObject({ reason: 'KnownDown' });
        await etcd.replace(first);
        if (!fixed) await etcd.isDown(first.name);
      }
      await etcd.bringBack(first);
      expect(await etcd.remove(second.name)).toMatchObject({ exitCode: 0 });
    });

    it('all of them, by an image that can’t be pulled, are let go: that is their repair', async () => {
      const all = etcd.etcd.members;
      const names = all.map(({ name }) => name);
      for (const { name } of all) {
        etcd.insteadOf.set(name, async () => Promise.reject(new Error('ImagePullBackOff')));
      }
      await Promise.all(names.map((name) => etcd.etcd.killMember(name)));
      for (const fixed of [false, true]) {
        await Promise.all(names.map((name) => etcd.isDown(name)));
        if (fixed) etcd.insteadOf.clear();
        const since = new Date();
        expect(await etcd.remove(...names)).toMatchObject({ exitCode: 0, stderr: '' });
        for (const name of names) {
          expect(await cluster.decided(name, since)).toMatchObject({ reason: 'KnownDown' });
        }
        await etcd.replace(...all);
      }
      await etcd.bringBack(...all);
      const { leader } = await etcd.roles();
      expect((await etcd.remove(leader.name)).stderr).toContain(`${leader.name} leads`);
    });

    it('on a node that is not ready can’t be told from a partition: judged by what is left', async () => {
      const { leader, first, second } = await etcd.roles();
      await etcd.etcd.killMember(first.name);
      await etcd.isDown(first.name);
      await setNodeReady(cluster, first.name, 'Unknown');
      const since = new Date();
      expect(await etcd.remove(first.name)).toMatchObject({ exitCode: 0 });
      expect(await cluster.decided(first.name, since)).toMatchObject({ reason: 'NothingToLose' });
      await etcd.makeWhole();

      await Promise.all([first, second].map(({ name }) => etcd.etcd.killMember(name)));
      await Promise.all([first, second].map(({ name }) => etcd.isDown(name)));
      const refused = await etcd.remove(first.name);
      expect(refused.exitCode).toBe(1);
      expect(refused.stderr).toMatch(
        /(Can't tell whether etcd cluster default\/etcd can spare|has no leader: )/,
      );
      expect(refused.stderr).toContain(
        `To let it go all the same: kubectl annotate pod ${first.name} -n default etcd-guard.io/break-glass="REASON"`,
      );
      await setNodeReady(cluster, first.name, 'True');
      expect(await etcd.remove(first.name, second.name)).toMatchObject({ exitCode: 0 });
      expect((await etcd.pod(leader.name))?.metadata.deletionTimestamp).toBeUndefined();
    });

    it('a pod without an address is as good as silent', async () => {
      const { leader, first, second } = await etcd.roles();
      const starting = Promise.withResolvers<never>();
      etcd.insteadOf.set(first.name, () => starting.promise);
      expect(await etcd.remove(first.name)).toMatchObject({ exitCode: 0 });
      await etcd.replace(first);
      const refused = await etcd.remove(second.name);
      expect(refused.stderr).toMatch(
        new RegExp(
          `^${escaped(FORBIDDEN)}${second.name} is needed by etcd cluster default/etcd ${FACTS}: ` +
            `without it 1 healthy voter would be left\\. ${waitFor(first.name)}$`,
        ),
      );
      expect((await etcd.remove(leader.name)).stderr).toContain(`${leader.name} leads`);
      const since = new Date();
      expect(await etcd.remove(first.name, '--wait=false')).toMatchObject({ exitCode: 0 });
      expect(await cluster.decided(first.name, since)).toMatchObject({ reason: 'NothingToLose' });
      starting.reject(new Error('given up'));
      await etcd.isGone(first.name);
    });
  });

  describe('hand-offs', () => {
    let etcd: GuardedEtcd;

    beforeAll(async () => {
      etcd = await cluster.addEtcd({ name: 'moving', firstHost: 71 });
    });

    beforeEach(async () => {
      await etcd.makeWhole();
    });

    it('go to a node that is not cordoned, while there is one', async () => {
      for (const spared of [0, 1] as const) {
        await etcd.makeWhole();
        const { leader, first, second } = await etcd.roles();
        const [to, cordoned] = spared === 0 ? [first, second] : [second, first];
        await cluster.api.kubectl('cordon', nodeOf(leader.name), nodeOf(cordoned.name));
        await etcd.evict(leader.name);
        expect((await etcd.etcd.leader()).name).toBe(to.name);
        await etcd.isGone(leader.name);
      }
    });

    it('go on in a node pool that is cordoned as a whole', async () => {
      const { leader } = await etcd.roles();
      await cluster.api.kubectl('cordon', ...etcd.etcd.members.map(({ name }) => nodeOf(name)));
      await etcd.evict(leader.name);
      expect((await etcd.etcd.leader()).name).not.toBe(leader.name);
      await etcd.isGone(leader.name);
    });

    it.each([1, 2, 3])('against deletions of followers: one of all goes (round %i)', async () => {
      const { leader, first, second } = await etcd.roles();
      const [evicted, ...deleted] = await Promise.allSettled([
        etcd.evict(leader.name),
        ...[first, second].map(({ name }) => cluster.api.admin.delete(etcd.podPath(name))),
      ]);
      const outcomes = [evicted, ...deleted];
      const gone = [leader, first, second].filter((_, at) => outcomes[at]?.status === 'fulfilled');
      expect(gone.length).toBeLessThanOrEqual(1);
      for (const outcome of outcomes) {
        if (outcome.status === 'fulfilled') continue;
        expect(outcome.reason).toMatchObject({
          code: outcome === evicted ? 429 : 403,
          message: expect.stringContaining(REFUSED),
        });
      }
      // The entry of a pod that has gone may have been cleared away already.
      const reserved = Object.values(await etcd.ledger()).map(({ pod }) => pod);
      expect(gone.map(({ name }) => name)).toEqual(expect.arrayContaining(reserved));
      await etcd.etcd.put('still', 'writable');
    });

    it('of a replica that is killed meanwhile leave an entry, and another replica goes on', async () => {
      const doomed = await cluster.startReplica();
      const [other] = cluster.replicas;
      const { leader } = await etcd.roles();
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
        await doomed.stop();
      }
      expect(await answering).toBe('killed');
      const [entry] = Object.values(await etcd.ledger());
      expect(entry).toMatchObject({ pod: leader.name, by: 'alice', reason: 'Spared' });
      const candidate = etcd.etcd.members.find(({ id }) => id === entry?.handOffTo);
      if (candidate === undefined) throw new Error('no candidate');

      // The move itself may have been asked for, or not yet.
      const { message } = await refusal(other, await reviewOf(etcd, candidate.name));
      expect(message).toMatch(
        new RegExp(
          `^(${candidate.name} leads|Leadership of) etcd cluster default/moving (is being handed to ` +
            `${candidate.name} )?${FACTS}\\. `,
        ),
      );
      await etcd.etcd.moveLeader(candidate.name);
      const third = etcd.etcd.members.find(
        ({ name }) => name !== leader.name && name !== candidate.name,
      );
      const needed = await refusal(other, await reviewOf(etcd, third?.name ?? ''));
      expect(needed.message).toContain(`${third?.name} is needed by etcd cluster default/moving`);
      await etcd.evict(leader.name);
      await etcd.isGone(leader.name);
    });

    it('whose replica was killed half a minute ago are made anew by another one', async () => {
      const { leader, first, second } = await etcd.roles();
      const { metadata } = await cluster.api.admin.get(etcd.podPath(leader.name));
      await etcd.reserve(leader.name, 36, { handOffTo: first.id });
      const since = new Date();
      expect(await cluster.replicas[1].review(evictionReview(leader.name))).toMatchObject({
        allowed: true,
        auditAnnotations: { reason: 'Spared' },
      });
      expect(cluster.decisions(leader.name, since)).toMatchObject([{ handOff: 'moved' }]);
      const next = await etcd.etcd.leader();
      expect([first.id, second.id]).toContain(next.id);
      const { time, ...entry } = (await etcd.ledger())[metadata.uid ?? ''] ?? { time: '' };
      expect(Date.parse(time)).toBeGreaterThanOrEqual(since.getTime());
      expect(entry).toMatchObject({ pod: leader.name, reason: 'Spared', handOffTo: next.id });
    });

    it('that nobody goes on with protect their candidate for two minutes, no longer', async () => {
      const { leader, first, second } = await etcd.roles();
      await etcd.reserve(leader.name, 1, { handOffTo: first.id });
      const waiting = await refusal(cluster.replicas[0], await reviewOf(etcd, first.name));
      expect(waiting.message).toMatch(
        new RegExp(
          `^Leadership of etcd cluster default/moving is being handed to ${first.name} ${FACTS}\\. ` +
            'Try again in a few seconds\\.$',
        ),
      );
      const startedMs = performance.now();
      const late = await refusal(cluster.replicas[1], evictionReview(leader.name));
      expect(performance.now() - startedMs).toBeLessThan(10_000);
      expect(late).toMatchObject({ code: 429, reason: 'TooManyRequests' });
      expect(late.message).toContain(
        'Moving leadership failed (no new leader was confirmed in time).',
      );

      await etcd.reserve(leader.name, 121, { handOffTo: first.id });
      expect(await cluster.replicas[0].review(await reviewOf(etcd, first.name, DRY))).toMatchObject(
        {
          allowed: true,
        },
      );
      await etcd.evict(leader.name);
      expect([first.id, second.id]).toContain((await etcd.etcd.leader()).id);
      await etcd.isGone(leader.name);
    });
  });

  describe('reservations', () => {
    let etcd: GuardedEtcd;
    const BUDGET = '/apis/policy/v1beta1/namespaces/default/poddisruptionbudgets';

    beforeAll(async () => {
      etcd = await cluster.addEtcd({ name: 'slots', firstHost: 81 });
      await cluster.api.startControllerManager(['disruption']);
    });

    beforeEach(async () => {
      await etcd.makeWhole();
    });

    it('of an eviction that a PodDisruptionBudget refuses for minutes come free', async () => {
      const { first, second } = await etcd.roles();
      await createBudget();
      try {
        const budget = {
          code: 429,
          message: expect.stringMatching(/^Cannot evict pod as it would violate/),
        };
        await expect(etcd.evict(first.name)).rejects.toMatchObject(budget);
        const ledger = await etcd.ledger();
        expect(Object.values(ledger)).toMatchObject([{ pod: first.name, reason: 'Spared' }]);
        await expect(etcd.evict(first.name)).rejects.toMatchObject(budget);
        expect(await etcd.ledger()).toStrictEqual(ledger);

        await etcd.reserve(first.name, 75);
        await expect(etcd.evict(first.name)).rejects.toMatchObject({
          code: 429,
          reason: 'TooManyRequests',
          message: expect.stringMatching(
            new RegExp(
              `^${escaped(REFUSED)}${first.name} of etcd cluster default/slots was allowed 7\\d s ago, but ` +
                'something behind the webhook refused it; look at its PodDisruptionBudget, and try again later\\.$',
            ),
          ),
        });
        await expect(etcd.evict(second.name)).rejects.toMatchObject({
          message: expect.stringContaining(`${second.name} is needed by`),
        });

        await etcd.reserve(first.name, 121);
        // A DELETE minds no budget.
        const since = new Date();
        expect(await etcd.remove(second.name)).toMatchObject({ exitCode: 0 });
        expect(await cluster.decided(second.name, since)).toMatchObject({ reason: 'Spared' });
      } finally {
        await cluster.api.kubectl('delete', 'poddisruptionbudget', 'slots');
      }
    });

    async function createBudget(): Promise<void> {
      const { members } = etcd.etcd;
      await cluster.api.admin.create(BUDGET, {
        apiVersion: 'policy/v1beta1',
        kind: 'PodDisruptionBudget',
        metadata: { name: 'slots' },
        spec: { minAvailable: members.length, selector: { matchLabels: { app: 'slots' } } },
      });
      await until('the budget counts', async () => {
        const { status } = await cluster.api.admin.get(`${BUDGET}/slots`);
        return status?.['currentHealthy'] === members.length;
      });
    }

    it.each([
      ['half a minute ahead', -30],
      ['half a minute behind', 30],
    ])('by a replica whose clock is %s hold others back', async (_what, agoSeconds) => {
      const { first, second } = await etcd.roles();
      await etcd.reserve(first.name, agoSeconds);
      const ledger = await etcd.ledger();
      const held = await refusal(cluster.replicas[0], await reviewOf(etcd, second.name));
      expect(held).toMatchObject({ code: 403, reason: 'Forbidden' });
      expect(held.message).toMatch(
        new RegExp(
          `^${second.name} is needed by etcd cluster default/slots \\(member ${second.id}, term \\d+; ` +
            `2/3 voters healthy, quorum 2\\): without it 1 healthy voter would be left\\. ` +
            `${waitFor(first.name)}$`,
        ),
      );
      for (const replica of cluster.replicas) {
        expect(await replica.review(await reviewOf(etcd, first.name))).toMatchObject({
          allowed: true,
          auditAnnotations: { reason: 'Spared' },
        });
      }
      expect(await etcd.ledger()).toStrictEqual(ledger);
    });

    it('are not made under a storm of writes by others, and it says so; after it they are', async () => {
      const { first } = await etcd.roles();
      const review = await reviewOf(etcd, first.name);
      const storm = new AbortController();
      const writing = Array.from({ length: 3 }, async (_, writer) => {
        for (let turn = 0; !storm.signal.aborted; turn += 1) {
          await cluster.api.admin.patch(etcd.guardPath, {
            metadata: { annotations: { [`writer-${writer}`]: String(turn) } },
          });
        }
      });
      const answers: ReviewResponse[] = [];
      const startedMs = performance.now();
      try {
        answers.push(...(await Promise.all(cluster.replicas.map((one) => one.review(review)))));
      } finally {
        storm.abort();
        await Promise.all(writing);
      }
      expect(performance.now() - startedMs).toBeLessThan(10_500);
      for (const { allowed, status } of answers) {
        expect(allowed ? 'allowed' : status?.message).toMatch(
          new RegExp(
            `^allowed$|^Can't tell whether etcd cluster default/slots can spare ${first.name}: .+\\. To let it ` +
              `go all the same: kubectl annotate pod ${first.name} -n default etcd-guard\\.io/break-glass="REASON"$`,
          ),
        );
      }
      expect(await cluster.replicas[0].review(review)).toMatchObject({ allowed: true });
      expect(Object.values(await etcd.ledger())).toMatchObject([{ pod: first.name }]);
    });

    it('are kept while the API server stands still for half a minute; each refusal says why', async () => {
      const { first } = await etcd.roles();
      const review = await reviewOf(etcd, first.name);
      const eviction = evictionReview(first.name);
      const { process } = cluster.api;
      const standsStill = delay(30_000);
      process.pause();
      try {
        for (const asked of [review, eviction, review]) {
          const startedMs = performance.now();
          const { code, reason, message } = await refusal(cluster.replicas[0], asked);
          expect(performance.now() - startedMs).toBeLessThan(10_000);
          expect({ code, reason }).toStrictEqual({ code: 500, reason: 'InternalError' });
          expect(message).toMatch(
            /^Refused, since etcd-guard can't find out what is guarded: .*the API server.*\. Try again once the API server answers\.$/,
          );
        }
        await standsStill;
      } finally {
        process.resume();
      }
      expect(await cluster.replicas[0].review(review)).toMatchObject({ allowed: true });
      expect(await etcd.remove(first.name)).toMatchObject({ exitCode: 0 });
    });

    it('are made by no dry run, wherever an eviction says that it is one', async () => {
      const { leader, first } = await etcd.roles();
      for (const { name } of [leader, first]) {
        await etcd.evict(name, {}, '?dryRun=All');
        await etcd.evict(name, { dryRun: ['All'] });
        await etcd.evict(name, { dryRun: ['All'] }, '?dryRun=All');
      }
      expect(await etcd.ledger()).toStrictEqual({});
      expect((await etcd.etcd.leader()).name).toBe(leader.name);
    });

    it('are made for an eviction of the very pod that its precondition names', async () => {
      const { first } = await etcd.roles();
      const pod = await etcd.pod(first.name);
      await expect(
        etcd.evict(first.name, { preconditions: { uid: 'of-another-pod' } }),
      ).rejects.toMatchObject({ code: 409, reason: 'Conflict' });
      expect(await etcd.ledger()).toStrictEqual({});
      const since = new Date();
      await etcd.evict(first.name, { preconditions: { uid: pod?.metadata.uid } });
      await etcd.isGone(first.name);
      expect(await cluster.decided(first.name, since)).toMatchObject({ reason: 'Spared' });
    });
  });

  describe('data on an emptyDir', () => {
    let etcd: GuardedEtcd;

    beforeAll(async () => {
      etcd = await cluster.addEtcd({ name: 'scratch', firstHost: 91, onEmptyDir: true });
    });

    it('goes with its pod: warned of, and the others are held until the member is back', async () => {
      const { leader, first, second } = await etcd.roles();
      const gone = await etcd.remove(first.name);
      expect(gone).toMatchObject({ exitCode: 0 });
      expect(gone.stderr.split('\n')).toStrictEqual([
        `Warning: etcd cluster default/scratch can lose no further member after ${first.name}: 2 healthy voters would be left, which is its quorum.`,
        `Warning: ${first.name} keeps its data on an emptyDir: it goes with the pod.`,
      ]);
      // It comes back without the data that made it this member, and etcd refuses to start so.
      await rm(first.dataDir, { recursive: true });
      await etcd.replace(first);
      await etcd.isDown(first.name);
      const held = await etcd.remove(second.name);
      expect(held.stderr).toMatch(
        new RegExp(
          `^${escaped(FORBIDDEN)}${second.name} is needed by etcd cluster default/scratch ${FACTS}: ` +
            `without it 1 healthy voter would be left\\. ${waitFor(first.name)}$`,
        ),
      );
      expect((await etcd.remove(leader.name)).stderr).toContain(`${leader.name} leads`);

      // Its repair: a new member in its place, then a new pod.
      const { exitCode } = await etcd.etcd.etcdctlAt([leader.name], 'member', 'remove', first.id);
      expect(exitCode).toBe(0);
      await until('the member is added again', async () => {
        const peers = `--peer-urls=${first.peerUrl}`;
        const added = await etcd.etcd.etcdctlAt([leader.name], 'member', 'add', first.name, peers);
        return added.exitCode === 0;
      });
      const since = new Date();
      expect(await etcd.remove(first.name)).toMatchObject({ exitCode: 0 });
      expect(await cluster.decided(first.name, since)).toMatchObject({ reason: 'KnownDown' });
      await rm(first.dataDir, { recursive: true, force: true });
      await etcd.bringBack(first);
      expect(etcd.etcd.member(first.name).id).not.toBe(first.id);
      expect(await etcd.remove(second.name, '--dry-run=server')).toMatchObject({ exitCode: 0 });
    });

    it('of all members, and all of them down: kept, until somebody breaks the glass', async () => {
      await etcd.makeWhole();
      const names = etcd.etcd.members.map(({ name }) => name);
      await Promise.all(names.map((name) => etcd.etcd.killMember(name)));
      await Promise.all(names.map((name) => etcd.isDown(name)));
      const refused = await etcd.remove(names[0] ?? '');
      expect(refused.exitCode).toBe(1);
      expect(refused.stderr).toMatch(
        new RegExp(
          `^${escaped(FORBIDDEN)}Can't tell whether etcd cluster default/scratch can spare ${names[0]}: no ` +
            `quorum of voters gives one member list \\(${names.map((name) => `${name} at \\S+:\\d+: .+`).join(', ')}\\)\\. ` +
            `Try again once they answer(; if etcd runs, look at port and addresses in spec\\.members of EtcdGuard default/scratch)?\\. To let it go all the same: kubectl annotate pod ${names[0]} -n default ` +
            'etcd-guard\\.io/break-glass="REASON"$',
        ),
      );
      const glass = 'etcd-guard.io/break-glass=all data is lost';
      await cluster.api.kubectl('annotate', 'pod', ...names, glass);
      const broken = await etcd.remove(...names);
      expect(broken.exitCode).toBe(0);
      expect(broken.stderr.split('\n')).toStrictEqual(
        names.map(
          (name) =>
            `Warning: etcd-guard lets ${name} go unchecked: etcd-guard.io/break-glass is set.`,
        ),
      );
    });
  });

  describe('Secrets', () => {
    const ROLE = fileURLToPath(
      new URL('../../deploy/webhook/components/secrets/secrets-role.yaml', import.meta.url),
    );

    beforeAll(async () => {
      await cluster.api.kubectl('apply', '-f', ROLE);
    });

    it('for TLS that have expired, lack a key or hold no certificate are told apart', async () => {
      const tls = { secretName: 'etcd-client-tls', serverName: '{pod}.etcd.default.svc' };
      const secure = await cluster.addEtcd({
        name: 'secure',
        firstHost: 101,
        clientCertAuth: true,
        guard: { members: { tls } },
      });
      const { leader, first } = await secure.roles();
      const title = 'Secret default/etcd-client-tls \\(spec\\.members\\.tls\\)';
      const mend = 'Mend that and try again';
      await bothSay(
        cluster.replicas,
        secure,
        first.name,
        cantTell(secure, first.name, `${title} does not exist; it is to have the keys .+`, mend),
      );
      const { caFile = '' } = secure.etcd.certificates ?? {};
      const ca = await readFile(caFile, 'utf8');
      const good = await secure.etcd.issue({ commonName: 'client' });
      const right = { 'ca.crt': ca, 'tls.crt': good.cert, 'tls.key': good.key };

      await writeSecret(cluster, 'etcd-client-tls', { 'ca.crt': ca, 'tls.crt': good.cert });
      await bothSay(
        cluster.replicas,
        secure,
        first.name,
        cantTell(secure, first.name, `${title} lacks tls\\.key`, mend),
      );
      await writeSecret(cluster, 'etcd-client-tls', { ...right, 'ca.crt': 'no certificate' });
      const noAuthority = `${title} has an unusable ca\\.crt: it holds no certificate`;
      await bothSay(
        cluster.replicas,
        secure,
        first.name,
        cantTell(secure, first.name, noAuthority, mend),
      );
      await writeSecret(cluster, 'etcd-client-tls', { ...right, 'tls.key': 'no key' });
      const noKey = `${title} has an unusable tls\\.crt or tls\\.key: .+`;
      await bothSay(
        cluster.replicas,
        secure,
        first.name,
        cantTell(secure, first.name, noKey, mend),
      );

      const old = await secure.etcd.issue({
        commonName: 'client',
        notBefore: new Date(Date.now() - 7_200_000),
        notAfter: new Date(Date.now() - 3_600_000),
      });
      await writeSecret(cluster, 'etcd-client-tls', {
        ...right,
        'tls.crt': old.cert,
        'tls.key': old.key,
      });
      const refuses = 'TLS: it refuses our side \\((bad certificate|certificate expired)\\)';
      const each = secure.etcd.members
        .map(({ name }) => `${name} at \\S+:\\d+: ${refuses}`)
        .join(', ');
      await bothSay(
        cluster.replicas,
        secure,
        first.name,
        cantTell(
          secure,
          first.name,
          `no quorum of voters gives one member list \\(${each}\\)`,
          'Try again once they answer',
        ),
      );

      await writeSecret(cluster, 'etcd-client-tls', right);
      await bothSay(
        cluster.replicas,
        secure,
        leader.name,
        new RegExp(`^${leader.name} leads etcd cluster default/secure `),
      );
      expect(await secure.remove(first.name)).toMatchObject({ exitCode: 0 });
    });

    it('for authentication that are wrong are told apart, and rotated without a restart', async () => {
      const auth = { secretName: 'etcd-auth' };
      const locked = await cluster.addEtcd({
        name: 'locked',
        firstHost: 111,
        auth: { username: 'root', password: 'right' },
        guard: { members: { auth } },
      });
      const { leader, first } = await locked.roles();
      const title = 'Secret default/etcd-auth \\(spec\\.members\\.auth\\)';
      const mend = 'Mend that and try again';
      await bothSay(
        cluster.replicas,
        locked,
        first.name,
        cantTell(locked, first.name, `${title} does not exist; it is to have the keys .+`, mend),
      );
      await writeSecret(cluster, 'etcd-auth', { username: 'root' });
      await bothSay(
        cluster.replicas,
        locked,
        first.name,
        cantTell(locked, first.name, `${title} lacks password`, mend),
      );
      await writeSecret(cluster, 'etcd-auth', { username: 'root', password: 'wrong' });
      // What etcd asks for depends on its version. Where none of it needs a user, the guard can judge.
      const wrong = await cluster.replicas[0].review(await reviewOf(locked, first.name, DRY));
      const said = wrong.allowed ? 'allowed' : wrong.status?.message;
      expect(said).toMatch(/^allowed$|invalid user ID or password/);
      await writeSecret(cluster, 'etcd-auth', { username: 'root', password: 'right\n' });
      await bothSay(
        cluster.replicas,
        locked,
        leader.name,
        new RegExp(`^${leader.name} leads etcd cluster default/locked `),
      );
      await locked.evict(leader.name);
      await locked.isGone(leader.name);
      expect((await locked.etcd.leader()).name).not.toBe(leader.name);
    });
  });

  describe('an EtcdGuard that selects nothing', () => {
    it('guards nothing and stands in nobody’s way', async () => {
      const bare = await cluster.addEtcd({ name: 'bare', firstHost: 121 });
      const { leader, first } = await bare.roles();
      await cluster.api.apply({
        apiVersion: 'etcd-guard.io/v1alpha1',
        kind: 'EtcdGuard',
        metadata: { name: 'nobody', namespace: 'default' },
        spec: { selector: { matchLabels: { app: 'nobody' } } },
      });
      expect((await bare.remove(leader.name)).stderr).toContain(`${leader.name} leads`);
      await bare.applyGuard({ selector: { matchLabels: { app: 'misspelt' } } });
      for (const { name } of [leader, first]) {
        const free = await bare.remove(name, '--dry-run=server');
        expect(free).toMatchObject({ exitCode: 0, stderr: '' });
      }
    });
  });
});

/** Ends at once, with an error. */
async function crashing({ host }: EtcdMember) {
  const process = await ManagedProcess.start('false', []);
  return { podIP: host, exit: process.exit, stop: () => process.stop(0) };
}

/** What the others are told while that member alone is not healthy. */
function waitFor(name: string): string {
  const wait = `Wait until ${name} is healthy, then try again`;
  const instead = `etcd-guard check ${name} -n default says whether its pod may be deleted instead`;
  const refuses = `\\S+:\\d+: connection refused`;
  return (
    `Not healthy: ${name} ` +
    `(\\(${refuses}\\)\\. ${wait} \\(${instead}\\)|\\((?!${refuses}).+\\)\\. ${wait})\\.`
  );
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}

/** The review that the API server would send for a DELETE of this pod as it is now. */
async function reviewOf(guarded: GuardedEtcd, name: string, options = {}): Promise<unknown> {
  const pod = await guarded.pod(name);
  const { uid = '', labels } = pod?.metadata ?? {};
  return deleteReview(name, { uid, metadata: { labels }, ...options });
}

/** What a replica says against a review, which it has to refuse. */
async function refusal(
  replica: GuardProcess,
  review: unknown,
): Promise<NonNullable<ReviewResponse['status']>> {
  const { allowed, status } = await replica.review(review);
  if (allowed || status === undefined) throw new Error('it was allowed');
  return status;
}

/** What both replicas say, which has to be the same, once rights and Secret are there. */
async function bothSay(
  replicas: GuardedCluster['replicas'],
  guarded: GuardedEtcd,
  pod: string,
  words: RegExp,
): Promise<void> {
  const review = await reviewOf(guarded, pod, DRY);
  for (const replica of replicas) {
    await until(`a replica says ${words.source}`, async () => {
      const { status } = await replica.review(review);
      if (words.test(status?.message ?? '')) return true;
      throw new Error(status?.message ?? 'allowed');
    });
  }
}

function cantTell({ guardPath }: GuardedEtcd, pod: string, why: string, then: string): RegExp {
  const name = guardPath.split('/').at(-1) ?? '';
  return new RegExp(
    `^Can't tell whether etcd cluster default/${name} can spare ${pod}: ${why}\\. ${then}\\. To let it ` +
      `go all the same: kubectl annotate pod ${pod} -n default etcd-guard\\.io/break-glass="REASON"$`,
  );
}

async function setNodeReady(
  { api }: GuardedCluster,
  member: string,
  status: string,
): Promise<void> {
  const now = new Date().toISOString();
  const ready = { type: 'Ready', status, lastHeartbeatTime: now, lastTransitionTime: now };
  await api.admin.patch(`/api/v1/nodes/${nodeOf(member)}/status`, {
    status: { conditions: [{ ...ready, reason: 'Test', message: 'test' }] },
  });
}

/** Anew, so that nothing of its former content stays. */
async function writeSecret(
  { api }: GuardedCluster,
  name: string,
  stringData: Record<string, string>,
): Promise<void> {
  const metadata = { name, namespace: 'default' };
  await api.kubectl('delete', 'secret', name, '--ignore-not-found');
  await api.apply({ apiVersion: 'v1', kind: 'Secret', metadata, stringData });
}
