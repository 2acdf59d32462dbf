import { describe, expect, it } from 'vitest';
import { beliefIn } from './raft-log.ts';
import { parseOptions, type Options } from './options.ts';
import { laneOf, scheduleOf, type Round } from './schedule.ts';

const ROUND: Round = { seed: 7, number: 1, members: 3, lengthMs: 60_000, namespaces: true };
const LONG: Round = { ...ROUND, lengthMs: 3_600_000 };

const t = Date.parse('2026-11-21T15:10:22.733Z');

function line(msg: string): string {
  return JSON.stringify({
    level: 'info',
    ts: new Date(t).toISOString(),
    caller: 'raft/node.go',
    msg,
  });
}

function parse(...args: readonly string[]): Options | null {
  return parseOptions(args, () => 42);
}

describe('the schedule', () => {
  it('follows from seed and round alone', () => {
    expect(scheduleOf(ROUND)).toEqual(scheduleOf({ ...ROUND }));
    expect(scheduleOf(ROUND)).not.toEqual(scheduleOf({ ...ROUND, seed: 8 }));
    expect(scheduleOf(ROUND)).not.toEqual(scheduleOf({ ...ROUND, number: 2 }));
  });

  it('does everything that there is to do, sooner or later', () => {
    expect(new Set(scheduleOf(LONG).map(({ kind }) => kind)).size).toBe(16);
    const plain = scheduleOf({ ...LONG, namespaces: false }).map(({ kind }) => kind);
    expect(plain).not.toContain('cut');
    expect(new Set(plain).size).toBe(12);
  });

  it('does one thing at a time to the same', () => {
    const busy = new Map<string, number>();
    for (const fault of scheduleOf(LONG)) {
      expect(fault.atMs).toBeGreaterThan(busy.get(laneOf(fault)) ?? 0);
      busy.set(laneOf(fault), fault.atMs + fault.forMs);
    }
  });

  it.each([3, 5])('now and then leaves no quorum of %i alone, mostly it does', (members) => {
    const faults = scheduleOf({ ...LONG, members }).filter(
      (fault) => 'member' in fault && fault.kind !== 'move' && fault.kind !== 'alarm',
    );
    const spared = (members - 1) / 2;
    const crowded = faults.filter(({ atMs }) => {
      const current = faults.filter((one) => one.atMs <= atMs && one.atMs + one.forMs > atMs);
      return current.length > spared;
    });
    expect(crowded.length).toBeGreaterThan(0);
    expect(crowded.length).toBeLessThan(faults.length / 3);
  });
});

describe('a line of etcd’s log', () => {
  it('tells whom its member takes for the leader', () => {
    expect(beliefIn(line('raft.node: a1 elected leader b2 at term 2'))).toEqual({
      t,
      id: 'a1',
      leader: 'b2',
      term: 2,
    });
    expect(beliefIn(line('raft.node: a1 changed leader from b2 to c3 at term 4'))).toEqual({
      t,
      id: 'a1',
      leader: 'c3',
      term: 4,
    });
    expect(beliefIn(line('raft.node: a1 lost leader c3 at term 5'))).toEqual({
      t,
      id: 'a1',
      leader: null,
      term: 5,
    });
    expect(beliefIn(line('a1 became candidate at term 5'))).toBeUndefined();
  });
});

describe('the command line', () => {
  it('has something to say for everything that is left out', () => {
    expect(parse()).toEqual({
      command: 'run',
      seed: 42,
      seconds: 60,
      members: 3,
      actors: 4,
      history: null,
      program: null,
      plain: false,
      broken: null,
    });
    expect(parse('--seed', '7', '--minutes', '10', '--members', '5')).toMatchObject({
      seed: 7,
      seconds: 600,
      members: 5,
    });
    expect(parse('check', 'FILE')).toEqual({ command: 'check', file: 'FILE' });
    expect(parse('schedule', '--seed', '7')).toEqual({ command: 'schedule', seed: 7, members: 3 });
  });

  it.each([
    ['--members', '4'],
    ['--seed', 'x'],
    ['--minutes', '0'],
    ['--broken', 'well'],
    ['check'],
    ['check', 'A', 'B'],
    ['walk'],
    ['--help'],
  ])('is wrong: %s %s', (...args) => {
    expect(parse(...args)).toBeNull();
  });
});
