import { evaluate } from '@marcbachmann/cel-js';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import {
  guardSpec,
  ledger,
  shownStatus,
} from '../../../src/kubernetes/guards/guard-resource-schema.ts';

type Schema = Readonly<Record<string, unknown>>;

const schema = z.record(z.string(), z.unknown());
const crdSchema = z.object({
  spec: z.object({
    versions: z.tuple([z.object({ schema: z.object({ openAPIV3Schema: schema }) })]),
  }),
});

function manifest(name: string): unknown {
  return parse(readFileSync(new URL(`../../../deploy/webhook/${name}`, import.meta.url), 'utf8'));
}

const crd = manifest('10-crd.yaml');
const root = crdSchema.parse(crd).spec.versions[0].schema.openAPIV3Schema;

/** Every schema in this one, by its path: `spec.policy.handOff[]`, `status.disruptedPods{}.pod`. */
function nested(one: unknown, path = ''): ReadonlyMap<string, Schema> {
  const found = new Map<string, Schema>();
  const visit = (value: unknown, at: string): void => {
    const parsed = schema.safeParse(value).data;
    if (parsed === undefined) return;
    found.set(at, parsed);
    visit(parsed['items'], `${at}[]`);
    visit(parsed['additionalProperties'], `${at}{}`);
    for (const [name, inner] of Object.entries(schema.safeParse(parsed['properties']).data ?? {})) {
      visit(inner, at === '' ? name : `${at}.${name}`);
    }
  };
  visit(one, path);
  return found;
}

const crdFields = nested(root);

/** What both sides can say; each list of names in one order. */
const COMPARED = [
  'type',
  'enum',
  'default',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
  'pattern',
  'required',
];

function comparable(one: Schema): Schema {
  const kept = COMPARED.filter((keyword) => one[keyword] !== undefined).map((keyword) => {
    const value = one[keyword];
    if (keyword === 'required') return [keyword, z.array(z.string()).parse(value).toSorted()];
    // A regular expression literal escapes its slashes.
    return [keyword, typeof value === 'string' ? value.replaceAll(String.raw`\/`, '/') : value];
  });
  const result = schema.parse(Object.fromEntries(kept));
  // The integers that JavaScript holds, which the CRD need not name.
  if (result['maximum'] === Number.MAX_SAFE_INTEGER) delete result['maximum'];
  if (one['format'] !== 'date-time') return result;
  return { type: result['type'], format: 'date-time' };
}

function all(fields: ReadonlyMap<string, Schema>): Readonly<Record<string, Schema>> {
  return Object.fromEntries([...fields].map(([path, one]) => [path, comparable(one)]));
}

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
    expect(all(new Map(theirs))).toEqual(all(ours));
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
