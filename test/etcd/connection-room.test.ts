import { describe, expect, it } from 'vitest';

import { ConnectionRoom, type Lodger } from '../../src/etcd/connection-room.ts';

interface Guest extends Lodger {
  works: boolean;
}

function guest(
  room: ConnectionRoom,
  untilMs: number,
  left: number[],
  cluster: unknown = Symbol('cluster'),
): Guest {
  const made: Guest = {
    cluster,
    untilMs,
    works: false,
    busy: () => made.works,
    leave() {
      left.push(untilMs);
      room.left(made);
    },
  };
  room.enter(made);
  return made;
}

describe('room for connections', () => {
  it('is made by whoever would have been closed first', () => {
    const room = new ConnectionRoom(3);
    const left: number[] = [];
    for (const untilMs of [50, 10, 40, 5, 60]) guest(room, untilMs, left);
    expect(left).toEqual([10, 5]);
    expect(room.size).toBe(3);
  });

  it('is not made within a cluster, whose round needs all of its connections', () => {
    const room = new ConnectionRoom(3);
    const left: number[] = [];
    guest(room, 50, left, 'one');
    for (const untilMs of [1, 2, 3, 4, 5]) guest(room, untilMs, left, 'other');
    expect(left).toEqual([50]);
    expect(room.size).toBe(5);
    for (const untilMs of [10, 20]) guest(room, untilMs, left, 'third');
    expect(left).toEqual([50, 1, 2, 3, 4]);
    expect(room.size).toBe(3);
  });

  it('is not made by those on which requests run, and all the more afterwards', () => {
    const room = new ConnectionRoom(2);
    const left: number[] = [];
    const busy = [1, 2, 3, 4].map((untilMs) => {
      const one = guest(room, untilMs, left);
      one.works = true;
      return one;
    });
    expect(room.size).toBe(4);
    for (const one of busy) one.works = false;
    guest(room, 9, left);
    expect(left).toEqual([1, 2, 3]);
    expect(room.size).toBe(2);
  });
});
