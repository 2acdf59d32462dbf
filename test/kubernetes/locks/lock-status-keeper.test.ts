import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ApiError } from '../../../src/kubernetes/api/api.ts';
import type { ResourceDiscovery, ServedResource } from '../../../src/kubernetes/api/discovery.ts';
import { LockCounting } from '../../../src/kubernetes/locks/lock-counting.ts';
import { decodeLock } from '../../../src/kubernetes/locks/lock-resource.ts';
import { LockStatusKeeper } from '../../../src/kubernetes/locks/lock-status-keeper.ts';
import { FakeKubernetes } from '../../fakes/fake-kubernetes.ts';
import { namespaceObject } from '../../fakes/kubernetes-objects.ts';
import { manifest } from '../../harness/crd-fields.ts';
import { until } from '../../harness/until.ts';
import { lockObject } from './lock-objects.ts';

const SERVED: Readonly<Record<string, readonly string[]>> = {
  '': ['pods', 'configmaps', 'secrets', 'persistentvolumeclaims', 'services'],
  apps: ['deployments', 'statefulsets'],
};

const discovery: ResourceDiscovery = {
  async served(group) {
    const names = SERVED[group];
    if (names === undefined) return null;
    return new Map(
      names.map((name): [string, ServedResource] => [name, { version: 'v1', kind: name }]),
    );
  },
};

const POD = {
  kind: 'Pod',
  metadata: { name: 'my-pod', namespace: 'default', labels: { aura: 'red' } },
};

function webhook() {
  return JSON.parse(JSON.stringify(manifest('components/exclusive-locks/webhook.yaml')));
}

async function count(spec: Readonly<Record<string, unknown>>, api = new FakeKubernetes(POD)) {
  const { lock } = decodeLock(lockObject(spec));
  if (lock === null) throw new Error('a lock that holds is needed');
  return new LockCounting({ api, discovery }).count(lock);
}

describe('counting', () => {
  test('takes what is there and what can be', async () => {
    const api = new FakeKubernetes(POD, {
      ...POD,
      metadata: { ...POD.metadata, name: 'other', labels: {} },
    });
    api.fault = ({ plural }) =>
      plural === 'secrets' ? new ApiError('forbidden', 'missing permission') : null;
    expect(await count({}, api)).toEqual({
      matched: 1,
      unknown: new Map(),
      uncounted: new Map([['secrets', 'no right to list them']]),
    });
  });

  test('tells what is not served, and what is likely meant', async () => {
    const resources = ['pods', 'statefulsets', 'gizmos', 'gizmos.example.com'];
    expect(await count({ resources })).toEqual({
      matched: 1,
      unknown: new Map([
        ['statefulsets', ' (is statefulsets.apps meant?)'],
        ['gizmos', ''],
        ['gizmos.example.com', ''],
      ]),
      uncounted: new Map(),
    });
  });
});

describe('the keeper of their status', () => {
  let api: FakeKubernetes;
  let keeper: LockStatusKeeper;
  let mayWrite: boolean;
  let failed: string[];

  beforeEach(() => {
    mayWrite = true;
    failed = [];
    api = new FakeKubernetes(
      POD,
      lockObject(),
      namespaceObject('default', { 'etcd-guard.io/lock': 'enabled' }),
      webhook(),
    );
    keeper = new LockStatusKeeper({
      api,
      discovery,
      webhookConfiguration: 'etcd-guard-locks',
      nowMs: () => Date.parse('2026-05-01T12:00:00Z'),
      mayWrite: () => mayWrite,
      onFailed: (about, { message }) => failed.push(`${about}: ${message}`),
    });
  });
  afterEach(() => keeper.stop());

  function status(name = 'lockred') {
    return decodeLock(api.at('ExclusiveLock', name)).status;
  }

  function writes(): number {
    return api.calls.filter(({ verb }) => verb === 'replace').length;
  }

  test('writes what it finds, once', async () => {
    keeper.start();
    await until('a status is there', () => status().matched === 1);
    expect(status().conditions?.map(({ type, reason }) => [type, reason])).toEqual([
      ['Accepted', 'Accepted'],
      ['InForce', 'Enforced'],
      ['Counted', 'Counted'],
    ]);
    expect(writes()).toBe(1);
  });

  test('follows new locks and changed ones, and keeps what others have written', async () => {
    keeper.start();
    await until('a status is there', () => status().matched === 1);
    const [was] = [api.at('ExclusiveLock', 'lockred')];
    api.put({ ...was, status: { ...Object(was['status']), denials: 7, novelty: true } });
    api.put(lockObject({ selector: { matchLabels: { aura: 'blue' } } }, { name: 'blue' }));
    await until('the new one has one', () => status('blue').matched === 0);
    api.change('ExclusiveLock', 'lockred', (object) => ({
      ...object,
      metadata: { ...object.metadata, generation: 4 },
      spec: { selector: { matchLabels: { aura: 'blue' } } },
    }));
    await until('the changed one too', () => status().observedGeneration === 4);
    expect(api.at('ExclusiveLock', 'lockred')['status']).toMatchObject({
      matched: 0,
      denials: 7,
      novelty: true,
    });
  });

  test('writes nothing without the Lease', async () => {
    mayWrite = false;
    keeper.start();
    await until('it has looked', () => api.calls.some(({ plural }) => plural === 'configmaps'));
    await until('it has asked for the namespace', () =>
      api.calls.some(({ plural }) => plural === 'namespaces'),
    );
    keeper.stop();
    expect(writes()).toBe(0);
  });

  test('tries again after a conflict, and says what it can’t read', async () => {
    let times = 0;
    api.fault = ({ verb }) => {
      if (verb !== 'replace') return null;
      times += 1;
      return times === 1 ? new ApiError('conflict', 'somebody was faster') : null;
    };
    keeper.start();
    await until('a status is there', () => status().matched === 1);
    expect(failed).toEqual([]);
    api.fault = ({ plural }) =>
      plural === 'namespaces' ? new ApiError('unreachable', 'away') : null;
    api.put(lockObject({}, { name: 'second' }));
    await until('it is said', () => failed.length > 0);
    expect(failed).toEqual(['default/second: away']);
  });
});
