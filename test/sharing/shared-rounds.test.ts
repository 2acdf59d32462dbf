import * as fc from 'fast-check';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';

import { SharedRounds } from '../../src/sharing/shared-rounds.ts';
import type { Round } from '../../src/sharing/shared-rounds.ts';
import { until } from '../harness/until.ts';
import { FakeClock, settled } from './fake-clock.ts';

/** What a caller got: the round, and whether that had ended. */
type Got = string;

class Rounds {
  readonly clock = new FakeClock();
  readonly begun: { atMs: number; untilMs: number; end: () => void; ended: boolean }[] = [];
  readonly givenUp: number[] = [];
  readonly shared = new SharedRounds<Got>(
    {
      begin: (untilMs) => {
        const { promise, resolve } = Promise.withResolvers<void>();
        const index = this.begun.length;
        const round = {
          atMs: this.clock.now(),
          untilMs,
          ended: false,
          end: () => {
            round.ended = true;
            resolve();
          },
        };
        this.begun.push(round);
        return {
          ended: promise,
          snapshot: (withinMs) => `round ${index} ${round.ended ? 'whole' : `part ${withinMs}`}`,
          giveUp: () => this.givenUp.push(index),
        };
      },
      nothing: (withinMs) => `nothing ${withinMs}`,
    },
    this.clock,
    { limits: { afterMs: 50, rounds: 4 } },
  );

  /** Joins, and collects what came. */
  join(withinMs: number): Got[] {
    const got: Got[] = [];
    void (async () => got.push(await this.shared.join(withinMs)))();
    return got;
  }

  async end(index: number): Promise<void> {
    this.begun[index]?.end();
    await settled();
  }
}

interface Call {
  readonly roundsBefore: number;
  readonly deadlineMs: number;
  readonly got: Got[];
}

type Step = { join: number } | { advance: number } | { end: number };

const STEP: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ join: fc.integer({ min: 1, max: 400 }) }),
  fc.record({ advance: fc.integer({ min: 1, max: 120 }) }),
  fc.record({ end: fc.nat({ max: 20 }) }),
);

async function take(step: Step, rounds: Rounds, calls: Call[]): Promise<void> {
  if ('advance' in step) await rounds.clock.advance(step.advance);
  else if ('end' in step) await rounds.end(step.end);
  else {
    const roundsBefore = rounds.begun.length;
    const deadlineMs = rounds.clock.now() + step.join;
    calls.push({ roundsBefore, deadlineMs, got: rounds.join(step.join) });
  }
}

/** Runs the garbage collector. */
function collect(): void {
  setFlagsFromString('--expose-gc');
  const gc: unknown = runInNewContext('gc');
  if (typeof gc !== 'function') throw new Error('V8 gives no gc');
  gc();
}

/** One round that was joined for 100 ms; nothing here refers to it but weakly. */
function oneRound() {
  const clock = new FakeClock();
  const seen: { round: WeakRef<Round<string>> | null; end: () => void } = {
    round: null,
    end: () => undefined,
  };
  const begin = (): Round<string> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    seen.end = resolve;
    const round = { ended: promise, snapshot: () => 'got', giveUp: () => undefined };
    seen.round = new WeakRef(round);
    return round;
  };
  const shared = new SharedRounds<string>({ begin, nothing: () => 'nothing' }, clock);
  return { clock, seen, shared, joined: shared.join(100) };
}

describe('SharedRounds', () => {
  it.each(['has ended', 'nobody waits for any more'])(
    'holds nothing of a round that %s',
    async (how) => {
      const { clock, seen, shared, joined } = oneRound();
      collect();
      expect(seen.round?.deref()).toBeDefined();
      if (how === 'has ended') seen.end();
      else await clock.advance(100);
      // What could still end it would hold it, and its requests are gone by then.
      seen.end = () => undefined;
      expect(await joined).toBe('got');
      await until('the round is collected', () => {
        collect();
        return seen.round?.deref() === undefined;
      });
      // Here, so that it can't be collected itself before.
      expect(shared.idle).toBe(true);
    },
  );

  it('begins at once when nothing runs', async () => {
    const rounds = new Rounds();
    const got = rounds.join(1000);
    expect(rounds.begun).toMatchObject([{ atMs: 1000, untilMs: 2000 }]);
    await rounds.end(0);
    expect(got).toEqual(['round 0 whole']);
    expect(rounds.shared.idle).toBe(true);
    expect(rounds.clock.timers).toBe(0);
  });

  it('gives callers that came during a round the next one, which they share', async () => {
    const rounds = new Rounds();
    rounds.join(1000);
    const second = rounds.join(1000);
    const third = rounds.join(1000);
    expect(rounds.begun).toHaveLength(1);
    await rounds.end(0);
    expect(rounds.begun).toHaveLength(2);
    expect(second).toEqual([]);
    await rounds.end(1);
    expect([...second, ...third]).toEqual(['round 1 whole', 'round 1 whole']);
    expect(rounds.begun).toHaveLength(2);
  });

  it('lets a round run as long as the longest allowance of those that share it', async () => {
    const rounds = new Rounds();
    rounds.join(1000);
    const short = rounds.join(300);
    const long = rounds.join(5000);
    await rounds.clock.advance(10);
    await rounds.end(0);
    expect(rounds.begun[1]).toMatchObject({ atMs: 1010, untilMs: 6000 });
    await rounds.clock.advance(290);
    expect(short).toEqual(['round 1 part 300']);
    expect(rounds.givenUp).toEqual([]);
    await rounds.end(1);
    expect(long).toEqual(['round 1 whole']);
  });

  it('gives each what has come at the end of its own allowance, counted from its call', async () => {
    const rounds = new Rounds();
    const got = rounds.join(400);
    await rounds.clock.advance(399);
    expect(got).toEqual([]);
    await rounds.clock.advance(1);
    expect(got).toEqual(['round 0 part 400']);
    expect(rounds.givenUp).toEqual([0]);
    expect(rounds.shared.idle).toBe(true);
    // Its late end disturbs nobody.
    await rounds.end(0);
    expect(got).toHaveLength(1);
  });

  it('does not wait for a round that hangs', async () => {
    const rounds = new Rounds();
    rounds.join(150);
    await rounds.clock.advance(20);
    const got = rounds.join(150);
    await rounds.clock.advance(29);
    expect(rounds.begun).toHaveLength(1);
    await rounds.clock.advance(1);
    expect(rounds.begun).toMatchObject([{ atMs: 1000 }, { atMs: 1050, untilMs: 1170 }]);
    await rounds.end(1);
    expect(got).toEqual(['round 1 whole']);
  });

  it('begins at once beside a round that has hung for longer', async () => {
    const rounds = new Rounds();
    rounds.join(150);
    await rounds.clock.advance(100);
    rounds.join(150);
    expect(rounds.begun).toHaveLength(2);
  });

  it('spaces rounds that hang by a fraction of their allowance, and so bounds them', async () => {
    const rounds = new Rounds();
    for (let ms = 0; ms < 4000; ms += 10) {
      rounds.join(1000);
      await rounds.clock.advance(10);
    }
    const gaps = rounds.begun.slice(1).map(({ atMs }, i) => atMs - (rounds.begun[i]?.atMs ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThan(240);
    expect(Math.max(...gaps)).toBeLessThan(260);
    const most = Math.max(
      ...rounds.begun.map(
        ({ atMs }) => rounds.begun.filter((o) => o.atMs <= atMs && o.untilMs > atMs).length,
      ),
    );
    expect(most).toBeLessThanOrEqual(4);
  });

  it('answers even who never got a round', async () => {
    const rounds = new Rounds();
    rounds.join(10_000);
    const got = rounds.join(30);
    await rounds.clock.advance(30);
    expect(got).toEqual(['nothing 30']);
    expect(rounds.begun).toHaveLength(1);
  });

  it('never answers with a round that began before the call, and never late', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(STEP, { maxLength: 40 }), async (steps) => {
        const rounds = new Rounds();
        const calls: Call[] = [];
        for (const one of steps) {
          await take(one, rounds, calls);
          const due = calls.filter(({ deadlineMs }) => deadlineMs <= rounds.clock.now());
          expect(due.filter(({ got }) => got.length === 0)).toEqual([]);
          expect(calls.filter(({ got }) => got.length > 1)).toEqual([]);
          const running = rounds.begun.filter((r) => !r.ended && r.untilMs > rounds.clock.now());
          expect(running.length).toBeLessThanOrEqual(4);
        }
        await rounds.clock.advance(400);
        for (const { roundsBefore, got } of calls) {
          const round = /^round (\d+)/.exec(got[0] ?? '')?.[1] ?? Infinity;
          expect(Number(round)).toBeGreaterThanOrEqual(roundsBefore);
        }
        expect(rounds.shared.idle).toBe(true);
        expect(rounds.clock.timers).toBe(0);
      }),
    );
  });
});
