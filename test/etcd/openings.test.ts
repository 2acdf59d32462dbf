import { describe, expect, it } from 'vitest';

import { connectEtcd } from '../../src/etcd/connect.ts';
import { Openings } from '../../src/etcd/openings.ts';
import { silentListener } from '../harness/loopback.ts';
import { until } from '../harness/until.ts';
import { FakeClock, settled } from '../sharing/fake-clock.ts';
import { Observations } from './asking.ts';

const PATIENCE_MS = 5_000;

/** Asks for a turn so often at once, and tells how many had theirs. */
function asked(openings: Openings, clock: FakeClock, times: number, patienceMs = PATIENCE_MS) {
  const ends: (() => void)[] = [];
  for (let at = 0; at < times; at += 1) {
    void openings.turn(patienceMs, clock).then((end) => ends.push(end));
  }
  return ends;
}

describe('turns to open connections', () => {
  it('are had by 32 at once, and by the next when one is over', async () => {
    const clock = new FakeClock();
    const ends = asked(new Openings(), clock, 34);
    await settled();
    expect(ends).toHaveLength(32);
    ends[7]?.();
    ends[7]?.();
    await settled();
    expect(ends).toHaveLength(33);
  });

  it('are over after 250 ms: a member that is silent takes no processor time', async () => {
    const clock = new FakeClock();
    const ends = asked(new Openings(), clock, 64);
    await clock.advance(249);
    expect(ends).toHaveLength(32);
    await clock.advance(1);
    expect(ends).toHaveLength(64);
    for (const end of ends) end();
    await clock.advance(PATIENCE_MS);
    expect(clock.timers).toBe(0);
  });

  it('are not waited for longer than patience allows, and whoever lost it has taken none', async () => {
    const clock = new FakeClock();
    const openings = new Openings();
    const first = asked(openings, clock, 32);
    const impatient = asked(openings, clock, 100, 100);
    await clock.advance(99);
    expect(impatient).toHaveLength(0);
    await clock.advance(1);
    expect(impatient).toHaveLength(100);
    for (const end of impatient) end();
    const next = asked(openings, clock, 1);
    await settled();
    expect(next).toHaveLength(0);
    first[0]?.();
    await settled();
    expect(next).toHaveLength(1);
  });
});

describe('many clusters that are asked at once', () => {
  it('are connected to a few at a time, and each has its whole time from its turn on', async () => {
    const listener = await silentListener();
    const clock = new FakeClock();
    const openings = new Openings();
    const clusters = Array.from({ length: 40 }, () => {
      const settings = { tls: null, auth: null };
      return connectEtcd(settings, new Observations(), { openings, clock });
    });
    const endpoints = [{ pod: 'etcd-0', address: listener.address }];
    const startMs = clock.now();
    const taken: number[] = [];
    const answers = clusters.map(async (etcd) => {
      await etcd.ask(endpoints, 600, { patienceMs: PATIENCE_MS });
      taken.push(clock.now() - startMs);
    });
    await until('the first have connected', () => listener.connections() >= 32);
    await clock.advance(249);
    expect(listener.connections()).toBe(32);
    await clock.advance(1);
    await until('the others have connected', () => listener.connections() >= 40);
    await clock.advance(600);
    await Promise.all(answers);
    expect(taken).toEqual(clusters.map((_, at) => (at < 32 ? 600 : 250 + 600)));
    for (const etcd of clusters) etcd.close();
    await clock.advance(1_000);
    await listener.close();
  });

  it('pass the turn on when somebody else has opened the connections', async () => {
    const listener = await silentListener();
    const clock = new FakeClock();
    const openings = new Openings();
    const etcd = connectEtcd({ tls: null, auth: null }, new Observations(), { openings, clock });
    const endpoints = [{ pod: 'etcd-0', address: listener.address }];
    const before = asked(openings, clock, 32);
    const answers = Array.from({ length: 50 }, () =>
      etcd.ask(endpoints, 10_000, { patienceMs: PATIENCE_MS }),
    );
    const behind = asked(openings, clock, 1);
    await settled();
    expect(behind).toHaveLength(0);
    before[0]?.();
    await clock.advance(0);
    before[1]?.();
    await clock.advance(0);
    // One of the two is held by the first of fifty; the other forty-nine only looked in.
    expect(behind).toHaveLength(1);
    await clock.advance(20_000);
    await Promise.all(answers);
    etcd.close();
    await clock.advance(1_000);
    await listener.close();
  });
});
