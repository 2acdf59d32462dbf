import { z } from 'zod';
import type { EtcdCluster, EtcdMember } from './etcd-cluster.ts';
import type { KubeApiserver } from './kube-apiserver.ts';
import type { KubeletOptions } from './kubelet.ts';
import { until } from './until.ts';

const readinessSchema = z.looseObject({
  conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).default([]),
});

export interface EtcdPodOptions {
  readonly nodeName: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The manifest of a pod that stands for an etcd member: same name, its client port declared. */
export function etcdPod(
  member: Pick<EtcdMember, 'name' | 'port'>,
  options: EtcdPodOptions,
): Record<string, unknown> {
  const { nodeName, namespace = 'default', labels = { app: 'etcd' }, annotations = {} } = options;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: member.name, namespace, labels, annotations },
    spec: {
      nodeName,
      containers: [
        {
          name: 'etcd',
          image: 'etcd:test',
          ports: [{ name: 'client', containerPort: member.port }],
        },
      ],
    },
  };
}

/**
 * Lets a stand-in kubelet run the cluster's members: the pod's end is its member's end, and
 * a new pod of that name starts the member again, on the data it had.
 */
export function runsMembersOf(cluster: EtcdCluster): KubeletOptions['run'] {
  return async ({ metadata: { name } }) => {
    if (!cluster.member(name).process.running) await cluster.restartMember(name);
    const { host, process } = cluster.member(name);
    return { podIP: host, exit: process.exit, stop: (graceMs) => process.stop(graceMs) };
  };
}

/** Waits until the pods at these paths of the API are ready. */
export async function becomeReady(
  { admin }: KubeApiserver,
  ...paths: readonly string[]
): Promise<void> {
  for (const path of paths) {
    const isReady = async (): Promise<boolean> => {
      const { status = {} } = await admin.get(path);
      const { conditions } = readinessSchema.parse(status);
      return conditions.some((one) => one.type === 'Ready' && one.status === 'True');
    };
    await until(`${path} is ready`, isReady, { timeoutMs: 40_000 });
  }
}
