import { beforeEach, describe, expect, it } from 'vitest';
import { RefusedRequests } from '../../../src/cli/serve/refused-requests.ts';
import type { BadRequestKind } from '../../../src/server/refusal.ts';
import { createLogger } from '../../../src/telemetry/logger.ts';
import { FakeClock } from '../../sharing/fake-clock.ts';

const MINUTE_MS = 60_000;

let clock: FakeClock;
let lines: unknown[];
let refused: RefusedRequests;

beforeEach(() => {
  clock = new FakeClock();
  lines = [];
  const write = (line: string): void => {
    const { time: _time, ...rest } = Object(JSON.parse(line));
    lines.push(rest);
  };
  refused = new RefusedRequests(createLogger('info', { write }), clock);
});

function flood(kind: BadRequestKind, times: number): void {
  for (let nth = 0; nth < times; nth += 1) refused.note(kind);
}

function said(kind: BadRequestKind, times = 1): readonly unknown[] {
  return Array.from({ length: times }, () => ({
    level: 'warn',
    kind,
    msg: 'refused what is no review',
  }));
}

function more(kind: BadRequestKind, leftOut: number): unknown {
  return { level: 'warn', kind, leftOut, msg: 'refused more of what is no review' };
}

describe('requests that hold no review', () => {
  it('have a line each, up to ten a minute, and none is said to be left out', async () => {
    flood('NotJson', 10);
    await clock.advance(10 * MINUTE_MS);
    expect(lines).toEqual(said('NotJson', 10));
  });

  it('have one line for all that were more than ten, once the minute is over', async () => {
    flood('NotJson', 5_000);
    await clock.advance(MINUTE_MS - 1);
    flood('NotJson', 1);
    expect(lines).toEqual(said('NotJson', 10));
    await clock.advance(1);
    expect(lines).toEqual([...said('NotJson', 10), more('NotJson', 4_991)]);
  });

  it('are counted anew in the next minute, which begins with the next of them', async () => {
    flood('NotJson', 12);
    await clock.advance(MINUTE_MS + 30_000);
    flood('NotJson', 11);
    await clock.advance(30_001);
    flood('NotJson', 1);
    await clock.advance(MINUTE_MS);
    expect(lines).toEqual([
      ...said('NotJson', 10),
      more('NotJson', 2),
      ...said('NotJson', 10),
      more('NotJson', 2),
    ]);
  });

  it('of one kind hide none of another', async () => {
    flood('Unauthenticated', 1_000);
    flood('TooLarge', 1);
    await clock.advance(MINUTE_MS);
    expect(lines).toEqual([
      ...said('Unauthenticated', 10),
      ...said('TooLarge'),
      more('Unauthenticated', 990),
    ]);
  });

  it('that were left out are told of when the program ends, once, and nothing waits any more', async () => {
    flood('NotFound', 13);
    flood('TooSlow', 2);
    refused.close();
    expect(clock.timers).toBe(0);
    await clock.advance(MINUTE_MS);
    expect(lines).toEqual([...said('NotFound', 10), ...said('TooSlow', 2), more('NotFound', 3)]);
  });

  it('leave nothing behind once nobody sends them any more', async () => {
    flood('NotFound', 13);
    await clock.advance(MINUTE_MS);
    expect(clock.timers).toBe(0);
  });
});
