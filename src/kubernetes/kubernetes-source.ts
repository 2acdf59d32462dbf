import {
  GuardSourceError,
  type Found,
  type GuardedCluster,
  type GuardedSubject,
  type GuardSource,
} from '../admission/guard-source.ts';
import type { ClusterView } from '../decision/cluster-view.ts';
import type { Guard, Policy, TargetFacts } from '../decision/situation.ts';
import type { ConnectionSettings, EtcdCluster } from '../etcd/port.ts';
import { matchesLabels, type LabelSelector } from '../guards/label-selector.ts';
import { factsOfName, factsOfPod } from '../guards/pod-facts.ts';
import { policy } from '../guards/schema.ts';
import { ApiError, type KubernetesApi, type KubernetesObject, type Resource } from './api.ts';
import { Connections } from './connections.ts';
import { livingEntries, reservationsOf } from './disrupted-pods.ts';
import { decodeGuard, guardsIn, type EtcdGuard } from './guard-resource.ts';
import {
  containersAreDown,
  isCordoned,
  isReady,
  livePod,
  memberPort,
  podFacts,
} from './live-pod.ts';
import type { LivePod } from './live-pod.ts';
import { ResourceLedger } from './resource-ledger.ts';
import { selectorText } from './selector-text.ts';

/** What the source needs from outside. */
export interface KubernetesSourceContext {
  readonly api: KubernetesApi;
  readonly connect: (settings: ConnectionSettings) => EtcdCluster;
  /** Wall clock, milliseconds since the epoch; replicas compare their times. */
  readonly nowMs: () => number;
  /** Hears of every view that a round gave. */
  readonly viewed: (guard: Guard, view: ClusterView) => void;
}

/** The longest that one request to the API server may take. */
const API_MS = 3_000;

const NODES: Resource = { prefix: '/api/v1', plural: 'nodes', namespace: null };

/** A guard that selects the target, read or unreadable. */
interface Selecting {
  readonly object: KubernetesObject;
  readonly guard: EtcdGuard | null;
  /** Why it is unreadable; empty if it is not. */
  readonly fault: string;
}

/**
 * Guards from EtcdGuard objects: everything is read live at every call, the guard with its ledger
 * first, then its pods, so that whatever a decision rests on is no older than the review.
 */
export class KubernetesSource implements GuardSource {
  readonly #context: KubernetesSourceContext;
  readonly #connections: Connections;
  readonly #ledger: ResourceLedger;

  constructor(context: KubernetesSourceContext) {
    this.#context = context;
    this.#connections = new Connections(context.api, context.connect);
    this.#ledger = new ResourceLedger(context.api, context.nowMs, API_MS);
  }

  async read(subject: GuardedSubject, withinMs: number): Promise<Found> {
    try {
      return await this.#read(subject, Math.min(API_MS, withinMs));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      throw new GuardSourceError(
        `etcd-guard can't read what it needs from the Kubernetes API (${error.message}), so this is refused; try again.`,
        { cause: error },
      );
    }
  }

  close(): void {
    this.#connections.close();
  }

  async #read(subject: GuardedSubject, withinMs: number): Promise<Found> {
    const { namespace, name } = subject.kind === 'delete' ? subject.pod : subject;
    const objects = await this.#context.api.list(guardsIn(namespace), {}, withinMs);
    const pod = await this.#podOf(subject, withinMs);
    // An eviction of a pod that is not there: the API server will say so itself.
    if (pod === null) return { target: factsOfName(namespace, name), clusters: [] };
    const selecting = objects.flatMap((object) => selects(object, pod));
    const [only, second] = selecting;
    if (only === undefined) return { target: factsOfPod(pod.snapshot, null), clusters: [] };
    if (second !== undefined || only.guard === null) {
      const clusters = selecting.map((one) => this.#unread(one));
      return { target: factsOfPod(pod.snapshot, null), clusters };
    }
    return this.#readCluster(only.object, only.guard, { subject, pod, withinMs });
  }

  /** A DELETE brings its pod along; the one of an eviction is read live, since a cache may hold its predecessor. */
  async #podOf(subject: GuardedSubject, withinMs: number): Promise<LivePod | null> {
    if (subject.kind === 'delete') {
      const { pod } = subject;
      return { snapshot: pod, uid: pod.uid ?? '', podIp: null, listenPort: null, namedPort: null };
    }
    const resource = podsIn(subject.namespace);
    const object = await this.#context.api.get(resource, subject.name, withinMs);
    return object === null ? null : livePod(object);
  }

  async #readCluster(
    object: KubernetesObject,
    guard: EtcdGuard,
    {
      subject,
      pod,
      withinMs,
    }: {
      readonly subject: GuardedSubject;
      readonly pod: LivePod;
      readonly withinMs: number;
    },
  ): Promise<Found> {
    const { api, nowMs, viewed } = this.#context;
    const labelSelector = selectorText(guard.spec.selector);
    const [listed, connection] = await Promise.all([
      api.list(podsIn(guard.namespace), { labelSelector }, withinMs),
      this.#connections.to(guard, withinMs),
    ]);
    const pods = withTarget(
      listed.flatMap((one) => livePod(one) ?? []),
      pod,
    );
    const target = pods.find(({ snapshot }) => snapshot.name === pod.snapshot.name) ?? pod;
    const nodes = await this.#nodes(nodesToRead(subject, pods, target, guard), withinMs);
    const cordoned = new Set([...nodes].flatMap(([name, node]) => (isCordoned(node) ? name : [])));
    const facts = pods.map((one) => podFacts(one, guard.spec, cordoned));
    const ledgerPods = pods.map(({ uid, snapshot }) => ({
      uid,
      terminating: snapshot.terminating,
    }));
    const living = livingEntries(guard.ledger, ledgerPods, nowMs());
    const reading = { object, guard, pods: ledgerPods };
    const owner = { uid: pod.uid, name: pod.snapshot.name };
    const decided = decisionGuard(guard);
    const cluster: GuardedCluster = {
      guard: decided,
      pods: facts,
      endpoints: facts.map(({ name, address }) => ({ pod: name, address })),
      ...(connection.fault === undefined
        ? { etcd: connection.etcd }
        : { etcd: UNREACHABLE, fault: connection.fault }),
      reservations: reservationsOf(living, pod.uid, nowMs()),
      reserve: (entry) => this.#ledger.reserve(reading, owner, entry),
      keep: () => this.#ledger.keep(reading, pod.uid),
      observed(_answers, view) {
        viewed(decided, view);
        // Entries end by what the API server shows of their pods, never by what etcd says.
        return false;
      },
    };
    return { target: targetFacts(pod, target, guard, nodes), clusters: [cluster] };
  }

  /** Without the right to read a Node, or without the Node, it is neither Ready nor cordoned. */
  async #nodes(
    names: readonly string[],
    withinMs: number,
  ): Promise<ReadonlyMap<string, KubernetesObject>> {
    const found = await Promise.all(
      names.map(async (name) => {
        const node = await this.#context.api.get(NODES, name, withinMs).catch(() => null);
        return node === null ? [] : [[name, node] as const];
      }),
    );
    return new Map(found.flat());
  }

  /** A guard that is only named: one of several, or one that can't be read. */
  #unread({ object, guard, fault }: Selecting): GuardedCluster {
    const { namespace = '', name } = object.metadata;
    return {
      guard: guard === null ? { namespace, name, policy: DEFAULT_POLICY } : decisionGuard(guard),
      ...(fault !== '' && { fault }),
      pods: [],
      endpoints: [],
      etcd: UNREACHABLE,
      reservations: [],
      reserve: () => Promise.reject(new GuardSourceError(fault)),
      keep: () => Promise.resolve('conflict'),
      observed: () => false,
    };
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

function podsIn(namespace: string): Resource {
  return { prefix: '/api/v1', plural: 'pods', namespace };
}

function selects(object: KubernetesObject, { snapshot }: LivePod): readonly Selecting[] {
  const decoded = decodeGuard(object);
  if (decoded.guard !== undefined) {
    const { guard } = decoded;
    const selected = !guard.terminating && matchesLabels(guard.spec.selector, snapshot.labels);
    return selected ? [{ object, guard, fault: '' }] : [];
  }
  if (object.metadata.deletionTimestamp !== undefined) return [];
  if (!mayMean(decoded.selector, snapshot.labels)) return [];
  const [first] = decoded.problems;
  const where = `EtcdGuard ${object.metadata.namespace ?? ''}/${object.metadata.name}`;
  return [
    { object, guard: null, fault: `${where} is not valid: ${first?.path}: ${first?.message}` },
  ];
}

/** A guard whose selector can't be read may mean any pod that looks like etcd. */
function mayMean(
  selector: LabelSelector | null,
  labels: Readonly<Record<string, string>>,
): boolean {
  if (selector !== null) return matchesLabels(selector, labels);
  return labels['app'] === 'etcd' || labels['app.kubernetes.io/name'] === 'etcd';
}

function decisionGuard({ namespace, name, spec }: EtcdGuard): Guard {
  return { namespace, name, policy: spec.policy };
}

/** The pod of a DELETE may be gone from the list already, or its labels may have changed since. */
function withTarget(pods: readonly LivePod[], target: LivePod): readonly LivePod[] {
  const known = pods.some(({ snapshot }) => snapshot.name === target.snapshot.name);
  return known ? pods : [...pods, target];
}

/** The target's Node tells a dead member from an unreachable one; the others' only matter to a hand-off. */
function nodesToRead(
  subject: GuardedSubject,
  pods: readonly LivePod[],
  target: LivePod,
  { spec }: EtcdGuard,
): readonly string[] {
  const down = containersAreDown(target, memberPort(spec, target));
  const wanted = [...(subject.kind === 'eviction' ? pods : []), ...(down ? [target] : [])];
  return [...new Set(wanted.flatMap(({ snapshot }) => snapshot.nodeName ?? []))];
}

/** `asked` is the pod of the request, `live` the one that the API server has now under that name. */
function targetFacts(
  asked: LivePod,
  live: LivePod,
  { spec }: EtcdGuard,
  nodes: ReadonlyMap<string, KubernetesObject>,
): TargetFacts {
  const port = memberPort(spec, live);
  const node = nodes.get(live.snapshot.nodeName ?? '');
  const same = asked.uid === live.uid;
  return {
    ...factsOfPod(asked.snapshot, port),
    // Of two pods by one name, what one's status says must not let the other go.
    containersDown: same && node !== undefined && isReady(node) && containersAreDown(live, port),
  };
}
