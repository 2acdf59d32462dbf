import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';

/** A node of a JSON Schema or of an openAPIV3Schema. */
export type Schema = Readonly<Record<string, unknown>>;

const schema = z.record(z.string(), z.unknown());
const crdSchema = z.object({
  spec: z.object({
    versions: z.tuple([z.object({ schema: z.object({ openAPIV3Schema: schema }) })]),
  }),
});

/** A file below deploy/webhook. */
export function manifest(name: string): unknown {
  return parse(readFileSync(new URL(`../../deploy/webhook/${name}`, import.meta.url), 'utf8'));
}

/** Every schema of a CRD with one version. */
export function fieldsOfCrd(crd: unknown): ReadonlyMap<string, Schema> {
  return nested(crdSchema.parse(crd).spec.versions[0].schema.openAPIV3Schema);
}

/** Every schema in this one, by its path: `spec.policy.handOff[]`, `status.disruptedPods{}.pod`. */
export function nested(one: unknown, path = ''): ReadonlyMap<string, Schema> {
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

/** As nested, with what both sides can say and nothing else. */
export function comparableFields(
  fields: ReadonlyMap<string, Schema>,
): Readonly<Record<string, Schema>> {
  return Object.fromEntries([...fields].map(([path, one]) => [path, comparable(one)]));
}
