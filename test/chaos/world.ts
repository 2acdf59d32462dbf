import { execa } from 'execa';
import { z } from 'zod';
import { PROTECTED, webhookConfiguration } from '../harness/admission-webhook.ts';
import { buildProgram } from '../harness/built-program.ts';
import { GUARD_USER, install } from '../harness/guarded-cluster.ts';
import { startKubeApiserver, type KubeApiserver } from '../harness/kube-apiserver.ts';
import { temporaryDirectory } from '../harness/reaper.ts';
import { requireBinary } from '../harness/require-binary.ts';
import { until } from '../harness/until.ts';
import { EtcdClients } from './clients.ts';
import { Front } from './front.ts';
import type { History } from './history.ts';
import { Member } from './member.ts';
import { Membership } from './membership.ts';
import { makeNetwork, namespacesWork, type Network } from './network.ts';
import type { Breakage } from './options.ts';
import { NAMESPACE, Pods } from './pods.ts';
import { Replicas } from './replicas.ts';

const GUARDS = `/apis/etcd-guard.io/v1alpha1/namespaces/${NAMESPACE}/etcdguards`;
const REPLICAS = 2;
const READ_LOGS_MS = 40;

export interface WorldOptions {
  readonly members: number;
  readonly broken: Breakage | null;
  readonly history: History;
  /** main.js of a build; null: the sources are built. */
  readonly program: string | null;
  /** No namespaces, even where they are allowed. */
  readonly plain: boolean;
}

/** Everything that is real here: an API server, replicas of the guard, an etcd cluster as pods. */
export class World {
  readonly api: KubeApiserver;
  readonly members: readonly Member[];
  readonly replicas: Replicas;
  readonly front: Front;
  readonly pods: Pods;
  readonly clients: EtcdClients;
  readonly membership: Membership;
  readonly namespaces: boolean;
  /** `policy/VERSION` of an Eviction. */
  readonly policy: string;
  readonly #everyMember: Member[];
  readonly #over = new AbortController();
  readonly #work: Promise<void>[];
  readonly #removals: readonly (() => Promise<void>)[];

  private constructor(init: Parts) {
    this.api = init.api;
    this.members = init.members;
    this.replicas = init.replicas;
    this.front = init.front;
    this.pods = init.pods;
    this.clients = init.clients;
    this.membership = init.membership;
    this.namespaces = init.network.namespaces;
    this.policy = init.policy;
    this.#everyMember = init.everyMember;
    this.#removals = init.removals;
    this.#work = [this.#readLogs(), this.#watchLedger(init.history)];
  }

  static async start(options: WorldOptions): Promise<World> {
    const { history, broken, program } = options;
    const directory = await temporaryDirectory('chaos');
    const [built, api, namespaces] = await Promise.all([
      program === null ? buildProgram() : { program, remove: () => Promise.resolve() },
      startKubeApiserver(),
      options.plain ? false : namespacesWork(),
    ]);
    const network = await makeNetwork({ directory: directory.path, namespaces });
    await api.admin.patch(`/api/v1/namespaces/${NAMESPACE}`, { metadata: { labels: PROTECTED } });
    await install(api, []);
    const names = new Map<string, string>();
    const everyMember: Member[] = [];
    const addMember = async (): Promise<Member> => {
      const place = await network.add();
      const name = `etcd-${everyMember.length}`;
      const member = new Member({ name, place, history, directory: directory.path, names });
      everyMember.push(member);
      return member;
    };
    while (everyMember.length < options.members) await addMember();
    const members = [...everyMember];
    const initialCluster = members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(',');
    for (const member of members) member.initialCluster = initialCluster;
    const pods = new Pods(api, history);
    const replicas = new Replicas({
      program: built.program,
      kubeconfig: await api.kubeconfigFor({ user: GUARD_USER }),
      directory: directory.path,
      history,
    });
    for (let replica = 0; replica < REPLICAS; replica += 1) await replicas.start(replica);
    const front = await Front.start({
      history,
      replicas,
      broken,
      uidOf: (pod) => pods.at(pod)?.metadata.uid ?? '',
    });
    await api.apply(webhookConfiguration(front.port, front.ca));
    history.add({ kind: 'voters', sets: [members.map(({ name }) => name)] });
    const clients = new EtcdClients();
    const membership = new Membership({ members, history, pods, clients, spare: addMember });
    const world = new World({
      api,
      network,
      members,
      everyMember,
      replicas,
      front,
      pods,
      clients,
      membership,
      history,
      policy: await policyOf(api),
      removals: [() => directory.remove(), () => built.remove()],
    });
    await world.#bringUp();
    return world;
  }

  /** The member that a quorum of those that run takes for the leader. */
  leader(): string | null {
    const votes = this.members.map(({ leader }) => leader).filter((name) => name !== null);
    const quorum = Math.floor(this.members.length / 2) + 1;
    const wins = (name: string): boolean => votes.filter((v) => v === name).length >= quorum;
    return votes.find(wins) ?? null;
  }

  /** Whether every member's pod is there, is not terminating, and its member serves reads. */
  async isWhole(): Promise<boolean> {
    const names = this.members.map(({ name }) => name);
    if (this.pods.names.join() !== names.toSorted().join()) return false;
    if (names.some((name) => this.pods.isTerminating(name))) return false;
    const serving = await Promise.all(this.members.map((member) => this.clients.serves(member)));
    return serving.every(Boolean) && this.leader() !== null;
  }

  async stop(): Promise<void> {
    this.#over.abort();
    await Promise.all(this.#work);
    await this.pods.stop();
    await this.front.close();
    await this.replicas.stop();
    this.clients.close();
    await Promise.all(this.#everyMember.map((member) => member.end()));
    await this.api.stop();
    for (const remove of this.#removals) await remove();
  }

  async #bringUp(): Promise<void> {
    this.pods.begin();
    for (const member of this.members) await this.pods.add(member);
    const [first] = this.members;
    await this.api.apply({
      apiVersion: 'etcd-guard.io/v1alpha1',
      kind: 'EtcdGuard',
      metadata: { name: 'etcd', namespace: NAMESPACE },
      spec: {
        selector: { matchLabels: { app: 'etcd' } },
        members: { port: first?.port },
      },
    });
    await until('the cluster is whole', () => this.isWhole(), { timeoutMs: 60_000 });
  }

  async #readLogs(): Promise<void> {
    while (!this.#over.signal.aborted) {
      for (const member of this.#everyMember) await member.readLogs();
      await passing(READ_LOGS_MS);
    }
  }

  /** What the guards have reserved, for those who read the history. */
  async #watchLedger(history: History): Promise<void> {
    let known = '{}';
    const changed = ({ status }: { readonly status?: Readonly<Record<string, unknown>> }): void => {
      const entries = ledgerSchema.parse(status?.['disruptedPods'] ?? {});
      const text = JSON.stringify(entries);
      if (text !== known) history.add({ kind: 'ledger', entries });
      known = text;
    };
    const handlers = {
      synced: (guards: readonly object[]) => guards.forEach(changed),
      changed,
      deleted: () => undefined,
    };
    const { signal } = this.#over;
    while (!signal.aborted) {
      try {
        await this.api.admin.watch(GUARDS, handlers, signal);
      } catch {
        await passing(READ_LOGS_MS);
      }
    }
  }
}

const ledgerSchema = z.record(z.string(), z.unknown());
const versionSchema = z.object({ minor: z.string() });

interface Parts {
  readonly api: KubeApiserver;
  readonly network: Network;
  readonly members: readonly Member[];
  readonly everyMember: Member[];
  readonly replicas: Replicas;
  readonly front: Front;
  readonly pods: Pods;
  readonly clients: EtcdClients;
  readonly membership: Membership;
  readonly history: History;
  readonly policy: string;
  readonly removals: readonly (() => Promise<void>)[];
}

async function policyOf({ admin }: KubeApiserver): Promise<string> {
  const { minor } = versionSchema.parse(JSON.parse(await admin.text('GET', '/version')));
  return Number.parseInt(minor, 10) < 22 ? 'policy/v1beta1' : 'policy/v1';
}

/** The version of etcd, as it tells it. */
export async function etcdVersion(): Promise<string> {
  const { stdout } = await execa(requireBinary('etcd'), ['--version']);
  return /etcd Version: (\S+)/.exec(stdout)?.[1] ?? stdout;
}

function passing(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}
