import { afterEach, describe, expect, inject, it } from 'vitest';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  startEtcdCluster,
  type EtcdCluster,
  type EtcdClusterOptions,
  type EtcdMember,
} from '../harness/etcd-cluster.ts';
import {
  deleteReview,
  evictionReview,
  guardFile,
  guardFor,
  startGuard,
  type GuardOptions,
  type GuardProcess,
  type ReviewResponse,
} from '../harness/guard-process.ts';
import { resettingListener, silentListener, type Listener } from '../harness/loopback.ts';
import { temporaryDirectory } from '../harness/reaper.ts';
import { until } from '../harness/until.ts';

describe('the built program and a real etcd', () => {
  const cleanups: (() => Promise<void>)[] = [];

  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
  });

  async function startCluster(options?: EtcdClusterOptions): Promise<EtcdCluster> {
    const cluster = await startEtcdCluster(options);
    cleanups.push(() => cluster.stop());
    return cluster;
  }

  async function serve(cluster: EtcdCluster, options?: GuardOptions): Promise<GuardProcess> {
    const guard = await startGuard({
      program: inject('program'),
      guards: guardFile(guardFor(cluster, options)),
      args: ['--log-level=debug'],
    });
    cleanups.push(() => guard.stop());
    return guard;
  }

  it('answers whole reviews', async () => {
    const cluster = await startCluster();
    const guard = await serve(cluster);
    const { leader, first, second } = await rolesIn(cluster);
    const { term } = (await cluster.status(leader.name)) ?? {};
    const refused = new RegExp(
      `^${leader.name} leads etcd cluster default/etcd \\(member ${leader.id}, term ${term}; 3/3 voters healthy, quorum 2\\)\\. ` +
        `Move leadership first: etcdctl move-leader (${first.id}|${second.id}) --endpoints=${leader.address}, ` +
        `or delete a follower: ${first.name}, ${second.name}\\.$`,
    );
    const { body, status } = await guard.post(deleteReview(leader.name));
    expect(status).toBe(200);
    expect(body).toStrictEqual({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: {
        uid: expect.any(String),
        allowed: false,
        status: {
          status: 'Failure',
          message: expect.stringMatching(refused),
          reason: 'Forbidden',
          code: 403,
          details: { causes: [{ reason: 'LeaderProtected' }] },
        },
        auditAnnotations: {
          decision: 'deny',
          reason: 'LeaderProtected',
          guard: 'default/etcd',
          member: leader.id,
        },
      },
    });
    expect((await guard.post(deleteReview(first.name))).body).toStrictEqual({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: {
        uid: expect.any(String),
        allowed: true,
        warnings: [
          `etcd cluster default/etcd can lose no further member after ${first.name}: 2 healthy voters would be left, which is its quorum.`,
        ],
        auditAnnotations: {
          decision: 'allow',
          reason: 'Spared',
          guard: 'default/etcd',
          member: first.id,
        },
      },
    });
    const needed = `${second.name} is needed by etcd cluster default/etcd`;
    const { response } = evictionBody(await guard.post(evictionReview(second.name)));
    expect(response).toStrictEqual({
      uid: expect.any(String),
      allowed: false,
      status: {
        status: 'Failure',
        message: expect.stringContaining(needed),
        reason: 'TooManyRequests',
        code: 429,
        details: {
          causes: [
            { reason: 'DisruptionBudget', message: expect.stringContaining(needed) },
            { reason: 'QuorumAtRisk' },
          ],
        },
      },
      auditAnnotations: {
        decision: 'deny',
        reason: 'QuorumAtRisk',
        guard: 'default/etcd',
        member: second.id,
      },
    });
  });

  it('hands leadership over for an eviction', async () => {
    const cluster = await startCluster();
    const guard = await serve(cluster);
    const { leader } = await rolesIn(cluster);
    expect(await guard.review(evictionReview(leader.name))).toMatchObject({
      allowed: true,
      auditAnnotations: { decision: 'allow', reason: 'Spared', member: leader.id },
    });
    const next = await cluster.leader();
    expect(next.id).not.toBe(leader.id);
    expect(reasonOf(await guard.review(deleteReview(next.name)))).toBe('deny LeaderProtected');
  });

  it('never grants both followers, however many ask at once', async () => {
    const cluster = await startCluster();
    for (let round = 1; round <= 4; round += 1) {
      // A fresh ledger each time.
      const guard = await serve(cluster);
      const { first, second } = await rolesIn(cluster);
      const answers = await Promise.all(
        Array.from({ length: 60 }, async (_, index) => {
          const { name } = index % 2 === 0 ? first : second;
          const review = index % 3 === 0 ? evictionReview(name) : deleteReview(name);
          return { name, ...(await guard.review(review)) };
        }),
      );
      const granted = new Set(answers.flatMap(({ name, allowed }) => (allowed ? [name] : [])));
      expect(granted.size, `round ${round}`).toBe(1);
      expect(await guard.reservations()).toBe(1);
      const [spared] = granted;
      const denied = answers.filter(({ name }) => name !== spared);
      expect(new Set(denied.map((answer) => reasonOf(answer)))).toStrictEqual(
        new Set(['deny QuorumAtRisk']),
      );
      // A repeated request goes by the entry of the first.
      const repeated = answers.filter(({ name }) => name === spared);
      expect(new Set(repeated.map((answer) => reasonOf(answer)))).toStrictEqual(
        new Set(['allow Spared']),
      );
    }
  });

  it('grants one of leader and follower at once, when the leader would hand over', async () => {
    const cluster = await startCluster();
    for (let round = 1; round <= 3; round += 1) {
      const guard = await serve(cluster);
      const { leader, first, second } = await rolesIn(cluster);
      const answers = await Promise.all(
        Array.from({ length: 12 }, async (_, index) => {
          const { name } = [leader, first, second][index % 3] ?? leader;
          return { name, ...(await guard.review(evictionReview(name))) };
        }),
      );
      const granted = new Set(answers.flatMap(({ name, allowed }) => (allowed ? [name] : [])));
      expect(granted.size, `round ${round}: ${[...granted].join()}`).toBeLessThanOrEqual(1);
      const next = await cluster.leader();
      expect([...granted]).not.toContain(next.name);
    }
  });

  it('the protection moves when the leader is killed, and neither survivor goes meanwhile', async () => {
    const cluster = await startCluster();
    const guard = await serve(cluster);
    const { leader, first, second } = await rolesIn(cluster);
    await cluster.killMember(leader.name);
    const protectedOne = await until('one survivor is protected as the leader', async () => {
      const reviews = await Promise.all(
        [first, second].map(async (member) => ({
          member,
          ...(await guard.review(deleteReview(member.name))),
        })),
      );
      // Two of three are left: whatever the election is at, both are needed.
      expect(reviews.map(({ allowed }) => allowed)).toStrictEqual([false, false]);
      return reviews.find(
        ({ member, auditAnnotations }) =>
          auditAnnotations?.['reason'] === 'LeaderProtected' &&
          auditAnnotations['member'] === member.id,
      )?.member;
    });
    expect((await cluster.leader()).id).toBe(protectedOne.id);
    expect(reasonOf(await guard.review(deleteReview(leader.name)))).toBe('allow NothingToLose');
  });

  describe('a member that does not answer', () => {
    it('stopped with its connections open: is silent, delays nobody, and is not counted', async () => {
      const cluster = await startCluster();
      const guard = await serve(cluster);
      const { leader, first, second } = await rolesIn(cluster);
      expect(reasonOf(await guard.review(deleteReview(first.name, { dryRun: true })))).toBe(
        'allow Spared',
      );
      cluster.pauseMember(second.name);
      expect(await answersInTime(guard, deleteReview(first.name))).toBe('deny QuorumAtRisk');
      expect(await answersInTime(guard, deleteReview(leader.name))).toBe('deny LeaderProtected');
      expect(await answersInTime(guard, deleteReview(second.name))).toBe('allow NothingToLose');
    });

    it('stopped while it leads: the next leader is protected, the old one may go', async () => {
      const cluster = await startCluster();
      const guard = await serve(cluster);
      const { leader } = await rolesIn(cluster);
      cluster.pauseMember(leader.name);
      const next = await cluster.leader();
      expect(await answersInTime(guard, deleteReview(next.name))).toBe('deny LeaderProtected');
      expect(await answersInTime(guard, deleteReview(leader.name))).toBe('allow NothingToLose');
    });

    it.each<[string, () => Promise<Pick<Listener, 'address' | 'close'>>]>([
      ['takes the connection and says nothing', () => silentListener()],
      ['resets the connection', () => resettingListener()],
      [
        'has a name that does not resolve',
        async () => ({ address: 'etcd.nowhere.invalid:2379', close: async () => undefined }),
      ],
    ])('one that %s', async (_, listen) => {
      const cluster = await startCluster();
      const { leader, first, second } = await rolesIn(cluster);
      const listener = await listen();
      cleanups.push(() => listener.close());
      const guard = await serve(cluster, { addresses: { [second.name]: listener.address } });
      expect(await answersInTime(guard, deleteReview(leader.name))).toBe('deny LeaderProtected');
      expect(await answersInTime(guard, deleteReview(first.name))).toBe('deny QuorumAtRisk');
      // The others say that it is up and follows, but it is out of reach: nothing is lost with it.
      expect(await answersInTime(guard, deleteReview(second.name))).toBe('allow NothingToLose');
    });
  });

  it('without a quorum nobody goes, whatever survivors claim', async () => {
    const cluster = await startCluster();
    const guard = await serve(cluster, { policy: { unknown: 'Allow' } });
    const { leader, first, second } = await rolesIn(cluster);
    await Promise.all([first, second].map(({ name }) => cluster.killMember(name)));
    await until('the last one has given up to lead', async () => {
      const answer = await guard.review(deleteReview(leader.name));
      expect(answer.allowed).toBe(false);
      return answer.auditAnnotations?.['reason'] === 'QuorumLost';
    });
  });

  it('a learner may go', async () => {
    const cluster = await startCluster();
    const learner = await cluster.addLearner();
    const guard = await serve(cluster);
    const { leader } = await rolesIn(cluster);
    expect(await guard.review(deleteReview(learner.name))).toMatchObject({
      allowed: true,
      auditAnnotations: { reason: 'Learner', member: learner.id },
    });
    const { status } = await guard.review(deleteReview(leader.name));
    expect(status?.message).toContain('3/3 voters healthy, quorum 2');
  });

  it('a NOSPACE alarm is warned about, and counted against nobody', async () => {
    const cluster = await startCluster({ args: ['--quota-backend-bytes=400000'] });
    const guard = await serve(cluster);
    const { leader, first } = await rolesIn(cluster);
    const value = 'x'.repeat(100_000);
    await until('the quota is used up', async () => {
      const { stderr } = await cluster.etcdctl('put', 'key', value);
      return stderr.includes('database space exceeded');
    });
    const alarm = expect.stringMatching(
      /^etcd cluster default\/etcd has a NOSPACE alarm \(member [0-9a-f, ]+\): it refuses writes/,
    ) as unknown;
    expect(await guard.review(deleteReview(leader.name))).toMatchObject({
      allowed: false,
      warnings: [alarm],
    });
    const answer = await guard.review(deleteReview(first.name));
    expect(answer).toMatchObject({ allowed: true, auditAnnotations: { reason: 'Spared' } });
    expect(answer.warnings).toContainEqual(alarm);
  });

  describe('with TLS and passwords', () => {
    const PASSWORD = 'CANARY-password';

    it.each<[string, Partial<EtcdClusterOptions>, string]>([
      ['certificates of members', { tls: true }, 'root'],
      ['certificates of both sides', { clientCertAuth: true }, 'root'],
      ['a user without any right', { tls: true }, 'guard'],
    ])('%s: judges as ever, and tells no secret', async (_, options, username) => {
      const cluster = await startCluster({ ...options, auth: { username, password: PASSWORD } });
      const { certificates } = cluster;
      if (certificates === undefined) throw new Error('no TLS');
      const secrets = await temporaryDirectory('secrets');
      cleanups.push(() => secrets.remove());
      const usernameFile = join(secrets.path, 'username');
      const passwordFile = join(secrets.path, 'password');
      await writeFile(usernameFile, `${username}\n`);
      await writeFile(passwordFile, `${PASSWORD}\n`);
      const shown = options.clientCertAuth === true;
      const guard = await serve(cluster, {
        tls: {
          caFile: certificates.caFile,
          serverName: '{pod}.etcd.default.svc',
          ...(shown && { certFile: certificates.certFile, keyFile: certificates.keyFile }),
        },
        auth: { usernameFile, passwordFile },
      });
      const { leader, first, second } = await rolesIn(cluster);
      expect(reasonOf(await guard.review(deleteReview(leader.name)))).toBe('deny LeaderProtected');
      expect(reasonOf(await guard.review(deleteReview(first.name)))).toBe('allow Spared');
      expect(reasonOf(await guard.review(deleteReview(second.name)))).toBe('deny QuorumAtRisk');

      // A new password that is wrong comes in with a reload.
      await writeFile(passwordFile, `${PASSWORD}-wrong\n`);
      await guard.logged('guards reloaded');
      const answer = await guard.review(deleteReview(second.name));
      expect(answer.allowed).toBe(false);
      const told = guard.process.output + JSON.stringify(answer) + (await guard.metrics());
      expect(told).not.toContain(PASSWORD);
      const key = await readFile(certificates.keyFile, 'utf8');
      const serving = await readFile(guard.certificate.keyFile, 'utf8');
      const lines = [...key.split('\n'), ...serving.split('\n')].filter((line) => line !== '');
      expect(lines.filter((line) => told.includes(line))).toStrictEqual([]);
    });

    it('an authority that did not sign the members’ certificates: nothing can be judged', async () => {
      const cluster = await startCluster({ tls: true });
      const guard = await serve(cluster, { tls: {} });
      const { first } = await rolesIn(cluster);
      const answer = await guard.review(deleteReview(first.name));
      expect(reasonOf(answer)).toBe('deny Unverifiable');
      expect(answer.status?.message).toMatch(/certificate/);
    });
  });
});

function evictionBody({ body }: { readonly body: unknown }): { readonly response: unknown } {
  return typeof body === 'object' && body !== null && 'response' in body
    ? { response: body.response }
    : { response: undefined };
}

async function rolesIn(cluster: EtcdCluster): Promise<{
  leader: EtcdMember;
  first: EtcdMember;
  second: EtcdMember;
}> {
  const leader = await cluster.leader();
  const [first, second] = await cluster.followers();
  if (first === undefined || second === undefined) throw new Error('three members are needed');
  return { leader, first, second };
}

function reasonOf({ auditAnnotations }: ReviewResponse): string {
  return `${auditAnnotations?.['decision']} ${auditAnnotations?.['reason']}`;
}

/** With the three seconds that some clusters allow. */
async function answersInTime(guard: GuardProcess, review: unknown): Promise<string> {
  const response = await guard.review(review, '?timeout=3s');
  expect((await guard.decided(response.uid))['durationMs']).toBeLessThan(3_000);
  return reasonOf(response);
}
