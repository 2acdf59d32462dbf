import { describe, expect, test } from 'vitest';
import type { Policy } from '../../../src/decision/situation.ts';
import type { KubernetesObject } from '../../../src/kubernetes/api/api.ts';
import {
  decodeGuard,
  guardsIn,
  type DecodedGuard,
  type EtcdGuard,
} from '../../../src/kubernetes/guards/guard-resource.ts';
import {
  DEFAULT_SPEC,
  FULL_SPEC,
  INVALID_SPECS,
  UNMEETABLE_SPECS,
} from './guard-resource-specs.ts';

const selector = { matchLabels: { app: 'etcd' } };

const metadata = {
  name: 'etcd',
  namespace: 'default',
  uid: '7a5cf7f2-7c3e-4c1c-8d2a-6a1a4c0e2f55',
  resourceVersion: '41',
  generation: 3,
};

function object(content: Readonly<Record<string, unknown>>): KubernetesObject {
  return { apiVersion: 'etcd-guard.io/v1alpha1', kind: 'EtcdGuard', metadata, ...content };
}

/** As an API server could send it, whatever the types say. */
function odd(json: string): KubernetesObject {
  const parsed: KubernetesObject = JSON.parse(json);
  return parsed;
}

function decoded(content: Readonly<Record<string, unknown>>): EtcdGuard {
  const result = decodeGuard(object(content));
  if (result.guard === undefined) throw new Error(texts(result).join('\n'));
  return result.guard;
}

function texts({ problems = [] }: DecodedGuard): readonly string[] {
  return problems.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`));
}

const entry = {
  pod: 'etcd-1',
  time: '2026-03-04T05:06:07.089123Z',
  by: 'kate',
  handOffTo: '2943212f5e2cf73',
  reason: 'Spared',
};

test('where the API server keeps them', () => {
  expect(guardsIn('default')).toEqual({
    prefix: '/apis/etcd-guard.io/v1alpha1',
    plural: 'etcdguards',
    namespace: 'default',
  });
});

describe('a guard', () => {
  test('with nothing but a selector gets every default but a port', () => {
    expect(decodeGuard(object({ spec: { selector } }))).toEqual({
      guard: {
        ...metadata,
        terminating: false,
        spec: { selector, ...DEFAULT_SPEC },
        ledger: {},
        status: {},
        ignored: [],
      },
    });
  });

  test('with everything keeps it', () => {
    const guard = decoded({ spec: FULL_SPEC });
    expect(guard.spec).toEqual(FULL_SPEC);
    const policy: Policy = guard.spec.policy;
    expect(policy.maxRaftLag).toBe(1);
  });

  test('gets the other defaults beside a policy that names one field', () => {
    const { spec } = decoded({ spec: { selector, policy: { handOff: [] } } });
    expect(spec.policy).toEqual({ ...DEFAULT_SPEC.policy, handOff: [] });
  });

  test('from a list that leaves out what its items are', () => {
    expect(texts(decodeGuard({ metadata, spec: { selector } }))).toEqual([]);
  });

  test('that is being deleted says so', () => {
    const result = decodeGuard({
      metadata: { ...metadata, deletionTimestamp: '2026-03-04T05:06:07Z' },
      spec: { selector },
    });
    expect(result.guard?.terminating).toBe(true);
  });

  test('has a ledger and what was shown last', () => {
    const shown = {
      observedGeneration: 2,
      leader: 'etcd-0',
      voters: 3,
      healthyVoters: 3,
      health: '3/3',
      quorum: 2,
      disruptionsAllowed: 1,
      members: [
        { pod: 'etcd-0', name: 'etcd-0', id: 'a1', role: 'Leader', health: 'Healthy', lag: 0 },
        { pod: 'etcd-9', health: 'Unknown' },
      ],
      conditions: [
        {
          type: 'Reachable',
          status: 'True',
          observedGeneration: 2,
          lastTransitionTime: '2026-03-04T05:06:07Z',
          reason: 'Answered',
          message: 'All 3 members answer.',
        },
      ],
    };
    const guard = decoded({
      spec: { selector },
      status: { ...shown, disruptedPods: { 'uid-1': entry } },
    });
    expect(guard.ledger).toEqual({ 'uid-1': entry });
    expect(guard.status).toEqual(shown);
  });
});

describe('a guard that no API server with the current CRD would hand out', () => {
  test.each([...INVALID_SPECS, ...UNMEETABLE_SPECS])('$name', ({ spec, problem }) => {
    expect(texts(decodeGuard(object({ spec })))).toEqual([problem]);
  });

  test('of another version is not read as this one', () => {
    const result = decodeGuard({
      ...object({ spec: { selector } }),
      apiVersion: 'etcd-guard.io/v2',
    });
    expect(texts(result)).toEqual([
      'apiVersion: must be etcd-guard.io/v1alpha1 (found "etcd-guard.io/v2")',
    ]);
  });

  test('with fields from a newer version is read without them, and names them', () => {
    const spec = {
      selector,
      members: { tls: { secretName: 'tls', minVersion: '1.3' } },
      policy: { spare: 1, pace: { perHour: 3 } },
      zones: ['a'],
    };
    const guard = decoded({ spec });
    expect(guard.spec).toEqual({
      ...DEFAULT_SPEC,
      selector,
      members: { tls: { secretName: 'tls' } },
    });
    expect(guard.ignored.toSorted()).toEqual([
      'spec.members.tls.minVersion',
      'spec.policy.pace',
      'spec.policy.spare',
      'spec.zones',
    ]);
    expect(spec.policy).toEqual({ spare: 1, pace: { perHour: 3 } });
  });

  test('is not read without an unknown part of its selector, which might narrow it', () => {
    const result = decodeGuard(object({ spec: { selector: { ...selector, matchFields: [] } } }));
    expect(texts(result)).toEqual(['spec.selector.matchFields: unknown field']);
    expect(result).toMatchObject({ selector: null });
  });

  test('names all problems at once, and still the pods it means', () => {
    const spec = { selector, policy: { leader: 'No', newer: 1 }, members: { port: -1 } };
    const result = decodeGuard(object({ spec }));
    expect(texts(result).toSorted()).toEqual([
      'spec.members.port: must be at least 1 (found -1)',
      'spec.policy.leader: must be Deny or HandOff (found "No")',
    ]);
    expect(result).toMatchObject({ selector });
  });

  test('with a label called __proto__ is not read as one that selects more', () => {
    const result = decodeGuard(
      odd(`{"metadata": ${JSON.stringify(metadata)}, "spec": {"selector":
        {"matchLabels": {"app": "etcd", "__proto__": "x"}}}}`),
    );
    expect(result).toEqual({
      problems: [{ path: 'spec.selector.matchLabels.__proto__', message: 'is not a usable name' }],
      selector: null,
    });
  });

  test('does not repeat what stands where a Secret is named', () => {
    const members = { auth: { secretName: 'hunter2!' } };
    expect(texts(decodeGuard(object({ spec: { selector, members } }))).join()).not.toMatch(
      /hunter2/,
    );
  });

  test.each([
    ['null', ['must be object (found null)']],
    ['[]', ['must be object']],
    ['"guard"', ['must be object (found "guard")']],
    ['{}', ['metadata: is missing (object)', 'spec: is missing (object)']],
    [
      '{"metadata": {"name": "etcd"}, "spec": {"selector": {"matchLabels": {"app": "etcd"}}}}',
      [
        'metadata.namespace: is missing (string)',
        'metadata.uid: is missing (string)',
        'metadata.resourceVersion: is missing (string)',
      ],
    ],
    [
      `{"metadata": ${JSON.stringify(metadata)}, "spec": "x", "status": 7}`,
      ['spec: must be object (found "x")', 'status: must be object (found 7)'],
    ],
  ])('%s', (json, expected) => {
    expect(texts(decodeGuard(odd(json)))).toEqual(expected);
  });
});

describe('a status', () => {
  const spec = { selector };

  test.each([
    ['a list', [], 'status.disruptedPods: must be object'],
    ['null', null, 'status.disruptedPods: must be object (found null)'],
    ['an entry that is none', { a: 1 }, 'status.disruptedPods.a: must be object (found 1)'],
    [
      'an entry without a time',
      { a: { ...entry, time: undefined } },
      'status.disruptedPods.a.time: is missing (string)',
    ],
    [
      'an entry of no day',
      { a: { ...entry, time: '2026-02-30T00:00:00Z' } },
      'status.disruptedPods.a.time: must be a date and time (RFC 3339) (found "2026-02-30T00:00:00Z")',
    ],
    [
      'an entry that hands off to nobody',
      { a: { ...entry, handOffTo: '0' } },
      'status.disruptedPods.a.handOffTo: must be a member id, hexadecimal (found "0")',
    ],
  ])('whose ledger is %s is a problem: an entry overlooked is a member lost', (...parts) => {
    const [, disruptedPods, problem] = parts;
    const result = decodeGuard(object({ spec, status: { disruptedPods } }));
    expect(texts(result)).toEqual([problem]);
    expect(result).toMatchObject({ selector });
  });

  test('may hold entries with reasons and fields that only another version knows', () => {
    const newer = { ...entry, reason: 'Rebalanced', zone: 'a' };
    const guard = decoded({ spec, status: { disruptedPods: { a: newer } } });
    // What is left out here would be left out of the object by the next write.
    expect(guard.ledger).toEqual({ a: newer });
  });

  test('that another version shows otherwise is left out where it differs', () => {
    const status = { leader: 'etcd-0', voters: 'three', members: [{ health: 'Great' }], term: 7 };
    expect(decoded({ spec, status }).status).toEqual({ leader: 'etcd-0' });
  });
});
