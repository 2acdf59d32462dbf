import { describe, expect, test } from 'vitest';
import { decodeLock, faultText } from '../../../src/kubernetes/locks/lock-resource.ts';
import { DEFAULT_RESOURCES } from '../../../src/kubernetes/locks/lock-resource-schema.ts';
import { lockObject } from './lock-objects.ts';

const JONNY = { kind: 'ServiceAccount', namespace: 'default', name: 'jonny-op' };

function faults(spec: Readonly<Record<string, unknown>>): readonly string[] {
  return decodeLock(lockObject(spec)).problems.map(faultText);
}

describe('a lock', () => {
  test('has what it does not say', () => {
    expect(decodeLock(lockObject())).toEqual({
      namespace: 'default',
      name: 'lockred',
      uid: 'uid-of-lockred',
      generation: 3,
      terminating: false,
      problems: [],
      status: {},
      lock: {
        namespace: 'default',
        name: 'lockred',
        uid: 'uid-of-lockred',
        operations: ['UPDATE', 'DELETE'],
        selector: { matchLabels: { aura: 'red' } },
        selectorText: 'aura=red',
        resources: DEFAULT_RESOURCES,
        exclusive: [JONNY],
        reason: '',
        untilMs: null,
        enforcement: 'Deny',
        fault: null,
      },
    });
  });

  test('has what it says', () => {
    const exclusive = [
      { kind: 'ServiceAccount', name: 'op', namespace: 'shop' },
      { kind: 'User', name: 'oidc:alice' },
    ];
    const spec = { exclusive, until: '2027-01-01T01:00:00+01:00', enforcement: 'Warn' };
    expect(decodeLock(lockObject(spec)).lock).toMatchObject({
      exclusive,
      untilMs: Date.parse('2027-01-01T00:00:00Z'),
      enforcement: 'Warn',
    });
  });

  test('that is being deleted says so', () => {
    const object = lockObject({}, { deletionTimestamp: '2026-05-01T12:00:00Z' });
    expect(decodeLock(object).terminating).toBe(true);
  });

  test.each([
    [{ selector: {} }, 'spec.selector: must not be empty'],
    [
      {
        selector: {
          matchLabels: { a: 'b' },
          matchExpressions: [{ key: 'a', operator: 'DoesNotExist' }],
        },
      },
      'spec.selector: no object can meet all that it asks of the label a',
    ],
    [{ selector: undefined }, 'spec.selector: is missing (object)'],
    [
      { resources: ['Pods'] },
      'spec.resources[0]: must be a plural name in lower case with its group, such as pods or statefulsets.apps (found "Pods")',
    ],
    [
      { operations: ['PATCH'] },
      'spec.operations[0]: must be CREATE or UPDATE or DELETE (found "PATCH")',
    ],
    [{ until: 'tomorrow' }, 'spec.until: must be a date and time (RFC 3339) (found "tomorrow")'],
    [{ enforcement: 'Audit' }, 'spec.enforcement: must be Deny or Warn (found "Audit")'],
    [
      { exclusive: [{ kind: 'User', name: 'alice', namespace: 'shop' }] },
      'spec.exclusive[0].namespace: is for a ServiceAccount only: a User has none (found "shop")',
    ],
    [
      { exclusive: [{ kind: 'ServiceAccount', name: 'system:serviceaccount:a:b' }] },
      'spec.exclusive[0].name: must be the name of a ServiceAccount; its namespace is a field of its own (found "system:serviceaccount:a:b")',
    ],
    [{ hours: 'nightly' }, 'spec.hours: unknown field'],
  ])('that is not valid says why: %j', (spec, fault) => {
    expect(faults(spec)).toEqual([fault]);
  });
});

describe('a lock that can be read in part', () => {
  test('holds as far as it can be read, and what can’t be makes it no weaker', () => {
    const spec = {
      operations: ['DELETE', 'READ'],
      resources: ['pods', 7],
      exclusive: [
        { kind: 'User', name: 'alice' },
        { kind: 'User', name: 'bob', hours: 'nightly' },
        { kind: 'Robot', name: 'carl' },
      ],
      until: 'tomorrow',
      enforcement: 'Audit',
      reason: 'restoring',
    };
    const { lock, problems } = decodeLock(lockObject(spec));
    expect(lock).toMatchObject({
      operations: ['DELETE'],
      resources: ['pods'],
      exclusive: [{ kind: 'User', name: 'alice' }],
      reason: 'restoring',
      untilMs: null,
      enforcement: 'Deny',
      fault: 'spec.operations[1]: must be CREATE or UPDATE or DELETE (found "READ")',
    });
    expect(problems).toHaveLength(6);
  });

  test('holds what it would without those fields', () => {
    const { lock } = decodeLock(lockObject({ operations: 7, resources: [], exclusive: 'alice' }));
    expect(lock).toMatchObject({
      operations: ['UPDATE', 'DELETE'],
      resources: DEFAULT_RESOURCES,
      exclusive: [],
    });
  });

  test.each([
    [{}],
    [{ matchLabels: { a: 'b' }, matchFields: [] }],
    [{ matchExpressions: [{ key: 'a', operator: 'In', values: [] }] }],
    [JSON.parse('{"matchLabels": {"a": "b", "__proto__": "c"}}')],
    ['aura=red'],
    [null],
  ])('holds nothing if its selector is the part that can’t: %j', (selector) => {
    const { lock, problems } = decodeLock(lockObject({ selector }));
    expect(lock).toBeNull();
    expect(problems.length).toBeGreaterThan(0);
  });

  test.each([[undefined], [null], ['spec'], [[]]])('is whatever it is: spec %j', (spec) => {
    expect(decodeLock({ ...lockObject(), spec })).toMatchObject({ lock: null, name: 'lockred' });
  });
});

test('what another version has written into the status is passed over', () => {
  const status = { matched: 'many', denials: 4, conditions: [{ type: 7 }] };
  expect(decodeLock({ ...lockObject(), status }).status).toEqual({ denials: 4 });
});
