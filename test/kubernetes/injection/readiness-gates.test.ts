import { beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { memberId } from '../../../src/decision/member-id.ts';
import { ApiError } from '../../../src/kubernetes/api/api.ts';
import { ClusterReader } from '../../../src/kubernetes/guards/cluster-reader.ts';
import { ReadinessGates, UNFIT_MS } from '../../../src/kubernetes/injection/readiness-gates.ts';
import { FakeEtcd } from '../../fakes/etcd.ts';
import { FakeKubernetes } from '../../fakes/fake-kubernetes.ts';
import { guardObject, podObject } from '../../fakes/kubernetes-objects.ts';

const PODS = ['etcd-0', 'etcd-1', 'etcd-2'];
const NOW = '2026-03-04T05:06:07.000Z';
const READY = { type: 'Ready', status: 'False', reason: 'ReadinessGatesNotReady' };
const GATED = {
  spec: { readinessGates: [{ conditionType: 'etcd-guard.io/InSync' }] },
  status: { conditions: [READY] },
};
const GOOD = 'True HealthyVoter: Its member is a healthy voter that has caught up.';

const statusSchema = z.object({
  conditions: z.array(
    z.object({
      type: z.string(),
      status: z.string(),
      reason: z.string(),
      message: z.string().optional(),
      lastTransitionTime: z.string().optional(),
    }),
  ),
});

let etcd: FakeEtcd;
let api: FakeKubernetes;
let gates: ReadinessGates;
let holding: boolean;
let elapsedMs: number;
let failures: ApiError[];

beforeEach(() => {
  etcd = new FakeEtcd(PODS);
  api = new FakeKubernetes(guardObject(), ...PODS.map((pod) => podObject(pod, GATED)));
  holding = true;
  elapsedMs = 0;
  failures = [];
  gates = new ReadinessGates({
    api,
    mayWrite: () => holding,
    nowMs: () => Date.parse(NOW) + elapsedMs,
    monotonicMs: () => elapsedMs,
    onFailed: (error) => failures.push(error),
  });
});

/** One look as the keeper of the status takes it; whether some pod waits. */
async function look(): Promise<boolean> {
  const reader = new ClusterReader({
    api,
    connect: () => etcd,
    nowMs: () => Date.parse(NOW),
    viewed: () => undefined,
  });
  try {
    const seen = await reader.look(api.at('EtcdGuard', 'etcd'), () => 1_000);
    return await gates.follow('default/etcd', seen, await etcd.ask(seen.cluster.endpoints, 0));
  } finally {
    reader.close();
  }
}

function conditionOf(pod: string) {
  const { conditions } = statusSchema.parse(api.at('Pod', pod)['status']);
  expect(conditions[0]).toEqual(READY);
  return conditions.find(({ type }) => type === 'etcd-guard.io/InSync');
}

function said(pod: string): string {
  const { status = '', reason = '', message = '' } = conditionOf(pod) ?? {};
  return `${status} ${reason}: ${message}`;
}

function writes(): number {
  return api.calls.filter(({ verb }) => verb === 'patch').length;
}

describe('a pod with the gate', () => {
  test('is told once that its member is a healthy voter, whatever else its status says', async () => {
    expect(await look()).toBe(false);
    expect(PODS.map(said)).toEqual([GOOD, GOOD, GOOD]);
    expect(conditionOf('etcd-1')?.lastTransitionTime).toBe(NOW);
    expect(writes()).toBe(3);
    await look();
    expect(writes()).toBe(3);
  });

  test('waits as long as its member is behind, and what changes is not written each time', async () => {
    etcd.member('etcd-2').lagEntries = 5_000;
    expect(await look()).toBe(true);
    expect(said('etcd-2')).toBe('False Behind: Its member is 5000 entries behind.');
    const before = writes();
    etcd.member('etcd-2').lagEntries = 1_000;
    expect(await look()).toBe(true);
    expect(writes()).toBe(before);
    etcd.member('etcd-2').lagEntries = 999;
    expect(await look()).toBe(false);
    expect(said('etcd-2')).toBe(GOOD);
  });

  test.each<[string, () => void, string]>([
    [
      'is silent',
      () => etcd.stop('etcd-2'),
      'False NoAnswer: Its member does not answer: connection refused.',
    ],
    [
      'may not be asked',
      () => void (etcd.member('etcd-2').reach = 'forbids'),
      'False NoAnswer: Its member does not answer: permission denied.',
    ],
    [
      'names another leader',
      () => void (etcd.member('etcd-2').names = memberId('a2')),
      'False Unhealthy: Its member does not name the confirmed leader.',
    ],
    [
      'has no leader, nor have the others',
      () => PODS.forEach((pod) => void (etcd.member(pod).names = null)),
      'False NoLeader: No leader is named by a quorum of the voters.',
    ],
    [
      'hears from nobody',
      () => {
        etcd.stop('etcd-0');
        etcd.stop('etcd-1');
      },
      'False NoMemberList: No quorum of voters gives one member list.',
    ],
  ])('waits while its member %s', async (_what, happens, expected) => {
    happens();
    expect(await look()).toBe(true);
    expect(said('etcd-2')).toBe(expected);
  });

  test('waits while its member is a learner', async () => {
    etcd = new FakeEtcd(PODS, ['etcd-3']);
    api.put(podObject('etcd-3', GATED));
    expect(await look()).toBe(true);
    expect(said('etcd-3')).toBe('False Learner: Its member is a learner, without a vote.');
    expect(said('etcd-0')).toBe(GOOD);
  });

  test('waits while it answers as a member of nobody', async () => {
    const stranger = new FakeEtcd(['a', 'b', 'c', 'd', 'etcd-3']);
    api.put(podObject('etcd-3', GATED));
    const ask = etcd.ask.bind(etcd);
    etcd.ask = async (endpoints, withinMs) =>
      new Map(
        [...(await ask(endpoints, withinMs)), ...(await stranger.ask(endpoints, withinMs))].filter(
          ([pod], index) => (pod === 'etcd-3') === index >= endpoints.length,
        ),
      );
    expect(await look()).toBe(true);
    expect(said('etcd-3')).toBe(
      'False NotAMember: It answers as member a5, which the cluster does not list.',
    );
  });
});

describe('a pod that was ready', () => {
  beforeEach(look);

  test.each<[string, () => void]>([
    ['can not be reached', () => etcd.stop('etcd-2')],
    ['may not be asked', () => void (etcd.member('etcd-2').reach = 'forbids')],
    ['has no leader', () => PODS.forEach((pod) => void (etcd.member(pod).names = null))],
    ['hears from nobody', () => ['etcd-0', 'etcd-1'].forEach((pod) => etcd.stop(pod))],
  ])('stays ready when its member %s, for however long', async (_what, happens) => {
    const before = writes();
    happens();
    for (const _ of [1, 2, 3]) {
      await look();
      elapsedMs += 10 * UNFIT_MS;
    }
    expect(said('etcd-2')).toBe(GOOD);
    expect(writes()).toBe(before);
  });

  test('stays ready for a while when its member is behind, and is looked at again', async () => {
    etcd.member('etcd-2').lagEntries = 5_000;
    expect(await look()).toBe(true);
    elapsedMs = UNFIT_MS - 1;
    expect(await look()).toBe(true);
    expect(said('etcd-2')).toBe(GOOD);
    elapsedMs = UNFIT_MS;
    expect(await look()).toBe(true);
    expect(said('etcd-2')).toBe('False Behind: Its member is 5000 entries behind.');
    expect(conditionOf('etcd-2')?.lastTransitionTime).toBe('2026-03-04T05:06:17.000Z');
  });

  test('begins that while anew when its member was fit in between', async () => {
    const member = etcd.member('etcd-2');
    for (const lagEntries of [5_000, 0, 5_000]) {
      member.lagEntries = lagEntries;
      await look();
      elapsedMs += UNFIT_MS - 1;
    }
    await look();
    expect(said('etcd-2')).toBe(GOOD);
  });

  test('stays ready while its deletion is only reserved, or under way', async () => {
    const time = NOW;
    const entry = { pod: 'etcd-1', time, by: 'alice', reason: 'Spared' };
    api.put(guardObject({ status: { disruptedPods: { 'uid-of-etcd-1': entry } } }));
    api.put(podObject('etcd-2', { ...GATED, terminating: true }));
    const before = writes();
    for (const _ of [1, 2]) {
      await look();
      elapsedMs += UNFIT_MS;
    }
    expect(writes()).toBe(before);
  });

  test('is told a new reason, but no new time, while it stays unready', async () => {
    etcd.member('etcd-2').lagEntries = 5_000;
    await look();
    elapsedMs = UNFIT_MS;
    await look();
    const { lastTransitionTime } = conditionOf('etcd-2') ?? {};
    elapsedMs += 5_000;
    etcd.stop('etcd-2');
    await look();
    expect(said('etcd-2')).toMatch(/^False NoAnswer/);
    expect(conditionOf('etcd-2')?.lastTransitionTime).toBe(lastTransitionTime);
  });
});

describe('nothing is written', () => {
  test('to pods without the gate', async () => {
    api = new FakeKubernetes(guardObject(), ...PODS.map((pod) => podObject(pod)));
    expect(await look()).toBe(false);
    expect(writes()).toBe(0);
  });

  test('without the Lease', async () => {
    holding = false;
    await look();
    expect(writes()).toBe(0);
  });
});

test('a write that fails is told of, unless the pod is gone or another one', async () => {
  const codes = ['forbidden', 'not-found', 'conflict'] as const;
  api.fault = ({ verb, name }) => {
    if (verb !== 'patch') return null;
    return new ApiError(codes[PODS.indexOf(name)] ?? 'refused', name);
  };
  await look();
  expect(failures.map(({ code }) => code)).toEqual(['forbidden']);
});
