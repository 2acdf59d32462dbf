import { describe, expect, it } from 'vitest';

import { connectEtcd } from '../../src/etcd/connect.ts';
import { Turns } from '../../src/etcd/turns.ts';
import { silentListener } from '../harness/loopback.ts';
import { until } from '../harness/until.ts';
import { FakeClock, settled } from '../sharing/fake-clock.ts';
import { Observations } from './asking.ts';

const PATIENCE_MS = 5_000;

interface Work {
  readonly begun: () => number;
  readonly givenUp: () => number;
  readonly endOne: () => void;
}

/** So much work, each at a cluster of its own, that lasts until it is told to end. */
function wanted(turns: Turns, clock: FakeClock, clusters: number, patienceMs = PATIENCE_MS): Work {
  const running: (() => void)[] = [];
  let begun = 0;
  let givenUp = 0;
  for (let at = 0; at < clusters; at += 1) {
    const work = () =>
      new Promise<'done'>((resolve) => {
        begun += 1;
        running.push(() => resolve('done'));
      });
    const turn = async (): Promise<void> => {
      if ((await turns.ofCluster(clock).run(work, patienceMs)) === null) givenUp += 1;
    };
    void turn();
  }
  return { begun: () => begun, givenUp: () => givenUp, endOne: () => running.shift()?.() };
}

describe('turns', () => {
  it('are had by 32 clusters at once, and by the next when one is over', async () => {
    const clock = new FakeClock();
    const work = wanted(new Turns(), clock, 34);
    expect(work.begun()).toBe(32);
    work.endOne();
    await settled();
    expect(work.begun()).toBe(33);
  });

  it('are over after 250 ms: waiting for a silent member takes no processor time', async () => {
    const clock = new FakeClock();
    const work = wanted(new Turns(), clock, 64);
    await clock.advance(249);
    expect(work.begun()).toBe(32);
    await clock.advance(1);
    expect(work.begun()).toBe(64);
    for (let at = 0; at < 64; at += 1) work.endOne();
    await settled();
    expect(clock.timers).toBe(0);
  });

  it('are not waited for longer than patience allows, and whoever lost it has taken none', async () => {
    const clock = new FakeClock();
    const turns = new Turns();
    const first = wanted(turns, clock, 32);
    const impatient = wanted(turns, clock, 100, 100);
    await clock.advance(99);
    expect(impatient.givenUp()).toBe(0);
    await clock.advance(1);
    expect(impatient.givenUp()).toBe(100);
    expect(impatient.begun()).toBe(0);
    const next = wanted(turns, clock, 1);
    await settled();
    expect(next.begun()).toBe(0);
    first.endOne();
    await settled();
    expect(next.begun()).toBe(1);
  });

  it('are given back by work that fails', async () => {
    const clock = new FakeClock();
    const turns = new Turns();
    for (let at = 0; at < 100; at += 1) {
      const failed = turns.ofCluster(clock).run(() => Promise.reject(new Error('it failed')), 1);
      await expect(failed).rejects.toThrow('it failed');
    }
    expect(wanted(turns, clock, 32).begun()).toBe(32);
  });

  it('are shared by all who ask the same cluster, also by those who waited for one', async () => {
    const clock = new FakeClock();
    const turns = new Turns();
    const others = wanted(turns, clock, 32);
    const cluster = turns.ofCluster(clock);
    let begun = 0;
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const work = () => {
      begun += 1;
      return ended;
    };
    for (let at = 0; at < 50; at += 1) void cluster.run(work, PATIENCE_MS);
    const behind = wanted(turns, clock, 2);
    others.endOne();
    await settled();
    expect([begun, behind.begun()]).toEqual([1, 0]);
    void cluster.run(work, PATIENCE_MS);
    expect(begun).toBe(2);
    others.endOne();
    await settled();
    // The other forty-nine only looked in, and the next two had the slot that they gave back.
    expect([begun, behind.begun()]).toEqual([51, 1]);
    end();
    await settled();
    expect(behind.begun()).toBe(2);
  });
});

describe('many clusters that are asked at once', () => {
  it('are asked a few at a time, and each has its whole time from its turn on', async () => {
    const listener = await silentListener();
    const clock = new FakeClock();
    const turns = new Turns();
    const clusters = Array.from({ length: 40 }, () => {
      const settings = { tls: null, auth: null };
      return connectEtcd(settings, new Observations(), { turns, clock });
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

  it('are said not to have been asked when there was no time left for it', async () => {
    const listener = await silentListener();
    const clock = new FakeClock();
    const turns = new Turns();
    const others = wanted(turns, clock, 32);
    const etcd = connectEtcd({ tls: null, auth: null }, new Observations(), { turns, clock });
    const endpoints = [{ pod: 'etcd-0', address: listener.address }];
    const cause = 'not asked, the guard was busy with other clusters';
    const asked = etcd.ask(endpoints, 100, { patienceMs: 200 });
    const proven = etcd.prove(endpoints, 100, { patienceMs: 200 });
    await clock.advance(200);
    expect((await asked).get('etcd-0')).toEqual({ kind: 'silent', cause });
    expect((await proven).get('etcd-0')).toEqual({ served: false, after: null, cause });
    expect(listener.connections()).toBe(0);
    others.endOne();
    etcd.close();
    await listener.close();
  });
});
