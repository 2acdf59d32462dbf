import { evaluate } from '@marcbachmann/cel-js';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  guardSpec,
  ledger,
  shownStatus,
} from '../../../src/kubernetes/guards/guard-resource-schema.ts';
import { comparableFields, fieldsOfCrd, manifest, nested } from '../../harness/crd-fields.ts';

const crd = manifest('10-crd.yaml');
const crdFields = fieldsOfCrd(crd);

describe('the CRD', () => {
  test.each([
    ['spec', guardSpec],
    ['status', z.object({ ...shownStatus.shape, disruptedPods: ledger.optional() })],
  ])('says of %s what this program checks, field by field', (name, checked) => {
    const ours = new Map(nested(z.toJSONSchema(checked, { io: 'input' }), name));
    // What a newer CRD lets through is kept, which is no field of this one.
    ours.delete('status.disruptedPods{}{}');
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

  test.each([
    ['Evictions', true],
    ['Controllers', true],
    ['kate', true],
    ['system:controller', true],
    ['group:controllers', true],
    ['Eviction', false],
    ['evictions', false],
    ['Controller', false],
    ['CONTROLLERS', false],
    ['group: ', false],
  ])('by its rules takes the caller %s: %s', (self, taken) => {
    const rules = z
      .array(z.object({ rule: z.string() }))
      .parse(crdFields.get('spec.policy.handOff[]')?.['x-kubernetes-validations']);
    expect(rules.every(({ rule }) => evaluate(rule, { self }) === true)).toBe(taken);
  });

  test('bounds what CEL rules look at, whose cost is reckoned by the bounds', () => {
    const ruled = [...crdFields].filter(([, one]) => 'x-kubernetes-validations' in one);
    const unbounded = ruled.filter(([path, one]) => {
      const list = crdFields.get(path.replace(/\[\]$/, ''));
      return one['maxProperties'] === undefined && list?.['maxItems'] === undefined;
    });
    expect(ruled.map(([path]) => path)).toEqual([
      'spec.selector.matchExpressions[]',
      'spec.members.addresses',
      'spec.policy.handOff[]',
    ]);
    expect(unbounded).toEqual([]);
  });
});

test('the patch for old servers takes out all CEL rules and nothing else', () => {
  const patch = z
    .array(z.strictObject({ op: z.literal('remove'), path: z.string() }))
    .parse(manifest('../overlays/webhook/legacy/crd-without-cel.yaml'));
  const paths: string[] = [];
  const visit = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [key, inner] of Object.entries(value)) {
      if (key === 'x-kubernetes-validations') paths.push(`${path}/${key}`);
      visit(inner, `${path}/${key}`);
    }
  };
  visit(crd, '');
  expect(patch.map(({ path }) => path)).toEqual(paths);
});
