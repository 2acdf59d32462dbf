import { execa } from 'execa';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { connectEtcd } from '../../src/etcd/connect.ts';
import { endpointsOf, Observations, statusOf } from '../etcd/asking.ts';
import { startEtcdCluster, type EtcdCluster, type EtcdMember } from '../harness/etcd-cluster.ts';
import {
  deleteReview,
  evictionReview,
  guardFile,
  guardFor,
  startGuard,
  type GuardProcess,
  type ReviewResponse,
} from '../harness/guard-process.ts';
import { newerEtcd } from '../harness/newer-etcd.ts';
import { until } from '../harness/until.ts';

const DRY = { dryRun: true };

let binaries: string;

beforeAll(async () => {
  binaries = await newerEtcd();
}, 240_000);

function reasonOf({ allowed, auditAnnotations }: ReviewResponse): string {
  return `${allowed ? 'allow' : 'deny'} ${auditAnnotations?.['reason']}`;
}

/** Of 3.MINOR.PATCH. */
function minorOf(version: string): number {
  const [, minor] = /\b3\.(\d+)\.\d+/.exec(version) ?? [];
  if (minor === undefined) throw new Error(`no version of etcd 3: ${version}`);
  return Number(minor);
}

describe('an etcd that is upgraded member by member', () => {
  let cluster: EtcdCluster;
  let guard: GuardProcess;

  beforeAll(async () => {
    cluster = await startEtcdCluster();
    guard = await startGuard({
      program: inject('program'),
      guards: guardFile(guardFor(cluster)),
    });
  });

  afterAll(async () => {
    await guard?.stop();
    await cluster?.stop();
  });

  function others(name: string): readonly EtcdMember[] {
    return cluster.members.filter((member) => member.name !== name);
  }

  /** Minor versions, as the members themselves tell them. */
  async function minors(): Promise<readonly number[]> {
    const statuses = await Promise.all(cluster.members.map(({ name }) => cluster.status(name)));
    return statuses.map((status) => minorOf(status?.version ?? ''));
  }

  async function decide(name: string, options = {}): Promise<string> {
    return reasonOf(await guard.review(deleteReview(name, options)));
  }

  /** As a rolling update: taken away, and back with the newer etcd. */
  async function replaced(name: string): Promise<void> {
    await cluster.stopMember(name);
    const leader = await cluster.leader();
    for (const other of others(name)) {
      expect(await decide(other.name)).toBe(
        other.id === leader.id ? 'deny LeaderProtected' : 'deny QuorumAtRisk',
      );
    }
    await cluster.upgradeMember(name, binaries);
    await cluster.waitHealthy();
    const follower = (await cluster.followers()).find((one) => one.name !== name);
    await until('another one can be spared', async () => {
      return (await decide(follower?.name ?? '', DRY)) === 'allow Spared';
    });
  }

  it('keeps its leader and its quorum in every mixture of versions', async () => {
    const { stdout } = await execa(join(binaries, 'etcd'), ['--version']);
    const newer = minorOf(stdout);
    // Only so can they be members of one cluster, and is it an upgrade.
    const older = newer - 1;
    expect(await minors()).toEqual([older, older, older]);
    const first = await cluster.leader();
    for (const { name } of await cluster.followers()) {
      expect(await decide(first.name)).toBe('deny LeaderProtected');
      expect(await decide(name)).toBe('allow Spared');
      await replaced(name);
    }
    expect((await minors()).toSorted((one, two) => one - two)).toEqual([older, newer, newer]);
    // From the older etcd, which leads last, to a newer one.
    expect(reasonOf(await guard.review(evictionReview(first.name)))).toBe('allow Spared');
    const next = await cluster.leader();
    expect(next.id).not.toBe(first.id);
    expect(await decide(next.name)).toBe('deny LeaderProtected');
    await replaced(first.name);

    expect(await minors()).toEqual([newer, newer, newer]);
    // From one newer etcd to another.
    expect(reasonOf(await guard.review(evictionReview(next.name)))).toBe('allow Spared');
    expect((await cluster.leader()).id).not.toBe(next.id);
    const counted = await guard.samples('etcdguard_admission_requests_total{');
    const failed = Object.entries(counted).filter(([series]) =>
      series.includes('decision="error"'),
    );
    expect(failed.filter(([, count]) => count > 0)).toEqual([]);
  });
});

describe('a newer etcd', () => {
  let cluster: EtcdCluster;
  let etcd: ReturnType<typeof connectEtcd>;

  beforeAll(async () => {
    cluster = await startEtcdCluster({ binaries, args: ['--quota-backend-bytes=200000'] });
    etcd = connectEtcd({ tls: null, auth: null }, new Observations());
  });

  afterAll(async () => {
    etcd?.close();
    await cluster?.stop();
  });

  it('tells of a NOSPACE alarm, and serves reads all the same', async () => {
    await until('an alarm', async () => {
      await cluster.put(`key-${Math.random()}`, 'x'.repeat(20_000)).catch(() => undefined);
      return (await cluster.etcdctl('alarm', 'list')).stdout.includes('NOSPACE');
    });
    const endpoints = endpointsOf(cluster.members);
    const ids = new Set(cluster.members.map(({ id }) => id));
    await until('the alarm in each Status', async () => {
      const answers = await etcd.ask(endpoints, 5_000);
      const alarms = cluster.members.map(({ name }) => statusOf(answers, name).noSpace);
      expect(alarms.flat().filter((id) => !ids.has(id))).toEqual([]);
      return alarms.every(({ length }) => length > 0);
    });
    const proof = await etcd.prove(endpoints, 5_000);
    expect([...proof.values()].map(({ served }) => served)).toEqual([true, true, true]);
  });

  it('lists a learner as one, and it proves nothing', async () => {
    const learner = await cluster.addLearner();
    const endpoints = endpointsOf(cluster.members);
    const answers = await etcd.ask(endpoints, 5_000);
    const { list } = statusOf(answers, (await cluster.leader()).name);
    expect(list?.filter((one) => one.learner).map(({ id }) => id)).toEqual([learner.id]);
    const proof = await etcd.prove(endpointsOf([learner]), 5_000);
    expect(proof.get(learner.name)).toMatchObject({ served: false });
  });

  it('names nobody without a quorum, and proves nothing', async () => {
    const [survivor, ...gone] = cluster.members.filter(({ learner }) => !learner);
    if (survivor === undefined) throw new Error('no members');
    await Promise.all(gone.map(({ name }) => cluster.killMember(name)));
    const endpoints = endpointsOf([survivor]);
    await until('the survivor names nobody', async () => {
      return statusOf(await etcd.ask(endpoints, 5_000), survivor.name).leader === null;
    });
    const proof = await etcd.prove(endpoints, 1_000);
    expect(proof.get(survivor.name)).toMatchObject({ served: false });
  });
});
