import { startEtcdCluster, type EtcdCluster } from './etcd-cluster.ts';
import { runsMembersOf } from './etcd-pods.ts';
import { nodeOf } from './guarded-cluster.ts';
import type { KubeApiserver } from './kube-apiserver.ts';
import type { KubeObject } from './kube-client.ts';
import { startKubelet, type Kubelet, type KubeletOptions } from './kubelet.ts';
import { freePort } from './loopback.ts';

const PODS = '/api/v1/namespaces/default/pods';

export interface StatefulEtcdOptions {
  /** Of the StatefulSet and its EtcdGuard; also the pods' label `app` and the start of their names. */
  readonly name: string;
  /** The last byte of the first member's loopback address; the others follow. */
  readonly firstHost: number;
  readonly podManagementPolicy?: 'OrderedReady' | 'Parallel';
  /** More labels of the pods. */
  readonly labels?: Readonly<Record<string, string>>;
  /** More of the EtcdGuard's spec. */
  readonly guard?: Readonly<Record<string, unknown>>;
  /** What runs a pod instead of `runsMembersOf`. */
  readonly run?: (etcd: EtcdCluster) => KubeletOptions['run'];
}

/**
 * Three members as the pods of a StatefulSet, each on a node of its own, to which the pods are bound
 * as a scheduler would; the real controller makes them, once a controller manager runs.
 */
export class StatefulEtcd {
  readonly etcd: EtcdCluster;
  readonly #api: KubeApiserver;
  readonly #options: StatefulEtcdOptions;
  readonly #kubelets: readonly Kubelet[];
  readonly #ended = new AbortController();

  private constructor(
    api: KubeApiserver,
    options: StatefulEtcdOptions,
    parts: { readonly etcd: EtcdCluster; readonly kubelets: readonly Kubelet[] },
  ) {
    this.#api = api;
    this.#options = options;
    this.etcd = parts.etcd;
    this.#kubelets = parts.kubelets;
  }

  static async start(api: KubeApiserver, options: StatefulEtcdOptions): Promise<StatefulEtcd> {
    const { name, firstHost, run = runsMembersOf } = options;
    const hosts = [0, 1, 2].map((ordinal) => `127.0.0.${firstHost + ordinal}`);
    const etcd = await startEtcdCluster({
      names: hosts.map((_, ordinal) => `${name}-${ordinal}`),
      hosts,
      clientPort: await freePort(hosts[0]),
    });
    const kubelets = await Promise.all(
      etcd.members.map((member) =>
        startKubelet({ api, nodeName: nodeOf(member.name), run: run(etcd) }),
      ),
    );
    const stateful = new StatefulEtcd(api, options, { etcd, kubelets });
    stateful.#bindPods();
    return stateful;
  }

  /** Final DELETEs that were refused: there must never be any. */
  get refusals(): readonly string[] {
    return this.#kubelets.flatMap(({ refusals }) => refusals.map(({ message }) => message));
  }

  /** The EtcdGuard and the StatefulSet, as they were at first, and waits until all members run. */
  async apply(): Promise<void> {
    await this.#api.apply(this.#guard(), this.#statefulSet());
    await this.rolledOut();
  }

  async rolledOut(): Promise<void> {
    const args = ['rollout', 'status', `statefulset/${this.#options.name}`, '--timeout=90s'];
    const { exitCode, stdout, stderr } = await this.#api.kubectl(...args);
    if (exitCode !== 0) throw new Error(`${stdout}\n${stderr}`);
    await this.etcd.waitHealthy();
  }

  pods(): Promise<readonly KubeObject[]> {
    return this.#api.admin.list(`${PODS}?labelSelector=app%3D${this.#options.name}`);
  }

  async stop(): Promise<void> {
    this.#ended.abort();
    await Promise.all(this.#kubelets.map((kubelet) => kubelet.stop()));
    await this.etcd.stop();
  }

  #bindPods(): void {
    const bind = (pod: KubeObject): void => this.#bind(pod);
    const handlers = {
      synced: (pods: readonly KubeObject[]) => pods.forEach(bind),
      changed: bind,
      deleted: () => undefined,
    };
    const path = `${PODS}?labelSelector=app%3D${this.#options.name}`;
    void this.#api.admin.watch(path, handlers, this.#ended.signal).catch(() => undefined);
  }

  #bind({ metadata: { name }, spec }: KubeObject): void {
    if (spec?.['nodeName'] !== undefined) return;
    this.#api.admin
      .text('POST', `${PODS}/${name}/binding`, {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { name, namespace: 'default' },
        target: { apiVersion: 'v1', kind: 'Node', name: nodeOf(name) },
      })
      // Bound by the event before, or gone.
      .catch(() => undefined);
  }

  #guard(): unknown {
    const { name, guard = {} } = this.#options;
    return {
      apiVersion: 'etcd-guard.io/v1alpha1',
      kind: 'EtcdGuard',
      metadata: { name, namespace: 'default' },
      spec: { selector: { matchLabels: { app: name } }, ...guard },
    };
  }

  #statefulSet(): unknown {
    const { name, podManagementPolicy = 'OrderedReady', labels: more = {} } = this.#options;
    const labels = { app: name };
    const { members } = this.etcd;
    const ports = [{ name: 'client', containerPort: members[0]?.port }];
    return {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name, namespace: 'default' },
      spec: {
        replicas: members.length,
        serviceName: name,
        podManagementPolicy,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels: { ...labels, ...more } },
          spec: { containers: [{ name: 'etcd', image: 'etcd:test', ports }] },
        },
      },
    };
  }
}
