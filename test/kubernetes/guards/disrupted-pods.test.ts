import { describe, expect, test } from 'vitest';
import { memberId } from '../../../src/decision/member-id.ts';
import {
  entryTime,
  isSameEntry,
  livingEntries,
  reservationsOf,
  rewritten,
} from '../../../src/kubernetes/guards/disrupted-pods.ts';
import type { LedgerEntry } from '../../../src/kubernetes/guards/guard-resource.ts';

const NOW_MS = Date.parse('2026-03-04T05:06:07.089Z');
const there = [{ uid: 'a', terminating: false }];

function entry(atMs: number, more: Partial<LedgerEntry> = {}): LedgerEntry {
  return { pod: 'etcd-1', time: entryTime(atMs), by: 'kate', reason: 'Spared', ...more };
}

describe('an entry lives', () => {
  test.each([
    [0, true],
    [60_000, true],
    [119_999, true],
    [120_000, false],
    // The clocks of two replicas: written a minute ahead, or read a minute behind.
    [-60_000, true],
    [-3_600_000, true],
  ])('when it is %i ms old: %s', (ageMs, lives) => {
    const ledger = { a: entry(NOW_MS - ageMs) };
    expect(Object.keys(livingEntries(ledger, there, NOW_MS))).toEqual(lives ? ['a'] : []);
  });

  test('when its time can’t be read, as if it were just written', () => {
    const ledger = { a: entry(NOW_MS, { time: 'yesterday' }) };
    expect(livingEntries(ledger, there, NOW_MS)).toEqual(ledger);
    expect(reservationsOf(ledger, 'b', NOW_MS)[0]?.ageMs).toBe(0);
  });

  test('until its pod is terminating or gone; one of the same name is another pod', () => {
    const ledger = { a: entry(NOW_MS) };
    expect(livingEntries(ledger, [{ uid: 'a', terminating: true }], NOW_MS)).toEqual({});
    expect(livingEntries(ledger, [{ uid: 'b', terminating: false }], NOW_MS)).toEqual({});
  });
});

// A request lives 60 s and the webhooks behind it take 30 s at most.
const LONGEST_DELETION_MS = 90_000;

test.each([-30_000, -1_000, 0, 1_000, 29_999])(
  'an entry outlives the deletion that it allowed, by the clock of a replica that is %i ms off',
  (offMs) => {
    const ledger = { a: entry(NOW_MS) };
    const readAtMs = NOW_MS + LONGEST_DELETION_MS + offMs;
    expect(livingEntries(ledger, there, readAtMs)).toEqual(ledger);
  },
);

test.each([
  [-30_000, 0],
  [30_000, 31_000],
])('to a replica whose clock is %i ms off an entry of a second ago is %i ms old', (offMs, age) => {
  const ledger = { a: entry(NOW_MS - 1_000) };
  expect(reservationsOf(ledger, 'a', NOW_MS + offMs)).toMatchObject([{ own: true, ageMs: age }]);
});

test('a decision sees pod, age, reason and candidate; its own is told by uid', () => {
  const handOffTo = memberId('a2');
  const ledger = {
    a: entry(NOW_MS - 75_000, { handOffTo }),
    b: entry(NOW_MS + 30_000, { reason: 'FromTheFuture' }),
  };
  expect(reservationsOf(ledger, 'a', NOW_MS)).toEqual([
    { pod: 'etcd-1', own: true, ageMs: 75_000, reason: 'Spared', handOffTo },
    { pod: 'etcd-1', own: false, ageMs: 0, reason: 'Spared', handOffTo: null },
  ]);
});

describe('whose entry it is', () => {
  test('the time has milliseconds, and digits below them that no two entries share', () => {
    expect(entryTime(NOW_MS)).toMatch(/^2026-03-04T05:06:07\.089\d{6}Z$/);
    expect(Date.parse(entryTime(NOW_MS))).toBe(NOW_MS);
    const times = Array.from({ length: 20 }, () => entryTime(NOW_MS));
    expect(new Set(times).size).toBeGreaterThan(1);
  });

  test('what another wrote at the same moment for the same pod is not ours', () => {
    const [one, other] = [entry(NOW_MS), entry(NOW_MS)];
    expect([isSameEntry(one, { ...one }), isSameEntry(one, other)]).toEqual([true, false]);
    expect(isSameEntry(undefined, one)).toBe(false);
  });

  test('written anew it is not its writer’s, but as old and about the same', () => {
    const one = entry(NOW_MS, { handOffTo: memberId('a2') });
    const again = rewritten(one);
    expect(isSameEntry(one, again)).toBe(false);
    expect({ ...again, time: Date.parse(again.time) }).toEqual({ ...one, time: NOW_MS });
  });
});
