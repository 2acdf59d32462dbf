import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ApiError } from '../../../src/kubernetes/api/api.ts';
import { UnguardedPods } from '../../../src/kubernetes/status/unguarded-pods.ts';
import { WatchedGuards } from '../../../src/kubernetes/status/watched-guards.ts';
import { FakeKubernetes } from '../../fakes/fake-kubernetes.ts';
import { guardObject, podObject, webhookObject } from '../../fakes/kubernetes-objects.ts';

const A_LOOK = 60_000;
const PROTECTED = { 'etcd-guard.io/protect': 'enabled' };

let api: FakeKubernetes;
let guards: WatchedGuards;
let pods: UnguardedPods;
let failures: string[];

beforeEach(() => {
  vi.useFakeTimers();
  failures = [];
  api = new FakeKubernetes(namespaceObject('default', PROTECTED), webhookObject());
  guards = new WatchedGuards(api, {
    onChanged: () => undefined,
    onGone: () => undefined,
    onFailed: () => undefined,
  });
  pods = new UnguardedPods({
    api,
    guards,
    webhookConfiguration: 'etcd-guard',
    onFailed: ({ code }) => failures.push(code),
  });
});
afterEach(() => {
  pods.stop();
  guards.stop();
  vi.useRealTimers();
});

function namespaceObject(name: string, labels: Readonly<Record<string, string>>) {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

/** As they stand after the next look. */
async function counts(): Promise<Readonly<Record<string, number>>> {
  await vi.advanceTimersByTimeAsync(A_LOOK);
  return Object.fromEntries(pods.counts);
}

function start(): void {
  guards.start();
  pods.start();
}

test('are those with either label, each once, that run in a protected namespace', async () => {
  const both = { app: 'etcd', 'app.kubernetes.io/name': 'etcd' };
  api.put(podObject('etcd-0'));
  api.put(podObject('etcd-1', { labels: { 'app.kubernetes.io/name': 'etcd' } }));
  api.put(podObject('etcd-2', { labels: both }));
  api.put(podObject('web-0', { labels: { app: 'web' } }));
  api.put(podObject('etcd-3', { terminating: true }));
  api.put(podObject('etcd-4', { status: { phase: 'Failed' } }));
  api.put(podObject('etcd-5', { status: { phase: 'Succeeded' } }));
  start();
  expect(await counts()).toEqual({ default: 3 });
});

test('in a namespace that is not protected, is being deleted or is not there are nobody’s concern', async () => {
  api.put(podObject('etcd-0'));
  start();
  api.put(namespaceObject('default', {}));
  expect(await counts()).toEqual({});
  api.put(namespaceObject('default', { 'etcd-guard.io/protect': 'disabled' }));
  expect(await counts()).toEqual({});
  const going = namespaceObject('default', PROTECTED);
  api.put({ ...going, metadata: { ...going.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } });
  expect(await counts()).toEqual({});
  api.remove('Namespace', 'default');
  expect(await counts()).toEqual({});
  api.put(namespaceObject('default', PROTECTED));
  expect(await counts()).toEqual({ default: 1 });
});

test('are counted where the webhook asks, whatever label that takes', async () => {
  api.put(podObject('etcd-0'));
  api.put(webhookObject({ matchLabels: { team: 'db' } }));
  start();
  expect(await counts()).toEqual({});
  api.put(namespaceObject('default', { team: 'db' }));
  expect(await counts()).toEqual({ default: 1 });
  api.put(webhookObject());
  expect(await counts()).toEqual({});
  api.put(webhookObject({}));
  expect(await counts()).toEqual({ default: 1 });
  api.remove('ValidatingWebhookConfiguration', 'etcd-guard');
  expect(await counts()).toEqual({});
});

test('are counted by the label as shipped where the webhook can’t be read', async () => {
  api.put(podObject('etcd-0'));
  api.put(webhookObject({ matchLabels: { team: 'db' } }));
  api.fault = ({ plural }) =>
    plural === 'validatingwebhookconfigurations' ? new ApiError('forbidden', 'no') : null;
  start();
  expect(await counts()).toEqual({ default: 1 });
  expect(failures).toEqual([]);
});

test('are no more once a guard selects them, or may, and are again when it is gone', async () => {
  api.put(podObject('etcd-0'));
  api.put(podObject('etcd-1', { labels: { app: 'etcd', tier: 'events' } }));
  start();
  expect(await counts()).toEqual({ default: 2 });
  api.put(guardObject({ spec: { selector: { matchLabels: { tier: 'events' } } } }));
  expect(await counts()).toEqual({ default: 1 });
  api.put(guardObject());
  expect(await counts()).toEqual({});
  api.put(guardObject({ spec: { selector: 'rubbish' } }));
  expect(await counts()).toEqual({});
  api.remove('EtcdGuard', 'etcd');
  expect(await counts()).toEqual({ default: 2 });
  api.remove('Pod', 'etcd-0');
  expect(await counts()).toEqual({ default: 1 });
});

test('stay as they were last seen while the API server does not answer', async () => {
  api.put(podObject('etcd-0'));
  start();
  expect(await counts()).toEqual({ default: 1 });
  api.fault = () => new ApiError('unreachable', 'down');
  api.put(podObject('etcd-1'));
  expect(await counts()).toEqual({ default: 1 });
  expect(failures).toEqual(['unreachable']);
  api.fault = () => null;
  expect(await counts()).toEqual({ default: 2 });
});

test('stay as they were when something fails that nobody foresaw, which ends nothing', async () => {
  api.put(podObject('etcd-0'));
  start();
  expect(await counts()).toEqual({ default: 1 });
  api.fault = () => {
    throw new TypeError('not foreseen');
  };
  expect(await counts()).toEqual({ default: 1 });
  expect(failures).toEqual(['refused']);
  api.fault = () => null;
  expect(await counts()).toEqual({ default: 1 });
});

test('are forgotten when another replica looks, also by a look that is under way', async () => {
  api.put(podObject('etcd-0'));
  start();
  expect(await counts()).toEqual({ default: 1 });
  const { promise, resolve } = Promise.withResolvers<void>();
  api.hold = () => promise;
  await vi.advanceTimersByTimeAsync(A_LOOK);
  pods.stop();
  expect(Object.fromEntries(pods.counts)).toEqual({});
  resolve();
  expect(await counts()).toEqual({});
  api.hold = () => undefined;
  pods.start();
  expect(await counts()).toEqual({ default: 1 });
});

test('are not counted before all guards are known', async () => {
  api.put(podObject('etcd-0'));
  pods.start();
  expect(await counts()).toEqual({});
  guards.start();
  expect(await counts()).toEqual({ default: 1 });
});
