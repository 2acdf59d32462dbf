import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { NewReservation } from '../../../src/admission/guard-source.ts';
import { memberId } from '../../../src/decision/member-id.ts';
import { ApiError } from '../../../src/kubernetes/api/api.ts';
import type { LedgerPod } from '../../../src/kubernetes/guards/disrupted-pods.ts';
import { decodeGuard, type Ledger } from '../../../src/kubernetes/guards/guard-resource.ts';
import {
  ResourceLedger,
  type LedgerReading,
} from '../../../src/kubernetes/guards/resource-ledger.ts';
import { FakeKubernetes } from '../../fakes/fake-kubernetes.ts';
import { guardObject } from '../../fakes/kubernetes-objects.ts';

const NOW_MS = Date.parse('2026-03-04T05:06:07.089Z');
const API_MS = 3_000;
const TARGET = { uid: 'a', name: 'etcd-0' };
const PODS = ['a', 'b', 'c'].map((uid) => ({ uid, terminating: false }));
const SHOWN = { leader: 'etcd-0', voters: 3, conditions: [], anythingElse: { kept: true } };
const plain: NewReservation = {
  reason: 'Spared',
  by: 'kate',
  gracePeriodSeconds: null,
  handOffTo: null,
};
const handOff: NewReservation = { ...plain, handOffTo: memberId('a2') };

let api: FakeKubernetes;
let ledger: ResourceLedger;

beforeEach(() => {
  vi.useFakeTimers({ now: NOW_MS });
  api = new FakeKubernetes(guardObject({ status: SHOWN }));
  ledger = new ResourceLedger(api, () => Date.now(), API_MS);
});
afterEach(() => void vi.useRealTimers());

function read(pods: readonly LedgerPod[] = PODS): LedgerReading {
  const object = api.at('EtcdGuard', 'etcd');
  const { guard } = decodeGuard(object);
  if (guard === undefined) throw new Error('the guard is not valid');
  return { object, guard, pods };
}

function entries(): Ledger {
  return read().guard.ledger;
}

async function reserved(entry: NewReservation, reading = read()) {
  const held = await ledger.reserve(reading, TARGET, entry);
  if (held === 'conflict') throw new Error('a conflict');
  return held;
}

function putEntries(...given: readonly (readonly [uid: string, ageMs: number])[]): void {
  const disruptedPods = Object.fromEntries(
    given.map(([uid, ageMs]) => {
      const time = new Date(NOW_MS - ageMs).toISOString();
      return [uid, { pod: `pod-${uid}`, time, by: 'joe', reason: 'Spared' }];
    }),
  );
  api.put(guardObject({ status: { ...SHOWN, disruptedPods } }));
}

/** Somebody writes the guard just before each of our next writes. */
function interfere(times: number): void {
  let left = times;
  api.hold = ({ verb }, at) => {
    if (verb !== 'replace' || at !== 'start' || left === 0) return;
    left -= 1;
    api.change('EtcdGuard', 'etcd', (guard) => guard);
  };
}

describe('reserve', () => {
  test('writes one entry, and leaves the rest of the status as it is', async () => {
    await reserved(handOff);
    expect(api.at('EtcdGuard', 'etcd')).toMatchObject({
      spec: { selector: { matchLabels: { app: 'etcd' } } },
      status: {
        ...SHOWN,
        disruptedPods: {
          a: {
            pod: 'etcd-0',
            time: expect.stringMatching(/^2026-03-04T05:06:07\.089\d{6}Z$/),
            by: 'kate',
            reason: 'Spared',
            handOffTo: 'a2',
          },
        },
      },
    });
    expect(Object.keys(entries()['a'] ?? {})).not.toContain('gracePeriodSeconds');
  });

  test('of many that rest on one reading, one wins and the others do not even ask', async () => {
    const reading = read();
    const targets = [TARGET, { uid: 'b', name: 'etcd-1' }, { uid: 'c', name: 'etcd-2' }];
    const held = await Promise.all(targets.map((one) => ledger.reserve(reading, one, plain)));
    expect(held.filter((one) => one === 'conflict')).toHaveLength(2);
    expect(api.calls.filter(({ verb }) => verb === 'replace')).toHaveLength(1);
  });

  test('that fails says nothing about the next that rests on the same reading', async () => {
    const reading = read();
    const faults = [new ApiError('unreachable', 'gone'), null];
    api.fault = ({ verb }) => (verb === 'replace' ? (faults.shift() ?? null) : null);
    const both = await Promise.allSettled([
      ledger.reserve(reading, TARGET, plain),
      ledger.reserve(reading, { uid: 'b', name: 'etcd-1' }, plain),
    ]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    expect(Object.keys(entries())).toEqual(['b']);
  });

  test('waits for rivals that get no answer no longer than for an answer of its own', async () => {
    const reading = read();
    api.fault = ({ verb }) => (verb === 'replace' ? 'hangs' : null);
    const targets = [TARGET, { uid: 'b', name: 'etcd-1' }, { uid: 'c', name: 'etcd-2' }];
    const all = Promise.allSettled(targets.map((one) => ledger.reserve(reading, one, plain)));
    await vi.advanceTimersByTimeAsync(API_MS - 1);
    api.fault = () => null;
    await vi.advanceTimersByTimeAsync(API_MS);
    const timeout = { status: 'rejected', reason: { code: 'timeout' } };
    expect(await all).toMatchObject([timeout, timeout, timeout]);
    expect(api.calls.filter(({ verb }) => verb === 'replace')).toHaveLength(1);
    expect(entries()).toEqual({});
  });

  test('is a conflict if the guard was changed in any way since it was read', async () => {
    const reading = read();
    api.change('EtcdGuard', 'etcd', (guard) => ({ ...guard, status: { leader: 'etcd-2' } }));
    expect(await ledger.reserve(reading, TARGET, plain)).toBe('conflict');
    expect(entries()).toEqual({});
  });

  test('and if it is gone, or another of its name is there', async () => {
    const reading = read();
    api.remove('EtcdGuard', 'etcd');
    expect(await ledger.reserve(reading, TARGET, plain)).toBe('conflict');
    const guard = guardObject();
    api.put({ ...guard, metadata: { ...guard.metadata, uid: 'another' } });
    expect(await ledger.reserve(reading, TARGET, plain)).toBe('conflict');
  });

  test('drops entries that have ended: too old, terminating, gone', async () => {
    putEntries(['b', 119_000], ['c', 120_000], ['d', 1_000], ['e', 1_000], ['f', -60_000]);
    const more = [
      { uid: 'd', terminating: true },
      { uid: 'f', terminating: false },
    ];
    await reserved(plain, read([...PODS, ...more]));
    expect(Object.keys(entries()).sort()).toEqual(['a', 'b', 'f']);
  });

  test('cuts a user name that would fill the object', async () => {
    await reserved({ ...plain, by: 'x'.repeat(10_000) });
    expect(entries()['a']?.by).toHaveLength(256);
  });

  test('rejects with what the API server says', async () => {
    api.fault = () => new ApiError('forbidden', 'you may not');
    await expect(reserved(plain)).rejects.toThrow('you may not');
  });

  test('takes a hand-off back that may have been written; anything else may be relied on', async () => {
    for (const [entry, left] of [
      [handOff, []],
      [plain, ['a']],
    ] as const) {
      let lost = false;
      api.fault = ({ verb }) => {
        if (lost || verb !== 'replace') return null;
        lost = true;
        return 'loses its answer';
      };
      const writing = reserved(entry).catch((error: unknown) => error);
      await vi.advanceTimersByTimeAsync(API_MS);
      expect(await writing).toMatchObject({ code: 'timeout' });
      await vi.advanceTimersByTimeAsync(10);
      expect(Object.keys(entries())).toEqual(left);
    }
  });
});

describe('release', () => {
  test('removes the entry and nothing else', async () => {
    putEntries(['b', 1_000]);
    const before = entries();
    const held = await reserved(handOff);
    await held.release();
    expect(entries()).toEqual(before);
    expect(api.at('EtcdGuard', 'etcd')['status']).toMatchObject(SHOWN);
  });

  test('lets the entry that it replaced stand again', async () => {
    await reserved(plain);
    const before = entries();
    const held = await reserved(handOff);
    await held.release();
    expect(entries()).toEqual(before);
  });

  test('leaves an entry that another wrote meanwhile, in the same millisecond even', async () => {
    const held = await reserved(handOff);
    await reserved(handOff);
    const after = entries();
    await held.release();
    expect(entries()).toEqual(after);
  });

  test('tries again after conflicts', async () => {
    const held = await reserved(handOff);
    interfere(12);
    await held.release();
    expect(entries()).toEqual({});
  });

  test('and when the API server was not reached, but not for ever', async () => {
    const held = await reserved(handOff);
    let failures = 3;
    api.fault = () => (failures-- > 0 ? new ApiError('unreachable', 'gone for a moment') : null);
    const released = held.release();
    await vi.advanceTimersByTimeAsync(1_000);
    await released;
    expect(entries()).toEqual({});

    const other = await reserved(handOff);
    api.fault = () => new ApiError('unreachable', 'gone');
    api.calls.length = 0;
    const given = other.release();
    await vi.advanceTimersByTimeAsync(60_000);
    await given;
    expect(api.calls).toHaveLength(20);
  });

  test('never rejects', async () => {
    for (const fault of [new ApiError('forbidden', 'you may not'), new ApiError('refused', 'no')]) {
      api.fault = () => null;
      const held = await reserved(handOff);
      api.fault = () => fault;
      await expect(held.release()).resolves.toBeUndefined();
    }
    api.fault = () => null;
    const held = await reserved(handOff);
    api.remove('EtcdGuard', 'etcd');
    await expect(held.release()).resolves.toBeUndefined();
  });
});

describe('keep', () => {
  test('of a plain entry looks whether it stands, and writes nothing', async () => {
    await reserved(plain);
    const reading = read();
    const before = api.at('EtcdGuard', 'etcd');
    expect(await ledger.keep(reading, 'a')).toBe('kept');
    expect(api.at('EtcdGuard', 'etcd')).toEqual(before);
  });

  test('of one that was replaced, or has ended, or whose guard is gone, is a conflict', async () => {
    await reserved(plain);
    const reading = read();
    await reserved(handOff);
    expect(await ledger.keep(reading, 'a')).toBe('conflict');
    api.put(guardObject());
    expect(await ledger.keep(reading, 'a')).toBe('conflict');
    api.remove('EtcdGuard', 'etcd');
    expect(await ledger.keep(reading, 'a')).toBe('conflict');
  });

  test('of a hand-off: its writer can’t take it back, and the candidate stays named', async () => {
    const held = await reserved(handOff);
    const { time, ...entry } = entries()['a'] ?? { time: '' };
    expect(await ledger.keep(read(), 'a')).toBe('kept');
    await held.release();
    expect(entries()['a']).toMatchObject(entry);
    expect(Date.parse(entries()['a']?.time ?? '')).toBe(Date.parse(time));
  });

  test('of a hand-off that changes under it is a conflict', async () => {
    await reserved(handOff);
    interfere(1);
    expect(await ledger.keep(read(), 'a')).toBe('conflict');
  });

  test('rejects if that can’t be told', async () => {
    await reserved(plain);
    const reading = read();
    api.fault = () => new ApiError('unreachable', 'gone');
    await expect(ledger.keep(reading, 'a')).rejects.toThrow('gone');
  });
});
