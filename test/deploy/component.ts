import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { DEPLOY, kustomization, only, ownObjects } from './manifests.ts';
import { workload } from './pods.ts';

const operationsSchema = z.array(
  z.object({ op: z.string(), path: z.string(), value: z.unknown() }),
);
const mergedSchema = z.object({
  spec: z.object({
    template: z.object({
      spec: z.object({
        containers: z.tuple([
          z.object({
            name: z.string(),
            volumeMounts: z.array(
              z.object({ name: z.string(), mountPath: z.string(), readOnly: z.literal(true) }),
            ),
          }),
        ]),
        volumes: z.array(
          z.object({
            name: z.string(),
            configMap: z.object({ name: z.string() }).optional(),
            secret: z.object({ secretName: z.string() }).optional(),
          }),
        ),
      }),
    }),
  }),
});

/** What a component does to the Deployment of the guard. */
export interface ComponentAccess {
  /** All that the program is then started with, in order. */
  readonly args: readonly string[];
  readonly operations: z.infer<typeof operationsSchema>;
  /** By where it is mounted: `configmap NAME` or `secret NAME`. */
  readonly mounts: ReadonlyMap<string, string>;
}

const ARGUMENT = '/spec/template/spec/containers/0/args/-';

/** Of a component that adds arguments and what they read, as it stands; nothing is rendered. */
export function accessOfComponent(name: string): ComponentAccess {
  const path = `webhook/components/${name}`;
  const base = workload(only(ownObjects(kustomization('webhook')), 'Deployment'));
  const operations = operationsSchema.parse(
    parse(readFileSync(join(DEPLOY, path, 'deployment.yaml'), 'utf8')),
  );
  const added = operations.flatMap((one) => (one.path === ARGUMENT ? [String(one.value)] : []));
  const { containers, volumes } = merged(name).spec.template.spec;
  const [{ name: container, volumeMounts }] = containers;
  if (container !== base.container.name) throw new Error(`there is no container ${container}`);
  const sources = new Map(
    volumes.map((volume) => [
      volume.name,
      volume.secret ? `secret ${volume.secret.secretName}` : `configmap ${volume.configMap?.name}`,
    ]),
  );
  const mounts = new Map(
    volumeMounts.map((mount) => [mount.mountPath, sources.get(mount.name) ?? 'nothing']),
  );
  return { args: [...base.container.args, ...added], operations, mounts };
}

function merged(name: string): z.infer<typeof mergedSchema> {
  const [patch] = inlinePatches(name, (text) => text.startsWith('apiVersion: apps/v1\n'));
  return mergedSchema.parse(patch);
}

/** What the component's PodMonitor is changed by, in order. */
export function monitorOperations(name: string): readonly unknown[] {
  const [patch] = inlinePatches(name, (text) => text.includes('/spec/podMetricsEndpoints/'));
  return z.array(z.unknown()).parse(patch);
}

function inlinePatches(name: string, wanted: (text: string) => boolean): readonly unknown[] {
  return kustomization(`webhook/components/${name}`).patches.flatMap(({ patch }): unknown[] =>
    patch !== undefined && wanted(patch) ? [parse(patch)] : [],
  );
}
