import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { z } from 'zod';
import { PROTECTED, webhookConfiguration } from './admission-webhook.ts';
import {
  startEtcdCluster,
  type CommandResult,
  type EtcdCluster,
  type EtcdClusterOptions,
  type EtcdMember,
} from './etcd-cluster.ts';
import { becomeReady, etcdPod, runsMembersOf } from './etcd-pods.ts';
import { startGuard, type GuardProcess, type LogLine } from './guard-process.ts';
import { startKubeApiserver, type KubeApiserver } from './kube-apiserver.ts';
import { KubeError, type KubeObject } from './kube-client.ts';
import { startKubelet, type Kubelet, type KubeletOptions, type RunningPod } from './kubelet.ts';
import { freePort, roundRobin, type Listener } from './loopback.ts';
import { until } from './until.ts';

const MANIFESTS = fileURLToPath(new URL('../../deploy/webhook/', import.meta.url));
/** Whom the shipped ClusterRoleBinding names. */
export const GUARD_USER = 'system:serviceaccount:etcd-guard:etcd-guard';

const entrySchema = z.object({
  pod: z.string(),
  time: z.string(),
  by: z.string(),
  reason: z.string(),
  handOffTo: z.string().optional(),
});
const statusSchema = z.looseObject({
  disruptedPods: z.record(z.string(), entrySchema).optional(),
});
const configurationSchema = z.looseObject({
  webhooks: z.array(
    z.looseObject({ clientConfig: z.object({ service: z.looseObject({ path: z.string() }) }) }),
  ),
});
const versionSchema = z.object({ minor: z.string() });

/** An entry of `status.disruptedPods`. */
export type Entry = z.infer<typeof entrySchema>;

/** What tests add to the guard. */
export interface GuardedClusterOptions {
  /** More arguments of `serve`. */
  readonly args?: readonly string[];
  /** Files of deploy/webhook that are applied besides the CRD and the rights. */
  readonly manifests?: readonly string[];
  /** More arguments of the API server. */
  readonly apiArgs?: readonly string[];
}

/** What tests vary in the etcd that they add. */
export interface GuardedEtcdOptions extends EtcdClusterOptions {
  /** Also the pods' label `app` and the start of the members' names. */
  readonly name: string;
  /** The last byte of the first member's loopback address; the others follow. */
  readonly firstHost: number;
  readonly namespace?: string;
  /** More of the EtcdGuard's spec. */
  readonly guard?: Readonly<Record<string, unknown>>;
  /** The pods keep their data on an emptyDir. */
  readonly onEmptyDir?: boolean;
}

/**
 * A real API server with the shipped CRD and rights, two replicas of the built program behind one
 * address, registered as a webhook, and as many etcd clusters as are added.
 */
export class GuardedCluster {
  readonly api: KubeApiserver;
  readonly replicas: readonly [GuardProcess, GuardProcess];
  readonly #program: string;
  readonly #balancer: Listener;
  readonly #etcds: GuardedEtcd[] = [];

  private constructor(init: {
    api: KubeApiserver;
    replicas: readonly [GuardProcess, GuardProcess];
    program: string;
    balancer: Listener;
  }) {
    this.api = init.api;
    this.replicas = init.replicas;
    this.#program = init.program;
    this.#balancer = init.balancer;
  }

  static async start(
    program: string,
    { args = [], manifests = [], apiArgs = [] }: GuardedClusterOptions = {},
  ): Promise<GuardedCluster> {
    const api = await startKubeApiserver({ args: apiArgs });
    try {
      await api.admin.patch('/api/v1/namespaces/default', { metadata: { labels: PROTECTED } });
      await install(api, manifests);
      const start = (): Promise<GuardProcess> => startReplica(api, program, args);
      const replicas = await Promise.all([start(), start()]);
      const balancer = await roundRobin(replicas.map(({ https }) => https));
      const authorities = replicas.map(({ ca }) => ca).join('\n');
      await api.apply(webhookConfiguration(balancer.port, authorities));
      return new GuardedCluster({ api, replicas, program, balancer });
    } catch (error) {
      await api.stop();
      throw error;
    }
  }

  /** One that no webhook configuration knows. */
  startReplica(): Promise<GuardProcess> {
    return startReplica(this.api, this.#program, []);
  }

  /** The webhook configuration of a component, but with the address at which the replicas are here. */
  async register(component: string): Promise<void> {
    const text = await readFile(`${MANIFESTS}components/${component}/webhook.yaml`, 'utf8');
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
  }

  /** Starts an etcd cluster, a node and a pod for each member, and its EtcdGuard. */
  async addEtcd(options: GuardedEtcdOptions): Promise<GuardedEtcd> {
    const etcd = await GuardedEtcd.start(this, options);
    this.#etcds.push(etcd);
    await etcd.isWatched();
    return etcd;
  }

  /** What both replicas have logged since then of requests for this pod that were meant, in order. */
  decisions(pod: string, since: Date): readonly LogLine[] {
    return this.replicas
      .flatMap(({ log }) => log)
      .filter(({ msg, dryRun }) => msg === 'decided' && dryRun !== true)
      .filter((line) => line['pod'] === pod)
      .filter(({ time }) => Date.parse(String(time)) >= since.getTime())
      .toSorted((a, b) => Date.parse(String(a['time'])) - Date.parse(String(b['time'])));
  }

  /** Waits for what the logs say first of this pod since then. */
  async decided(pod: string, since: Date): Promise<LogLine> {
    return until(`a decision about ${pod}`, () => this.decisions(pod, since)[0]);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#etcds.map((etcd) => etcd.stop()));
    await this.#balancer.close();
    await Promise.all(this.replicas.map((replica) => replica.stop()));
    await this.api.stop();
  }
}

interface WithApi {
  readonly api: KubeApiserver;
}

/** An etcd cluster as pods, and its EtcdGuard, all of one name. */
export class GuardedEtcd {
  readonly etcd: EtcdCluster;
  readonly namespace: string;
  /** What is run for a pod of this name instead of its member. */
  readonly insteadOf = new Map<string, KubeletOptions['run']>();
  readonly #cluster: WithApi;
  readonly #options: GuardedEtcdOptions;
  #kubelets: readonly Kubelet[] = [];

  private constructor(cluster: WithApi, options: GuardedEtcdOptions, etcd: EtcdCluster) {
    this.#cluster = cluster;
    this.#options = options;
    this.etcd = etcd;
    this.namespace = options.namespace ?? 'default';
  }

  static async start(cluster: WithApi, options: GuardedEtcdOptions): Promise<GuardedEtcd> {
    const { name, firstHost, members = 3 } = options;
    const hosts = Array.from({ length: members }, (_, at) => `127.0.0.${firstHost + at}`);
    const etcd = await startEtcdCluster({
      ...options,
      names: hosts.map((_, ordinal) => `${name}-${ordinal}`),
      hosts,
      clientPort: await freePort(hosts[0]),
    });
    const guarded = new GuardedEtcd(cluster, options, etcd);
    guarded.#kubelets = await Promise.all(
      etcd.members.map((member) =>
        startKubelet({
          api: cluster.api,
          nodeName: nodeOf(member.name),
          run: (pod) => guarded.#run(pod),
        }),
      ),
    );
    await guarded.applyGuard();
    await guarded.bringBack(...etcd.members);
    return guarded;
  }

  /** Final DELETEs that were refused: there must never be any. */
  get refusals(): readonly string[] {
    return this.#kubelets.flatMap(({ refusals }) => refusals.map(({ message }) => message));
  }

  get guardPath(): string {
    const { name } = this.#options;
    return `/apis/etcd-guard.io/v1alpha1/namespaces/${this.namespace}/etcdguards/${name}`;
  }

  podPath(name: string): string {
    return `/api/v1/namespaces/${this.namespace}/pods/${name}`;
  }

  /** With the spec that it was added with, and this instead of parts of it. */
  async applyGuard(spec: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const { name, guard = {} } = this.#options;
    await this.#cluster.api.apply({
      apiVersion: 'etcd-guard.io/v1alpha1',
      kind: 'EtcdGuard',
      metadata: { name, namespace: this.namespace },
      spec: { selector: { matchLabels: { app: name } }, ...guard, ...spec },
    });
  }

  /** The API server follows its configurations with a delay: once a refusal comes, it is in force. */
  async isWatched(): Promise<void> {
    const { name } = await this.etcd.leader();
    await until('the webhook is in force', async () => {
      const { stderr } = await this.remove(name, '--dry-run=server');
      return stderr.includes('denied the request');
    });
  }

  async roles(): Promise<{ leader: EtcdMember; first: EtcdMember; second: EtcdMember }> {
    const leader = await this.etcd.leader();
    const [first, second] = this.etcd.members.filter(({ id }) => id !== leader.id);
    if (first === undefined || second === undefined) throw new Error('three members are needed');
    return { leader, first, second };
  }

  /** kubectl delete pod */
  remove(...args: readonly string[]): Promise<CommandResult> {
    return this.#cluster.api.kubectl('delete', 'pod', `--namespace=${this.namespace}`, ...args);
  }

  /** POST pods/NAME/eviction; rejects with a KubeError. */
  async evict(name: string, deleteOptions: unknown = {}, query = ''): Promise<void> {
    const { admin } = this.#cluster.api;
    const { minor } = versionSchema.parse(JSON.parse(await admin.text('GET', '/version')));
    const version = Number.parseInt(minor, 10) < 22 ? 'v1beta1' : 'v1';
    await admin.text('POST', `${this.podPath(name)}/eviction${query}`, {
      apiVersion: `policy/${version}`,
      kind: 'Eviction',
      metadata: { name, namespace: this.namespace },
      deleteOptions,
    });
  }

  /** undefined: there is none. */
  async pod(name: string): Promise<KubeObject | undefined> {
    try {
      return await this.#cluster.api.admin.get(this.podPath(name));
    } catch (error) {
      if (error instanceof KubeError && error.code === 404) return undefined;
      throw error;
    }
  }

  async isGone(name: string): Promise<void> {
    await until(`pod ${name} is gone`, async () => (await this.pod(name)) === undefined);
  }

  /** The ledger, by pod uid. */
  async ledger(): Promise<Readonly<Record<string, Entry>>> {
    return ledgerIn(await this.#cluster.api.admin.get(this.guardPath));
  }

  async clearLedger(): Promise<void> {
    const status = { disruptedPods: null };
    await this.#cluster.api.admin.patch(`${this.guardPath}/status`, { status });
  }

  /** As another replica would have written it: an entry for this pod, so many seconds ago. */
  async reserve(name: string, agoSeconds: number, more: Partial<Entry> = {}): Promise<void> {
    const { metadata } = await this.#cluster.api.admin.get(this.podPath(name));
    const time = new Date(Date.now() - agoSeconds * 1_000).toISOString();
    const entry = { pod: name, time, by: 'alice', reason: 'Spared', ...more };
    await this.#cluster.api.admin.patch(`${this.guardPath}/status`, {
      status: { disruptedPods: { [metadata.uid ?? '']: entry } },
    });
  }

  /** Every member's pod is there, runs and is healthy; nothing is reserved; no node is cordoned. */
  async makeWhole(): Promise<void> {
    this.insteadOf.clear();
    await this.applyGuard();
    await this.clearLedger();
    for (const { name } of this.etcd.members) await uncordon(this.#cluster.api, nodeOf(name));
    await this.bringBack(...this.etcd.members);
  }

  /** As a controller would: the pods again, and wait until their members are healthy voters. */
  async bringBack(...members: readonly EtcdMember[]): Promise<void> {
    await this.replace(...members);
    await becomeReady(this.#cluster.api, ...members.map(({ name }) => this.podPath(name)));
    await this.etcd.waitHealthy();
    await this.etcd.leader();
  }

  /** The pods again, whatever becomes of them. */
  async replace(...members: readonly EtcdMember[]): Promise<void> {
    for (const { name } of members) {
      await until(`${name} is not terminating`, async () => {
        const pod = await this.pod(name);
        return pod?.metadata.deletionTimestamp === undefined;
      });
    }
    await this.#cluster.api.apply(...members.map((member) => this.#manifest(member)));
  }

  /** The reason that the API server has for a container that does not run, once it has one. */
  async isDown(name: string): Promise<void> {
    await until(`the container of ${name} is down`, async () => {
      const pod = await this.pod(name);
      return /"(?:waiting|terminated)":/.test(JSON.stringify(pod?.status ?? {}));
    });
  }

  async stop(): Promise<void> {
    await Promise.all(this.#kubelets.map((kubelet) => kubelet.stop()));
    await this.etcd.stop();
  }

  #run(pod: KubeObject): Promise<RunningPod> {
    const run = this.insteadOf.get(pod.metadata.name) ?? runsMembersOf(this.etcd);
    return run(pod);
  }

  #manifest(member: EtcdMember): unknown {
    const { name, onEmptyDir = false } = this.#options;
    const { namespace } = this;
    const labels = { app: name };
    const pod = etcdPod(member, { nodeName: nodeOf(member.name), namespace, labels });
    if (!onEmptyDir) return pod;
    const ports = [{ name: 'client', containerPort: member.port }];
    const volumeMounts = [{ name: 'data', mountPath: '/var/lib/etcd' }];
    return {
      ...pod,
      spec: {
        nodeName: nodeOf(member.name),
        volumes: [{ name: 'data', emptyDir: {} }],
        containers: [{ name: 'etcd', image: 'etcd:test', ports, volumeMounts }],
      },
    };
  }
}

/** The entries of an EtcdGuard, by pod uid. */
export function ledgerIn({ status }: KubeObject): Readonly<Record<string, Entry>> {
  return statusSchema.parse(status ?? {}).disruptedPods ?? {};
}

/** As kubectl uncordon. */
export async function uncordon(api: KubeApiserver, node: string): Promise<void> {
  await api.admin.patch(`/api/v1/nodes/${node}`, { spec: { unschedulable: null } });
}

/** The node that a member's pod is bound to. */
export function nodeOf(member: string): string {
  return `node-of-${member}`;
}

async function startReplica(
  api: KubeApiserver,
  program: string,
  args: readonly string[],
): Promise<GuardProcess> {
  const kubeconfig = await api.kubeconfigFor({ user: GUARD_USER });
  return startGuard({ program, guards: null, args: [`--kubeconfig=${kubeconfig}`, ...args] });
}

/** The CRD, for API servers with and without CEL, and the guard's rights. */
export async function install(api: KubeApiserver, manifests: readonly string[]): Promise<void> {
  for (const args of [
    ['apply', '--validate=false', '-f', `${MANIFESTS}10-crd.yaml`],
    ...['20-rbac.yaml', ...manifests].map((file) => ['apply', '-f', `${MANIFESTS}${file}`]),
    ['wait', '--for=condition=Established', 'crd/etcdguards.etcd-guard.io', '--timeout=20s'],
  ]) {
    const { exitCode, stderr } = await api.kubectl(...args);
    if (exitCode !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
  }
}
