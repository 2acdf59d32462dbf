import { beforeEach, describe, expect, test } from 'vitest';
import { memberId } from '../../src/decision/member-id.ts';
import { decodeGuard } from '../../src/kubernetes/guards/guard-resource.ts';
import { ResourceLedger } from '../../src/kubernetes/guards/resource-ledger.ts';
import { reservationsOf } from '../../src/kubernetes/guards/disrupted-pods.ts';
import { withStatus } from '../../src/kubernetes/status/next-status.ts';
import type { ClusterStatus } from '../../src/guards/guard-status.ts';
import { FakeKubernetes } from '../fakes/fake-kubernetes.ts';
import { guardObject } from '../fakes/kubernetes-objects.ts';

const NOW_MS = Date.parse('2026-03-04T05:06:07.089Z');
const PODS = ['a', 'b', 'c'].map((uid) => ({ uid, terminating: false }));
/** As a version to come may write it: a reason, and fields, of its own. */
const NEWER = {
  pod: 'etcd-1',
  time: '2026-03-04T05:06:00.000001Z',
  by: 'kate',
  reason: 'Rebalanced',
  until: '2026-03-04T05:16:00Z',
  zones: { from: 'a', to: ['b', 'c'] },
};
/** As the first version wrote it, which named no candidate for a hand-off. */
const OLDER = { pod: 'etcd-2', time: '2026-03-04T05:06:01Z', by: 'joe', reason: 'Spared' };
const STATUS = { leader: 'etcd-0', promises: { x: 1 }, disruptedPods: { b: NEWER, c: OLDER } };
const RESERVATION = {
  reason: 'Spared',
  by: 'ann',
  gracePeriodSeconds: null,
  handOffTo: null,
} as const;

let api: FakeKubernetes;
let ledger: ResourceLedger;

beforeEach(() => {
  api = new FakeKubernetes(guardObject({ status: STATUS }));
  ledger = new ResourceLedger(api, () => NOW_MS, 3_000);
});

function read() {
  const object = api.at('EtcdGuard', 'etcd');
  const { guard, problems } = decodeGuard(object);
  if (guard === undefined) throw new Error(JSON.stringify(problems));
  return { object, guard, pods: PODS };
}

function entries(): unknown {
  return read().guard.ledger;
}

describe('beside replicas of another version', () => {
  test('their entries count, whatever else they say', () => {
    expect(reservationsOf(read().guard.ledger, 'a', NOW_MS)).toEqual([
      { pod: 'etcd-1', own: false, ageMs: 7_089, reason: 'Spared', handOffTo: null },
      { pod: 'etcd-2', own: false, ageMs: 6_089, reason: 'Spared', handOffTo: null },
    ]);
  });

  test('a reservation leaves their entries, and the rest of the status, as they are', async () => {
    await ledger.reserve(read(), { uid: 'a', name: 'etcd-0' }, RESERVATION);
    expect(api.at('EtcdGuard', 'etcd')).toMatchObject({
      status: { leader: 'etcd-0', promises: { x: 1 } },
    });
    expect(entries()).toEqual({ a: expect.objectContaining({ by: 'ann' }), b: NEWER, c: OLDER });
  });

  test('one that is taken back puts their entry back whole', async () => {
    const handOff = { ...RESERVATION, handOffTo: memberId('a2') };
    const held = await ledger.reserve(read(), { uid: 'b', name: 'etcd-1' }, handOff);
    if (held === 'conflict') throw new Error('a conflict');
    expect(entries()).toMatchObject({ b: { by: 'ann' }, c: OLDER });
    await held.release();
    expect(entries()).toEqual({ b: NEWER, c: OLDER });
  });

  test('an entry of theirs that is relied on keeps all but the end of its time', async () => {
    const handedOver = { ...NEWER, handOffTo: 'a2' };
    api.put(guardObject({ status: { ...STATUS, disruptedPods: { b: handedOver } } }));
    expect(await ledger.keep(read(), 'b')).toBe('kept');
    expect(entries()).toEqual({
      b: { ...handedOver, time: expect.stringMatching(/^2026-03-04T05:06:00\.000\d{6}Z$/) },
    });
  });

  test('the status is written without dropping what only they know', () => {
    const { object, guard } = read();
    const status: ClusterStatus = {
      leader: 'etcd-1',
      voters: 3,
      healthyVoters: 3,
      health: '3/3',
      quorum: 2,
      disruptionsAllowed: 1,
      reason: null,
      members: [],
      conditions: [],
    };
    const seen = { object, status, ledger: { guard, pods: PODS }, nowMs: NOW_MS, holdWords: false };
    expect(withStatus(seen)).toMatchObject({
      status: { leader: 'etcd-1', promises: { x: 1 }, disruptedPods: { b: NEWER, c: OLDER } },
    });
  });
});

describe('an EtcdGuard of another version', () => {
  test.each([
    [{ policy: { drain: 'Slowly' } }, ['spec.policy.drain']],
    [{ members: { proxy: { port: 1 } } }, ['spec.members.proxy']],
    [{ rollouts: [] }, ['spec.rollouts']],
  ])('with fields that only it knows guards, and says what is not heeded: %j', (spec, ignored) => {
    const { guard } = decodeGuard(guardOf(spec));
    expect(guard?.ignored).toEqual(ignored);
    expect(guard?.spec.selector).toEqual({ matchLabels: { app: 'etcd' } });
  });

  test.each([
    [{ policy: { leader: 'Drain' } }, 'spec.policy.leader'],
    [{ policy: { unknown: 'AllowOnce' } }, 'spec.policy.unknown'],
    [{ members: { tls: { certificate: 'etcd' } } }, 'spec.members.tls.secretName'],
  ])('with values that only it knows refuses for its pods: %j', (spec, path) => {
    const decoded = decodeGuard(guardOf(spec));
    expect(decoded.problems?.map((problem) => problem.path)).toContain(path);
    expect(decoded).toMatchObject({ selector: { matchLabels: { app: 'etcd' } } });
  });

  test('with a selector that can’t be read whole selects what nobody knows', () => {
    const spec = { selector: { matchLabels: { app: 'etcd' }, matchFields: { node: 'a' } } };
    expect(decodeGuard(guardOf(spec))).toMatchObject({ selector: null });
  });
});

/** A guard as an API server with another CRD would hand it on. */
function guardOf(spec: Readonly<Record<string, unknown>>) {
  return new FakeKubernetes(guardObject({ spec })).at('EtcdGuard', 'etcd');
}
