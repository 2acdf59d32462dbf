import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { viewOf } from '../../../src/decision/cluster-view.ts';
import { ApiError } from '../../../src/kubernetes/api/api.ts';
import { ClusterReader } from '../../../src/kubernetes/guards/cluster-reader.ts';
import { guardsIn } from '../../../src/kubernetes/guards/guard-resource.ts';
import { StatusKeeper, type Looked } from '../../../src/kubernetes/status/status-keeper.ts';
import { WatchedGuards } from '../../../src/kubernetes/status/watched-guards.ts';
import { FakeEtcd } from '../../fakes/etcd.ts';
import { FakeKubernetes } from '../../fakes/fake-kubernetes.ts';
import {
  guardObject,
  namespaceObject,
  podObject,
  webhookObject,
} from '../../fakes/kubernetes-objects.ts';
import { randomNumbers } from '../../fakes/random-numbers.ts';

const PODS = ['etcd-0', 'etcd-1', 'etcd-2'];
/** What has the API server ask about pods of the namespace default. */
const ASKED = [namespaceObject('default'), webhookObject()];
const NOW = '2026-03-04T05:06:07.000Z';
/** What is due every 30 s has come. */
const A_ROUND = 31_000;

let etcd: FakeEtcd;
let api: FakeKubernetes;
let reader: ClusterReader;
let keeper: StatusKeeper;
let looked: Looked[];
let failures: string[];
let holding: boolean;

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse(NOW) });
  etcd = new FakeEtcd(PODS);
  api = new FakeKubernetes(...ASKED, guardObject(), ...PODS.map((pod) => podObject(pod)));
  holding = true;
});
afterEach(() => {
  keeper.stop();
  reader.close();
  vi.useRealTimers();
});

async function start({
  roleLabels = false,
  readinessGates = false,
}: { readonly roleLabels?: boolean; readonly readinessGates?: boolean } = {}) {
  looked = [];
  failures = [];
  reader = new ClusterReader({
    api,
    connect: () => etcd,
    nowMs: () => Date.now(),
    viewed: () => undefined,
  });
  const guards = new WatchedGuards(api, {
    onChanged: (guard, before) => keeper.guardChanged(guard, before),
    onGone: (guard) => keeper.guardGone(guard),
    onFailed: () => undefined,
  });
  keeper = new StatusKeeper({
    api,
    reader,
    guards,
    webhookConfiguration: 'etcd-guard',
    nowMs: () => Date.now(),
    mayWrite: () => holding,
    roleLabels,
    readinessGates,
    events: {
      onLooked: (_guard, what) => looked.push(what),
      onFailed: (about, { code }) => failures.push(`${about} ${code}`),
    },
  });
  guards.start();
  keeper.start();
  await advance(500);
}

function advance(ms: number): Promise<unknown> {
  return vi.advanceTimersByTimeAsync(ms);
}

function statusOf(name = 'etcd'): Readonly<Record<string, unknown>> {
  const { status } = api.at('EtcdGuard', name);
  return typeof status === 'object' && status !== null ? { ...status } : {};
}

function conditionsOf(name = 'etcd'): string {
  const { conditions } = statusOf(name);
  if (!Array.isArray(conditions)) return '';
  return conditions
    .map(({ type, status, reason }: Record<string, string>) => `${type}=${status}/${reason}`)
    .join(' ');
}

function messages(): string {
  const { conditions } = statusOf();
  return JSON.stringify(conditions);
}

function writes(): number {
  return api.calls.filter(({ verb, plural }) => verb === 'replace' && plural === 'etcdguards')
    .length;
}

function entry(pod: string) {
  return { pod, time: NOW, by: 'alice', reason: 'Spared', later: 1 };
}

/** As a review does: the guard, its pods, a swap. */
async function reserve(pod: string): Promise<unknown> {
  const object = await api.get(guardsIn('default'), 'etcd', 1_000);
  if (object === null) throw new Error('no guard');
  const { reading } = await reader.look(object, () => 1_000);
  if (reading === null) throw new Error('not read');
  const cluster = reader.cluster(reading, { uid: `uid-of-${pod}`, name: pod });
  return cluster.reserve({
    reason: 'Spared',
    by: 'alice',
    gracePeriodSeconds: null,
    handOffTo: null,
  });
}

async function settledWithin<T>(promise: Promise<T>, ms: number): Promise<T> {
  await Promise.race([promise, advance(ms)]);
  return promise;
}

function roleLabelsNow(): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(
    PODS.map((pod) => [pod, api.find('Pod', pod)?.metadata.labels?.['etcd-guard.io/role']]),
  );
}

function patched(): readonly string[] {
  return api.calls.filter(({ verb }) => verb === 'patch').map(({ name }) => name);
}

function inSync(pod: string): boolean {
  return JSON.stringify(api.at('Pod', pod)['status']).includes('"reason":"HealthyVoter"');
}

function looks(): number {
  return etcd.calls.filter((call) => call === 'ask').length;
}

/** Its watches list, and never tell of a change. */
class Deaf extends FakeKubernetes {
  override watch(...[resource, options, events]: Parameters<FakeKubernetes['watch']>) {
    const watch = super.watch(resource, options, events);
    watch.stop();
    return watch;
  }
}

/** Lists of namespaces never come. */
class WithoutNamespaces extends FakeKubernetes {
  override watch(...[resource, options, events]: Parameters<FakeKubernetes['watch']>) {
    if (resource.plural === 'namespaces') return { stop: () => undefined };
    return super.watch(resource, options, events);
  }
}

describe('the status of a guard', () => {
  test('is written whole', async () => {
    await start();
    const member = { health: 'Healthy', lag: 0 };
    const condition = { lastTransitionTime: expect.any(String), observedGeneration: 1 };
    expect(statusOf()).toEqual({
      observedGeneration: 1,
      leader: 'etcd-0',
      voters: 3,
      healthyVoters: 3,
      health: '3/3',
      quorum: 2,
      disruptionsAllowed: 1,
      members: [
        { ...member, pod: 'etcd-0', name: 'etcd-0', id: 'a1', role: 'Leader' },
        { ...member, pod: 'etcd-1', name: 'etcd-1', id: 'a2', role: 'Follower' },
        { ...member, pod: 'etcd-2', name: 'etcd-2', id: 'a3', role: 'Follower' },
      ],
      conditions: [
        {
          ...condition,
          type: 'Reachable',
          status: 'True',
          reason: 'QuorumAnswers',
          message: 'a quorum of voters gives one member list',
        },
        {
          ...condition,
          type: 'Healthy',
          status: 'True',
          reason: 'AllVotersHealthy',
          message: 'a leader is confirmed and all voters are healthy',
        },
        {
          ...condition,
          type: 'Accepted',
          status: 'True',
          reason: 'Accepted',
          message: 'guards 3 pods',
        },
      ],
    });
    expect(looked.at(-1)).toMatchObject({ reservations: 0, pods: 3 });
  });

  test('is not written again while nothing changes, nor for lag, ages and words about them', async () => {
    await start();
    expect(writes()).toBe(1);
    await advance(300_000);
    etcd.member('etcd-1').lagEntries = 900;
    await advance(A_ROUND);
    expect(writes()).toBe(1);
    // Too far behind to count: that is a change, how far behind then is none.
    etcd.member('etcd-1').lagEntries = 1_500;
    await advance(A_ROUND);
    expect(statusOf()).toMatchObject({ health: '2/3' });
    expect(writes()).toBe(2);
    etcd.member('etcd-1').lagEntries = 9_000;
    await advance(A_ROUND);
    expect(writes()).toBe(2);
    etcd.member('etcd-1').lagEntries = 16_000;
    await advance(A_ROUND);
    expect(writes()).toBe(3);
  });

  test('is written for other words alone only 30 s after the last write', async () => {
    await start();
    await advance(60_000);
    etcd.stop('etcd-2');
    await advance(A_ROUND);
    expect(writes()).toBe(2);
    expect(messages()).toContain('connection refused');
    // Its words are others at each of many looks, which something else gives reason for.
    let refuses = false;
    const until = Date.now() + 120_000;
    while (Date.now() < until) {
      refuses = !refuses;
      if (refuses) etcd.stop('etcd-2');
      else etcd.start('etcd-2');
      etcd.member('etcd-2').reach = 'hangs';
      api.change('Pod', 'etcd-2', (pod) => pod);
      await advance(3_000);
    }
    expect(writes() - 2).toBeGreaterThanOrEqual(2);
    expect(writes() - 2).toBeLessThanOrEqual(5);
    // The last words are written at last.
    etcd.start('etcd-2');
    await advance(2 * A_ROUND);
    expect(messages()).toContain('timed out');
    const before = writes();
    // Anything else is written at once.
    api.put(podObject('etcd-1', { terminating: true }));
    await advance(3_500);
    expect(writes()).toBe(before + 1);
  });

  test('is written once for each change, and a condition keeps its time until it turns', async () => {
    await start();
    await advance(60_000);
    etcd.lead('etcd-2');
    await advance(A_ROUND);
    expect(statusOf()).toMatchObject({ leader: 'etcd-2' });
    expect(writes()).toBe(2);
    const { conditions: before } = statusOf();
    etcd.stop('etcd-1');
    await advance(A_ROUND);
    expect(writes()).toBe(3);
    expect(conditionsOf()).toContain('Healthy=False/NotAllVotersHealthy');
    const { conditions: after } = statusOf();
    const times = [before, after].map((all) =>
      Array.isArray(all) ? all.map(({ lastTransitionTime }) => String(lastTransitionTime)) : [],
    );
    expect(times[0]?.[0]).toBe(times[1]?.[0]);
    expect(times[0]?.[1]).not.toBe(times[1]?.[1]);
  });

  test('follows pods and guards at once, and what a review sees', async () => {
    await start();
    await advance(60_000);
    api.put(podObject('etcd-1', { terminating: true }));
    await advance(1_000);
    expect(statusOf()).toMatchObject({ health: '2/3', disruptionsAllowed: 0 });
    api.put(podObject('etcd-1', { uid: 'second' }));
    await advance(2_000);
    expect(statusOf()).toMatchObject({ health: '3/3', disruptionsAllowed: 1 });
    await advance(60_000);
    etcd.lead('etcd-2');
    const policy = { leader: 'Deny', handOff: [], quorum: 'Enforce', unknown: 'Deny' } as const;
    const view = viewOf({
      pods: [],
      answers: new Map(),
      proof: null,
      reservations: [],
      maxRaftLag: 1_000,
    });
    keeper.reviewed(
      { namespace: 'default', name: 'etcd', policy: { ...policy, maxRaftLag: 1_000 } },
      view,
    );
    await advance(1_000);
    expect(statusOf()).toMatchObject({ leader: 'etcd-2' });
  });

  test('is looked at every second for as long as somebody asks for that', async () => {
    const annotations = { 'etcd-guard.io/watch-until': '2026-03-04T05:07:07.000Z' };
    const guard = guardObject();
    api.put({ ...guard, metadata: { ...guard.metadata, annotations } });
    await start();
    await advance(20_000);
    etcd.lead('etcd-1');
    await advance(1_500);
    expect(statusOf()).toMatchObject({ leader: 'etcd-1' });
    const before = looked.length;
    await advance(30_000);
    expect(looked.length - before).toBeGreaterThanOrEqual(28);
    await advance(60_000);
    const after = looked.length;
    await advance(60_000);
    expect(looked.length - after).toBeLessThanOrEqual(4);
  });

  test('is not written without the Lease, nor after the end', async () => {
    await start();
    holding = false;
    etcd.lead('etcd-1');
    await advance(A_ROUND);
    expect(writes()).toBe(1);
    holding = true;
    await advance(A_ROUND);
    expect(writes()).toBe(2);
    keeper.stop();
    etcd.lead('etcd-2');
    const calls = api.calls.length;
    await advance(300_000);
    expect(api.calls).toHaveLength(calls);
  });

  test('is not told of a guard that has gone while it was looked at', async () => {
    await start();
    await advance(60_000);
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    etcd.hold = () => released;
    api.put(podObject('etcd-1', { terminating: true }));
    await advance(500);
    expect(etcd.calls.at(-1)).toBe('ask');
    const before = looked.length;
    api.remove('EtcdGuard', 'etcd');
    release();
    await advance(A_ROUND);
    expect(looked).toHaveLength(before);
    expect(failures).toEqual([]);
  });

  test('follows within 30 s though no watch tells anything', async () => {
    api = new Deaf(...ASKED, guardObject(), ...PODS.map((pod) => podObject(pod)));
    await start();
    api.put(podObject('etcd-1', { terminating: true }));
    await advance(A_ROUND);
    expect(statusOf()).toMatchObject({ health: '2/3' });
  });

  test('that can’t be written is reported, and written when it can', async () => {
    api.fault = ({ verb }) =>
      verb === 'replace' ? new ApiError('forbidden', 'missing permission "update"') : null;
    await start();
    expect(failures).toEqual(['default/etcd forbidden']);
    api.fault = () => null;
    await advance(A_ROUND);
    expect(statusOf()).toMatchObject({ health: '3/3' });
  });
});

describe('the conditions', () => {
  test('of a cluster that can’t be asked say why', async () => {
    for (const pod of PODS) etcd.stop(pod);
    await start();
    expect(conditionsOf()).toBe(
      'Reachable=False/NoAgreedMemberList Healthy=Unknown/NotReachable Accepted=True/Accepted',
    );
    expect(statusOf()).toMatchObject({ disruptionsAllowed: 0, reason: 'NoAgreedMemberList' });
    expect(messages()).toContain(
      'no quorum of voters gives one member list; etcd-0: connection refused; etcd-1: connection refused',
    );
    expect(statusOf()).not.toHaveProperty('health');
    expect(statusOf()).not.toHaveProperty('leader');
  });

  test('of no pods at all say which selector matches none', async () => {
    api.put(guardObject({ spec: { selector: { matchLabels: { app: 'other' } } } }));
    await start();
    expect(conditionsOf()).toBe(
      'Reachable=False/NoPodSelected Healthy=Unknown/NotReachable Accepted=False/NoPodSelected',
    );
    expect(statusOf()).toMatchObject({ reason: 'NoPodSelected' });
    const words = 'no pod of this namespace matches spec.selector (app=other)';
    expect(messages().split(words)).toHaveLength(3);
  });

  test.each([
    ['NoPodSelected', { selector: { matchLabels: { app: 'other' } } }, 'False'],
    ['FieldsIgnored', { policy: { fromTheFuture: true } }, 'True'],
    ['Invalid', { policy: { quorum: 'Perhaps' } }, 'False'],
  ])('say %s of the spec', async (reason, spec, status) => {
    api.put(guardObject({ spec }));
    await start();
    expect(conditionsOf()).toContain(`Accepted=${status}/${reason}`);
  });

  test('say that a Secret is missing', async () => {
    api.put(guardObject({ spec: { members: { auth: { secretName: 'none' } } } }));
    await start();
    expect(conditionsOf()).toContain('Reachable=False/NotAsked Healthy=Unknown/NotReachable');
    // Once, however many conditions there are.
    expect(messages().split('Secret default/none (spec.members.auth)')).toHaveLength(2);
  });

  test('say that another guard selects the same pods, and then nobody may be disrupted', async () => {
    api.put(guardObject({ name: 'second' }));
    await start();
    for (const name of ['etcd', 'second']) {
      expect(conditionsOf(name)).toContain('Accepted=False/OverlapsAnotherGuard');
      expect(statusOf(name)).toMatchObject({
        disruptionsAllowed: 0,
        reason: 'OverlapsAnotherGuard',
      });
    }
    expect(messages()).toContain('EtcdGuard second has some of its pods too');
    const deletionTimestamp = NOW;
    api.change('EtcdGuard', 'second', ({ metadata, ...guard }) => ({
      ...guard,
      metadata: { ...metadata, deletionTimestamp },
    }));
    await advance(A_ROUND);
    expect(statusOf()).toMatchObject({ disruptionsAllowed: 1 });
  });
});

async function allEnd(): Promise<void> {
  for (const pod of PODS) etcd.stop(pod);
  await advance(A_ROUND);
}

describe('a total outage', () => {
  test('keeps the voters that were last known, none of them healthy', async () => {
    await start();
    expect(statusOf()).not.toHaveProperty('reason');
    await allEnd();
    const silent = { health: 'Unknown' };
    expect(statusOf()).toMatchObject({
      voters: 3,
      healthyVoters: 0,
      health: '0/3',
      quorum: 2,
      disruptionsAllowed: 0,
      reason: 'NoAgreedMemberList',
      members: [
        { ...silent, pod: 'etcd-0', name: 'etcd-0', id: 'a1' },
        { ...silent, pod: 'etcd-1', name: 'etcd-1', id: 'a2' },
        { ...silent, pod: 'etcd-2', name: 'etcd-2', id: 'a3' },
      ],
    });
    expect(JSON.stringify(statusOf())).not.toContain('"role"');
    expect(statusOf()).not.toHaveProperty('leader');
    expect(looked.at(-1)).toMatchObject({ voters: 3, view: { list: 'none', voters: 0 } });
    const before = writes();
    await advance(2 * A_ROUND);
    expect(writes()).toBe(before);
    for (const pod of PODS) etcd.start(pod);
    await advance(A_ROUND);
    expect(statusOf()).toMatchObject({ health: '3/3', disruptionsAllowed: 1 });
    expect(statusOf()).not.toHaveProperty('reason');
  });

  test('keeps them while its pods are gone, and after they are back', async () => {
    await start();
    await allEnd();
    for (const pod of PODS) api.remove('Pod', pod);
    await advance(A_ROUND);
    expect(statusOf()).toMatchObject({ voters: 3, quorum: 2, reason: 'NoPodSelected' });
    expect(statusOf()).not.toHaveProperty('health');
    expect(statusOf()).not.toHaveProperty('healthyVoters');
    for (const pod of PODS) api.put(podObject(pod, { uid: `second-${pod}` }));
    await advance(A_ROUND);
    expect(statusOf()).toMatchObject({ health: '0/3', reason: 'NoAgreedMemberList' });
  });

  test.each([
    ['has become invalid', { policy: { quorum: 'Perhaps' } }, 'Invalid'],
    ['names a Secret that is missing', { members: { auth: { secretName: 'none' } } }, 'NotAsked'],
  ])('is not told of etcd while its guard %s', async (_, spec, reason) => {
    await start();
    const { metadata } = guardObject();
    api.change('EtcdGuard', 'etcd', (guard) => ({
      ...guardObject({ spec }),
      status: guard['status'],
      metadata: { ...guard.metadata, ...metadata, generation: 2 },
    }));
    await advance(A_ROUND);
    expect(statusOf()).toMatchObject({ voters: 3, quorum: 2, disruptionsAllowed: 0, reason });
    expect(statusOf()).not.toHaveProperty('health');
    expect(statusOf()).not.toHaveProperty('healthyVoters');
  });

  test('does not take them for those of other pods that are selected now', async () => {
    await start();
    for (const pod of PODS) etcd.stop(pod);
    api.put(podObject('db-0', { labels: { app: 'db' } }));
    const { metadata } = guardObject();
    const spec = { selector: { matchLabels: { app: 'db' } } };
    api.change('EtcdGuard', 'etcd', (guard) => ({
      ...guard,
      metadata: { ...guard.metadata, ...metadata, generation: 2 },
      spec,
    }));
    await advance(A_ROUND);
    expect(statusOf()).toMatchObject({ reason: 'NoAgreedMemberList' });
    expect(statusOf()).not.toHaveProperty('voters');
  });
});

describe('a namespace in which nobody is asked', () => {
  const LABEL = 'kubectl label namespace default etcd-guard.io/protect=enabled';

  test('is named with the command that helps, and the condition turns within a second', async () => {
    api.put(namespaceObject('default', {}));
    await start();
    expect(conditionsOf()).toContain('Accepted=False/NamespaceNotLabelled');
    expect(statusOf()).toMatchObject({ reason: 'NamespaceNotLabelled', health: '3/3' });
    expect(messages()).toContain(LABEL);
    await advance(60_000);
    api.put(namespaceObject('default'));
    await advance(1_200);
    expect(conditionsOf()).toContain('Accepted=True/Accepted');
    await advance(60_000);
    api.put(namespaceObject('default', { 'etcd-guard.io/protect': 'disabled' }));
    await advance(1_200);
    expect(conditionsOf()).toContain('Accepted=False/NamespaceNotLabelled');
  });

  test('is what the webhook’s own selector leaves out, as it is now', async () => {
    api.put(webhookObject({ matchLabels: { team: 'db' } }));
    await start();
    expect(messages()).toContain('kubectl label namespace default team=db');
    api.put(webhookObject());
    await advance(A_ROUND);
    expect(conditionsOf()).toContain('Accepted=True/Accepted');
    api.put(webhookObject({ matchExpressions: [{ key: 'x', operator: 'Exists' }] }));
    await advance(A_ROUND);
    expect(messages()).toContain('kubectl label namespace default x=enabled');
    api.put(webhookObject({}));
    await advance(A_ROUND);
    expect(conditionsOf()).toContain('Accepted=True/Accepted');
  });

  test('is every one while there is no such webhook', async () => {
    api.remove('ValidatingWebhookConfiguration', 'etcd-guard');
    await start();
    expect(conditionsOf()).toContain('Accepted=False/WebhookNotRegistered');
    // Somebody installs it.
    api.put(webhookObject());
    await advance(3_200);
    expect(conditionsOf()).toContain('Accepted=True/Accepted');
    api.remove('ValidatingWebhookConfiguration', 'etcd-guard');
    await advance(A_ROUND);
    expect(conditionsOf()).toContain('Accepted=False/WebhookNotRegistered');
  });

  test('goes by the label as shipped where the configuration can’t be read', async () => {
    api.put(namespaceObject('default', {}));
    api.fault = ({ plural }) =>
      plural === 'validatingwebhookconfigurations' ? new ApiError('forbidden', 'no') : null;
    await start();
    expect(messages()).toContain(LABEL);
    expect(failures).toEqual([]);
  });

  test('is not guessed at while the API server does not answer', async () => {
    api.put(namespaceObject('default', {}));
    api.fault = ({ plural }) =>
      plural === 'validatingwebhookconfigurations' ? new ApiError('timeout', 'no') : null;
    await start();
    expect(conditionsOf()).toContain('Accepted=True/Accepted');
    expect(failures).toEqual(['namespaces timeout']);
    api.fault = () => null;
    await advance(A_ROUND);
    expect(conditionsOf()).toContain('Accepted=False/NamespaceNotLabelled');
  });

  test('is not waited for for ever', async () => {
    api = new WithoutNamespaces(
      webhookObject(),
      guardObject(),
      ...PODS.map((pod) => podObject(pod)),
    );
    await start();
    expect(writes()).toBe(0);
    await advance(6_000);
    expect(conditionsOf()).toContain('Accepted=True/Accepted');
  });

  test('costs one read of the configuration every 30 s, however many there are', async () => {
    const guards = Array.from({ length: 300 }, (_, at) => {
      const guard = guardObject({ name: `guard-${at}` });
      return { ...guard, metadata: { ...guard.metadata, namespace: `ns-${at}` } };
    });
    const namespaces = guards.map(({ metadata }) => namespaceObject(metadata.namespace, {}));
    api = new FakeKubernetes(webhookObject(), ...guards, ...namespaces);
    await start();
    await advance(3_000);
    expect(conditionsOf('guard-299')).toContain('Accepted=False/NamespaceNotLabelled');
    const before = api.calls.length;
    await advance(90_000);
    const since = api.calls.slice(before);
    const reads = since.filter(({ plural }) => plural === 'validatingwebhookconfigurations');
    expect(reads).toHaveLength(3);
    expect(since.filter(({ plural }) => plural === 'namespaces')).toEqual([]);
  });
});

describe('the ledger', () => {
  test('keeps entries that live as they are, and loses those that have ended', async () => {
    const disruptedPods = { 'uid-of-etcd-1': entry('etcd-1'), gone: entry('etcd-9') };
    api.put(guardObject({ status: { disruptedPods } }));
    await start();
    expect(statusOf()).toMatchObject({ health: '2/3', disruptionsAllowed: 0 });
    expect(statusOf()['disruptedPods']).toEqual({ 'uid-of-etcd-1': entry('etcd-1') });
    await advance(121_000 + A_ROUND);
    expect(statusOf()).toMatchObject({ health: '3/3' });
    expect(statusOf()).not.toHaveProperty('disruptedPods');
  });

  test('stays whole while pods can’t be read, and of a guard that is not valid', async () => {
    const disruptedPods = { 'uid-of-etcd-1': entry('etcd-1'), gone: entry('etcd-9') };
    api.put(guardObject({ status: { disruptedPods } }));
    api.fault = ({ plural }) => (plural === 'pods' ? new ApiError('forbidden', 'no') : null);
    await start();
    expect(conditionsOf()).toContain('Accepted=Unknown/PodsNotRead');
    expect(statusOf()['disruptedPods']).toEqual(disruptedPods);
    api.put(guardObject({ spec: { policy: { quorum: 'Perhaps' } }, status: { disruptedPods } }));
    await advance(A_ROUND);
    expect(conditionsOf()).toContain('Accepted=False/Invalid');
    expect(statusOf()['disruptedPods']).toEqual(disruptedPods);
  });

  test('never loses an entry to a write of the status, whatever comes between', async () => {
    const random = randomNumbers(7);
    const pause = () => new Promise<void>((resolve) => setTimeout(resolve, random() * 40));
    api.hold = pause;
    await start();
    const lost: number[] = [];
    for (let round = 0; round < 40; round += 1) {
      const pod = PODS[Math.floor(random() * 3)] ?? '';
      // Something to write, and somebody who reserves at the same time.
      etcd.lead(PODS[Math.floor(random() * 3)] ?? '');
      api.change('EtcdGuard', 'etcd', (guard) => guard);
      const held = reserve(pod);
      await advance(random() * 2_500);
      const outcome = await settledWithin(held, 5_000);
      const there = Object.keys(Object(statusOf()['disruptedPods']));
      if (outcome !== 'conflict' && !there.includes(`uid-of-${pod}`)) lost.push(round);
      // Its pod goes and comes back, so that the entry ends.
      if (random() < 0.3) api.put(podObject(pod, { uid: `uid-of-${pod}` }));
      else api.change('EtcdGuard', 'etcd', ({ status: _status, ...guard }) => guard);
      await advance(random() * 1_500);
    }
    expect(lost).toEqual([]);
    expect(writes()).toBeGreaterThan(40);
  });
});

describe('many guards', () => {
  test('are all looked at, a few at a time, and a change among them at once', async () => {
    const names = Array.from({ length: 400 }, (_, at) => `guard-${at}`);
    api = new FakeKubernetes(...names.map((name) => guardObject({ name })));
    let reading = 0;
    let most = 0;
    api.hold = async ({ verb, plural }, at) => {
      if (verb !== 'get' || plural !== 'etcdguards' || at !== 'start') return;
      reading += 1;
      most = Math.max(most, reading);
      await new Promise((resolve) => setTimeout(resolve, 10));
      reading -= 1;
    };
    await start();
    await advance(2_000);
    for (const name of names) expect(statusOf(name)).toHaveProperty('conditions');
    expect(most).toBe(8);
    await advance(60_000);
    const before = api.calls.length;
    api.put(guardObject({ name: 'guard-250', spec: { selector: { matchLabels: { app: 'db' } } } }));
    // Had it just been looked at, it would be a second later.
    await advance(1_200);
    expect(api.calls.slice(before)).toContainEqual({
      verb: 'get',
      plural: 'etcdguards',
      name: 'guard-250',
    });
  });

  test('are looked at twenty times a second while they are quiet, evenly', async () => {
    const names = Array.from({ length: 900 }, (_, at) => `guard-${at}`);
    api = new FakeKubernetes(...names.map((name) => guardObject({ name })));
    await start();
    await advance(500);
    // As after the Lease has changed hands: all begin at once, and there is nothing to write.
    keeper.stop();
    keeper.start();
    await advance(1_000);
    const perSecond: number[] = [];
    const first = api.calls.length;
    for (let second = 0; second < 45; second += 1) {
      const before = api.calls.length;
      await advance(1_000);
      perSecond.push(looksSince(before).length);
    }
    expect(new Set(looksSince(first)).size).toBe(900);
    expect(looksSince(first).length).toBeLessThan(45 * 25);
    expect(Math.max(...perSecond)).toBeLessThan(60);
  });

  test('are looked at no more often after all of them have changed', async () => {
    const names = Array.from({ length: 900 }, (_, at) => `guard-${at}`);
    api = new FakeKubernetes(...names.map((name) => guardObject({ name })));
    await start();
    // All have been looked at once, and their status was written for the first time.
    await advance(2_000);
    for (const name of names) expect(statusOf(name)).toHaveProperty('conditions');
    const first = api.calls.length;
    await advance(90_000);
    expect(new Set(looksSince(first)).size).toBe(900);
    expect(looksSince(first).length).toBeLessThan(90 * 25);
  });
});

/** The guards that were read since that many calls. */
function looksSince(call: number): readonly string[] {
  return api.calls
    .slice(call)
    .filter(({ verb, plural }) => verb === 'get' && plural === 'etcdguards')
    .map(({ name }) => name);
}

describe('role labels', () => {
  test('say who leads; a new leader has its label before the former one loses it', async () => {
    await start({ roleLabels: true });
    expect(roleLabelsNow()).toEqual({
      'etcd-0': 'leader',
      'etcd-1': 'follower',
      'etcd-2': 'follower',
    });
    await advance(A_ROUND);
    const before = patched().length;
    etcd.lead('etcd-2');
    await advance(A_ROUND);
    expect(roleLabelsNow()).toEqual({
      'etcd-0': 'follower',
      'etcd-1': 'follower',
      'etcd-2': 'leader',
    });
    expect(patched().slice(before)).toEqual(['etcd-2', 'etcd-0']);
  });

  test('stay as last known while no leader is confirmed', async () => {
    await start({ roleLabels: true });
    etcd.stop('etcd-0');
    etcd.stop('etcd-1');
    await advance(A_ROUND);
    expect(roleLabelsNow()).toMatchObject({ 'etcd-0': 'leader', 'etcd-1': 'follower' });
  });

  test('are taken from pods that are no member or that no guard selects any more', async () => {
    const role = { 'etcd-guard.io/role': 'follower' };
    api.put(podObject('web', { labels: { app: 'etcd', ...role } }));
    api.put(podObject('stray', { labels: { app: 'other', ...role } }));
    await start({ roleLabels: true });
    await advance(2_000);
    for (const pod of ['web', 'stray']) {
      expect(api.at('Pod', pod).metadata.labels).not.toHaveProperty('etcd-guard.io/role');
    }
    api.remove('EtcdGuard', 'etcd');
    await advance(2_000);
    expect(roleLabelsNow()).toEqual({});
  });

  test('are not written unless asked for', async () => {
    await start();
    await advance(A_ROUND);
    expect(patched()).toEqual([]);
  });
});

describe('readiness gates', () => {
  const GATED = { spec: { readinessGates: [{ conditionType: 'etcd-guard.io/InSync' }] } };

  beforeEach(() => {
    for (const pod of PODS) api.put(podObject(pod, GATED));
  });

  test('are told within seconds that a member has caught up, however long it took', async () => {
    etcd.member('etcd-2').lagEntries = 5_000;
    await start({ readinessGates: true });
    expect(PODS.map(inSync)).toEqual([true, true, false]);
    await advance(10 * A_ROUND);
    const before = looks();
    await advance(30_000);
    expect(looks() - before).toBeGreaterThanOrEqual(9);
    expect(looks() - before).toBeLessThanOrEqual(11);
    etcd.member('etcd-2').lagEntries = 0;
    await advance(3_500);
    expect(inSync('etcd-2')).toBe(true);
    await advance(10 * A_ROUND);
    const quiet = looks();
    await advance(A_ROUND);
    expect(looks() - quiet).toBeLessThanOrEqual(2);
  });

  test('of a guard that is gone are not looked at any more', async () => {
    etcd.member('etcd-2').lagEntries = 5_000;
    await start({ readinessGates: true });
    api.remove('EtcdGuard', 'etcd');
    await advance(1_000);
    const before = looks();
    await advance(A_ROUND);
    expect(looks()).toBe(before);
  });

  test('are not written unless asked for, nor without the Lease', async () => {
    await start();
    await advance(A_ROUND);
    expect(patched()).toEqual([]);
    keeper.stop();
    reader.close();
    holding = false;
    await start({ readinessGates: true });
    await advance(A_ROUND);
    expect(patched()).toEqual([]);
  });
});
