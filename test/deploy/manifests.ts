import { execa } from 'execa';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { z } from 'zod';
import { temporaryDirectory } from '../harness/reaper.ts';

/** The repository's own folder. */
export const ROOT = resolve(import.meta.dirname, '../..');
/** Where the kustomizations are. */
export const DEPLOY = join(ROOT, 'deploy');

const objectSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().optional(),
    labels: z.record(z.string(), z.string()).optional(),
    annotations: z.record(z.string(), z.string()).optional(),
  }),
  spec: z.record(z.string(), z.unknown()).optional(),
});

/** A Kubernetes object as it stands in a manifest. */
export type Manifest = z.infer<typeof objectSchema>;

const patchSchema = z.looseObject({ path: z.string().optional(), patch: z.string().optional() });
const imageSchema = z.looseObject({ name: z.string(), newTag: z.string().optional() });
const kustomizationSchema = z.looseObject({
  kind: z.enum(['Kustomization', 'Component']),
  resources: z.array(z.string()).default([]),
  bases: z.array(z.string()).default([]),
  components: z.array(z.string()).default([]),
  patches: z.array(patchSchema).default([]),
  patchesJson6902: z.array(patchSchema).default([]),
  images: z.array(imageSchema).default([]),
});

/** A kustomization.yaml, with lists where it leaves them out; its own fields are in `fields`. */
export interface Kustomization extends z.infer<typeof kustomizationSchema> {
  /** Below deploy/. */
  readonly path: string;
  readonly fields: readonly string[];
}

/** All files below deploy/, relative to it. */
export function deployFiles(): readonly string[] {
  return readdirSync(DEPLOY, { recursive: true, encoding: 'utf8', withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(DEPLOY, join(entry.parentPath, entry.name)))
    .sort();
}

/** The kustomization in this folder below deploy/. */
export function kustomization(path: string): Kustomization {
  const found: unknown = parse(readFileSync(join(DEPLOY, path, 'kustomization.yaml'), 'utf8'));
  const fields = Object.keys(z.record(z.string(), z.unknown()).parse(found));
  return { ...kustomizationSchema.parse(found), path, fields };
}

/** Every kustomization below deploy/, components included. */
export function kustomizations(): readonly Kustomization[] {
  return deployFiles()
    .filter((file) => file.endsWith('kustomization.yaml'))
    .map((file) => kustomization(dirname(file)));
}

/** The objects in a text of YAML documents. */
export function objectsIn(text: string): readonly Manifest[] {
  return parseAllDocuments(text)
    .map((document): unknown => document.toJS())
    .filter((document) => document !== null)
    .map((document) => objectSchema.parse(document));
}

/** The objects of the resource files that a kustomization itself names, as they stand there. */
export function ownObjects({ path, resources }: Kustomization): readonly Manifest[] {
  return resources
    .map((name) => join(DEPLOY, path, name))
    .filter((file) => file.endsWith('.yaml') && existsSync(file))
    .flatMap((file) => objectsIn(readFileSync(file, 'utf8')));
}

/** The one object of this kind, and of this name if one is given; throws otherwise. */
export function only(objects: readonly Manifest[], kind: string, name?: string): Manifest {
  const found = objects.filter(
    (one) => one.kind === kind && (name === undefined || one.metadata.name === name),
  );
  const [first] = found;
  if (first === undefined || found.length > 1) {
    throw new Error(`${found.length} of ${kind} ${name ?? ''}, not one`);
  }
  return first;
}

/** What `kubectl kustomize` makes of a folder; throws with its message if it refuses. */
export async function render(kubectl: string, folder: string): Promise<readonly Manifest[]> {
  return objectsIn(await renderText(kubectl, folder));
}

/** As render, but the text. */
export async function renderText(kubectl: string, folder: string): Promise<string> {
  // It ends before there is much to collect.
  const { stdout } = await execa(kubectl, ['kustomize', folder], { env: { GOGC: 'off' } });
  return stdout;
}

/** Renders a kustomization of these folders and components of deploy/, as a user writes one. */
export async function renderTogether(
  kubectl: string,
  resources: readonly string[],
  components: readonly string[],
): Promise<readonly Manifest[]> {
  const directory = await temporaryDirectory('kustomize');
  try {
    const here = (name: string): string => relative(directory.path, join(DEPLOY, name));
    await writeFile(
      join(directory.path, 'kustomization.yaml'),
      stringify({ resources: resources.map(here), components: components.map(here) }),
    );
    return await render(kubectl, directory.path);
  } finally {
    await directory.remove();
  }
}
