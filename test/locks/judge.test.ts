import { describe, expect, test } from 'vitest';
import { concerns, judgeChange } from '../../src/locks/judge.ts';
import type { Lock } from '../../src/locks/lock.ts';
import { BLUE, change, facts, lock, RED } from './world.ts';

const NOW = Date.parse('2026-05-01T12:00:00Z');
const MESSAGE =
  'denied by ExclusiveLock default/lockred (aura=red): only ServiceAccount default/jonny-op may UPDATE pods here; restoring from snapshot';

type Changed = Parameters<typeof change>[0];

function judged(changed: Changed, locks: readonly Lock[] = [lock()]) {
  return judgeChange(change(changed), locks, NOW);
}

describe('a lock', () => {
  test('denies everybody else, and says who may and why', () => {
    expect(judged({})).toMatchObject({ kind: 'deny', message: MESSAGE });
  });

  test('lets its actor pass', () => {
    expect(judged({ by: 'system:serviceaccount:default:jonny-op' })).toMatchObject({
      kind: 'allow',
      reason: 'Exclusive',
    });
  });

  test.each([
    ['what does not carry its labels', { before: BLUE, after: BLUE }],
    ['another operation', { operation: 'CREATE', before: null }],
    ['another resource', { resource: 'secrets' }],
    ['the same name in another group', { resource: 'pods.example.com' }],
  ] satisfies readonly (readonly [string, Changed])[])('does not hold %s', (_, changed) => {
    expect(judged(changed)).toMatchObject({ kind: 'allow', reason: 'NotLocked', locks: [] });
  });

  test('does not hold in another namespace', () => {
    expect(judged({}, [lock({ namespace: 'other' })])).toMatchObject({ reason: 'NotLocked' });
  });

  test.each([
    ['out of it, by another label', RED, BLUE],
    ['out of it, without labels', RED, facts({})],
    ['into it', BLUE, RED],
  ])('lets nothing slip %s', (_, before, after) => {
    expect(judged({ before, after })).toMatchObject({ kind: 'deny', message: MESSAGE });
  });

  test('of selectors that want a label absent holds what has it taken off', () => {
    const absent = lock({
      selector: { matchExpressions: [{ key: 'aura', operator: 'DoesNotExist' }] },
      selectorText: '!aura',
    });
    expect(judged({ before: RED, after: facts({}) }, [absent])).toMatchObject({ kind: 'deny' });
    expect(judged({ before: RED, after: RED }, [absent])).toMatchObject({ kind: 'allow' });
  });

  test('judges what is made, where it says so', () => {
    const create = lock({ operations: ['CREATE'] });
    const made = { operation: 'CREATE', before: null, after: RED } as const;
    expect(judged(made, [create])).toMatchObject({
      message: expect.stringContaining('may CREATE pods here'),
    });
  });

  test('judges a deletion by what is there', () => {
    const gone = { operation: 'DELETE', after: null } as const;
    expect(judged(gone)).toMatchObject({
      message: expect.stringContaining('may DELETE pods here'),
    });
    expect(judged({ ...gone, before: BLUE })).toMatchObject({ kind: 'allow' });
  });

  test.each([
    ['a moment before its end', NOW + 1, 'deny'],
    ['at its end', NOW, 'allow'],
    ['long after', NOW - 86_400_000, 'allow'],
  ])('%s: %i', (_, untilMs, kind) => {
    expect(judged({}, [lock({ untilMs })])).toMatchObject({ kind });
  });

  test('that only warns says the same sentence in a warning', () => {
    expect(judged({}, [lock({ enforcement: 'Warn' })])).toMatchObject({
      kind: 'allow',
      reason: 'Warned',
      warnings: [`would be ${MESSAGE}`],
    });
  });

  test('without a reason ends its sentence earlier; one of several lines stays in one', () => {
    const bare = judged({}, [lock({ reason: '' })]);
    expect(bare).toMatchObject({ message: MESSAGE.replace('; restoring from snapshot', '') });
    const long = judged({}, [lock({ reason: 'first\n second\t' })]);
    expect(long).toMatchObject({ message: expect.stringMatching(/; first second$/) });
  });

  test.each([
    [[], 'nobody may'],
    [[{ kind: 'User', name: 'alice' }], 'only User alice may'],
    [
      [
        { kind: 'User', name: 'a:b' },
        { kind: 'Group', name: 'etcd-admins' },
        { kind: 'ServiceAccount', namespace: 'ops', name: 'op' },
      ],
      'only User a:b, Group etcd-admins or ServiceAccount ops/op may',
    ],
  ] satisfies readonly (readonly [Lock['exclusive'], string])[])('names %j', (exclusive, words) => {
    expect(judged({}, [lock({ exclusive })])).toMatchObject({
      message: expect.stringContaining(`: ${words} UPDATE pods here`),
    });
  });
});

describe('who may pass', () => {
  const all = lock({
    exclusive: [
      { kind: 'ServiceAccount', namespace: 'default', name: 'jonny-op' },
      { kind: 'User', name: 'oidc:alice' },
      { kind: 'Group', name: 'etcd-admins' },
    ],
  });

  test.each([
    ['system:serviceaccount:default:jonny-op', []],
    ['oidc:alice', []],
    ['somebody', ['etcd-admins']],
  ])('%s in %j passes', (by, groups) => {
    expect(judged({ by, groups }, [all])).toMatchObject({ kind: 'allow', reason: 'Exclusive' });
  });

  test.each([
    ['system:serviceaccount:other:jonny-op', []],
    ['system:serviceaccount:default:x:jonny-op', []],
    ['jonny-op', []],
    ['alice', []],
    ['etcd-admins', []],
    ['somebody', ['oidc:alice', 'jonny-op']],
    ['somebody', ['system:serviceaccounts:default']],
    ['', []],
  ])('%s in %j does not', (by, groups) => {
    expect(judged({ by, groups }, [all])).toMatchObject({ kind: 'deny' });
  });
});

describe('several locks', () => {
  const alice: Lock['exclusive'] = [{ kind: 'User', name: 'alice' }];
  const bob: Lock['exclusive'] = [{ kind: 'User', name: 'bob' }];

  test('must every one let the actor pass; the first by name is told', () => {
    const locks = [lock({ name: 'b', exclusive: alice }), lock({ name: 'a', exclusive: bob })];
    expect(judged({ by: 'alice' }, locks)).toMatchObject({ kind: 'deny', lock: { name: 'a' } });
    expect(judged({ by: 'bob' }, locks)).toMatchObject({ kind: 'deny', lock: { name: 'b' } });
    expect(judged({ by: 'carol' }, locks)).toMatchObject({ kind: 'deny', lock: { name: 'a' } });
    const both = locks.map((one) => ({ ...one, exclusive: [...alice, ...bob] }));
    expect(judged({ by: 'bob' }, both)).toMatchObject({ kind: 'allow', reason: 'Exclusive' });
  });

  test('one that denies counts more than one that warns, whose warning is told as well', () => {
    const locks = [lock({ name: 'a', enforcement: 'Warn' }), lock({ name: 'b' })];
    expect(judged({}, locks)).toMatchObject({
      kind: 'deny',
      lock: { name: 'b' },
      warnings: [expect.stringContaining('default/a')],
    });
  });
});

const KUBELET = { by: 'system:node:node-1', groups: ['system:nodes'] };
const GOING = facts({ aura: 'red' }, { terminating: true });
const OWNED = facts({ aura: 'red' }, { owned: true });

function controller(name: string) {
  return { by: `system:serviceaccount:kube-system:${name}` };
}

describe('what keeps the cluster alive', () => {
  test.each([
    ['status by a kubelet', { ...KUBELET, subresource: 'status' }],
    ['status by a controller', { ...controller('node-controller'), subresource: 'status' }],
    ['status by the scheduler', { by: 'system:kube-scheduler', subresource: 'status' }],
    ['the last DELETE', { ...KUBELET, operation: 'DELETE', before: GOING, after: null }],
    [
      'garbage collection of pods',
      {
        ...controller('pod-garbage-collector'),
        operation: 'DELETE',
        before: GOING,
        after: null,
      },
    ],
    [
      'what has lost its owner',
      { ...controller('generic-garbage-collector'), operation: 'DELETE', before: OWNED },
    ],
    ['an owner that comes off', controller('generic-garbage-collector')],
    [
      'a namespace that is emptied',
      { ...controller('namespace-controller'), operation: 'DELETE', after: null },
    ],
    ['what the disruption controller marks', controller('disruption-controller')],
    [
      'traffic',
      { ...controller('endpoint-controller'), resource: 'endpoints', before: RED, after: BLUE },
    ],
    [
      'a claim that is bound',
      { ...controller('persistent-volume-binder'), resource: 'persistentvolumeclaims' },
    ],
    [
      'a node that is chosen for a claim',
      { by: 'system:kube-scheduler', resource: 'persistentvolumeclaims' },
    ],
    [
      'a readiness gate',
      { by: 'system:serviceaccount:etcd-guard:etcd-guard', subresource: 'status' },
    ],
    [
      'a finalizer that comes off',
      {
        ...controller('pvc-protection-controller'),
        resource: 'persistentvolumeclaims',
        before: GOING,
        after: GOING,
      },
    ],
    [
      'the same by one name for all controllers',
      { by: 'system:kube-controller-manager', subresource: 'status' },
    ],
  ] satisfies readonly (readonly [string, Changed])[])('passes: %s', (_, changed) => {
    expect(judged(changed)).toMatchObject({ kind: 'allow', reason: 'Essential' });
  });

  test('passes a static pod’s record, where making is locked', () => {
    const made = { ...KUBELET, operation: 'CREATE', before: null, after: RED } as const;
    expect(judged(made, [lock({ operations: ['CREATE'] })])).toMatchObject({ kind: 'allow' });
  });

  test.each([
    ['status by a person', { subresource: 'status' }],
    ['the first DELETE of a kubelet', { ...KUBELET, operation: 'DELETE', after: null }],
    ['somebody’s forced DELETE', { operation: 'DELETE', before: GOING, after: null }],
    ['a name like a kubelet’s', { by: 'system:node:x', subresource: 'status' }],
    ['a group like a kubelet’s', { by: 'x', groups: ['system:nodes'], subresource: 'status' }],
    [
      'garbage without an owner',
      { ...controller('generic-garbage-collector'), operation: 'DELETE', after: null },
    ],
    ['labels by a controller', { ...controller('disruption-controller'), after: BLUE }],
    [
      'labels that go together with a finalizer',
      { ...controller('pvc-protection-controller'), before: GOING, after: BLUE },
    ],
    [
      'the StatefulSet controller',
      { ...controller('statefulset-controller'), operation: 'DELETE' },
    ],
    [
      'an account of that name elsewhere',
      {
        by: 'system:serviceaccount:default:namespace-controller',
        operation: 'DELETE',
        after: null,
      },
    ],
    ['etcd-guard itself', { by: 'system:serviceaccount:etcd-guard:etcd-guard' }],
    ['the scheduler', { by: 'system:kube-scheduler', operation: 'DELETE', after: null }],
    ['scale by a person', { subresource: 'scale', resource: 'statefulsets.apps', after: null }],
    ['ephemeral containers', { subresource: 'ephemeralcontainers' }],
  ] satisfies readonly (readonly [string, Changed])[])('does not cover: %s', (_, changed) => {
    expect(judged(changed)).toMatchObject({ kind: 'deny' });
  });
});

describe('whether a lock concerns a change', () => {
  test('is told without its labels', () => {
    const unread = { ...change({ subresource: 'scale' }), before: 'unread', after: null } as const;
    expect(concerns(lock(), unread, NOW)).toBe(true);
    expect(concerns(lock({ resources: ['secrets'] }), unread, NOW)).toBe(false);
    expect(concerns(lock({ operations: ['DELETE'] }), unread, NOW)).toBe(false);
    expect(concerns(lock({ namespace: 'other' }), unread, NOW)).toBe(false);
    expect(concerns(lock({ untilMs: NOW }), unread, NOW)).toBe(false);
  });
});
