import { execa } from 'execa';
import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { temporaryDirectory } from '../harness/reaper.ts';
import type { Manifest } from './manifests.ts';

interface Schema {
  readonly type?: string | undefined;
  readonly enum?: readonly string[] | undefined;
  readonly required?: readonly string[] | undefined;
  readonly properties?: Readonly<Record<string, Schema>> | undefined;
  readonly additionalProperties?: Schema | undefined;
  readonly items?: Schema | undefined;
}

const schemaSchema: z.ZodType<Schema> = z.lazy(() =>
  z.object({
    type: z.string().optional(),
    enum: z.array(z.string()).optional(),
    required: z.array(z.string()).optional(),
    properties: z.record(z.string(), schemaSchema).optional(),
    additionalProperties: schemaSchema.optional(),
    items: schemaSchema.optional(),
  }),
);
const definitionSchema = z.object({
  group: z.string(),
  names: z.object({ kind: z.string() }),
  versions: z.tuple([
    z.object({ name: z.string(), schema: z.object({ openAPIV3Schema: schemaSchema }) }),
  ]),
});

/** Fields that are a map from names that the writer chooses. */
const MAPS = new Set([
  'annotations',
  'data',
  'hard',
  'labels',
  'limits',
  'matchLabels',
  'properties',
  'requests',
]);

const NESTED_SCHEMA =
  "import('kubernetes-models/apiextensions.k8s.io/v1/JSONSchemaProps').IJSONSchemaProps";

/** The package that has the types of a group's objects. */
function packageOf(group: string): string {
  if (group === 'cert-manager.io') return '@kubernetes-models/cert-manager';
  if (group === 'monitoring.coreos.com') return '@kubernetes-models/prometheus-operator';
  return 'kubernetes-models';
}

/** What is misspelt may lack either. */
const typeSchema = z.looseObject({
  apiVersion: z.string().default('none'),
  kind: z.string().default('None'),
});

/** A TypeScript type; where neither the packages nor the definitions have one, an error of the compiler. */
function typeOf(object: unknown, defined: ReadonlyMap<string, string>): string {
  const { apiVersion, kind } = typeSchema.parse(object);
  const [group = ''] = apiVersion.split('/');
  const module = `${packageOf(group)}/${apiVersion}/${kind}`;
  return defined.get(`${apiVersion} ${kind}`) ?? `import('${module}').I${kind}`;
}

/** What a CustomResourceDefinition lets be written, as a TypeScript type by `apiVersion kind`. */
function definedBy({ spec }: Manifest): readonly [string, string] {
  const { group, names, versions } = definitionSchema.parse(spec);
  const [{ name, schema }] = versions;
  const { properties = {}, required = [] } = schema.openAPIV3Schema;
  const type = objectType(properties, [...required, 'apiVersion', 'kind', 'metadata']);
  const meta = `import('@kubernetes-models/apimachinery/apis/meta/v1/ObjectMeta').IObjectMeta`;
  const head = `{ apiVersion: '${group}/${name}'; kind: '${names.kind}'; metadata: ${meta} }`;
  return [`${group}/${name} ${names.kind}`, `${head} & ${type}`];
}

function objectType(properties: Readonly<Record<string, Schema>>, required: readonly string[]) {
  const fields = Object.entries(properties).map(
    ([name, schema]) =>
      `${JSON.stringify(name)}${required.includes(name) ? '' : '?'}: ${fieldType(schema)}`,
  );
  return `{ ${fields.join('; ')} }`;
}

const SCALARS: Readonly<Record<string, string>> = {
  boolean: 'boolean',
  integer: 'number',
  number: 'number',
  string: 'string',
};

function fieldType(schema: Schema): string {
  const { type = '', properties = {}, required = [], additionalProperties, items = {} } = schema;
  if (schema.enum !== undefined) return schema.enum.map((one) => JSON.stringify(one)).join(' | ');
  if (type === 'array') return `ReadonlyArray<${fieldType(items)}>`;
  if (additionalProperties !== undefined)
    return `Record<string, ${fieldType(additionalProperties)}>`;
  if (type === 'object') return objectType(properties, required);
  const scalar = SCALARS[type];
  if (scalar === undefined) throw new Error(`no type for ${JSON.stringify(schema)}`);
  return scalar;
}

/** What the type of a CustomResourceDefinition leaves open: schemas inside of schemas. */
function schemasIn(value: unknown): readonly (readonly [string, unknown])[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, below]: [string, unknown]) => {
    const isSchema = key === 'items' || key === 'additionalProperties';
    const found = isSchema ? [[NESTED_SCHEMA, below] as const] : [];
    return [...found, ...schemasIn(below)];
  });
}

/**
 * What is wrong with each of these objects, by its place among them: a field that its kind does not
 * have, one that is missing, a value of another type or outside an enumeration. TypeScript's compiler
 * says so, by the types of packages that are made from the API's own OpenAPI; it is stricter about
 * unknown fields than a JSON schema is.
 */
export async function faultsOf(
  objects: readonly unknown[],
  definitions: readonly Manifest[],
): Promise<ReadonlyMap<number, string>> {
  const directory = await temporaryDirectory('schemas');
  const defined = new Map(definitions.map(definedBy));
  const modules = join(import.meta.dirname, '../../node_modules');
  // One a line, so that the line says which.
  const lines = objects.map((object, index) =>
    [[typeOf(object, defined), object] as const, ...schemasIn(object)]
      .map(([type, value], part) => {
        const name = `object${index}part${part}`;
        return `export const ${name}: ${type} = ${JSON.stringify(value)};`;
      })
      .join(' '),
  );
  try {
    await symlink(modules, join(directory.path, 'node_modules'));
    await writeFile(join(directory.path, 'objects.ts'), lines.join('\n'));
    await writeFile(join(directory.path, 'tsconfig.json'), JSON.stringify(COMPILER));
    const { exitCode, all } = await execa(
      join(modules, '.bin/tsc'),
      ['--project', directory.path, '--pretty', 'false'],
      { all: true, reject: false, preferLocal: true, localDir: join(modules, '..') },
    );
    const faults = new Map(
      [...all.matchAll(/^\S*objects\.ts\((\d+),\d+\): error (.*)$/gm)]
        .toReversed()
        .map(([, line, why = '']) => [Number(line) - 1, why] as const),
    );
    if ((exitCode === 0) !== (faults.size === 0)) throw new Error(`tsc: ${all}`);
    return faults;
  } finally {
    await directory.remove();
  }
}

const COMPILER = {
  compilerOptions: {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    module: 'esnext',
    moduleResolution: 'bundler',
    types: [],
  },
  files: ['objects.ts'],
};

/** A document with one of its fields misspelt. */
export interface Misspelling {
  readonly document: unknown;
  /** From the outermost field to the misspelt one, as it was. */
  readonly path: string;
}

/** The document once for each of its fields, with two letters of that field in the wrong order. */
export function misspellings(document: unknown): readonly Misspelling[] {
  return fieldsOf(document, []).map((path) => ({
    document: misspelt(document, path),
    path: path.join('.'),
  }));
}

type Path = readonly (string | number)[];

function fieldsOf(value: unknown, path: Path): readonly Path[] {
  if (Array.isArray(value)) return value.flatMap((one, index) => fieldsOf(one, [...path, index]));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, below]) => {
    const here = [...path, key];
    return [...(isFreelyNamed(key, path) ? [] : [here]), ...fieldsOf(below, here)];
  });
}

/** Not a field: a name in a map. A Service's selector is one, while all others have fields. */
function isFreelyNamed(key: string, path: Path): boolean {
  const map = String(path.at(-1));
  return MAPS.has(map) || (map === 'selector' && !key.startsWith('match'));
}

function misspelt(value: unknown, [first, ...rest]: Path): unknown {
  if (Array.isArray(value)) {
    return value.map((one, index) => (index === first ? misspelt(one, rest) : one));
  }
  return Object.fromEntries(
    Object.entries(Object(value)).map(([key, below]) => {
      if (key !== first) return [key, below];
      return rest.length === 0 ? [wrong(key), below] : [key, misspelt(below, rest)];
    }),
  );
}

/** A word with two letters in the wrong order, somewhere inside, where they differ. */
export function wrong(word: string): string {
  const middle = Math.floor(word.length / 2);
  for (let step = 0; step < word.length - 1; step += 1) {
    const at = 1 + ((middle + step) % (word.length - 1));
    const [one = '', other = ''] = [word[at - 1], word[at]];
    if (one !== other) return `${word.slice(0, at - 1)}${other}${one}${word.slice(at + 1)}`;
  }
  return `${word}${word}`;
}
