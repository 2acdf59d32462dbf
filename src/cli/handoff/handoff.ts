import type { GuardedCluster } from '../../admission/guard-source.ts';
import type { HandOffConfig } from '../../config.ts';
import { usageExit, UsageError } from '../backend.ts';
import { explained } from '../cluster-error.ts';
import { openClusters, type Clusters, type FoundCluster } from '../clusters/clusters.ts';
import type { Surroundings } from '../streams.ts';
import { plain } from '../text.ts';
import { byHand, recordedWay } from './by-hand.ts';
import { move, UnconfirmedError } from './move.ts';
import { planFor, type Plan, type Wanted } from './plan.ts';

type Move = Extract<Plan, { kind: 'move' }>;

const ASK_MS = 2_000;
const READ_MS = 10_000;

/** What keeps leadership where it is, and the exit code that this is. */
class Refused extends Error {
  override readonly name = 'Refused';
  readonly code: 1 | 3 | 4;

  constructor(message: string, code: 1 | 3 | 4) {
    super(message);
    this.code = code;
  }
}

/** `etcd-guard handoff`; resolves with the exit code. */
export async function handOff(
  config: HandOffConfig,
  around: Surroundings,
  open: typeof openClusters = openClusters,
): Promise<number> {
  const { streams } = around;
  try {
    if (!config.yes && !config.dryRun && streams.ask === null) {
      throw new UsageError(['nobody is there to confirm it: give --yes']);
    }
    const clusters = await open(config.guards, config.namespace, around);
    try {
      return await new HandingOff(config, clusters, around).run();
    } finally {
      clusters.close();
    }
  } catch (error) {
    if (!(error instanceof Refused)) return usageExit(error, streams);
    streams.err(`etcd-guard: ${plain(error.message)}\n`);
    return streams.stop.aborted ? Number(streams.stop.reason) : error.code;
  }
}

class HandingOff {
  readonly #config: HandOffConfig;
  readonly #clusters: Clusters;
  readonly #around: Surroundings;
  /** Of the leader's pod, as last read. */
  #leaderUid: string | null = null;

  constructor(config: HandOffConfig, clusters: Clusters, around: Surroundings) {
    this.#config = config;
    this.#clusters = clusters;
    this.#around = around;
  }

  async run(): Promise<number> {
    const { out } = this.#around.streams;
    const found = await this.#choose();
    const { pod, to } = this.#config;
    const title = titleOf(found.cluster);
    const first = await this.#plan({ pod, to }, found);
    if (first.kind === 'done') {
      const already = pod === null || pod === first.leader ? 'leads already' : `leads, not ${pod}`;
      out(`${title}: nothing to do: ${first.leader} ${already}\n`);
      return 0;
    }
    const plan = await this.#replan(await this.#read(first, found), { ...first, to: null }, found);
    const words = `from ${plan.from.pod} to ${plan.to.pod}`;
    if (this.#config.dryRun) {
      out(`${title}: leadership would be moved ${words}\n`);
      return 0;
    }
    await this.#confirm(`Move leadership of ${title} ${words}? [y/N] `);
    const leader = await this.#move(plan, found);
    out(`${title}: leadership moved from ${plan.from.pod} to ${leader}\n`);
    await this.#leaveTrace(plan.from.pod, leader, found);
    return 0;
  }

  /** The guard that is named, or whose pod is, or the only one. */
  async #choose(): Promise<FoundCluster> {
    const { pod, guard } = this.#config;
    const { namespace } = this.#clusters;
    const all = await this.#clusters.find();
    const named = all.filter(({ cluster }) => guard === null || cluster.guard.name === guard);
    const having = pod === null ? named : named.filter(({ cluster }) => mayHave(cluster, pod));
    const [only, second] = having;
    if (only === undefined) {
      const what = guard === null ? 'no EtcdGuard' : `no EtcdGuard '${guard}'`;
      const withPod = pod === null || named.length === 0 ? '' : ` with a pod ${pod}`;
      throw new Refused(`${what}${withPod} in namespace ${namespace}`, 4);
    }
    if (second !== undefined) {
      const names = having.map(({ cluster }) => cluster.guard.name).join(', ');
      throw new UsageError([`which EtcdGuard? --guard takes one of ${names}`]);
    }
    return only;
  }

  /** Rejects with a Refused unless there is something to do, or nothing has to be done. */
  async #plan(
    wanted: Wanted,
    found: FoundCluster,
  ): Promise<Extract<Plan, { kind: 'move' | 'done' }>> {
    const { cluster } = found;
    const title = titleOf(cluster);
    if (cluster.fault !== undefined) {
      const way = recordedWay(found);
      const otherwise = way === '' ? '' : ` What can be run meanwhile, ${way}`;
      throw new Refused(`${title} can't be asked: ${cluster.fault}.${otherwise}`, 3);
    }
    const plan = planFor(wanted, cluster, await cluster.etcd.ask(cluster.endpoints, ASK_MS));
    switch (plan.kind) {
      case 'no-such-pod':
        throw new Refused(`${title} has no pod ${plan.pod}`, 4);
      case 'refused':
        throw new Refused(`leadership of ${title} stays where it is: ${plan.why}`, 1);
      case 'unverifiable':
        throw new Refused(
          plan.silent
            ? `${title} can't be asked from here: ${plan.why}. ${byHand(found)}`
            : `leadership of ${title} is not moved, since nobody can tell who leads: ${plan.why}`,
          3,
        );
      default:
        return plan;
    }
  }

  async #confirm(question: string): Promise<void> {
    const { ask } = this.#around.streams;
    if (this.#config.yes || ask === null) return;
    const answer = await ask(question);
    if (!/^\s*y(es)?\s*$/i.test(answer ?? '')) throw new Refused('nothing was moved', 1);
  }

  /** Guard, ledger and pods as they are now, and whose node is cordoned, for a request about the leader's pod. */
  async #read({ from }: Pick<Move, 'from'>, { cluster }: FoundCluster): Promise<GuardedCluster> {
    const { namespace, name } = cluster.guard;
    const subject = { kind: 'eviction', namespace, name: from.pod } as const;
    const { clusters, target } = await this.#clusters.source.read(subject, READ_MS);
    const [only] = clusters;
    this.#leaderUid = target.uid;
    if (only === undefined || clusters.length > 1 || only.guard.name !== name) {
      throw new Refused(
        `${titleOf(cluster)} is not the one EtcdGuard that selects ${from.pod}; nothing was moved`,
        1,
      );
    }
    return { ...only, pods: (await only.withCordons?.(READ_MS)) ?? only.pods };
  }

  /** The same plan by what was just read; without `to` anybody may be chosen, unless one was asked for. */
  async #replan(
    cluster: GuardedCluster,
    { from, to }: Pick<Move, 'from'> & { readonly to: Move['to'] | null },
    found: FoundCluster,
  ): Promise<Move> {
    const wanted = { pod: from.pod, to: to?.pod ?? this.#config.to };
    const plan = await this.#plan(wanted, { ...found, cluster });
    if (plan.kind === 'move' && plan.from.id === from.id) return plan;
    throw new Refused('who leads has changed meanwhile; nothing was moved, try again', 1);
  }

  /** What people find beside the pod and the guard; that it can't be written changes nothing. */
  async #leaveTrace(from: string, to: string, { cluster }: FoundCluster): Promise<void> {
    const { guard, uid = null } = cluster;
    const { namespace } = guard;
    const failure = await this.#clusters.announce?.({
      about: [
        { kind: 'Pod', namespace, name: from, uid: this.#leaderUid },
        { kind: 'EtcdGuard', namespace, name: guard.name, uid },
      ],
      type: 'Normal',
      reason: 'LeadershipMoved',
      action: 'MovedLeadership',
      message: `Leadership of etcd cluster ${titleOf(cluster)} was moved from ${from} to ${to} by hand (etcd-guard handoff).`,
    });
    if (failure === undefined || failure === null) return;
    const { err } = this.#around.streams;
    err(`etcd-guard: no Event tells of it, which could not be written: ${plain(failure)}\n`);
  }

  /** All is read anew: whoever was asked may have taken minutes. */
  async #move(plan: Move, found: FoundCluster): Promise<string> {
    try {
      return await move({
        timeoutMs: this.#config.timeoutMs,
        stop: this.#around.streams.stop,
        by: 'etcd-guard handoff',
        read: () => this.#read(plan, found),
        plan: (cluster) => this.#replan(cluster, plan, found),
      });
    } catch (error) {
      if (error instanceof Refused) throw error;
      const sure =
        error instanceof UnconfirmedError ? 'may have been moved or not' : 'was not moved';
      throw new Refused(`leadership ${sure}: ${explained(error)}`, 1);
    }
  }
}

function titleOf({ guard }: GuardedCluster): string {
  return `${guard.namespace}/${guard.name}`;
}

/** One that can't be read may have any pod. */
function mayHave({ pods, fault }: GuardedCluster, pod: string): boolean {
  return fault !== undefined || pods.some(({ name }) => name === pod);
}
