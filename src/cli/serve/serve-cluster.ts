import { ApiError } from '../../kubernetes/api/api.ts';
import {
  connectKubernetes,
  type KubernetesConnection,
} from '../../kubernetes/api/client-node-api.ts';
import { ClusterReader } from '../../kubernetes/guards/cluster-reader.ts';
import { findClusterAccess, type ClusterAccess } from '../../kubernetes/api/kube-config.ts';
import { KubernetesSource } from '../../kubernetes/guards/kubernetes-source.ts';
import type { CapabilityName } from '../../config.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Recorder } from '../../telemetry/recorder.ts';
import { UsageError, type Backend } from '../backend.ts';
import type { Traces } from './keep-traces.ts';
import { openCapabilities } from './capability.ts';
import { keepEvents } from './keep-events.ts';
import { keepStatus, type KeptStatus } from './keep-status.ts';
import { StatusFromCluster } from './status-from-cluster.ts';

/** What guards from a cluster need. */
export interface ClusterContext {
  readonly traces: Pick<Traces, 'connect'>;
  readonly recorder: Recorder;
  readonly log: Logger;
  readonly roleLabels: boolean;
  readonly capabilities: readonly CapabilityName[];
  /** Name of the ValidatingWebhookConfiguration that has the API server ask us. */
  readonly webhookConfiguration: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Guards from EtcdGuard objects; throws a UsageError if there is no usable configuration. */
export async function openCluster(
  kubeconfig: string | null,
  context: ClusterContext,
): Promise<Backend> {
  const { recorder, traces, environment } = context;
  const access = findAccess(kubeconfig, environment);
  const api = await connectToCluster(access);
  const reader = new ClusterReader({
    api,
    connect: (settings) => traces.connect(settings, recorder),
    nowMs: () => Date.now(),
    viewed: (guard, view) => status?.reviewed(guard, view),
  });
  let status: KeptStatus | null = null;
  const source = new KubernetesSource(reader);
  const page = new StatusFromCluster({
    api,
    connect: (settings) => traces.connect(settings, recorder),
    viewed: (guard, view) => status?.reviewed(guard, view),
    known: () => status?.known() ?? [],
    webhookConfiguration: context.webhookConfiguration,
  });
  const events = keepEvents(api, context.log);
  const { announce } = events;
  const mayWrite = (): boolean => status?.mayWrite() ?? false;
  const capabilities = await openCapabilities(context.capabilities, {
    api,
    discovery: api,
    announce,
    recorder,
    log: context.log,
    webhookConfiguration: context.webhookConfiguration,
    mayWrite,
  });
  return {
    source,
    others: new Map(capabilities.map(({ path, handle }) => [path, handle])),
    announce,
    status: page,
    certificates: {
      api,
      namespace: environment['POD_NAMESPACE'] || api.namespace || 'etcd-guard',
      others: capabilities.flatMap(({ registration }) => registration ?? []),
    },
    start() {
      const inPod = access.kind === 'service-account' ? api.namespace : null;
      status = keepStatus({
        ...context,
        api,
        reader,
        namespace: environment['POD_NAMESPACE'] || inPod,
        podName: environment['POD_NAME'] || null,
        readinessGates: context.capabilities.includes('injection'),
        beside: capabilities,
      });
      return { stop: () => undefined };
    },
    async close() {
      await Promise.all(capabilities.map((capability) => capability.close()));
      await Promise.all([status?.stop(), events.close()]);
      reader.close();
      page.close();
      api.close();
    },
  };
}

function findAccess(
  kubeconfig: string | null,
  environment: ClusterContext['environment'],
): ClusterAccess {
  const access = findClusterAccess(kubeconfig, environment);
  if (access === null) {
    throw new UsageError([
      'no Kubernetes configuration: give --kubeconfig FILE, set KUBECONFIG, or use --guards FILE',
    ]);
  }
  return access;
}

async function connectToCluster(access: ClusterAccess): Promise<KubernetesConnection> {
  try {
    return await connectKubernetes(access);
  } catch (error) {
    if (error instanceof ApiError) throw new UsageError([error.message]);
    throw error;
  }
}
