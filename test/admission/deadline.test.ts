import { describe, expect, it } from 'vitest';
import { deadlineFor } from '../../src/admission/deadline.ts';

function clock(startMs: number) {
  let nowMs = startMs;
  return { now: () => nowMs, pass: (ms: number) => void (nowMs += ms) };
}

describe('a deadline', () => {
  it.each([
    { timeoutMs: 1_000, allowedMs: 900, memberMs: 300 },
    { timeoutMs: 3_000, allowedMs: 2_700, memberMs: 900 },
    { timeoutMs: 5_000, allowedMs: 4_500, memberMs: 1_500 },
    { timeoutMs: 10_000, allowedMs: 9_500, memberMs: 2_000 },
    { timeoutMs: 30_000, allowedMs: 29_500, memberMs: 2_000 },
  ])(
    'of $timeoutMs ms leaves $allowedMs, and $memberMs for a member',
    ({ timeoutMs, allowedMs, memberMs }) => {
      const time = clock(500);
      const deadline = deadlineFor(timeoutMs, 500, time.now);
      expect(deadline.remainingMs()).toBe(allowedMs);
      expect(deadline.memberMs()).toBe(memberMs);
      expect(deadline.fullMemberMs).toBe(memberMs);
    },
  );

  it('runs from the arrival of the request, not from when it is looked at', () => {
    const time = clock(4_000);
    expect(deadlineFor(10_000, 1_000, time.now).remainingMs()).toBe(6_500);
  });

  it('gives a member no more than is left, and never less than nothing', () => {
    const time = clock(0);
    const deadline = deadlineFor(10_000, 0, time.now);
    time.pass(8_000);
    expect(deadline.memberMs()).toBe(1_500);
    expect(deadline.fullMemberMs).toBe(2_000);
    time.pass(5_000);
    expect(deadline.memberMs()).toBe(0);
    expect(deadline.remainingMs()).toBe(0);
  });

  it.each([
    { timeoutMs: 10_000, passedMs: 0, patienceMs: 7_500 },
    { timeoutMs: 10_000, passedMs: 6_000, patienceMs: 1_500 },
    { timeoutMs: 10_000, passedMs: 8_000, patienceMs: 0 },
    { timeoutMs: 1_000, passedMs: 0, patienceMs: 600 },
  ])(
    'of $timeoutMs ms leaves $patienceMs for waiting after $passedMs, so that a round has its full time',
    ({ timeoutMs, passedMs, patienceMs }) => {
      const time = clock(0);
      const deadline = deadlineFor(timeoutMs, 0, time.now);
      time.pass(passedMs);
      expect(deadline.patienceMs()).toBeCloseTo(patienceMs);
    },
  );

  it('allows three rounds in a row even of a second', () => {
    const time = clock(0);
    const deadline = deadlineFor(1_000, 0, time.now);
    for (let round = 0; round < 3; round += 1) {
      expect(deadline.memberMs()).toBeCloseTo(300);
      time.pass(deadline.memberMs());
    }
    expect(deadline.remainingMs()).toBeCloseTo(0);
  });
});
