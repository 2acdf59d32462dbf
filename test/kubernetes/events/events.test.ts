import { beforeEach, describe, expect, it } from 'vitest';
import type { Announcement } from '../../../src/admission/announce.ts';
import type { ObjectReference } from '../../../src/admission/guard-source.ts';
import { ApiError } from '../../../src/kubernetes/api/api.ts';
import { Events } from '../../../src/kubernetes/events/events.ts';
import { EVENT_LIMITS } from '../../../src/kubernetes/events/event-tally.ts';
import { FakeKubernetes, type FakeApiFault } from '../../fakes/fake-kubernetes.ts';
import { FakeClock, settled } from '../../sharing/fake-clock.ts';

const POD: ObjectReference = { kind: 'Pod', namespace: 'default', name: 'etcd-0', uid: 'p' };
const GUARD: ObjectReference = { kind: 'EtcdGuard', namespace: 'default', name: 'etcd', uid: 'g' };
const EPOCH_MS = Date.parse('2026-03-04T05:06:00Z');

let api: FakeKubernetes;
let clock: FakeClock;
let told: string[];
let dropped: number;
let events: Events;

beforeEach(() => {
  api = new FakeKubernetes();
  clock = new FakeClock();
  told = [];
  dropped = 0;
  events = replica('replica-1');
});

function replica(instance: string): Events {
  return new Events({
    api,
    instance,
    nowMs: () => EPOCH_MS + clock.now(),
    clock,
    observer: {
      onFailing: (error) => told.push(`failing: ${String(error)}`),
      onWrittenAgain: () => told.push('written again'),
      onDropped: (_, count) => void (dropped = count),
    },
  });
}

function announcement(about: readonly ObjectReference[], message = 'words'): Announcement {
  return { about, type: 'Warning', reason: 'LeaderProtected', action: 'Refused', message };
}

async function stored(): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const resource = { prefix: '/api/v1', plural: 'events', namespace: 'default' };
  const before = api.calls.length;
  const all = await api.list(resource, {}, 1_000);
  api.calls.length = before;
  return all;
}

function writes(): readonly string[] {
  return api.calls.map(({ verb }) => verb);
}

describe('Events', () => {
  it('are written on every object, after the answer', async () => {
    events.announce(announcement([POD, GUARD]));
    expect(writes()).toStrictEqual([]);
    await clock.advance(0);
    expect(writes()).toStrictEqual(['create', 'create']);
    expect(await stored()).toMatchObject([
      { kind: 'Event', involvedObject: { kind: 'Pod', uid: 'p' }, count: 1 },
      { kind: 'Event', involvedObject: { kind: 'EtcdGuard', uid: 'g' }, count: 1 },
    ]);
  });

  it('of a retrying controller are one, with its count and last words, and few writes', async () => {
    for (let turn = 1; turn <= 500; turn += 1) {
      events.announce(announcement([POD], `try ${turn}`));
      await clock.advance(20);
    }
    await clock.advance(60_000);
    expect(await stored()).toMatchObject([
      {
        count: 500,
        message: 'try 500',
        firstTimestamp: '2026-03-04T05:06:01Z',
        lastTimestamp: '2026-03-04T05:06:10Z',
      },
    ]);
    expect(writes()).toStrictEqual(['create', 'patch', 'patch']);
    expect(clock.timers).toBe(0);
  });

  it('of two replicas stand side by side', async () => {
    const other = replica('replica-2');
    events.announce(announcement([POD]));
    other.announce(announcement([POD]));
    await clock.advance(0);
    expect(await stored()).toHaveLength(2);
    expect(writes()).toStrictEqual(['create', 'create']);
  });

  it('that the API server has forgotten are made anew', async () => {
    events.announce(announcement([POD]));
    await clock.advance(10_000);
    api.fault = ({ verb }) => (verb === 'patch' ? new ApiError('not-found', 'forgotten') : null);
    events.announce(announcement([POD]));
    events.announce(announcement([POD]));
    await clock.advance(0);
    expect(writes()).toStrictEqual(['create', 'patch', 'create']);
    expect((await stored()).slice(1)).toMatchObject([
      { count: 2, firstTimestamp: '2026-03-04T05:06:11Z' },
    ]);
    expect(told).toStrictEqual([]);
  });

  it('of 1,000 pods at once keep to two requests at a time, and to what may wait', async () => {
    let running = 0;
    let most = 0;
    api.hold = async (_, at) => {
      running += at === 'start' ? 1 : -1;
      most = Math.max(most, running);
      await Promise.resolve();
    };
    for (let at = 0; at < 1_000; at += 1) {
      events.announce(announcement([{ ...POD, name: `pod-${at}`, uid: `${at}` }]));
    }
    await clock.advance(0);
    await settled();
    expect(most).toBe(2);
    expect(writes()).toHaveLength(EVENT_LIMITS.waiting);
    expect(dropped).toBe(1_000 - EVENT_LIMITS.waiting);
  });
});

function fails(fault: FakeApiFault | null): void {
  api.fault = () => fault;
}

describe('an API server', () => {
  it('that refuses is told of once, and asked again only when there is more to tell', async () => {
    fails(new ApiError('forbidden', 'missing permission "create" on "events"'));
    for (let turn = 0; turn < 1_000; turn += 1) {
      events.announce(announcement([POD]));
      await clock.advance(100);
    }
    expect(told).toStrictEqual(['failing: ApiError: missing permission "create" on "events"']);
    expect(writes().length).toBeLessThan(10);
    expect(dropped).toBe(writes().length);
    fails(null);
    events.announce(announcement([POD]));
    await clock.advance(60_000);
    expect(await stored()).toMatchObject([{ count: 1_001 }]);
    expect(told.slice(1)).toStrictEqual(['written again']);
  });

  it('that refuses and takes by turns is told of once a minute', async () => {
    let turn = 0;
    api.fault = () => ((turn += 1) % 2 === 0 ? null : new ApiError('refused', 'no'));
    for (let at = 0; at < 100; at += 1) {
      events.announce(announcement([{ ...POD, name: `pod-${at}`, uid: `${at}` }]));
      await clock.advance(1_000);
    }
    expect(told).toStrictEqual([
      'failing: ApiError: no',
      'written again',
      'failing: ApiError: no',
      'written again',
    ]);
  });

  it('that is away gets it when it is back', async () => {
    fails(new ApiError('unreachable', "can't reach the API server"));
    events.announce(announcement([POD, GUARD]));
    await clock.advance(20_000);
    fails(null);
    await clock.advance(60_000);
    expect(await stored()).toMatchObject([{ count: 1 }, { count: 1 }]);
    expect(told).toHaveLength(2);
    expect(dropped).toBe(0);
  });

  it('whose answer was lost has one Event all the same', async () => {
    // The fake answers late by the real clock: here the loss itself is what matters.
    events.announce(announcement([POD]));
    api.hold = (_, at) => {
      if (at === 'end') throw new ApiError('timeout', 'no answer in time');
    };
    await clock.advance(0);
    api.hold = () => undefined;
    await clock.advance(60_000);
    expect(await stored()).toMatchObject([{ count: 1 }]);
    expect(writes()).toStrictEqual(['create', 'create', 'patch']);
  });
});

describe('the end', () => {
  it('writes what waits', async () => {
    events.announce(announcement([POD]));
    await clock.advance(0);
    events.announce(announcement([POD, GUARD]));
    await events.close(2_000);
    expect(await stored()).toMatchObject([{ count: 2 }, { count: 1 }]);
    expect(clock.timers).toBe(0);
    events.announce(announcement([POD]));
    await clock.advance(60_000);
    expect(dropped).toBe(1);
    expect(writes()).toHaveLength(3);
  });

  it('does not wait longer than it may', async () => {
    api.hold = () => new Promise(() => undefined);
    events.announce(announcement([POD, GUARD]));
    let over = false;
    const closing = events.close(2_000).then(() => void (over = true));
    await clock.advance(1_999);
    expect(over).toBe(false);
    await clock.advance(1);
    expect(over).toBe(true);
    await closing;
  });

  it('is over at once if nothing waits, and does not try again what fails', async () => {
    await events.close(2_000);
    const other = replica('replica-2');
    api.fault = () => new ApiError('unreachable', 'away');
    other.announce(announcement([POD, GUARD]));
    await other.close(2_000);
    expect(writes()).toStrictEqual(['create', 'create']);
    expect(dropped).toBe(2);
  });
});
