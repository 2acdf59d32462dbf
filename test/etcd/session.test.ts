import { connect, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';

import { Session } from '../../src/etcd/session.ts';
import { silentListener } from '../harness/loopback.ts';
import { until } from '../harness/until.ts';
import { FakeClock } from '../sharing/fake-clock.ts';

/** A session whose client connects when it is told to, however late. */
async function connectingWhenTold() {
  const listener = await silentListener();
  const clock = new FakeClock();
  const session = new Session({ hosts: listener.address }, clock);
  const told = Promise.withResolvers<void>();
  const socket = Promise.withResolvers<Socket>();
  await session.run(async () => {
    void told.promise.then(() => socket.resolve(connect(listener.port, listener.host)));
  });
  const connected = async (): Promise<Socket> => {
    told.resolve();
    return socket.promise;
  };
  return { listener, clock, session, connected };
}

describe('a session that is closed', () => {
  it('leaves a connection a second to say goodbye', async () => {
    const { listener, clock, session, connected } = await connectingWhenTold();
    const socket = await connected();
    await until('connected', () => listener.connections() === 1);
    session.retire();
    await clock.advance(999);
    expect(socket.destroyed).toBe(false);
    await clock.advance(1);
    expect(socket.destroyed).toBe(true);
    await listener.close();
  });

  it.each([
    { when: 'before that second is over', ms: 500 },
    { when: 'afterwards', ms: 1_500 },
  ])('leaves none that is opened $when', async ({ ms }) => {
    const { listener, clock, session, connected } = await connectingWhenTold();
    session.retire();
    await clock.advance(ms);
    const socket = await connected();
    await clock.advance(1_000);
    await until('destroyed', () => socket.destroyed);
    await until('closed', () => socket.closed);
    expect(clock.timers).toBe(0);
    await listener.close();
  });
});
