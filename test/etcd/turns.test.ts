import { describe, expect, it } from 'vitest';

import { connectEtcd } from '../../src/etcd/connect.ts';
import { Turns } from '../../src/etcd/turns.ts';
import { silentListener } from '../harness/loopback.ts';
import { until } from '../harness/until.ts';
import { FakeClock, settled } from '../sharing/fake-clock.ts';
import { Observations } from './asking.ts';

const PATIENCE_MS = 5_000;
const AT_ONCE = 16;

/** On a processor that has nothing else to do, unless `busy` says otherwise. */
function turnsWhile(busy: { share: number } = { share: 0 }): Turns {
  return new Turns(() => () => busy.share);
}

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
  it('are had by a few clusters at once, and by the next when one is over', async () => {
    const clock = new FakeClock();
    const work = wanted(turnsWhile(), clock, AT_ONCE + 2);
    expect(work.begun()).toBe(AT_ONCE);
    work.endOne();
    await settled();
    expect(work.begun()).toBe(AT_ONCE + 1);
  });

  it('are over after 250 ms: waiting for a silent member takes no processor time', async () => {
    const clock = new FakeClock();
    const work = wanted(turnsWhile(), clock, 2 * AT_ONCE);
    await clock.advance(249);
    expect(work.begun()).toBe(AT_ONCE);
    await clock.advance(1);
    expect(work.begun()).toBe(2 * AT_ONCE);
    for (let at = 0; at < 2 * AT_ONCE; at += 1) work.endOne();
    await settled();
    expect(clock.timers).toBe(0);
  });

  it('go on for as long as the processor is busy with them', async () => {
    const clock = new FakeClock();
    const busy = { share: 0.8 };
    const work = wanted(turnsWhile(busy), clock, 2 * AT_ONCE);
    await clock.advance(2_000);
    expect(work.begun()).toBe(AT_ONCE);
    busy.share = 0.7;
    await clock.advance(250);
    expect(work.begun()).toBe(2 * AT_ONCE);
  });

  it('are not waited for longer than patience allows, and whoever lost it has taken none', async () => {
    const clock = new FakeClock();
    const turns = turnsWhile();
    const first = wanted(turns, clock, AT_ONCE);
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
    const turns = turnsWhile();
    for (let at = 0; at < 100; at += 1) {
      const failed = turns.ofCluster(clock).run(() => Promise.reject(new Error('it failed')), 1);
      await expect(failed).rejects.toThrow('it failed');
    }
    expect(wanted(turns, clock, AT_ONCE).begun()).toBe(AT_ONCE);
  });

  it('are shared by all who ask the same cluster, also by those who waited for one', async () => {
    const clock = new FakeClock();
    const turns = turnsWhile();
    const others = wanted(turns, clock, AT_ONCE);
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
    const turns = turnsWhile();
    const clusters = Array.from({ length: AT_ONCE + 4 }, () => {
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
    await until('the first have connected', () => listener.connections() >= AT_ONCE);
    await clock.advance(249);
    expect(listener.connections()).toBe(AT_ONCE);
    await clock.advance(1);
    await until('the others have connected', () => listener.connections() >= AT_ONCE + 4);
    await clock.advance(600);
    await Promise.all(answers);
    expect(taken).toEqual(clusters.map((_, at) => (at < AT_ONCE ? 600 : 250 + 600)));
    for (const etcd of clusters) etcd.close();
    await clock.advance(1_000);
    await listener.close();
  });

  it('are said not to have been asked when there was no time left for it', async () => {
    const listener = await silentListener();
    const clock = new FakeClock();
    const turns = turnsWhile();
    const others = wanted(turns, clock, AT_ONCE);
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
