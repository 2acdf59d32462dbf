import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KubernetesObject } from '../../src/kubernetes/api/api.ts';
import {
  connectKubernetes,
  type KubernetesConnection,
} from '../../src/kubernetes/api/client-node-api.ts';
import { decodeGuard, guardsIn } from '../../src/kubernetes/guards/guard-resource.ts';
import { ResourceLedger } from '../../src/kubernetes/guards/resource-ledger.ts';
import { startKubeApiserver, type KubeApiserver } from '../harness/kube-apiserver.ts';
import { newerCrd } from '../harness/newer-crd.ts';
import { until } from '../harness/until.ts';

const MS = 10_000;
const GUARDS = guardsIn('default');
const PODS = ['a', 'b'].map((uid) => ({ uid, terminating: false }));
const RESERVATION = {
  reason: 'Spared',
  by: 'ann',
  gracePeriodSeconds: null,
  handOffTo: null,
} as const;

describe('with the CRD of a newer version on a real API server', () => {
  let kubernetes: KubeApiserver;
  let api: KubernetesConnection;

  beforeAll(async () => {
    kubernetes = await startKubeApiserver();
    api = await connectKubernetes({ kind: 'kubeconfig', files: [kubernetes.kubeconfig] });
    const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    await kubernetes.admin.request('POST', crds, await newerCrd());
    await until('EtcdGuards are served', async () => (await api.list(GUARDS, {}, MS)).length === 0);
  });
  afterAll(async () => {
    api?.close();
    await kubernetes?.stop();
  });

  async function read() {
    const object: KubernetesObject | null = await api.get(GUARDS, 'etcd', MS);
    if (object === null) throw new Error('the guard is gone');
    const { guard, problems } = decodeGuard(object);
    if (guard === undefined) throw new Error(JSON.stringify(problems));
    return { object, guard, pods: PODS };
  }

  it('nothing that it added is lost by a reservation and its end', async () => {
    const path = '/apis/etcd-guard.io/v1alpha1/namespaces/default/etcdguards';
    const newer = {
      pod: 'etcd-1',
      time: new Date().toISOString(),
      by: 'kate',
      reason: 'Rebalanced',
      zones: { from: 'a', to: ['b'] },
    };
    const made = await kubernetes.admin.request('POST', path, {
      apiVersion: 'etcd-guard.io/v1alpha1',
      kind: 'EtcdGuard',
      metadata: { name: 'etcd' },
      spec: { selector: { matchLabels: { app: 'etcd' } }, policy: { drain: 'Slowly' } },
    });
    const status = { promises: { x: [1, 2] }, disruptedPods: { b: newer } };
    await kubernetes.admin.request('PUT', `${path}/etcd/status`, { ...made, status });

    const before = await read();
    expect(before.guard.ignored).toEqual(['spec.policy.drain']);
    expect(before.object).toMatchObject({ status });
    const ledger = new ResourceLedger(api, () => Date.now(), MS);
    const held = await ledger.reserve(before, { uid: 'a', name: 'etcd-0' }, RESERVATION);
    if (held === 'conflict') throw new Error('a conflict');
    expect((await read()).object).toMatchObject({
      spec: { policy: { drain: 'Slowly' } },
      status: { ...status, disruptedPods: { a: { by: 'ann' }, b: newer } },
    });
    await held.release();
    const after = await read();
    expect(after.object).toMatchObject({ status });
    expect(Object.keys(after.guard.ledger)).toEqual(['b']);
  });
});
