import { viewBeforeProof, type ClusterView } from '../../decision/cluster-view.ts';
import type { Answer, Guard } from '../../decision/situation.ts';
import type { ClusterStatus } from '../../guards/guard-status.ts';
import { matchesLabels } from '../../guards/label-selector.ts';
import {
  reportable,
  type ApiError,
  type KubernetesApi,
  type KubernetesObject,
} from '../api/api.ts';
import { API_MS, type ClusterReader, type Look } from '../guards/cluster-reader.ts';
import { guardsIn } from '../guards/guard-resource.ts';
import { livePod } from '../guards/live-pod.ts';
import { ReadinessGates } from '../injection/readiness-gates.ts';
import { withStatus } from './next-status.ts';
import { PodWatches } from './pod-watches.ts';
import { ProtectedNamespaces } from './protected-namespaces.ts';
import { RefreshQueue, type RefreshTiming } from './refresh-queue.ts';
import { RoleLabels } from './role-labels.ts';
import { acceptance } from './spec-acceptance.ts';
import {
  guardKey,
  guardOf,
  type GuardName,
  type KnownGuard,
  type WatchedGuards,
} from './watched-guards.ts';
import { wholeStatus } from './whole-status.ts';

/** What keeping status needs from outside. */
export interface StatusKeeperContext {
  readonly api: KubernetesApi;
  readonly reader: ClusterReader;
  readonly guards: WatchedGuards;
  /** Name of the ValidatingWebhookConfiguration that says where the webhook is asked. */
  readonly webhookConfiguration: string;
  /** Wall clock, milliseconds since the epoch. */
  readonly nowMs: () => number;
  /** Asked right before each write: whether this replica holds the Lease at this moment. */
  readonly mayWrite: () => boolean;
  /** Whether pods get the role of their members as a label. */
  readonly roleLabels: boolean;
  /** Whether the readiness gates of pods are told how their members are. */
  readonly readinessGates: boolean;
  readonly events: StatusEvents;
}

/** What a keeper tells. */
export interface StatusEvents {
  readonly onLooked: (guard: GuardName, looked: Looked) => void;
  /** `about` is the guard, or what else could not be read or written. */
  readonly onFailed: (about: string, error: ApiError) => void;
}

/** One look at a guard. */
export interface Looked {
  readonly view: ClusterView;
  /** As last known; null: they never were. */
  readonly voters: number | null;
  readonly reservations: number;
  readonly pods: number;
}

/** How often a quiet guard is looked at, unless there are more guards than `LOOKS_PER_SECOND` allows. */
const REFRESH_MS = 30_000;
/** Quiet guards together: reviews use the same connections to the API server. */
const LOOKS_PER_SECOND = 20;
/**
 * After a change, since one seldom comes alone; doubles with each look that finds nothing new. More where many
 * have changed: together they are looked at no more often than quiet ones.
 */
const FIRST_MS = 1_000;
/** While a pod waits at its readiness gate, at most; as ever, more guards are looked at less often. */
const WAITING_MS = 3_000;
/** Until a time that somebody names, the guard is looked at every second. */
const WATCH_UNTIL = 'etcd-guard.io/watch-until';
/** From a write to one that has nothing but other words: a silent member has some for each look. */
const WORDS_MS = 30_000;
/** A member that takes longer counts as silent. */
const MEMBER_MS = 2_000;
/** For one look, all its reads together. */
const LOOK_MS = 10_000;
const SWEEP_MS = 1_000;

/**
 * Reviews race for the version that a status write takes from them: at most one write a second, and
 * the first a little after the change, when the next reservation may have come as well.
 */
const TIMING: RefreshTiming = { settleMs: 100, spacingMs: 1_000, concurrency: 8 };

/** Writes what each guard's cluster looks like to its status, as long as it is held to. */
export class StatusKeeper {
  readonly #context: StatusKeeperContext;
  readonly #queue: RefreshQueue;
  readonly #pods: PodWatches;
  readonly #namespaces: ProtectedNamespaces;
  readonly #labels: RoleLabels;
  readonly #gates: ReadinessGates;
  /** Guards with pods that wait at their readiness gates. */
  readonly #waiting = new Set<string>();
  /** Milliseconds from the next look at a guard to the one after it; Infinity: it is quiet. */
  readonly #pace = new Map<string, number>();
  /** What this keeper has written itself: the version, and when. */
  readonly #written = new Map<string, { readonly version: string; readonly at: number }>();
  #sweep: NodeJS.Timeout | undefined;
  #keeping = false;

  constructor(context: StatusKeeperContext) {
    const { api, events, mayWrite, nowMs, webhookConfiguration } = context;
    this.#context = context;
    this.#queue = new RefreshQueue((key) => this.#refresh(key), TIMING);
    this.#pods = new PodWatches(api, {
      onChanged: (pod) => this.#podChanged(pod),
      onFailed: (error) => events.onFailed('pods', error),
    });
    this.#namespaces = new ProtectedNamespaces(api, webhookConfiguration, {
      onChanged: (namespace) => this.#namespaceChanged(namespace),
      onFailed: (error) => events.onFailed('namespaces', error),
    });
    this.#labels = new RoleLabels({
      api,
      mayWrite,
      onFailed: (error) => events.onFailed('role labels', error),
    });
    this.#gates = new ReadinessGates({
      api,
      mayWrite,
      nowMs,
      monotonicMs: () => performance.now(),
      onFailed: (error) => events.onFailed('readiness gates', error),
    });
  }

  start(): void {
    this.#keeping = true;
    this.#namespaces.start();
    for (const namespace of this.#context.guards.namespaces) {
      this.#followPods(namespace);
      for (const guard of this.#context.guards.in(namespace)) this.#queue.changed(guardKey(guard));
    }
    this.#sweepLater();
  }

  stop(): void {
    this.#keeping = false;
    this.#queue.clear();
    this.#pods.stop();
    this.#namespaces.stop();
    this.#pace.clear();
    this.#written.clear();
    this.#waiting.clear();
    this.#gates.clear();
    clearTimeout(this.#sweep);
  }

  /** Told of all guards, kept or not. */
  guardChanged(guard: KnownGuard, before: KnownGuard | null): void {
    if (!this.#keeping) return;
    const key = guardKey(guard);
    if (before?.generation !== guard.generation || before.uid !== guard.uid) {
      this.#followPods(guard.namespace);
      this.#sweepLater();
    }
    if (this.#written.get(key)?.version !== guard.resourceVersion) this.#changed(key);
  }

  guardGone(guard: KnownGuard): void {
    const key = guardKey(guard);
    this.#queue.forget(key);
    this.#pace.delete(key);
    this.#written.delete(key);
    this.#seen.delete(key);
    this.#waiting.delete(key);
    this.#gates.forget(key);
    if (!this.#keeping) return;
    this.#followPods(guard.namespace);
    this.#sweepLater();
  }

  /** What a review saw; a view that the last look did not give is a reason for another look. */
  reviewed(guard: Guard, view: ClusterView): void {
    const key = guardKey(guard);
    if (this.#keeping && this.#seen.get(key) !== gist(view)) this.#changed(key);
  }

  readonly #seen = new Map<string, string>();

  #changed(key: string): void {
    this.#pace.set(key, FIRST_MS);
    this.#queue.changed(key);
  }

  #followPods(namespace: string): void {
    const selectors = this.#context.guards.in(namespace).map(({ selector }) => selector);
    this.#pods.follow(namespace, selectors);
  }

  /** null: perhaps all of them. */
  #namespaceChanged(changed: string | null): void {
    if (!this.#keeping) return;
    const { guards } = this.#context;
    for (const namespace of changed === null ? guards.namespaces : [changed]) {
      for (const guard of guards.in(namespace)) this.#queue.changed(guardKey(guard));
    }
  }

  #podChanged(object: KubernetesObject): void {
    const pod = livePod(object);
    if (pod === null) return;
    for (const guard of this.#context.guards.in(pod.snapshot.namespace)) {
      const { selector } = guard;
      if (selector !== null && matchesLabels(selector, pod.snapshot.labels)) {
        this.#changed(guardKey(guard));
      }
    }
  }

  /** Not at once: guards that are applied anew are gone for a moment. */
  #sweepLater(): void {
    if (!this.#context.roleLabels) return;
    clearTimeout(this.#sweep);
    this.#sweep = setTimeout(() => {
      const { guards } = this.#context;
      const all = guards.namespaces.flatMap((namespace) => guards.in(namespace));
      if (guards.complete) void this.#labels.sweep(all);
    }, SWEEP_MS);
    this.#sweep.unref();
  }

  /** Gives the milliseconds until the next look; never rejects. */
  async #refresh(key: string): Promise<number> {
    const guard = this.#context.guards.get(guardOf(key));
    if (guard === null) return this.#quietMs;
    // What is not known yet must not be written as if all were well.
    await this.#namespaces.settled;
    try {
      const object = await this.#context.reader.reads.get(
        guardsIn(guard.namespace),
        guard.name,
        API_MS,
      );
      if (object === null || !this.#keeping) return this.#quietMs;
      const news = await this.#look(key, object);
      return Math.min(this.#next(key, news, object), this.#waitingMs(key));
    } catch (error) {
      return this.#failed(key, error);
    }
  }

  #next(key: string, news: boolean, object: KubernetesObject): number {
    const wanted = news ? FIRST_MS : (this.#pace.get(key) ?? this.#quietMs);
    const pace = wanted === Infinity ? wanted : Math.min(this.#quietMs, this.#shared(wanted));
    this.#pace.set(key, pace < this.#quietMs ? pace * 2 : Infinity);
    const untilMs = Date.parse(object.metadata.annotations?.[WATCH_UNTIL] ?? '');
    if (this.#context.nowMs() < untilMs) return FIRST_MS;
    if (pace === Infinity || pace < this.#quietMs) {
      // A little apart, so that what began together does not stay together.
      return Math.min(pace, this.#quietMs) * (0.9 + 0.1 * Math.random());
    }
    // Anywhere in the period: after a change of the Lease's holder all guards begin at once.
    return FIRST_MS + (this.#quietMs - FIRST_MS) * Math.random();
  }

  /** That many milliseconds, or more if all that have changed take their turns. */
  #shared(ms: number): number {
    let unquiet = 1;
    for (const pace of this.#pace.values()) if (pace < Infinity) unquiet += 1;
    return Math.max(ms, (unquiet * 1_000) / LOOKS_PER_SECOND);
  }

  get #quietMs(): number {
    return Math.max(REFRESH_MS, (this.#context.guards.count * 1_000) / LOOKS_PER_SECOND);
  }

  #waitingMs(key: string): number {
    if (!this.#waiting.has(key)) return Infinity;
    return Math.max(WAITING_MS, (this.#waiting.size * 1_000) / LOOKS_PER_SECOND);
  }

  #failed(key: string, error: unknown): number {
    const failure = reportable(error, 'its status could not be kept');
    // Somebody else wrote: what was seen rests on an older version, so everything is looked at anew.
    if (failure.code === 'conflict') return FIRST_MS;
    if (failure.code !== 'not-found') this.#context.events.onFailed(key, failure);
    return this.#quietMs;
  }

  /** Whether there was something to write. */
  async #look(key: string, object: KubernetesObject): Promise<boolean> {
    const { reader, nowMs, events } = this.#context;
    const endsAt = performance.now() + LOOK_MS;
    const left = (): number => Math.max(0, Math.min(API_MS, endsAt - performance.now()));
    const look = await reader.look(object, left);
    const answers = await answersTo(look);
    const view = viewBeforeProof(look.cluster, answers);
    // Who has heard that the guard is gone must not hear of it again.
    if (!this.#keeping || this.#context.guards.get(guardOf(key)) === null) return false;
    this.#seen.set(key, gist(view));
    const status = this.#statusOf(object, look, { view, answers });
    const { cluster, reading } = look;
    const holdWords = performance.now() < (this.#written.get(key)?.at ?? -Infinity) + WORDS_MS;
    const next = withStatus({ object, status, ledger: reading, nowMs: nowMs(), holdWords });
    events.onLooked(cluster.guard, {
      view,
      voters: status.voters,
      reservations: cluster.reservations.length,
      pods: cluster.pods.length,
    });
    if (next !== null) await this.#write(key, next);
    if (this.#context.roleLabels) await this.#labels.follow(view, reading?.live ?? []);
    if (this.#context.readinessGates) await this.#followGates(key, look, answers);
    return next !== null;
  }

  async #followGates(key: string, look: Look, answers: Answers): Promise<void> {
    const waits = await this.#gates.follow(key, look, answers);
    // What a guard had waiting is nothing any more if it is gone by now.
    if (waits && this.#keeping && this.#context.guards.get(guardOf(key)) !== null) {
      this.#waiting.add(key);
    } else this.#waiting.delete(key);
  }

  #statusOf(
    object: KubernetesObject,
    look: Look,
    { view, answers }: { readonly view: ClusterView; readonly answers: Answers },
  ): ClusterStatus {
    const { cluster, reading } = look;
    const { fault, guard } = cluster;
    const now = new Date(this.#context.nowMs()).toISOString();
    const others = this.#context.guards
      .in(guard.namespace)
      .filter(({ name }) => name !== guard.name);
    const unprotected = this.#namespaces.unprotected(guard.namespace);
    const accepted = acceptance({ object, reading, others, unprotected });
    const seen = fault === undefined ? { view, answers } : null;
    return wholeStatus({ object, look, seen, accepted, now });
  }

  async #write(key: string, next: KubernetesObject): Promise<void> {
    if (!this.#context.mayWrite()) return;
    const { namespace = null } = next.metadata;
    const written = await this.#context.api.replace(guardsIn(namespace), next, {
      subresource: 'status',
      withinMs: API_MS,
    });
    const { resourceVersion: version } = written.metadata;
    this.#written.set(key, { version, at: performance.now() });
  }
}

type Answers = ReadonlyMap<string, Answer>;

async function answersTo({ cluster }: Look): Promise<Answers> {
  if (cluster.fault !== undefined) return new Map();
  return cluster.etcd.ask(cluster.endpoints, MEMBER_MS, { keepWarm: false });
}

/** What of a view shows at a glance: who leads, and who is healthy. */
function gist({ list, leader, members }: ClusterView): string {
  const health = members.map(({ id, health: now, learner }) => `${id} ${now} ${learner}`).sort();
  return JSON.stringify([list, leader, health]);
}
