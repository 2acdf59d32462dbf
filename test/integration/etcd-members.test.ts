import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { memberId } from '../../src/decision/member-id.ts';
import { connectEtcd } from '../../src/etcd/connect.ts';
import type { ConnectOptions } from '../../src/etcd/connect.ts';
import type { EtcdCluster as EtcdPort } from '../../src/etcd/port.ts';
import { endpointsOf, Forwarder, kindsOf, Observations, statusOf, timed } from '../etcd/asking.ts';
import { FakeClock } from '../sharing/fake-clock.ts';
import { startEtcdCluster } from '../harness/etcd-cluster.ts';
import type { EtcdCluster } from '../harness/etcd-cluster.ts';
import { until } from '../harness/until.ts';

const PLAIN = { tls: null, auth: null };

let cluster: EtcdCluster;
let observed: Observations;
let etcd: EtcdPort;

function connectAnew(options: ConnectOptions = {}): void {
  observed = new Observations();
  etcd = connectEtcd(PLAIN, observed, options);
}

beforeAll(async () => {
  cluster = await startEtcdCluster();
  connectAnew();
});

afterAll(async () => {
  etcd.close();
  await cluster.stop();
});

afterEach(() => {
  etcd.close();
  connectAnew();
});

describe('a plain cluster', () => {
  it('tells ids, list, leader and indices', async () => {
    const leader = await cluster.leader();
    const answers = await etcd.ask(endpointsOf(cluster.members), 5000);
    for (const member of cluster.members) {
      const own = await cluster.status(member.name);
      const answer = statusOf(answers, member.name);
      expect(answer).toMatchObject({
        id: member.id,
        clusterId: own?.clusterId,
        leader: leader.id,
        term: BigInt(own?.term ?? 0),
        corrupt: [],
        noSpace: [],
      });
      expect(answer.raftIndex).toBeGreaterThan(0n);
      expect(answer.appliedIndex).toBe(answer.raftIndex);
      const listed = answer.list?.find(({ id }) => id === member.id);
      expect(listed).toEqual({
        id: member.id,
        name: member.name,
        learner: false,
        clientAddresses: [member.address],
        hosts: [member.host],
      });
      expect(answer.list).toHaveLength(3);
    }
    expect(observed.summary).toEqual([
      ...Array.from({ length: 3 }, () => 'MemberList ok'),
      ...Array.from({ length: 3 }, () => 'Status ok'),
    ]);
  });

  it('proves with a read of each member and a Status after it', async () => {
    const leader = await cluster.leader();
    const proof = await etcd.prove(endpointsOf(cluster.members), 5000);
    const { clusterId } = statusOf(await etcd.ask(endpointsOf([leader]), 5000), leader.name);
    for (const { name, id } of cluster.members) {
      expect(proof.get(name)).toEqual({
        served: true,
        after: { id, clusterId, leader: leader.id },
        cause: null,
      });
    }
    expect(observed.summary.filter((entry) => entry === 'Range ok')).toHaveLength(3);
  });

  it('shares rounds among calls that wait together', async () => {
    const endpoints = endpointsOf(cluster.members);
    await Promise.all(Array.from({ length: 50 }, () => etcd.ask(endpoints, 5000)));
    // The first call's round, and the one that all others share.
    expect(observed.requests).toHaveLength(2 * 6);
  });

  it('uses one connection to a member, and keeps it', async () => {
    const forwarder = await Forwarder.to(cluster.member('etcd-0').address);
    const endpoints = [{ pod: 'etcd-0', address: forwarder.address }];
    for (let round = 0; round < 3; round += 1) {
      expect(kindsOf(await etcd.ask(endpoints, 5000))).toEqual({ 'etcd-0': 'status' });
      await etcd.prove(endpoints, 5000);
    }
    expect(forwarder.accepted).toBe(1);
    await forwarder.close();
  });

  it.each(['end', 'reset'] as const)(
    'does not take a member for silent whose kept connection was closed (%s)',
    async (how) => {
      const forwarder = await Forwarder.to(cluster.member('etcd-0').address);
      const endpoints = [{ pod: 'etcd-0', address: forwarder.address }];
      for (let round = 0; round < 10; round += 1) {
        expect(kindsOf(await etcd.ask(endpoints, 5000))).toEqual({ 'etcd-0': 'status' });
        const asked = etcd.ask(endpoints, 5000);
        forwarder.break(how);
        expect(kindsOf(await asked)).toEqual({ 'etcd-0': 'status' });
        forwarder.break(how);
      }
      await forwarder.close();
    },
  );

  it('closes connections five minutes after the last review, and opens them again', async () => {
    const clock = new FakeClock();
    connectAnew({ clock });
    const forwarder = await Forwarder.to(cluster.member('etcd-0').address);
    const endpoints = [{ pod: 'etcd-0', address: forwarder.address }];
    await etcd.ask(endpoints, 5000);
    await clock.advance(299_000);
    expect(forwarder.open).toBe(1);
    // A refresh of the status is no review.
    await etcd.ask(endpoints, 5000, { keepWarm: false });
    expect(forwarder.accepted).toBe(1);
    await clock.advance(10_000);
    await until('the connection closed', () => forwarder.open === 0);
    expect(kindsOf(await etcd.ask(endpoints, 5000))).toEqual({ 'etcd-0': 'status' });
    expect(forwarder.accepted).toBe(2);
    await forwarder.close();
  });

  it('keeps connections for three seconds and a half after the beginning of a look', async () => {
    const clock = new FakeClock();
    connectAnew({ clock });
    const forwarder = await Forwarder.to(cluster.member('etcd-0').address);
    const endpoints = [{ pod: 'etcd-0', address: forwarder.address }];
    const look = async () => kindsOf(await etcd.ask(endpoints, 2000, { keepWarm: false }));
    expect(await look()).toEqual({ 'etcd-0': 'status' });
    await clock.advance(3_499);
    expect(await look()).toEqual({ 'etcd-0': 'status' });
    expect(forwarder.accepted).toBe(1);
    await clock.advance(3_500);
    await until('the connection closed', () => forwarder.open === 0);
    expect(await look()).toEqual({ 'etcd-0': 'status' });
    expect(forwarder.accepted).toBe(2);
    await forwarder.close();
  });

  it('lets running requests end when it is closed, and leaves no connection', async () => {
    const forwarder = await Forwarder.to(cluster.member('etcd-0').address);
    const endpoints = [{ pod: 'etcd-0', address: forwarder.address }];
    const asked = etcd.ask(endpoints, 5000);
    etcd.close();
    expect(kindsOf(await asked)).toEqual({ 'etcd-0': 'status' });
    // A decision that had begun before goes on to the proof.
    expect((await etcd.prove(endpoints, 5000)).get('etcd-0')).toMatchObject({ served: true });
    await until('the connection closed', () => forwarder.open === 0);
    await forwarder.close();
  });
});

describe('moving the leadership', () => {
  it('moves it', async () => {
    const leader = await cluster.leader();
    const [target] = await cluster.followers();
    const [endpoint] = endpointsOf([leader]);
    if (target === undefined || endpoint === undefined) throw new Error('no follower');
    await etcd.moveLeader(endpoint, memberId(target.id), 5000);
    const answers = await etcd.ask(endpointsOf(cluster.members), 5000);
    expect(statusOf(answers, target.name).leader).toBe(target.id);
  });

  it('says why it is refused', async () => {
    const leader = await cluster.leader();
    const [follower] = await cluster.followers();
    if (follower === undefined) throw new Error('no follower');
    const at = (name: string) => ({ pod: name, address: cluster.member(name).address });
    await expect(
      etcd.moveLeader(at(follower.name), memberId(leader.id), 5000),
    ).rejects.toMatchObject({
      name: 'EtcdRequestError',
      code: 'refused',
      message: `MoveLeader at ${follower.name}: not leader`,
    });
    await expect(etcd.moveLeader(at(leader.name), memberId('abc'), 5000)).rejects.toMatchObject({
      code: 'refused',
      message: `MoveLeader at ${leader.name}: bad leader transferee`,
    });
    await expect(
      etcd.moveLeader({ pod: 'etcd-9', address: null }, memberId('abc'), 5000),
    ).rejects.toMatchObject({ code: 'unreachable' });
    await expect(
      etcd.moveLeader({ pod: 'etcd-9', address: '127.0.0.1:1' }, memberId('abc'), 5000),
    ).rejects.toMatchObject({
      code: 'unreachable',
      message: 'MoveLeader at etcd-9: connection refused',
    });
  });

  it('ends at the deadline when the target is dead', async () => {
    const [target] = await cluster.followers();
    if (target === undefined) throw new Error('no follower');
    await cluster.killMember(target.name);
    try {
      // A crowded machine may hold an election of its own just before.
      const { result, ms } = await until('an answer of who leads', async () => {
        const at = endpointsOf([await cluster.leader()])[0];
        if (at === undefined) return false;
        const moving = () => etcd.moveLeader(at, memberId(target.id), 700).catch((e: unknown) => e);
        const outcome = await timed(moving);
        return String(outcome.result).includes('not leader') ? false : outcome;
      });
      expect(result).toMatchObject({ code: 'timeout' });
      expect(String(result)).toContain('no answer within 0.7 s');
      expect(ms).toBeGreaterThan(650);
    } finally {
      await cluster.restartMember(target.name);
    }
    await cluster.waitHealthy();
  });
});

describe('members that go and come back', () => {
  it('a killed one is silent at once, and answers in the very next round once it serves', async () => {
    const endpoints = endpointsOf(cluster.members);
    await cluster.leader();
    expect(new Set(Object.values(kindsOf(await etcd.ask(endpoints, 5000))))).toEqual(
      new Set(['status']),
    );
    await cluster.killMember('etcd-1');
    const expected = { 'etcd-0': 'status', 'etcd-2': 'status' };
    for (let round = 0; round < 8; round += 1) {
      expect(kindsOf(await etcd.ask(endpoints, 5000))).toEqual({
        ...expected,
        'etcd-1': 'silent: connection refused',
      });
    }
    expect((await etcd.prove(endpoints, 1000)).get('etcd-1')).toEqual({
      served: false,
      after: null,
      cause: 'linearizable read: connection refused',
    });
    await cluster.restartMember('etcd-1');
    expect(kindsOf(await etcd.ask(endpoints, 5000))).toEqual({ ...expected, 'etcd-1': 'status' });
  });

  it('one that was restarted between two rounds answers', async () => {
    const endpoints = endpointsOf(cluster.members);
    await etcd.ask(endpoints, 5000);
    await cluster.killMember('etcd-2');
    await cluster.restartMember('etcd-2');
    expect(kindsOf(await etcd.ask(endpoints, 5000))['etcd-2']).toBe('status');
  });

  it('a paused one is silent at the deadline, holds up nobody, and answers once it goes on', async () => {
    const endpoints = endpointsOf(cluster.members);
    await etcd.ask(endpoints, 5000);
    const leader = await cluster.leader();
    const [paused] = await cluster.followers();
    if (paused === undefined) throw new Error('no follower');
    cluster.pauseMember(paused.name);
    for (let round = 0; round < 2; round += 1) {
      const { result, ms } = await timed(() => etcd.ask(endpoints, 600));
      expect(kindsOf(result)).toEqual({
        ...Object.fromEntries(cluster.members.map(({ name }) => [name, 'status'])),
        [paused.name]: 'silent: no answer within 0.6 s',
      });
      expect(statusOf(result, leader.name).id).toBe(leader.id);
      expect(ms).toBeGreaterThan(550);
    }
    const proof = await etcd.prove(endpoints, 600);
    expect(proof.get(leader.name)?.served).toBe(true);
    expect(proof.get(paused.name)).toEqual({
      served: false,
      after: null,
      cause: 'linearizable read: no answer within 0.6 s',
    });
    cluster.resumeMember(paused.name);
    expect(kindsOf(await etcd.ask(endpoints, 5000))[paused.name]).toBe('status');
    expect(observed.summary).toContain('Status timeout');
  });

  it('a survivor of a lost quorum names nobody and proves nothing', async () => {
    const leader = await cluster.leader();
    const [one, other] = await cluster.followers();
    if (one === undefined || other === undefined) throw new Error('no followers');
    await Promise.all([cluster.killMember(leader.name), cluster.killMember(one.name)]);
    const answer = await until('the leader forgotten', async () => {
      const status = statusOf(await etcd.ask(endpointsOf([other]), 2000), other.name);
      return status.leader === null && status;
    });
    expect(answer).toMatchObject({ id: other.id, leader: null });
    expect(answer.list).toHaveLength(3);
    const proof = await etcd.prove(endpointsOf([other]), 700);
    expect(proof.get(other.name)).toMatchObject({ served: false, after: null });
    await Promise.all([cluster.restartMember(leader.name), cluster.restartMember(one.name)]);
    await cluster.waitHealthy();
  });
});

describe('a learner', () => {
  it('is listed as one, and proves nothing', async () => {
    // A cluster of its own: etcd adds nobody to one that has just lost a member.
    const other = await startEtcdCluster({ members: 1 });
    try {
      const learner = await other.addLearner();
      const endpoints = endpointsOf(other.members);
      const answers = await etcd.ask(endpoints, 5000);
      const { list } = statusOf(answers, 'etcd-0');
      // Lists are in the order of ids, which differ from run to run.
      const learners = Object.fromEntries(list?.map(({ name, learner: is }) => [name, is]) ?? []);
      expect(learners).toEqual({ 'etcd-0': false, [learner.name]: true });
      // It answers Status alone.
      expect(statusOf(answers, learner.name)).toMatchObject({ id: learner.id, list: null });
      const proof = await etcd.prove(endpoints, 2000);
      expect(proof.get('etcd-0')?.served).toBe(true);
      expect(proof.get(learner.name)).toEqual({
        served: false,
        after: null,
        cause: 'linearizable read: rpc not supported for learner',
      });
    } finally {
      await other.stop();
    }
  });
});
