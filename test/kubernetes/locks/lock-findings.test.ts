import { describe, expect, test } from 'vitest';
import { lockStatusOf, type LockFindings } from '../../../src/kubernetes/locks/lock-findings.ts';
import { decodeLock } from '../../../src/kubernetes/locks/lock-resource.ts';
import { lockScopeOf, notHeld } from '../../../src/kubernetes/locks/lock-scope.ts';
import { manifest } from '../../harness/crd-fields.ts';
import type { KubernetesObject } from '../../../src/kubernetes/api/api.ts';
import { lockObject } from './lock-objects.ts';

const NOW = Date.parse('2026-05-01T12:00:00Z');
const LABELLED = { 'etcd-guard.io/lock': 'enabled', 'kubernetes.io/metadata.name': 'default' };

/** As shipped. */
const shipped = lockScopeOf(
  JSON.parse(JSON.stringify(manifest('components/exclusive-locks/webhook.yaml'))),
  'etcd-guard-locks',
);

function status(
  spec: Readonly<Record<string, unknown>> = {},
  found: Partial<LockFindings> = {},
  object: KubernetesObject = lockObject(spec),
) {
  return lockStatusOf({
    lock: decodeLock(object),
    nowMs: NOW,
    notHeld: null,
    unknown: new Map(),
    matched: 2,
    uncounted: new Map(),
    ...found,
  });
}

function told(
  spec: Readonly<Record<string, unknown>> = {},
  found: Partial<LockFindings> = {},
): readonly string[] {
  const { conditions = [] } = status(spec, found);
  return conditions.map(({ type, status: is, reason }) => `${type} ${is} ${reason}`);
}

function reasonFor(
  spec: Readonly<Record<string, unknown>>,
  labels: Readonly<Record<string, string>> = LABELLED,
  scope = shipped,
): string | null {
  const { lock } = decodeLock(lockObject(spec));
  if (lock === null) throw new Error('a lock that holds is needed');
  const found = notHeld(scope, lock, labels);
  return found === null ? null : `${found.reason}: ${found.message}`;
}

describe('the status of a lock', () => {
  test('says that all is well, and keeps what others write', () => {
    const lastDenied = { time: '2026-05-01T11:00:00Z', user: 'a', resource: 'pods', name: 'x' };
    const object = { ...lockObject(), status: { denials: 4, lastDenied } };
    expect(status({}, {}, object)).toMatchObject({
      observedGeneration: 3,
      matched: 2,
      exclusive: 'ServiceAccount default/jonny-op',
      denials: 4,
      lastDenied,
    });
    expect(status()).not.toHaveProperty('reason');
    expect(told()).toEqual([
      'Accepted True Accepted',
      'InForce True Enforced',
      'Counted True Counted',
    ]);
  });

  test('has the time at which a condition changed, not that of the last look', () => {
    const then = '2026-04-01T12:00:00Z';
    const condition = {
      type: 'InForce',
      status: 'True',
      lastTransitionTime: then,
      reason: 'Warns',
      message: '',
    };
    const object = { ...lockObject(), status: { conditions: [condition] } };
    const { conditions = [] } = status({}, {}, object);
    expect(conditions.map(({ lastTransitionTime }) => lastTransitionTime)).toEqual([
      new Date(NOW).toISOString(),
      then,
      new Date(NOW).toISOString(),
    ]);
  });

  test.each([
    [
      'what can’t be met',
      {
        selector: {
          matchExpressions: [
            { key: 'a', operator: 'Exists' },
            { key: 'a', operator: 'DoesNotExist' },
          ],
        },
      },
      {},
      'ImpossibleSelector',
      ['Accepted False ImpossibleSelector', 'InForce False InvalidSpec'],
    ],
    [
      'what can’t be read',
      { enforcement: 'Audit' },
      {},
      'InvalidSpec',
      ['Accepted False InvalidSpec', 'InForce True Enforced'],
    ],
    [
      'its end',
      { until: '2026-05-01T12:00:00Z' },
      {},
      'Expired',
      ['Accepted True Accepted', 'InForce False Expired'],
    ],
    [
      'what is to come',
      { until: '2026-05-01T12:00:01Z', enforcement: 'Warn' },
      {},
      undefined,
      ['Accepted True Accepted', 'InForce True Warns'],
    ],
    [
      'nobody asking',
      {},
      { notHeld: { reason: 'NamespaceNotLabelled', message: 'm' } },
      'NamespaceNotLabelled',
      ['Accepted True Accepted', 'InForce False NamespaceNotLabelled'],
    ],
    [
      'what is not served',
      {},
      { unknown: new Map([['gizmos', '']]) },
      'UnknownResource',
      ['Accepted False UnknownResource', 'InForce True Enforced'],
    ],
  ] as const)('tells of %s', (_what, spec, found, reason, conditions) => {
    expect(told(spec, found).slice(0, 2)).toEqual(conditions);
    expect(status(spec, found).reason).toBe(reason);
  });

  test('tells of what is not counted without making a fuss of it', () => {
    const found = status({}, { uncounted: new Map([['secrets', 'no right to list them']]) });
    expect(found.reason).toBeUndefined();
    expect(found.conditions?.[2]).toMatchObject({
      status: 'False',
      reason: 'NotCounted',
      message: 'matched leaves out secrets (no right to list them); these are locked all the same',
    });
  });

  test('says who may pass', () => {
    const exclusive = [
      { kind: 'ServiceAccount', name: 'op', namespace: 'shop' },
      { kind: 'Group', name: 'ops:etcd' },
    ];
    expect(status({ exclusive }).exclusive).toBe('ServiceAccount shop/op, Group ops:etcd');
    expect(status({ exclusive: [] }).exclusive).toBe('nobody');
  });
});

describe('whether changes are held against a lock', () => {
  test('they are, of all that it names by default, and of guards and locks', () => {
    expect(reasonFor({})).toBeNull();
    const all = ['CREATE', 'UPDATE', 'DELETE'];
    const own = ['etcdguards.etcd-guard.io', 'exclusivelocks.etcd-guard.io'];
    expect(reasonFor({ operations: all, resources: own })).toBeNull();
  });

  test.each([
    [
      {},
      'namespace default is not labelled etcd-guard.io/lock=enabled, so no change there is held against the lock: kubectl label namespace default etcd-guard.io/lock=enabled',
    ],
    [
      { 'etcd-guard.io/lock': 'off' },
      'namespace default is not labelled etcd-guard.io/lock=enabled, so no change there is held against the lock: kubectl label namespace default --overwrite etcd-guard.io/lock=enabled',
    ],
    [
      { ...LABELLED, 'kubernetes.io/metadata.name': 'etcd-guard' },
      "namespace default is left out by the webhook's namespaceSelector, so no change there is held against the lock",
    ],
  ])('they are not in a namespace labelled %j', (labels, message) => {
    expect(reasonFor({}, labels)).toBe(`NamespaceNotLabelled: ${message}`);
  });

  test('they are not of what no rule names', () => {
    expect(reasonFor({ resources: ['pods', 'leases.coordination.k8s.io'] })).toMatch(
      /^ResourceNotAsked: .* do not name leases\.coordination\.k8s\.io, so/,
    );
    expect(reasonFor({ resources: ['jobs.batch'] })).toMatch(/^ResourceNotAsked/);
  });

  test('they are not without a configuration', () => {
    expect(reasonFor({}, LABELLED, lockScopeOf(null, 'etcd-guard-locks'))).toMatch(
      /^WebhookNotRegistered: there is no ValidatingWebhookConfiguration etcd-guard-locks/,
    );
  });

  test('nothing is said where nobody may know', () => {
    expect(reasonFor({}, {}, { configuration: 'etcd-guard-locks', webhooks: null })).toBeNull();
  });

  test('rules may name everything', () => {
    const webhooks = [{ rules: [{ apiGroups: ['*'], operations: ['*'], resources: ['*/*'] }] }];
    const scope = lockScopeOf({ ...lockObject(), webhooks }, 'x');
    expect(reasonFor({ resources: ['jobs.batch'] }, {}, scope)).toBeNull();
  });
});
