import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { z } from 'zod';
import { startGuard, type GuardProcess } from './guard-process.ts';
import { GUARD_USER, install } from './guarded-cluster.ts';
import { startKubeApiserver, type KubeApiserver } from './kube-apiserver.ts';
import { roundRobin, type Listener } from './loopback.ts';
import { until } from './until.ts';

const COMPONENT = 'components/exclusive-locks/';
const FOLDER = new URL(`../../deploy/webhook/${COMPONENT}`, import.meta.url);

/** Name of the webhook that stands before its refusals. */
export const LOCK_WEBHOOK = 'locks.etcd-guard.io';

const configurationSchema = z.looseObject({
  webhooks: z.array(
    z.looseObject({
      clientConfig: z.object({ service: z.looseObject({ path: z.string() }) }),
    }),
  ),
});

/** What tests add. */
export interface LockedClusterOptions {
  /** More arguments of `serve`. */
  readonly args?: readonly string[];
}

/**
 * A real API server with the component exclusive-locks, its rights and its own webhook configuration,
 * and two replicas of the built program behind one address.
 */
export class LockedCluster {
  readonly api: KubeApiserver;
  readonly replicas: readonly GuardProcess[];
  readonly #balancer: Listener;

  private constructor(api: KubeApiserver, replicas: readonly GuardProcess[], balancer: Listener) {
    this.api = api;
    this.replicas = replicas;
    this.#balancer = balancer;
  }

  static async start(
    program: string,
    { args = [] }: LockedClusterOptions = {},
  ): Promise<LockedCluster> {
    const api = await startKubeApiserver();
    try {
      await install(api, [`${COMPONENT}rbac.yaml`]);
      await apply(api, '--validate=false', fileURLToPath(new URL('crd.yaml', FOLDER)));
      await api.kubectl(
        'wait',
        '--for=condition=Established',
        '--timeout=20s',
        'crd/exclusivelocks.etcd-guard.io',
      );
      const kubeconfig = await api.kubeconfigFor({ user: GUARD_USER });
      const start = (): Promise<GuardProcess> =>
        startGuard({
          program,
          guards: null,
          args: [`--kubeconfig=${kubeconfig}`, '--exclusive-locks', ...args],
        });
      const replicas = await Promise.all([start(), start()]);
      const balancer = await roundRobin(replicas.map(({ https }) => https));
      const cluster = new LockedCluster(api, replicas, balancer);
      await cluster.register();
      return cluster;
    } catch (error) {
      await api.stop();
      throw error;
    }
  }

  /** The shipped webhook configuration, but with the address at which the replicas are here. */
  async register(): Promise<void> {
    const text = await readFile(new URL('webhook.yaml', FOLDER), 'utf8');
    const configuration = configurationSchema.parse(parse(text));
    const authorities = this.replicas.map(({ ca }) => ca).join('\n');
    const webhooks = configuration.webhooks.map(({ clientConfig, ...rest }) => ({
      ...rest,
      clientConfig: {
        url: `https://127.0.0.1:${this.#balancer.port}${clientConfig.service.path}`,
        caBundle: Buffer.from(`${authorities}\n`).toString('base64'),
      },
    }));
    await this.api.apply({ ...configuration, webhooks });
    await this.#isInForce();
  }

  async stop(): Promise<void> {
    await Promise.all(this.replicas.map((replica) => replica.stop()));
    await this.#balancer.close();
    await this.api.stop();
  }

  /** The API server follows its configurations with a delay. */
  async #isInForce(): Promise<void> {
    const { admin } = this.api;
    const namespace = 'locks-are-asked';
    const labels = { 'etcd-guard.io/lock': 'enabled' };
    await this.api.apply({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace, labels },
    });
    await this.api.apply({
      apiVersion: 'etcd-guard.io/v1alpha1',
      kind: 'ExclusiveLock',
      metadata: { name: 'probe', namespace },
      spec: { operations: ['CREATE'], selector: { matchLabels: { probe: 'true' } } },
    });
    const probe = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'probe', namespace, labels: { probe: 'true' } },
    };
    await until('changes are held against locks', async () => {
      const path = `/api/v1/namespaces/${namespace}/configmaps?dryRun=All`;
      return admin.create(path, probe).then(
        () => false,
        (error: unknown) => String(error).includes('denied by ExclusiveLock'),
      );
    });
    await admin.delete(`/api/v1/namespaces/${namespace}`);
  }
}

async function apply(api: KubeApiserver, ...files: readonly string[]): Promise<void> {
  const options = files.filter((name) => name.startsWith('--'));
  for (const file of files.filter((name) => !name.startsWith('--'))) {
    const { exitCode, stderr } = await api.kubectl('apply', ...options, '-f', file);
    if (exitCode !== 0) throw new Error(`kubectl apply -f ${file}: ${stderr}`);
  }
}
