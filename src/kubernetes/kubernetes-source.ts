import {
  GuardSourceError,
  type Found,
  type GuardedCluster,
  type GuardedSubject,
  type GuardSource,
} from '../admission/guard-source.ts';
import type { PodSnapshot } from '../admission/review.ts';
import type { ClusterView } from '../decision/cluster-view.ts';
import type { Guard, Policy, TargetFacts } from '../decision/situation.ts';
import type { ConnectionSettings, EtcdCluster } from '../etcd/port.ts';
import type { Fault } from '../guards/faults.ts';
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
  withoutReusedIps,
  type LivePod,
} from './live-pod.ts';
import { ResourceLedger, type LedgerReading } from './resource-ledger.ts';
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
/** The same for a Node, which no decision has to wait for. */
const NODE_MS = 1_000;
/** How much of the time allowed one read may take: who reads has to say what was not read. */
const SHARE = 0.9;

const NODES: Resource = { prefix: '/api/v1', plural: 'nodes', namespace: null };

/** Milliseconds that the next request to the API server may take. */
type TimeLeft = () => number;

/** A guard that selects the target, read or unreadable. */
interface Selecting {
  readonly object: KubernetesObject;
  readonly guard: EtcdGuard | null;
  /** Why it is unreadable; empty if it is not. */
  readonly fault: string;
}

/** What one request is about, while its cluster is read. */
interface Request {
  readonly subject: GuardedSubject;
  /** As the request brought it, or as it was read for an eviction. */
  readonly pod: LivePod;
  readonly left: TimeLeft;
}

/** What was read of one guard, in this order: itself, then the rest. */
interface Reading extends LedgerReading {
  readonly live: readonly LivePod[];
  readonly cordoned: ReadonlySet<string>;
  readonly connection: Awaited<ReturnType<Connections['to']>>;
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
    const endsAtMs = performance.now() + withinMs * SHARE;
    const left = (): number => Math.max(0, Math.min(API_MS, endsAtMs - performance.now()));
    try {
      return await this.#read(subject, left);
    } catch (error) {
      throw error instanceof ApiError ? sourceError(error) : error;
    }
  }

  close(): void {
    this.#connections.close();
  }

  async #read(subject: GuardedSubject, left: TimeLeft): Promise<Found> {
    const { namespace, name } = subject.kind === 'delete' ? subject.pod : subject;
    const objects = await this.#guardsFor(subject, namespace, left);
    const pod = await this.#podOf(subject, left);
    // An eviction of a pod that is not there: the API server will say so itself.
    if (pod === null) return { target: factsOfName(namespace, name), clusters: [] };
    const selecting = selectingOf(objects, pod.snapshot);
    const [only, second] = selecting;
    if (only === undefined) return { target: factsOfPod(pod.snapshot, null), clusters: [] };
    // One that is terminating may go whatever the rest is, and must not hang because of it.
    if (second !== undefined || only.guard === null || pod.snapshot.terminating) {
      return { target: factsOfPod(pod.snapshot, null), clusters: selecting.map(unread) };
    }
    return this.#readCluster(only.object, only.guard, { subject, pod, left });
  }

  async #guardsFor(
    subject: GuardedSubject,
    namespace: string,
    left: TimeLeft,
  ): Promise<readonly KubernetesObject[]> {
    try {
      return await this.#context.api.list(guardsIn(namespace), {}, left());
    } catch (error) {
      // Guarded or not, it may go, and the kubelet's last DELETE would leave it hanging.
      if (error instanceof ApiError && mayGoAnyway(subject)) return [];
      throw error;
    }
  }

  /** A DELETE brings its pod along; the one of an eviction is read live, since a cache may hold its predecessor. */
  async #podOf(subject: GuardedSubject, left: TimeLeft): Promise<LivePod | null> {
    if (subject.kind === 'delete') {
      const { pod } = subject;
      return { snapshot: pod, uid: pod.uid ?? '', podIps: [], listenPort: null, namedPort: null };
    }
    const object = await this.#context.api.get(podsIn(subject.namespace), subject.name, left());
    return object === null ? null : livePod(object);
  }

  async #readCluster(
    object: KubernetesObject,
    guard: EtcdGuard,
    { subject, pod, left }: Request,
  ): Promise<Found> {
    const [listed, connection] = await Promise.all([
      this.#podsOf(guard, left),
      this.#connections.to(guard, left()),
    ]);
    if (listed instanceof ApiError) {
      const fault = `its pods can't be read: ${listed.message}`;
      const clusters = [unread({ object, guard, fault })];
      return { target: factsOfPod(pod.snapshot, null), clusters };
    }
    const live = withTarget(listed, pod);
    const now = live.find(({ snapshot }) => snapshot.name === pod.snapshot.name) ?? pod;
    // A DELETE takes the pod that it shows or is reviewed again; an eviction whichever is there.
    const target = subject.kind === 'delete' ? pod : now;
    const nodes = await this.#nodes(nodesToRead(subject, live, { target: now, guard }), left);
    const cordoned = new Set([...nodes].flatMap(([name, node]) => (isCordoned(node) ? name : [])));
    const pods = live.map(({ uid, snapshot: { terminating } }) => ({ uid, terminating }));
    const cluster = this.#cluster(
      { object, guard, pods, live, cordoned, connection },
      {
        uid: target.uid === '' ? now.uid : target.uid,
        name: target.snapshot.name,
      },
    );
    return { target: targetFacts(target, now, { guard, nodes }), clusters: [cluster] };
  }

  #cluster(
    reading: Reading,
    target: { readonly uid: string; readonly name: string },
  ): GuardedCluster {
    const { guard, live, cordoned, connection } = reading;
    const nowMs = this.#context.nowMs();
    const decided = decisionGuard(guard);
    const pods = withoutReusedIps(live).map((one) => podFacts(one, guard.spec, cordoned));
    return {
      guard: decided,
      pods,
      endpoints: pods.map(({ name, address }) => ({ pod: name, address })),
      ...(connection.fault === undefined
        ? { etcd: connection.etcd }
        : { etcd: UNREACHABLE, fault: connection.fault }),
      reservations: reservationsOf(
        livingEntries(guard.ledger, reading.pods, nowMs),
        target.uid,
        nowMs,
      ),
      reserve: (entry) => this.#ledger.reserve(reading, target, entry),
      keep: () => this.#ledger.keep(reading, target.uid),
      observed: (_answers, view) => {
        this.#context.viewed(decided, view);
        // Entries end by what the API server shows of their pods, never by what etcd says.
        return false;
      },
    };
  }

  async #podsOf(guard: EtcdGuard, left: TimeLeft): Promise<readonly LivePod[] | ApiError> {
    const labelSelector = selectorText(guard.spec.selector);
    try {
      const objects = await this.#context.api.list(
        podsIn(guard.namespace),
        { labelSelector },
        left(),
      );
      return objects.flatMap((object) => livePod(object) ?? []);
    } catch (error) {
      if (error instanceof ApiError) return error;
      throw error;
    }
  }

  /** Without the right to read a Node, or without the Node, it is neither Ready nor cordoned. */
  async #nodes(
    names: readonly string[],
    left: TimeLeft,
  ): Promise<ReadonlyMap<string, KubernetesObject>> {
    const withinMs = Math.min(NODE_MS, left());
    const found = await Promise.all(
      names.map(async (name) => {
        const node = await this.#context.api.get(NODES, name, withinMs).catch(() => null);
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
function unread({ object, guard, fault }: Selecting): GuardedCluster {
  const { namespace = '', name } = object.metadata;
  return {
    guard: guard === null ? { namespace, name, policy: DEFAULT_POLICY } : decisionGuard(guard),
    ...(fault !== '' && { fault }),
    pods: [],
    endpoints: [],
    etcd: UNREACHABLE,
    reservations: [],
    // Who does not know the pods must not write: all entries would look ended.
    reserve: () => Promise.reject(new GuardSourceError('its pods were not read')),
    keep: () => Promise.resolve('conflict'),
    observed: () => false,
  };
}

const WHAT_HELPS: Partial<Readonly<Record<ApiError['code'], string>>> = {
  forbidden: 'Give etcd-guard that permission and try again.',
  'not-found':
    'Install the CustomResourceDefinition, or delete the webhook configuration if etcd-guard is to go.',
};

function sourceError(cause: ApiError): GuardSourceError {
  const helps = WHAT_HELPS[cause.code] ?? 'Try again once the API server answers.';
  return new GuardSourceError(
    `Refused, since etcd-guard can't find out what is guarded: ${cause.message}. ${helps}`,
    { cause },
  );
}

function podsIn(namespace: string): Resource {
  return { prefix: '/api/v1', plural: 'pods', namespace };
}

/** Terminating, or nothing that runs: allowed before any guard is looked at. */
function mayGoAnyway(subject: GuardedSubject): boolean {
  if (subject.kind === 'eviction') return false;
  const { terminating, mirror, neverScheduled } = subject.pod;
  return terminating || mirror || neverScheduled;
}

/** A guard whose selector can't be read may mean any pod that looks like etcd and is no other's. */
function selectingOf(
  objects: readonly KubernetesObject[],
  { labels }: PodSnapshot,
): readonly Selecting[] {
  const sure: Selecting[] = [];
  const perhaps: Selecting[] = [];
  for (const object of objects) {
    if (object.metadata.deletionTimestamp !== undefined) continue;
    const { guard = null, selector, problems } = selectorOf(object);
    const [first] = problems;
    const fault = first === undefined ? '' : faultIn(object, first);
    if (selector === null) perhaps.push({ object, guard, fault });
    else if (matchesLabels(selector, labels)) sure.push({ object, guard, fault });
  }
  const looksLikeEtcd = labels['app'] === 'etcd' || labels['app.kubernetes.io/name'] === 'etcd';
  return sure.length > 0 || !looksLikeEtcd ? sure : perhaps;
}
function selectorOf(object: KubernetesObject): {
  readonly guard?: EtcdGuard;
  readonly selector: LabelSelector | null;
  readonly problems: readonly Fault[];
} {
  const decoded = decodeGuard(object);
  if (decoded.guard === undefined) return decoded;
  return { guard: decoded.guard, selector: decoded.guard.spec.selector, problems: [] };
}

function faultIn({ metadata: { namespace = '', name } }: KubernetesObject, fault: Fault): string {
  const { path, message } = fault;
  const what = path === '' ? message : `${path}: ${message}`;
  return `EtcdGuard ${namespace}/${name} is not valid: ${what}`;
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
  { kind }: GuardedSubject,
  live: readonly LivePod[],
  { target, guard }: { readonly target: LivePod; readonly guard: EtcdGuard },
): readonly string[] {
  const down = containersAreDown(target, memberPort(guard.spec, target));
  const wanted = [...(mayHandOff(guard, kind) ? live : []), ...(down ? [target] : [])];
  return [...new Set(wanted.flatMap(({ snapshot }) => snapshot.nodeName ?? []))];
}

/** Who asks is not known here: whether anybody gets a hand-off for that. */
function mayHandOff(
  {
    spec: {
      policy: { leader, handOff },
    },
  }: EtcdGuard,
  kind: GuardedSubject['kind'],
): boolean {
  if (leader === 'HandOff') return true;
  return handOff.some((entry) => kind === 'eviction' || entry !== 'Evictions');
}

/** `asked` is the pod of the request, `live` the one that the API server has now under that name. */
function targetFacts(
  asked: LivePod,
  live: LivePod,
  {
    guard,
    nodes,
  }: { readonly guard: EtcdGuard; readonly nodes: ReadonlyMap<string, KubernetesObject> },
): TargetFacts {
  const port = memberPort(guard.spec, live);
  const node = nodes.get(live.snapshot.nodeName ?? '');
  const same = asked.uid === live.uid;
  return {
    ...factsOfPod(asked.snapshot, port),
    // Of two pods by one name, what one's status says must not let the other go.
    containersDown: same && node !== undefined && isReady(node) && containersAreDown(live, port),
  };
}
