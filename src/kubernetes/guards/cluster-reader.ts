import type { GuardedCluster } from '../../admission/guard-source.ts';
import { GuardSourceError } from '../../admission/guard-source.ts';
import type { ClusterView } from '../../decision/cluster-view.ts';
import type { Guard, Policy } from '../../decision/situation.ts';
import type { ConnectionSettings, EtcdCluster } from '../../etcd/port.ts';
import type { Fault } from '../../guards/faults.ts';
import { policy } from '../../guards/schema.ts';
import {
  ApiError,
  mayPass,
  type KubernetesApi,
  type KubernetesObject,
  type Resource,
} from '../api/api.ts';
import { Connections } from './connections.ts';
import { livingEntries, reservationsOf } from './disrupted-pods.ts';
import { decodeGuard, type EtcdGuard } from './guard-resource.ts';
import { isCordoned, livePod, podFacts, withoutReusedIps, type LivePod } from './live-pod.ts';
import { ResourceLedger, type LedgerReading } from './resource-ledger.ts';
import { selectorText } from './selector-text.ts';

/** What reading clusters needs from outside. */
export interface ClusterReaderContext {
  readonly api: KubernetesApi;
  readonly connect: (settings: ConnectionSettings) => EtcdCluster;
  /** Wall clock, milliseconds since the epoch; replicas compare their times. */
  readonly nowMs: () => number;
  /** Hears of every view that a round gave. */
  readonly viewed: (guard: Guard, view: ClusterView) => void;
}

/** The longest that one request to the API server may take, milliseconds. */
export const API_MS = 3_000;
/** The same for a Node, which no decision has to wait for. */
const NODE_MS = 1_000;

const NODES: Resource = { prefix: '/api/v1', plural: 'nodes', namespace: null };

/** A guard as the API server has it, and what it says. */
export interface ReadGuard {
  readonly object: KubernetesObject;
  readonly guard: EtcdGuard;
}

/** A guard, its pods and how to reach their members: read in this order, the Nodes last. */
export interface ClusterReading extends ReadGuard, LedgerReading {
  readonly live: readonly LivePod[];
  readonly nodes: ReadonlyMap<string, KubernetesObject>;
  readonly connection: Awaited<ReturnType<Connections['to']>>;
}

/** The pod that would be taken away; both empty: none in particular. */
export interface ReadTarget {
  readonly uid: string;
  readonly name: string;
}

const NOBODY: ReadTarget = { uid: '', name: '' };

/** Which pods, with the target among them, and whose Nodes matter. */
export interface ReadScope {
  readonly pods: (listed: readonly LivePod[]) => readonly LivePod[];
  readonly nodes: (pods: readonly LivePod[]) => readonly string[];
}

/** A guard as it stands, with nobody about to go. */
export interface Look {
  /** Its `fault` says why it can't be asked. */
  readonly cluster: GuardedCluster;
  /** null: the guard is not valid, or its pods can't be read. */
  readonly reading: ClusterReading | null;
}

const ALL_PODS: ReadScope = { pods: (listed) => listed, nodes: () => [] };

/** Reads, live, what belongs to one guard, and writes its ledger. */
export class ClusterReader {
  /** Whatever a review rests on is read through this. */
  readonly reads: Pick<KubernetesApi, 'get' | 'list'>;
  readonly #context: ClusterReaderContext;
  readonly #connections: Connections;
  readonly #ledger: ResourceLedger;

  constructor(context: ClusterReaderContext) {
    this.#context = context;
    this.reads = context.api;
    this.#connections = new Connections(this.reads, context.connect);
    this.#ledger = new ResourceLedger(context.api, context.nowMs, API_MS);
  }

  close(): void {
    this.#connections.close();
  }

  /** Reads one guard, given as it was just read; never rejects because of what it finds. */
  async look(object: KubernetesObject, left: () => number): Promise<Look> {
    const { guard, problems } = decodeGuard(object);
    if (guard === undefined) {
      const fault =
        problems[0] === undefined ? 'it is not valid' : invalidGuard(object, problems[0]);
      return { cluster: unreadCluster(object, null, fault), reading: null };
    }
    const reading = await this.read({ object, guard }, left);
    if (!(reading instanceof ApiError)) return { cluster: this.cluster(reading), reading };
    return { cluster: withoutPods({ object, guard }, reading), reading: null };
  }

  /** Gives an ApiError if the pods can't be read; `left` are the milliseconds that a request has. */
  async read(
    { object, guard }: ReadGuard,
    left: () => number,
    scope: ReadScope = ALL_PODS,
  ): Promise<ClusterReading | ApiError> {
    const [listed, connection] = await Promise.all([
      this.#podsOf(guard, left()),
      this.#connections.to(guard, left()),
    ]);
    if (listed instanceof ApiError) return listed;
    const live = scope.pods(listed);
    const nodes = await this.#nodes(scope.nodes(live), left);
    const pods = live.map(({ uid, snapshot: { terminating } }) => ({ uid, terminating }));
    return { object, guard, pods, live, nodes, connection };
  }

  /** What a hearing needs of it; without a target there is nothing that could be reserved. */
  cluster(reading: ClusterReading, target: ReadTarget = NOBODY): GuardedCluster {
    const { guard, live, nodes, connection } = reading;
    const nowMs = this.#context.nowMs();
    const decided = decisionGuard(guard);
    const cordoned = new Set([...nodes].flatMap(([name, node]) => (isCordoned(node) ? name : [])));
    const pods = withoutReusedIps(live).map((one) => podFacts(one, guard.spec, cordoned));
    return {
      guard: decided,
      uid: guard.uid,
      pods,
      endpoints: pods.map(({ name, address }) => ({ pod: name, address })),
      ...(connection.fault === undefined
        ? { etcd: connection.etcd }
        : { etcd: UNREACHABLE, fault: connection.fault, faultPasses: connection.passes }),
      reservations: reservationsOf(
        livingEntries(guard.ledger, reading.pods, nowMs),
        target.uid,
        nowMs,
      ),
      reserve: (entry) =>
        target === NOBODY ? refuseToWrite() : this.#ledger.reserve(reading, target, entry),
      keep: () => this.#ledger.keep(reading, target.uid),
      observed: (_answers, view) => {
        this.#context.viewed(decided, view);
        // Entries end by what the API server shows of their pods, never by what etcd says.
        return false;
      },
    };
  }

  async #podsOf(guard: EtcdGuard, withinMs: number): Promise<readonly LivePod[] | ApiError> {
    const labelSelector = selectorText(guard.spec.selector);
    try {
      const objects = await this.reads.list(podsIn(guard.namespace), { labelSelector }, withinMs);
      return objects.flatMap((object) => livePod(object) ?? []);
    } catch (error) {
      if (error instanceof ApiError) return error;
      throw error;
    }
  }

  /** Without the right to read a Node, or without the Node, it is neither Ready nor cordoned. */
  async #nodes(
    names: readonly string[],
    left: () => number,
  ): Promise<ReadonlyMap<string, KubernetesObject>> {
    const withinMs = Math.min(NODE_MS, left());
    const found = await Promise.all(
      names.map(async (name) => {
        const node = await this.reads.get(NODES, name, withinMs).catch(() => null);
        return node === null ? [] : [[name, node] as const];
      }),
    );
    return new Map(found.flat());
  }
}

const DEFAULT_POLICY: Policy = policy.parse({});

/** Stands where no connection can be made; a fault keeps anybody from asking it. */
const UNREACHABLE: EtcdCluster = {
  ask: () => Promise.resolve(new Map()),
  prove: () => Promise.resolve(new Map()),
  moveLeader: () => Promise.reject(new GuardSourceError('there is no connection')),
  close: () => undefined,
};

/** A guard that is only named: one of several, one that can't be read, one whose pods can't be read. */
export function unreadCluster(
  { metadata: { namespace = '', name, uid } }: KubernetesObject,
  guard: EtcdGuard | null,
  fault: string,
): GuardedCluster {
  return {
    uid,
    guard: guard === null ? { namespace, name, policy: DEFAULT_POLICY } : decisionGuard(guard),
    ...(fault !== '' && { fault }),
    pods: [],
    endpoints: [],
    etcd: UNREACHABLE,
    reservations: [],
    reserve: refuseToWrite,
    keep: () => Promise.resolve('conflict'),
    observed: () => false,
  };
}

/** A guard whose pods can't be read, for that reason. */
export function withoutPods({ object, guard }: ReadGuard, error: ApiError): GuardedCluster {
  const fault = `its pods can't be read: ${error.message}`;
  return { ...unreadCluster(object, guard, fault), faultPasses: mayPass(error) };
}

/** What is wrong with a guard, the first of its problems. */
export function invalidGuard(
  { metadata: { namespace = '', name } }: KubernetesObject,
  { path, message }: Fault,
): string {
  const what = path === '' ? message : `${path}: ${message}`;
  return `EtcdGuard ${namespace}/${name} is not valid: ${what}`;
}

/** Who does not know the pods must not write: all entries would look ended. */
function refuseToWrite(): Promise<never> {
  return Promise.reject(new GuardSourceError('its pods were not read'));
}

/** Pods of one namespace. */
export function podsIn(namespace: string): Resource {
  return { prefix: '/api/v1', plural: 'pods', namespace };
}

function decisionGuard({ namespace, name, spec }: EtcdGuard): Guard {
  return { namespace, name, policy: spec.policy };
}
