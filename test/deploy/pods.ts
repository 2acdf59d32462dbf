import { z } from 'zod';
import type { Manifest } from './manifests.ts';

const portSchema = z.object({ name: z.string(), containerPort: z.number() });
const probeSchema = z.looseObject({
  httpGet: z.object({ path: z.string(), port: z.union([z.string(), z.number()]) }),
});
const variableSchema = z.looseObject({ name: z.string(), value: z.string().optional() });
const containerSchema = z.looseObject({
  name: z.string(),
  image: z.string(),
  command: z.array(z.string()).optional(),
  args: z.array(z.string()).default([]),
  env: z.array(variableSchema).default([]),
  ports: z.array(portSchema),
  readinessProbe: probeSchema,
  livenessProbe: probeSchema,
  resources: z.object({
    requests: z.object({ cpu: z.string(), memory: z.string() }),
    limits: z.object({ memory: z.string() }),
  }),
  securityContext: z.record(z.string(), z.unknown()),
  volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })).default([]),
});
const podSpecSchema = z.looseObject({
  containers: z.tuple([containerSchema]),
  securityContext: z.record(z.string(), z.unknown()),
  terminationGracePeriodSeconds: z.number(),
  imagePullSecrets: z.array(z.object({ name: z.string() })).default([]),
  volumes: z.array(z.looseObject({ name: z.string() })).default([]),
  affinity: z.unknown().optional(),
});
const workloadSchema = z.looseObject({
  replicas: z.number(),
  selector: z.object({ matchLabels: z.record(z.string(), z.string()) }),
  template: z.object({
    metadata: z.looseObject({ labels: z.record(z.string(), z.string()) }),
    spec: podSpecSchema,
  }),
});

/** A Deployment or StatefulSet, as far as tests look into it. */
export interface Workload {
  readonly spec: z.infer<typeof workloadSchema>;
  readonly pod: z.infer<typeof podSpecSchema>;
  /** Its one container. */
  readonly container: z.infer<typeof containerSchema>;
}

/** Reads a Deployment or StatefulSet; throws if it has not exactly one container. */
export function workload({ spec }: Manifest): Workload {
  const parsed = workloadSchema.parse(spec);
  const pod = parsed.template.spec;
  return { spec: parsed, pod, container: pod.containers[0] };
}

const UNITS: Readonly<Record<string, number>> = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 };

/** Bytes of a quantity such as 128Mi. */
export function bytes(quantity: string): number {
  const [, number, unit = ''] = /^(\d+)(\w+)$/.exec(quantity) ?? [];
  const factor = UNITS[unit];
  if (number === undefined || factor === undefined) throw new Error(`no size: ${quantity}`);
  return Number(number) * factor;
}
