import { readFileSync } from 'node:fs';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { DEPLOY, kustomizations, objectsIn, render, type Manifest } from '../deploy/manifests.ts';
import { faultsOf, misspellings, wrong } from '../deploy/schemas.ts';
import { currentKubectl } from '../harness/current-kubectl.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../harness/reaper.ts';

const kubectl = await currentKubectl();
const textOf = (file: string): string => readFileSync(join(DEPLOY, file), 'utf8');

const operationsSchema = z.array(z.looseObject({ op: z.string(), path: z.string() }));

/** A file below deploy with one mistake in it, and a kustomization that takes it. */
interface Mistake {
  readonly kustomization: string;
  readonly file: string;
  readonly text: string;
  readonly what: string;
}

/** Each field that kustomizations have, misspelt where it first occurs. */
const IN_KUSTOMIZATIONS: readonly Mistake[] = firstOfEach(
  kustomizations().flatMap(({ path, kind }) => {
    const file = join(path, 'kustomization.yaml');
    return misspellings(parse(textOf(file))).map((one): readonly [string, Mistake] => [
      `${kind} ${one.path.replaceAll(/\d+/g, 'N')}`,
      {
        kustomization: path,
        file,
        text: stringify(one.document),
        what: `${file} ${one.path}`,
      },
    ]);
  }),
);

function firstOfEach(entries: readonly (readonly [string, Mistake])[]): readonly Mistake[] {
  // Of several with one key a Map keeps the last.
  return [...new Map(entries.toReversed()).values()];
}

interface Patch {
  readonly kustomization: string;
  readonly file: string;
  readonly operations: z.infer<typeof operationsSchema>;
}

const PATCHES: readonly Patch[] = kustomizations().flatMap(({ path, patches, patchesJson6902 }) =>
  [...patches, ...patchesJson6902].flatMap(({ path: name }) => {
    if (name === undefined) return [];
    const file = join(path, name);
    return { kustomization: path, file, operations: operationsSchema.parse(parse(textOf(file))) };
  }),
);

/**
 * Each operation of each JSON patch, with the last name in its path misspelt. Labels have no schema: what
 * test/e2e/deploy.test.ts expects of them has to do.
 */
const IN_PATCHES: readonly Mistake[] = PATCHES.flatMap(({ kustomization, file, operations }) =>
  operations.flatMap((operation, index) => {
    if (operation.path.startsWith('/metadata/labels/')) return [];
    const path = operation.path.replace(/[A-Za-z]+(?=[-\d/]*$)/, wrong);
    const text = stringify(operations.with(index, { ...operation, path }));
    return { kustomization, file, text, what: `${file} ${path}` };
  }),
);

describe('what is in deploy, by the schemas of its kinds', () => {
  /** Each object that any kustomization renders, once; overlays have many in common. */
  let objects: readonly Manifest[];
  let definitions: readonly Manifest[];
  let directory: TemporaryDirectory;

  beforeAll(async () => {
    directory = await temporaryDirectory('misspelt');
    await cp(DEPLOY, join(directory.path, 'deploy'), { recursive: true });
    // These are applied by hand.
    const all = [...objectsIn(textOf('etcd/components/tls/certificates.yaml'))];
    for (const { path } of kustomizations()) all.push(...(await renderHere(path)));
    objects = [...new Map(all.map((object) => [JSON.stringify(object), object])).values()];
    definitions = objectsIn(textOf('webhook/10-crd.yaml'));
  });

  afterAll(async () => {
    await directory.remove();
  });

  /** What the copy of deploy renders; a component with what it is for. */
  async function renderHere(path: string): Promise<readonly Manifest[]> {
    const found = kustomizations().find((one) => one.path === path);
    if (found?.kind === 'Kustomization')
      return render(kubectl, join(directory.path, 'deploy', path));
    const base = path.startsWith('etcd') ? 'etcd' : 'webhook';
    const both = { resources: [`deploy/${base}`], components: [`deploy/${path}`] };
    await writeFile(join(directory.path, 'kustomization.yaml'), stringify(both));
    return render(kubectl, directory.path);
  }

  /** Mistakes that kustomize renders without a word, with what comes of each. */
  async function rendered(
    mistakes: readonly Mistake[],
  ): Promise<ReadonlyMap<string, readonly Manifest[]>> {
    const results = new Map<string, readonly Manifest[]>();
    for (const { kustomization, file, text, what } of mistakes) {
      const copy = join(directory.path, 'deploy', file);
      await writeFile(copy, text);
      try {
        results.set(what, await renderHere(kustomization));
      } catch {
        // That is its notice.
      } finally {
        await writeFile(copy, textOf(file));
      }
    }
    return results;
  }

  it('has no fault', async () => {
    const faults = await faultsOf(objects, definitions);
    expect([...faults].map(([index, why]) => [objects[index]?.kind, why])).toEqual([]);
  });

  it('has kinds and fields that no server here serves', () => {
    const kinds = new Set(objects.map(({ apiVersion, kind }) => `${apiVersion} ${kind}`));
    for (const kind of [
      'admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy',
      'admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding',
      'cert-manager.io/v1 Certificate',
      'cert-manager.io/v1 Issuer',
      'etcd-guard.io/v1alpha1 EtcdGuard',
      'monitoring.coreos.com/v1 PodMonitor',
      'policy/v1 PodDisruptionBudget',
      'policy/v1beta1 PodDisruptionBudget',
    ]) {
      expect(kinds).toContain(kind);
    }
    expect(JSON.stringify(objects)).toContain('"matchConditions":[{"expression":');
  });

  it('has no field that could be misspelt without notice', async () => {
    // Each field of each object once, whichever overlay has it.
    const byField = new Map(
      objects.flatMap((object) =>
        misspellings(object).map(({ document, path }) => {
          const { kind, metadata } = object;
          return [`${kind} ${metadata.namespace ?? ''}/${metadata.name} ${path}`, document];
        }),
      ),
    );
    const faults = await faultsOf([...byField.values()], definitions);
    expect(byField.size).toBeGreaterThan(1000);
    expect([...byField.keys()].filter((_, index) => !faults.has(index))).toEqual([]);
  });

  it('has no value that could be wrong or missing without notice', async () => {
    const wrongly: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
      ['Deployment', { spec: { replicas: '2' } }],
      ['ValidatingWebhookConfiguration', { webhooks: [{ failurePolicy: 'Fial' }] }],
      ['NetworkPolicy', { spec: { policyTypes: ['Inress'] } }],
      ['Certificate', { spec: { secretName: 'one', issuerRef: {} } }],
      ['PodMonitor', { spec: { selector: {}, podMetricsEndpoints: [{ interval: 15 }] } }],
      ['EtcdGuard', { spec: { selector: {}, members: { port: '2379' } } }],
      ['EtcdGuard', { spec: { selector: {}, policy: { leader: 'HandOver' } } }],
      ['EtcdGuard', {}],
      ['EtcdGard', {}],
    ];
    const all = wrongly.map(([kind, parts]) => {
      const found: Partial<Manifest> = objects.find((one) => one.kind === kind) ?? { kind };
      const { spec: _spec, ...rest } = found;
      return { ...rest, ...parts };
    });
    const faults = await faultsOf(all, definitions);
    expect([...faults.keys()].toSorted((one, other) => one - other)).toEqual([...all.keys()]);
  });

  it('has no kind of field in a kustomization that could be misspelt without notice', async () => {
    expect(IN_KUSTOMIZATIONS.length).toBeGreaterThan(20);
    expect([...(await rendered(IN_KUSTOMIZATIONS)).keys()]).toEqual([]);
  });

  it.each(PATCHES)('$file has whole operations: one without its value is passed over', (patch) => {
    for (const operation of patch.operations) {
      const fields = operation.op === 'remove' ? ['op', 'path'] : ['op', 'path', 'value'];
      expect(Object.keys(operation).toSorted()).toEqual(fields);
    }
  });

  it('has no patch that could miss its field without notice', async () => {
    expect(IN_PATCHES.length).toBeGreaterThan(25);
    const results = [...(await rendered(IN_PATCHES))];
    const all = results.flatMap(([what, made]) => made.map((object) => ({ what, object })));
    const faults = await faultsOf(
      all.map(({ object }) => object),
      definitions,
    );
    const noticed = new Set(all.filter((_, index) => faults.has(index)).map(({ what }) => what));
    expect(results.map(([what]) => what).filter((what) => !noticed.has(what))).toEqual([]);
  });
});
