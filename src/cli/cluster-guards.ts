import { access as accessFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GuardSourceError } from '../admission/guard-source.ts';
import type { GuardsConfig } from '../config.ts';
import { connectEtcd } from '../etcd/connect.ts';
import { ApiError } from '../kubernetes/api/api.ts';
import { connectKubernetes, type KubernetesConnection } from '../kubernetes/api/client-node-api.ts';
import { ClusterReader } from '../kubernetes/guards/cluster-reader.ts';
import { findClusterAccess, type ClusterAccess } from '../kubernetes/api/kube-config.ts';
import { KubernetesSource } from '../kubernetes/guards/kubernetes-source.ts';
import { UsageError } from './backend.ts';
import { UNOBSERVED } from './guards.ts';
import type { Surroundings } from './streams.ts';

/** The guards of a cluster, for one command's use; loading this file loads client-node. */
export interface ClusterGuards {
  readonly api: KubernetesConnection;
  readonly reader: ClusterReader;
  readonly source: KubernetesSource;
  /** Where the configuration says we are, or else `default`. */
  readonly namespace: string;
  close(): void;
}

type ClusterConfig = Extract<GuardsConfig, { kind: 'cluster' }>;
type Environment = Surroundings['environment'];

/** Throws a UsageError if there is no usable configuration; connects to nothing yet. */
export async function openClusterGuards(
  config: ClusterConfig,
  environment: Environment,
): Promise<ClusterGuards> {
  const api = await connect(await accessFor(config, environment));
  const reader = new ClusterReader({
    api,
    connect: (settings) => connectEtcd(settings, UNOBSERVED),
    nowMs: () => Date.now(),
    viewed: () => undefined,
  });
  return {
    api,
    reader,
    source: new KubernetesSource(reader),
    namespace: api.namespace ?? 'default',
    close() {
      reader.close();
      api.close();
    },
  };
}

async function connect(access: ClusterAccess): Promise<KubernetesConnection> {
  try {
    return await connectKubernetes(access);
  } catch (error) {
    throw error instanceof ApiError ? new UsageError([error.message]) : error;
  }
}

async function accessFor(
  { kubeconfig, context }: ClusterConfig,
  environment: Environment,
): Promise<ClusterAccess> {
  const found =
    kubeconfig === null ? await lookedFor(environment) : findClusterAccess(kubeconfig, environment);
  if (found === null) {
    throw new UsageError([
      'no Kubernetes configuration: give --kubeconfig FILE, set KUBECONFIG, or use --guards FILE',
    ]);
  }
  if (context === null) return found;
  if (found.kind === 'kubeconfig') return { ...found, context };
  throw new UsageError(['--context needs a kubeconfig; this pod has only its service account']);
}

/** As kubectl: one's own file comes before the service account of the pod. */
async function lookedFor(environment: Environment): Promise<ClusterAccess | null> {
  const { HOME: home = '', KUBECONFIG: named = '' } = environment;
  const own = join(home, '.kube', 'config');
  if (named === '' && home !== '' && (await exists(own))) {
    return { kind: 'kubeconfig', files: [own] };
  }
  // Without the file that was just seen not to be there.
  return findClusterAccess(null, { ...environment, HOME: '' });
}

async function exists(file: string): Promise<boolean> {
  return accessFile(file).then(
    () => true,
    () => false,
  );
}

/** Milliseconds; the API server itself waits up to 30 s for each webhook. */
export const DRY_RUN_MS = 30_000;

const PROTECT = 'etcd-guard.io/protect';
const NAMESPACES = { prefix: '/api/v1', plural: 'namespaces', namespace: null };
const NAMESPACE_MS = 2_000;

/** A sentence if nobody judges deletions there, whatever its guards say; null too if we may not look. */
export async function unprotected(
  { api }: ClusterGuards,
  namespace: string,
): Promise<string | null> {
  const object = await api.get(NAMESPACES, namespace, NAMESPACE_MS).catch(() => null);
  if (object === null || object.metadata.labels?.[PROTECT] === 'enabled') return null;
  return `Namespace ${namespace} is not labelled ${PROTECT}=enabled: the API server asks no guard about its pods.`;
}

const WHAT_HELPS: Readonly<Partial<Record<ApiError['code'], string>>> = {
  forbidden: 'docs/command-line.md lists the rights that this takes; --context chooses other ones.',
  'not-found': 'Is this the right cluster? --context chooses another one.',
  unreachable: 'Is it up, and is it the one that you mean? --context chooses another one.',
  timeout: 'Try again once it answers.',
};

/** What to print for whatever keeps a command from an answer. */
export function explained(error: unknown): string {
  const cause = error instanceof GuardSourceError ? error.cause : error;
  if (cause instanceof ApiError) {
    const helps = WHAT_HELPS[cause.code];
    return helps === undefined ? cause.message : `${cause.message}. ${helps}`;
  }
  return error instanceof Error ? error.message : String(error);
}

/** Those errors that say something about the cluster rather than about this program. */
export function isFromCluster(error: unknown): error is ApiError | GuardSourceError {
  return error instanceof ApiError || error instanceof GuardSourceError;
}
