import { lookup } from 'node:dns/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Authentication } from '../../src/etcd/authentication.ts';
import { systemClock } from '../../src/sharing/clock.ts';
import { connectEtcd } from '../../src/etcd/connect.ts';
import type { Outcome } from '../../src/etcd/failure.ts';
import { requestWindow } from '../../src/etcd/member-connection.ts';
import { ConnectionRoom } from '../../src/etcd/connection-room.ts';
import { MemberConnections } from '../../src/etcd/member-connections.ts';
import type { ConnectionSettings } from '../../src/etcd/port.ts';
import { LINEARIZABLE_READ } from '../../src/etcd/requests.ts';
import { endpointsOf, kindsOf, Observations } from '../etcd/asking.ts';
import { startEtcdCluster } from '../harness/etcd-cluster.ts';
import type { EtcdCluster } from '../harness/etcd-cluster.ts';

const ROOT = { username: 'root', password: 'root-secret' };
const NOBODY = { username: 'nobody', password: 'nobody-secret' };
const WRONG = { username: 'root', password: 'wrong' };

let cluster: EtcdCluster;

beforeAll(async () => {
  cluster = await startEtcdCluster({ auth: ROOT });
  await cluster.addUser(NOBODY);
});

afterAll(() => cluster.stop());

/**
 * A read that wants a user in every version, sent as newer ones want Status to be sent: 3.4.23,
 * which these tests may run on, tells its status to anybody.
 */
function reader(auth: ConnectionSettings['auth']) {
  const authentication = new Authentication(auth, systemClock);
  const context = { tls: null, clock: systemClock, observer: new Observations(), lookup };
  const connections = new MemberConnections(context, new ConnectionRoom());
  return {
    async read(name: string): Promise<Outcome<unknown>> {
      const [endpoint] = endpointsOf([cluster.member(name)]);
      const connection = endpoint === undefined ? null : connections.use(endpoint, 60_000);
      if (connection === null) throw new Error('no address');
      const window = requestWindow(systemClock, systemClock.now() + 5000);
      return authentication.request(connection, LINEARIZABLE_READ, window, () => undefined);
    },
    close: () => connections.close(),
  };
}

describe('authentication', () => {
  it('with the right password is made once, and holds at every member', async () => {
    const client = reader(ROOT);
    for (const name of ['etcd-0', 'etcd-1', 'etcd-2', 'etcd-0']) {
      expect(await client.read(name)).toMatchObject({ ok: true });
    }
    client.close();
  });

  it('is made again by a member that has lost its tokens', async () => {
    const client = reader(ROOT);
    expect(await client.read('etcd-1')).toMatchObject({ ok: true });
    await cluster.killMember('etcd-1');
    await cluster.restartMember('etcd-1');
    await cluster.waitHealthy();
    expect(await client.read('etcd-1')).toMatchObject({ ok: true });
    expect(await client.read('etcd-0')).toMatchObject({ ok: true });
    client.close();
  });

  it.each([
    [WRONG, "authentication as 'root' failed: authentication failed, invalid user ID or password"],
    [null, 'this etcd wants a user for Range, and none is configured (user name is empty)'],
    [
      NOBODY,
      "user 'nobody' lacks the root role, which this etcd wants for Range (permission denied)",
    ],
  ])('as %j is refused in words', async (auth, words) => {
    const client = reader(auth);
    expect(await client.read('etcd-0')).toMatchObject({
      ok: false,
      failure: { kind: 'refused', words },
    });
    client.close();
  });
});

describe('a cluster with authentication', () => {
  it.each([ROOT, NOBODY, null])('answers and proves to %j', async (auth) => {
    const etcd = connectEtcd({ tls: null, auth }, new Observations());
    const endpoints = endpointsOf(cluster.members);
    expect(kindsOf(await etcd.ask(endpoints, 5000))).toEqual({
      'etcd-0': 'status',
      'etcd-1': 'status',
      'etcd-2': 'status',
    });
    const leader = await cluster.leader();
    for (const answer of (await etcd.prove(endpoints, 5000)).values()) {
      expect(answer).toMatchObject({ served: true, after: { leader: leader.id } });
    }
    etcd.close();
  });

  it('takes a complaint about the user for no proof where the quorum is lost', async () => {
    const etcd = connectEtcd({ tls: null, auth: null }, new Observations());
    const leader = await cluster.leader();
    const others = cluster.members.filter(({ name }) => name !== leader.name);
    await Promise.all(others.map(({ name }) => cluster.killMember(name)));
    const proof = await etcd.prove(endpointsOf([leader]), 1000);
    expect(proof.get(leader.name)).toMatchObject({ served: false, after: null });
    await Promise.all(others.map(({ name }) => cluster.restartMember(name)));
    etcd.close();
  });
});
