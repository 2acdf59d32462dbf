import * as fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Announcement } from '../../../src/admission/announce.ts';
import type { ObjectReference } from '../../../src/admission/guard-source.ts';
import {
  EVENT_LIMITS,
  EventTally,
  type Written,
} from '../../../src/kubernetes/events/event-tally.ts';

const WALL_MS = Date.parse('2026-03-04T05:06:07Z');

let tally: EventTally;
let nowMs: number;

beforeEach(() => {
  tally = new EventTally();
  nowMs = 0;
});

function pod(name: string): ObjectReference {
  return { kind: 'Pod', namespace: 'default', name, uid: `uid-of-${name}` };
}

function announcement(reason: string, message = 'words'): Announcement {
  return { about: [], type: 'Warning', reason, action: 'Refused', message };
}

function note(name = 'etcd-0', reason = 'LeaderProtected', message = 'words'): boolean {
  const at = { nowMs, wallMs: WALL_MS + nowMs };
  return tally.note(pod(name), announcement(reason, message), at);
}

/** Everything that is due now, with what came of it; as `POD REASON COUNT`, with + for a new one. */
function write(outcome: Written = 'written', atOnce = false): readonly string[] {
  const written: string[] = [];
  const all = [];
  for (let due = tally.take(nowMs, atOnce); due !== null; due = tally.take(nowMs, atOnce)) {
    const { series, created } = due;
    const { on, announcement: told, count } = series;
    written.push(`${created ? '' : '+'}${on.name} ${told.reason} ${count}`);
    all.push(due);
  }
  for (const due of all) due.done(outcome, nowMs);
  return written;
}

describe('the same again', () => {
  it('is one Event, written at once, then counted and written once in a while', () => {
    const writes: string[] = [];
    for (nowMs = 0; nowMs < 60_000; nowMs += 100) {
      note();
      writes.push(...write().map((line) => `${nowMs / 1000}s ${line}`));
    }
    expect(writes).toStrictEqual([
      '0s +etcd-0 LeaderProtected 1',
      '5s etcd-0 LeaderProtected 51',
      '15s etcd-0 LeaderProtected 151',
      '35s etcd-0 LeaderProtected 351',
    ]);
    nowMs = 95_000;
    expect(write()).toStrictEqual(['etcd-0 LeaderProtected 600']);
    expect(tally.nextMs).toBeNull();
  });

  it('is written at most once a minute in the end, and as at first after a pause', () => {
    const writes: number[] = [];
    for (nowMs = 0; nowMs < 600_000; nowMs += 1_000) {
      note();
      if (write().length > 0) writes.push(nowMs / 1000);
    }
    expect(writes).toStrictEqual([0, 5, 15, 35, 75, 135, 195, 255, 315, 375, 435, 495, 555]);
    nowMs = 615_000;
    expect(write()).toStrictEqual(['etcd-0 LeaderProtected 600']);
    nowMs += 60_000 + 60_000;
    note();
    expect(write()).toStrictEqual(['etcd-0 LeaderProtected 601']);
    note();
    expect(tally.nextMs).toBe(nowMs + EVENT_LIMITS.gapMs);
  });

  it('has the first time, the last time and the last words', () => {
    note('etcd-0', 'QuorumAtRisk', 'first');
    nowMs = 2_000;
    note('etcd-0', 'QuorumAtRisk', 'second');
    expect(tally.take(nowMs)?.series).toStrictEqual({
      on: pod('etcd-0'),
      announcement: announcement('QuorumAtRisk', 'second'),
      firstMs: WALL_MS,
      lastMs: WALL_MS + 2_000,
      count: 2,
    });
  });

  it('counts what comes while it is written', () => {
    note();
    const due = tally.take(nowMs);
    note();
    expect(tally.take(nowMs)).toBeNull();
    expect(due?.done('written', nowMs)).toBe(true);
    nowMs = 5_000;
    expect(write()).toStrictEqual(['etcd-0 LeaderProtected 2']);
  });
});

it('tells objects, reasons and types apart', () => {
  note('etcd-0', 'LeaderProtected');
  note('etcd-0', 'QuorumLost');
  note('etcd-1', 'QuorumLost');
  const at = { nowMs, wallMs: WALL_MS };
  tally.note(pod('etcd-1'), { ...announcement('QuorumLost'), type: 'Normal' }, at);
  tally.note({ ...pod('etcd-1'), uid: 'its successor' }, announcement('QuorumLost'), at);
  expect(write()).toStrictEqual([
    '+etcd-0 LeaderProtected 1',
    '+etcd-0 QuorumLost 1',
    '+etcd-1 QuorumLost 1',
    '+etcd-1 QuorumLost 1',
    '+etcd-1 QuorumLost 1',
  ]);
});

describe('what is not written', () => {
  it('because it is gone is made anew, from what was not told', () => {
    note();
    write();
    nowMs = 5_000;
    note();
    expect(write('gone')).toStrictEqual(['etcd-0 LeaderProtected 2']);
    expect(write()).toStrictEqual(['+etcd-0 LeaderProtected 1']);
  });

  it('because it is refused waits until it happens again, and keeps its pace', () => {
    note();
    write('refused');
    expect(tally.nextMs).toBeNull();
    nowMs = 1_000;
    note();
    expect(write()).toStrictEqual([]);
    nowMs = 5_000;
    expect(write()).toStrictEqual(['+etcd-0 LeaderProtected 2']);
  });

  it('and nobody knows is tried again, less and less often, and then given up', () => {
    note();
    const tries: number[] = [];
    while (tally.nextMs !== null) {
      nowMs = tally.nextMs;
      tries.push(nowMs / 1000);
      write('unclear');
    }
    expect(tries).toStrictEqual([0, 5, 15, 35, 75, 135, 195, 255, 315, 375]);
    note();
    nowMs += 60_000;
    expect(write()).toStrictEqual(['+etcd-0 LeaderProtected 2']);
  });
});

describe('bounds', () => {
  it('an object has 25 new Events at once, then one in five minutes', () => {
    const taken = Array.from({ length: 40 }, (_, at) => note('etcd-0', `Reason${at}`));
    expect(taken.filter(Boolean)).toHaveLength(25);
    expect(note('etcd-1', 'Reason')).toBe(true);
    nowMs = 299_999;
    expect(note('etcd-0', 'Another')).toBe(false);
    nowMs = 300_000;
    expect(note('etcd-0', 'Another')).toBe(true);
    expect(note('etcd-0', 'YetAnother')).toBe(false);
    expect(note('etcd-0', 'Reason3')).toBe(true);
  });

  it('an Event that is always gone uses up what new ones an object may have', () => {
    note();
    let made = 0;
    for (nowMs = 0; nowMs < 240_000; nowMs += 1_000) {
      note();
      made += write('gone').length;
    }
    expect(made).toBeLessThanOrEqual(EVENT_LIMITS.newAtOnce + 10);
  });

  it('no more than 256 wait, and the rest is dropped', () => {
    const taken = Array.from({ length: 1_000 }, (_, at) => note(`pod-${at}`));
    expect(taken.filter(Boolean)).toHaveLength(EVENT_LIMITS.waiting);
    expect(note('pod-3')).toBe(true);
    expect(write()).toHaveLength(EVENT_LIMITS.waiting);
    expect(note('pod-999')).toBe(true);
  });

  it('the longest unused are forgotten', () => {
    for (let at = 0; at < EVENT_LIMITS.remembered + 1; at += 1) {
      note(`pod-${at}`);
      write();
    }
    nowMs = 5_000;
    note('pod-1');
    note('pod-0');
    expect(write()).toStrictEqual(['pod-1 LeaderProtected 2', '+pod-0 LeaderProtected 1']);
  });

  it('all that waits can be had at once', () => {
    note();
    write();
    note();
    expect(write()).toStrictEqual([]);
    expect(write('written', true)).toStrictEqual(['etcd-0 LeaderProtected 2']);
  });
});

it('loses nothing of what it takes, and writes nothing twice at a time', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('note' as const), pod: fc.nat(3), reason: fc.nat(2) }),
    fc.record({ kind: fc.constant('pass' as const), ms: fc.nat(20_000) }),
    fc.record({
      kind: fc.constant('write' as const),
      outcome: fc.constantFrom<Written>('written', 'gone', 'unclear'),
    }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const one = new EventTally({ ...EVENT_LIMITS, newAtOnce: 1_000, attempts: 1_000 });
      let at = 0;
      let noted = 0;
      const stored = new Map<string, number>();
      let forgotten = 0;
      const drain = (outcome: Written, atOnce: boolean): void => {
        for (let due = one.take(at, atOnce); due !== null; due = one.take(at, atOnce)) {
          const { on, announcement: told, count } = due.series;
          const key = `${on.name} ${told.reason}`;
          expect(due.created).toBe(stored.has(key));
          if (outcome === 'written') stored.set(key, count);
          if (outcome === 'gone') {
            forgotten += stored.get(key) ?? 0;
            stored.delete(key);
          }
          // A new one can't be gone: once is enough.
          due.done(outcome === 'gone' && !due.created ? 'unclear' : outcome, at);
          if (outcome !== 'written') return;
        }
      };
      for (const each of steps) {
        if (each.kind === 'pass') at += each.ms;
        else if (each.kind === 'write') drain(each.outcome, false);
        else if (
          one.note(pod(`etcd-${each.pod}`), announcement(`Reason${each.reason}`), {
            nowMs: at,
            wallMs: at,
          })
        ) {
          noted += 1;
        }
      }
      drain('written', true);
      const told = [...stored.values()].reduce((sum, count) => sum + count, 0);
      expect(told + forgotten).toBe(noted);
    }),
  );
});
