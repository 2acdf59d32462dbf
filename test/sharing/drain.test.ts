import { describe, expect, it } from 'vitest';
import type { Clock } from '../../src/sharing/clock.ts';
import { drained } from '../../src/sharing/drain.ts';
import { FakeClock, settled } from './fake-clock.ts';

/** What is under way, and whether somebody still waits for it. */
function draining(underWay: Set<Promise<void>>, withinMs: number) {
  const clock = new FakeClock();
  const seen = { clock, over: false };
  void (async () => {
    await drained(() => underWay, withinMs, clock);
    seen.over = true;
  })();
  return seen;
}

/** Under way until it is ended, which may begin something else. */
function begin(underWay: Set<Promise<void>>, next: () => void = () => undefined): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  underWay.add(promise);
  return () => {
    underWay.delete(promise);
    next();
    resolve();
  };
}

describe('drained', () => {
  it('is over at once when nothing is under way', async () => {
    const seen = draining(new Set(), 1_000);
    await settled();
    expect(seen).toMatchObject({ over: true });
    expect(seen.clock.timers).toBe(0);
  });

  it('waits for what ends, and for what that has begun', async () => {
    const underWay = new Set<Promise<void>>();
    const ends: (() => void)[] = [];
    ends.push(begin(underWay, () => void ends.push(begin(underWay))));
    const seen = draining(underWay, 1_000);
    for (let ended = 0; ended < 2; ended += 1) {
      await settled();
      expect(seen.over).toBe(false);
      ends[ended]?.();
    }
    await settled();
    expect(seen.over).toBe(true);
    expect(seen.clock.timers).toBe(0);
  });

  it('waits no longer than it may', async () => {
    const underWay = new Set<Promise<void>>();
    begin(underWay);
    const seen = draining(underWay, 1_000);
    await seen.clock.advance(999);
    expect(seen.over).toBe(false);
    await seen.clock.advance(1);
    expect(seen.over).toBe(true);
  });

  it('ends by the clock where no timer gets its turn, since what has ended is still named', async () => {
    let nowMs = 0;
    let looks = 0;
    // Its timers never run, and its time passes while it is looked at.
    const clock: Clock = {
      now: () => (nowMs += 1),
      after: () => () => undefined,
      afterIdle: () => () => undefined,
    };
    const underWay = (): Promise<void>[] => {
      looks += 1;
      // Or this would hang as the program would.
      if (looks > 1_000) throw new Error('looked a thousand times');
      return [Promise.resolve()];
    };
    await drained(underWay, 100, clock);
    expect(looks).toBe(100);
  });
});
