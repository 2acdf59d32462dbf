import { access as accessFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GuardsConfig } from '../config.ts';
import { ApiError } from '../kubernetes/api/api.ts';
import { connectKubernetes, type KubernetesConnection } from '../kubernetes/api/client-node-api.ts';
import { ClusterReader } from '../kubernetes/guards/cluster-reader.ts';
import { findClusterAccess, type ClusterAccess } from '../kubernetes/api/kube-config.ts';
import { KubernetesSource } from '../kubernetes/guards/kubernetes-source.ts';
import {
  isOurs,
  NAMESPACES,
  scopeOf,
  standardScope,
  unprotectedIn,
  WEBHOOK_CONFIGURATION,
  WEBHOOK_CONFIGURATIONS,
  type Scope,
  type Unprotected,
} from '../kubernetes/guards/protection.ts';
import { UsageError } from './backend.ts';
import { connectForCommand } from './connect-for-command.ts';
import type { Surroundings } from './streams.ts';

export { explained, isFromCluster, sentence } from './cluster-error.ts';

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
    connect: connectForCommand,
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

const READ_MS = 2_000;

/** Tells why nobody judges deletions in a namespace; null: somebody does, or we may not look. */
export type Protection = (namespace: string) => Promise<Unprotected | null>;

/** Reads the webhook's configuration once and each namespace once, and only if it is asked about. */
export function protection({ api }: ClusterGuards): Protection {
  let scope: Promise<Scope> | undefined;
  const found = new Map<string, Promise<Unprotected | null>>();
  const find = async (name: string): Promise<Unprotected | null> => {
    scope ??= webhookScope(api);
    const object = await api.get(NAMESPACES, name, READ_MS).catch(() => null);
    if (object === null) return null;
    return unprotectedIn(await scope, { name, labels: object.metadata.labels ?? {} });
  };
  return (namespace) => {
    const answer = found.get(namespace) ?? find(namespace);
    found.set(namespace, answer);
    return answer;
  };
}

/** By its name, or else whichever configuration has a webhook of ours. */
async function webhookScope(api: KubernetesConnection): Promise<Scope> {
  try {
    const all = await api.list(WEBHOOK_CONFIGURATIONS, {}, READ_MS);
    const named = all.find(({ metadata: { name } }) => name === WEBHOOK_CONFIGURATION);
    return scopeOf(named ?? all.find(isOurs) ?? null, WEBHOOK_CONFIGURATION);
  } catch (error) {
    if (error instanceof ApiError) return standardScope(WEBHOOK_CONFIGURATION);
    throw error;
  }
}
