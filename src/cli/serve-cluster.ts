import { connectEtcd } from '../etcd/connect.ts';
import { ApiError } from '../kubernetes/api.ts';
import { connectKubernetes, type KubernetesConnection } from '../kubernetes/client-node-api.ts';
import { ClusterReader } from '../kubernetes/cluster-reader.ts';
import { findClusterAccess } from '../kubernetes/kube-config.ts';
import { KubernetesSource } from '../kubernetes/kubernetes-source.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Recorder } from '../telemetry/recorder.ts';
import { UsageError, type Backend } from './backend.ts';
import { keepEvents } from './keep-events.ts';

/** What guards from a cluster need. */
export interface ClusterContext {
  readonly recorder: Recorder;
  readonly log: Logger;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Guards from EtcdGuard objects; throws a UsageError if there is no usable configuration. */
export async function openCluster(
  kubeconfig: string | null,
  { recorder, log, environment }: ClusterContext,
): Promise<Backend> {
  const api = await connectToCluster(kubeconfig, environment);
  const reader = new ClusterReader({
    api,
    connect: (settings) => connectEtcd(settings, recorder),
    nowMs: () => Date.now(),
    // The gauges of a cluster come from one replica only, or sums would double.
    viewed: () => undefined,
  });
  const source = new KubernetesSource(reader);
  const events = keepEvents(api, log);
  return {
    source,
    announce: events.announce,
    start: () => ({ stop: () => undefined }),
    async close() {
      await events.close();
      reader.close();
      api.close();
    },
  };
}

async function connectToCluster(
  kubeconfig: string | null,
  environment: ClusterContext['environment'],
): Promise<KubernetesConnection> {
  const access = findClusterAccess(kubeconfig, environment);
  if (access === null) {
    throw new UsageError([
      'no Kubernetes configuration: give --kubeconfig FILE, set KUBECONFIG, or use --guards FILE',
    ]);
  }
  try {
    return await connectKubernetes(access);
  } catch (error) {
    if (error instanceof ApiError) throw new UsageError([error.message]);
    throw error;
  }
}
