import { webhookConfiguration, PROTECTED } from './admission-webhook.ts';
import { CertificateAuthority } from './certificates.ts';
import { earlierProgram } from './earlier-program.ts';
import { startGuard, type GuardProcess } from './guard-process.ts';
import { GUARD_USER, GuardedEtcd, install, type GuardedEtcdOptions } from './guarded-cluster.ts';
import { startKubeApiserver, type KubeApiserver } from './kube-apiserver.ts';
import { roundRobin, type Listener } from './loopback.ts';
import type { ProcessExit } from './managed-process.ts';
import { until } from './until.ts';

/** old: of EARLIER_REVISION; new: as the sources are. */
export type Age = 'old' | 'new';

/** A replica of either version. */
export interface Replica {
  readonly age: Age;
  readonly guard: GuardProcess;
}

/** `shipped` is what deploy/ has; `short` spares seconds where nobody asks while a replica leaves. */
const SHUTDOWN_DELAYS = { shipped: '5s', short: '1s' } as const;

/**
 * A real API server with the CRD and rights of today, and replicas of two versions that come and go
 * behind one address, as they do behind a Service.
 */
export class MixedCluster {
  readonly api: KubeApiserver;
  /** Of replicas that are started from now on. */
  shutdownDelay: keyof typeof SHUTDOWN_DELAYS = 'shipped';
  readonly #programs: Readonly<Record<Age, string>>;
  readonly #authority: CertificateAuthority;
  readonly #balancer: Listener;
  /** Addresses of those in rotation; the balancer has this list itself. */
  readonly #targets: string[];
  readonly #started: GuardProcess[] = [];
  readonly #etcds: GuardedEtcd[] = [];
  #rotation: Replica[] = [];

  private constructor(init: {
    api: KubeApiserver;
    programs: Readonly<Record<Age, string>>;
    authority: CertificateAuthority;
    balancer: Listener;
    targets: string[];
  }) {
    this.api = init.api;
    this.#programs = init.programs;
    this.#authority = init.authority;
    this.#balancer = init.balancer;
    this.#targets = init.targets;
  }

  /** Without any replica. */
  static async start(program: string): Promise<MixedCluster> {
    const programs = { old: await earlierProgram(), new: program };
    const api = await startKubeApiserver();
    try {
      await api.admin.patch('/api/v1/namespaces/default', { metadata: { labels: PROTECTED } });
      await install(api, []);
      const authority = await CertificateAuthority.create('etcd-guard authority');
      const targets: string[] = [];
      const balancer = await roundRobin(targets);
      await api.apply(webhookConfiguration(balancer.port, authority.cert));
      return new MixedCluster({ api, programs, authority, balancer, targets });
    } catch (error) {
      await api.stop();
      throw error;
    }
  }

  /** Those that are asked, the one that was added last at the end. */
  get rotation(): readonly Replica[] {
    return this.#rotation;
  }

  /** Ready, but asked by nobody. */
  async startReplica(age: Age): Promise<GuardProcess> {
    const kubeconfig = await this.api.kubeconfigFor({ user: GUARD_USER });
    const guard = await startGuard({
      program: this.#programs[age],
      guards: null,
      authority: this.#authority,
      args: [
        `--kubeconfig=${kubeconfig}`,
        `--shutdown-delay=${SHUTDOWN_DELAYS[this.shutdownDelay]}`,
      ],
    });
    this.#started.push(guard);
    return guard;
  }

  /** Starts a replica; it is asked once it is ready. */
  async add(age: Age): Promise<Replica> {
    const guard = await this.startReplica(age);
    await until('the replica is ready', () => isReady(guard), { timeoutMs: 30_000 });
    const replica = { age, guard };
    this.#rotation.push(replica);
    this.#targets.push(guard.https);
    return replica;
  }

  /** Ends a replica as Kubernetes does: new connections reach it until it says that it is not ready. */
  async remove(replica: Replica): Promise<ProcessExit> {
    const { guard } = replica;
    guard.process.signal('SIGTERM');
    // On a busy machine it may have ended before it is asked.
    const hasEnded = (): boolean => guard.process.exited !== undefined;
    await until('the replica is not ready', async () => hasEnded() || !(await isReady(guard)));
    this.#rotation = this.#rotation.filter((one) => one !== replica);
    this.#targets.splice(this.#targets.indexOf(guard.https), 1);
    // Not asked again: a second signal would end it at once.
    return until('the replica has ended', () => guard.process.exited, { timeoutMs: 30_000 });
  }

  /** Exactly these replicas, in this order; those that are there already stay. */
  async run(...ages: readonly Age[]): Promise<readonly GuardProcess[]> {
    const spare = [...this.#rotation];
    const kept = ages.map((age) => {
      const at = spare.findIndex((one) => one.age === age);
      return at === -1 ? undefined : spare.splice(at, 1)[0];
    });
    const all: Replica[] = [];
    for (const [at, age] of ages.entries()) all.push(kept[at] ?? (await this.add(age)));
    await Promise.all(spare.map((replica) => this.remove(replica)));
    return all.map(({ guard }) => guard);
  }

  /** Starts an etcd cluster, a node and a pod for each member, and its EtcdGuard. */
  async addEtcd(options: GuardedEtcdOptions): Promise<GuardedEtcd> {
    const etcd = await GuardedEtcd.start(this, options);
    this.#etcds.push(etcd);
    await etcd.isWatched();
    return etcd;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#etcds.map((etcd) => etcd.stop()));
    await this.#balancer.close();
    await Promise.all(this.#started.map((guard) => guard.stop()));
    await this.api.stop();
  }
}

async function isReady(guard: GuardProcess): Promise<boolean> {
  const { ok } = await fetch(`${guard.url}/readyz`);
  return ok;
}
