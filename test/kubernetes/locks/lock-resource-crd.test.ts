import { evaluate } from '@marcbachmann/cel-js';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  DEFAULT_RESOURCES,
  lockSpec,
  lockStatus,
} from '../../../src/kubernetes/locks/lock-resource-schema.ts';
import { comparableFields, fieldsOfCrd, manifest, nested } from '../../harness/crd-fields.ts';

const crdFields = fieldsOfCrd(manifest('components/exclusive-locks/crd.yaml'));

describe('the CRD', () => {
  test.each([
    ['spec', lockSpec],
    ['status', lockStatus],
  ])('says of %s what this program checks, field by field', (name, checked) => {
    const ours = new Map(nested(z.toJSONSchema(checked, { io: 'input' }), name));
    const theirs = [...crdFields].filter(([path]) => new RegExp(`^${name}\\b`).test(path));
    expect(ours.size).toBeGreaterThan(15);
    expect(comparableFields(new Map(theirs))).toEqual(comparableFields(ours));
  });

  test('describes every field', () => {
    const silent = [...crdFields]
      .filter(([path]) => /\w$/.test(path) && path !== 'metadata')
      .filter(([, { description }]) => typeof description !== 'string' || description.length < 9);
    expect(silent.map(([path]) => path)).toEqual([]);
  });

  test('leaves out what is locked without being named', () => {
    expect(crdFields.get('spec.resources')?.['default']).toEqual(DEFAULT_RESOURCES);
  });

  test.each([
    [{ kind: 'ServiceAccount', name: 'jonny-op' }],
    [{ kind: 'ServiceAccount', name: 'jonny-op', namespace: 'shop' }],
    [{ kind: 'ServiceAccount', name: 'system:serviceaccount:default:jonny-op' }],
    [{ kind: 'ServiceAccount', name: 'Jonny' }],
    [{ kind: 'User', name: 'oidc:alice@example.com' }],
    [{ kind: 'User', name: 'system:serviceaccount:default:jonny-op' }],
    [{ kind: 'User', name: 'alice', namespace: 'shop' }],
    [{ kind: 'Group', name: 'system:masters' }],
    [{ kind: 'Group', name: 'etcd-admins', namespace: 'shop' }],
  ])('takes by its rules the actors that this program takes: %j', (self) => {
    const rules = z
      .array(z.object({ rule: z.string() }))
      .parse(crdFields.get('spec.exclusive[]')?.['x-kubernetes-validations']);
    const taken = rules.every(({ rule }) => evaluate(rule, { self }) === true);
    const spec = { selector: { matchLabels: { aura: 'red' } }, exclusive: [self] };
    expect(taken).toBe(lockSpec.safeParse(spec).success);
  });

  test('bounds what CEL rules look at, whose cost is reckoned by the bounds', () => {
    const ruled = [...crdFields].filter(([, one]) => 'x-kubernetes-validations' in one);
    expect(ruled.map(([path]) => path)).toEqual([
      'spec.selector.matchExpressions[]',
      'spec.exclusive[]',
    ]);
    for (const [path] of ruled) {
      expect(crdFields.get(path.replace(/\[\]$/, ''))).toHaveProperty('maxItems');
    }
  });
});
