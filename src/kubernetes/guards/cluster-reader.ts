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
/** The same for a Node, without which every decision can be made. */
const NODE_MS = 1_000;

const NODES: Resource = { prefix: '/api/v1', plural: 'nodes', namespace: null };

/** A guard as the API server has it, and what it says. */
export interface ReadGuard {
  readonly object: KubernetesObject;
  readonly guard: EtcdGuard;
}

/** A guard, its pods and how to reach their members: read in this order. */
export interface ClusterReading extends ReadGuard, LedgerReading {
  readonly live: readonly LivePod[];
  readonly connection: Awaited<ReturnType<Connections['to']>>;
}

/** The pod that would be taken away; both empty: none in particular. */
export interface ReadTarget {
  readonly uid: string;
  readonly name: string;
}

const NOBODY: ReadTarget = { uid: '', name: '' };

/** A guard as it stands, with nobody about to go. */
export interface Look {
  /** Its `fault` says why it can't be asked. */
  readonly cluster: GuardedCluster;
  /** null: the guard is not valid, or its pods can't be read. */
  readonly reading: ClusterReading | null;
}

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

  /**
   * Gives an ApiError if the pods can't be read; `left` are the milliseconds that a request has, `target`
   * a pod that counts among them whether or not it is listed.
   */
  async read(
    { object, guard }: ReadGuard,
    left: () => number,
    target: LivePod | null = null,
  ): Promise<ClusterReading | ApiError> {
    const [listed, connection] = await Promise.all([
      this.#podsOf(guard, left()),
      this.#connections.to(guard, left()),
    ]);
    if (listed instanceof ApiError) return listed;
    const live = target === null ? listed : withTarget(listed, target);
    const pods = live.map(({ uid, snapshot: { terminating } }) => ({ uid, terminating }));
    return { object, guard, pods, live, connection };
  }

  /** null: there is none, it is not ours to see, or it did not come in time. */
  async node(name: string, withinMs: number): Promise<KubernetesObject | null> {
    return this.reads.get(NODES, name, Math.min(NODE_MS, withinMs)).catch(() => null);
  }

  /** What a hearing needs of it; without a target there is nothing that could be reserved. */
  cluster(reading: ClusterReading, target: ReadTarget = NOBODY): GuardedCluster {
    const { guard, live, connection } = reading;
    const nowMs = this.#context.nowMs();
    const decided = decisionGuard(guard);
    const pods = withoutReusedIps(live).map((one) => podFacts(one, guard.spec));
    return {
      guard: decided,
      uid: guard.uid,
      pods,
      withCordons: async (withinMs) => {
        const others = live.filter(({ snapshot }) => snapshot.name !== target.name);
        const cordoned = await this.#onCordonedNodes(others, withinMs);
        return pods.map((one) => ({ ...one, cordoned: cordoned.has(one.name) }));
      },
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

  /** The names of those pods; each node is read once. */
  async #onCordonedNodes(pods: readonly LivePod[], withinMs: number): Promise<ReadonlySet<string>> {
    const byNode = Map.groupBy(pods, ({ snapshot }) => snapshot.nodeName);
    const found = await Promise.all(
      [...byNode].map(async ([name, onIt]) => {
        const node = name === null ? null : await this.node(name, withinMs);
        return node !== null && isCordoned(node) ? onIt : [];
      }),
    );
    return new Set(found.flat().map(({ snapshot }) => snapshot.name));
  }
}

/** The pod of a DELETE may be gone from the list already, or its labels may have changed since. */
function withTarget(pods: readonly LivePod[], target: LivePod): readonly LivePod[] {
  const known = pods.some(({ snapshot }) => snapshot.name === target.snapshot.name);
  return known ? pods : [...pods, target];
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
