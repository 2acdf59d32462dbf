import {
  GuardSourceError,
  type Found,
  type GuardedCluster,
  type GuardedSubject,
  type GuardSource,
} from '../../admission/guard-source.ts';
import type { PodSnapshot } from '../../admission/review.ts';
import type { Fault } from '../../guards/faults.ts';
import { matchesLabels, type LabelSelector } from '../../guards/label-selector.ts';
import { factsOfName, factsOfPod } from '../../guards/pod-facts.ts';
import { ApiError, type KubernetesObject } from '../api/api.ts';
import {
  API_MS,
  podsIn,
  invalidGuard,
  unreadCluster,
  withoutPods,
  type ClusterReader,
} from './cluster-reader.ts';
import { decodeGuard, guardsIn, type EtcdGuard } from './guard-resource.ts';
import { containersAreDown, isReady, livePod, memberPort, type LivePod } from './live-pod.ts';
import { NAMESPACES } from './protection.ts';

/** How much of the time allowed one read may take: who reads has to say what was not read. */
const SHARE = 0.9;

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

/**
 * Guards from EtcdGuard objects: everything is read live at every call, the guard with its ledger
 * first, then its pods, so that whatever a decision rests on is no older than the review.
 */
export class KubernetesSource implements GuardSource {
  readonly #reader: ClusterReader;

  constructor(reader: ClusterReader) {
    this.#reader = reader;
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

  async #read(subject: GuardedSubject, left: TimeLeft): Promise<Found> {
    const { namespace, name } = subject.kind === 'delete' ? subject.pod : subject;
    const objects = await this.#guardsFor(subject, namespace, left);
    const pod = await this.#podOf(subject, left);
    // An eviction of a pod that is not there: the API server will say so itself.
    if (pod === null) return { target: factsOfName(namespace, name), clusters: [] };
    const selecting = selectingOf(objects, pod.snapshot);
    const [only, second] = selecting;
    if (only === undefined) return { target: factsOfPod(pod.snapshot, null), clusters: [] };
    const target = factsOfPod(pod.snapshot, null);
    // One that is terminating may go whatever the rest is, and must not hang because of it.
    if (pod.snapshot.terminating) return { target, clusters: selecting.map(unread) };
    const [going, found] = await Promise.all([
      this.#isGoing(namespace, left),
      second !== undefined || only.guard === null
        ? { target, clusters: selecting.map(unread) }
        : this.#readCluster(only.object, only.guard, { subject, pod, left }),
    ]);
    return going ? { target: { ...target, looksLikeEtcd: false }, clusters: [] } : found;
  }

  /**
   * A namespace that is being deleted can't be kept. Its guards guard nothing: from Kubernetes 1.33 on
   * its pods have to go before they do. One that can't be read is taken as staying.
   */
  async #isGoing(namespace: string, left: TimeLeft): Promise<boolean> {
    try {
      const object = await this.#reader.reads.get(NAMESPACES, namespace, left());
      return object?.metadata.deletionTimestamp !== undefined;
    } catch (error) {
      if (error instanceof ApiError) return false;
      throw error;
    }
  }

  async #guardsFor(
    subject: GuardedSubject,
    namespace: string,
    left: TimeLeft,
  ): Promise<readonly KubernetesObject[]> {
    try {
      return await this.#reader.reads.list(guardsIn(namespace), {}, left());
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
    const object = await this.#reader.reads.get(podsIn(subject.namespace), subject.name, left());
    return object === null ? null : livePod(object);
  }

  async #readCluster(
    object: KubernetesObject,
    guard: EtcdGuard,
    { subject, pod, left }: Request,
  ): Promise<Found> {
    const { name } = pod.snapshot;
    const reading = await this.#reader.read({ object, guard }, left, pod);
    if (reading instanceof ApiError) {
      const clusters = [withoutPods({ object, guard }, reading)];
      return { target: factsOfPod(pod.snapshot, null), clusters };
    }
    const now = reading.live.find(({ snapshot }) => snapshot.name === name) ?? pod;
    // A DELETE takes the pod that it shows or is reviewed again; an eviction whichever is there.
    const target = subject.kind === 'delete' ? pod : now;
    const port = memberPort(guard.spec, now);
    // Of two pods by one name, what one's status says must not let the other go.
    const down = target.uid === now.uid && containersAreDown(now, port);
    const containersDown = down && (await this.#isOnReadyNode(now, left));
    const uid = target.uid === '' ? now.uid : target.uid;
    const cluster = this.#reader.cluster(reading, { uid, name });
    const facts = factsOfPod(target.snapshot, port);
    return { target: { ...facts, containersDown }, clusters: [cluster] };
  }

  /** What tells a dead member from an unreachable one; asked only of one whose containers are down. */
  async #isOnReadyNode({ snapshot: { nodeName } }: LivePod, left: TimeLeft): Promise<boolean> {
    const node = nodeName === null ? null : await this.#reader.node(nodeName, left());
    return node !== null && isReady(node);
  }
}

function unread({ object, guard, fault }: Selecting): GuardedCluster {
  return unreadCluster(object, guard, fault);
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
    const fault = first === undefined ? '' : invalidGuard(object, first);
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
