import type { PodSnapshot } from '../../admission/review.ts';
import { matchesLabels } from '../../guards/label-selector.ts';
import {
  reportable,
  type ApiError,
  type KubernetesApi,
  type KubernetesObject,
  type Resource,
} from '../api/api.ts';
import { API_MS } from '../guards/cluster-reader.ts';
import { livePod, type LivePod } from '../guards/live-pod.ts';
import { NAMESPACES, readScope, unprotectedIn, type Scope } from '../guards/protection.ts';
import type { WatchedGuards } from './watched-guards.ts';

/** What looking for them needs from outside. */
export interface UnguardedPodsContext {
  readonly api: KubernetesApi;
  readonly guards: WatchedGuards;
  /** Name of the ValidatingWebhookConfiguration that says which namespaces are protected. */
  readonly webhookConfiguration: string;
  readonly onFailed: (error: ApiError) => void;
}

/** What is remembered of a pod: no more than that, since there may be thousands, of 10 KB each. */
type KnownPod = Pick<PodSnapshot, 'namespace' | 'labels'>;

/** One watch for each way to look like etcd: a selector can't say "or". */
const LIKE_ETCD = ['app=etcd', 'app.kubernetes.io/name=etcd'];
const ALL_PODS: Resource = { prefix: '/api/v1', plural: 'pods', namespace: null };
const EVERY_MS = 60_000;
/** Guards and pods that are applied together are known by then. */
const FIRST_MS = 5_000;

/** Counts running pods that look like etcd, in protected namespaces, and that no guard selects. */
export class UnguardedPods {
  readonly #context: UnguardedPodsContext;
  /** By selector, then by uid. */
  readonly #pods = new Map<string, Map<string, KnownPod>>();
  #watches: readonly { stop(): void }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #counts: ReadonlyMap<string, number> = new Map();

  constructor(context: UnguardedPodsContext) {
    this.#context = context;
  }

  /** By namespace; as of the last look, at most a minute ago. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  start(): void {
    this.#watches = LIKE_ETCD.map((selector) => this.#follow(selector));
    this.#lookIn(FIRST_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
    for (const watch of this.#watches) watch.stop();
    this.#watches = [];
    this.#pods.clear();
    this.#counts = new Map();
  }

  #follow(labelSelector: string): { stop(): void } {
    const pods = new Map<string, KnownPod>();
    this.#pods.set(labelSelector, pods);
    const seen = (object: KubernetesObject): void => {
      const pod = livePod(object);
      if (pod !== null && runs(pod)) pods.set(pod.uid, knownPod(pod));
      else pods.delete(object.metadata.uid);
    };
    return this.#context.api.watch(
      ALL_PODS,
      { labelSelector },
      {
        onListed(objects) {
          pods.clear();
          objects.forEach(seen);
        },
        onChanged: seen,
        onGone: ({ metadata }) => pods.delete(metadata.uid),
        onFailed: this.#context.onFailed,
      },
    );
  }

  #lookIn(ms: number): void {
    this.#timer = setTimeout(() => void this.#lookNow(), ms);
    this.#timer.unref();
  }

  async #lookNow(): Promise<void> {
    const watches = this.#watches;
    const counts = await this.#look();
    // Stopped meanwhile, or even started anew.
    if (this.#watches !== watches) return;
    if (counts !== null) this.#counts = counts;
    this.#lookIn(EVERY_MS);
  }

  /** null: it could not be found out, and the last counts stand. */
  async #look(): Promise<ReadonlyMap<string, number> | null> {
    const { api, guards, webhookConfiguration } = this.#context;
    if (!guards.complete) return null;
    const unguarded = this.#unguarded();
    const found = new Map<string, number>();
    if (unguarded.size === 0) return found;
    try {
      const scope = await readScope(api, webhookConfiguration, API_MS);
      for (const [namespace, pods] of unguarded) {
        if (await this.#isProtected(namespace, scope)) found.set(namespace, pods.length);
      }
      return found;
    } catch (error) {
      this.#context.onFailed(reportable(error, 'pods without a guard could not be counted'));
      return null;
    }
  }

  #unguarded(): ReadonlyMap<string, readonly KnownPod[]> {
    const pods = new Map([...this.#pods.values()].flatMap((some) => [...some]));
    const without = [...pods.values()].filter(({ namespace, labels }) =>
      this.#context.guards
        .in(namespace)
        // One that can't be read may mean this pod too, and says so in its own status.
        .every(({ selector }) => selector !== null && !matchesLabels(selector, labels)),
    );
    return Map.groupBy(without, ({ namespace }) => namespace);
  }

  async #isProtected(name: string, scope: Scope): Promise<boolean> {
    const object = await this.#context.api.get(NAMESPACES, name, API_MS);
    if (object === null || object.metadata.deletionTimestamp !== undefined) return false;
    return unprotectedIn(scope, { name, labels: object.metadata.labels ?? {} }) === null;
  }
}

function knownPod({ snapshot: { namespace, labels } }: LivePod): KnownPod {
  return { namespace, labels };
}

function runs({ snapshot: { terminating, phase } }: LivePod): boolean {
  return !terminating && phase !== 'Succeeded' && phase !== 'Failed';
}
