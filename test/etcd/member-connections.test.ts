import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';

import { ConnectionRoom } from '../../src/etcd/connection-room.ts';
import { requestWindow, type MemberRequest } from '../../src/etcd/member-connection.ts';
import { MemberConnections } from '../../src/etcd/member-connections.ts';
import { Observations } from './asking.ts';
import { silentListener } from '../harness/loopback.ts';
import { FakeClock } from '../sharing/fake-clock.ts';

const ENDPOINT = { pod: 'etcd-0', address: '127.0.0.1:2379' };

const lookup = () => Promise.resolve();

/** Nothing here sends a request, so nothing is connected. */
function connections(serverName: string | null = null, room = new ConnectionRoom()) {
  const clock = new FakeClock();
  const tls = { ca: null, cert: null, key: null, serverName };
  return {
    clock,
    pool: new MemberConnections({ tls, clock, observer: new Observations(), lookup }, room),
  };
}

describe('MemberConnections', () => {
  it('keeps a connection for as long as the longest use of it asked for', async () => {
    const { clock, pool } = connections();
    const first = pool.use(ENDPOINT, 1000);
    expect(pool.use(ENDPOINT, 10)).toBe(first);
    await clock.advance(999);
    expect(pool.use(ENDPOINT, 0)).toBe(first);
    await clock.advance(1);
    expect(pool.use(ENDPOINT, 0)).not.toBe(first);
  });

  it('keeps it for longer when it is used again', async () => {
    const { clock, pool } = connections();
    const first = pool.use(ENDPOINT, 1000);
    await clock.advance(600);
    pool.use(ENDPOINT, 1000);
    await clock.advance(600);
    expect(pool.use(ENDPOINT, 0)).toBe(first);
    await clock.advance(1000);
    expect(clock.timers).toBe(0);
  });

  it('closes one that was used only for a moment before those that are kept', async () => {
    const { clock, pool } = connections();
    const other = { pod: 'etcd-1', address: '127.0.0.1:2380' };
    const kept = pool.use(ENDPOINT, 1000);
    const brief = pool.use(other, 10);
    await clock.advance(10);
    expect(pool.use(other, 10)).not.toBe(brief);
    expect(pool.use(ENDPOINT, 10)).toBe(kept);
  });

  it('tells pods apart whose certificates have different names', () => {
    const named = connections('{pod}.etcd.default.svc').pool;
    const twin = { ...ENDPOINT, pod: 'etcd-1' };
    expect(named.use(ENDPOINT, 1)).not.toBe(named.use(twin, 1));
    const { pool } = connections();
    expect(pool.use(ENDPOINT, 1)).toBe(pool.use(twin, 1));
  });

  it('has none to nowhere', () => {
    expect(connections().pool.use({ pod: 'etcd-0', address: null }, 1)).toBeNull();
  });

  it('keeps none once it is closed', () => {
    const { clock, pool } = connections();
    pool.use(ENDPOINT, 1000);
    pool.close();
    expect(clock.timers).toBe(0);
  });

  it('gives way to others where there is no room: first whoever would have been closed first', async () => {
    const room = new ConnectionRoom(2);
    const [one, two, three] = [1, 2, 3].map(() => connections(null, room).pool);
    const long = one?.use(ENDPOINT, 5000);
    const brief = two?.use(ENDPOINT, 3000);
    three?.use(ENDPOINT, 4000);
    expect(room.size).toBe(2);
    expect(one?.use(ENDPOINT, 0)).toBe(long);
    expect(two?.use(ENDPOINT, 0)).not.toBe(brief);
    for (const pool of [one, two, three]) pool?.close();
    expect(room.size).toBe(0);
  });

  it('that gave way in the middle of a round leaves none open that the round makes anew', async () => {
    const listener = await silentListener();
    const room = new ConnectionRoom(1);
    const { clock, pool } = connections(null, room);
    const sockets: Socket[] = [];
    const request: MemberRequest<void> = {
      method: null,
      send: async () => {
        const socket = connect(listener.port, listener.host);
        sockets.push(socket);
        await once(socket, 'connect');
      },
    };
    const member = pool.use(ENDPOINT, 1000);
    const window = requestWindow(clock, clock.now() + 1000);
    const options = { deadline: window.deadline };
    expect(await member?.request(request, window, options)).toMatchObject({ ok: true });
    connections(null, room).pool.use(ENDPOINT, 2000);
    expect(await member?.request(request, window, options)).toMatchObject({ ok: true });
    expect(sockets).toHaveLength(2);
    await clock.advance(1000);
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, true]);
    expect(room.size).toBe(1);
    await listener.close();
  });
});
