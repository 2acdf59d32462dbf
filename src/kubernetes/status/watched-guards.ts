import type { LabelSelector } from '../../guards/label-selector.ts';
import type { ApiError, KubernetesApi, KubernetesObject } from '../api/api.ts';
import { decodeGuard, guardsIn, shownIn } from '../guards/guard-resource.ts';

/** A guard's place; no two guards have the same. */
export interface GuardName {
  readonly namespace: string;
  readonly name: string;
}

/** What is remembered of a guard: no more than that, since there may be thousands. */
export interface KnownGuard extends GuardName {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation: number;
  /** null: it can't be read. */
  readonly selector: LabelSelector | null;
  /**
   * Its cluster, as whoever keeps its status has written last; False too if the guard itself is not
   * accepted, Unknown: nobody has written yet.
   */
  readonly healthy: 'True' | 'False' | 'Unknown';
}

/** What happens to guards; a guard that is made anew under its old name has changed. */
export interface GuardEvents {
  readonly onChanged: (guard: KnownGuard, before: KnownGuard | null) => void;
  readonly onGone: (guard: KnownGuard) => void;
  readonly onFailed: (error: ApiError) => void;
}

/** The guards of all namespaces, as a watch shows them: to know which there are, never to decide. */
export class WatchedGuards {
  readonly #api: KubernetesApi;
  readonly #events: GuardEvents;
  /** By namespace, then by name. */
  readonly #guards = new Map<string, Map<string, KnownGuard>>();
  #watch: { stop(): void } | null = null;
  #complete = false;
  #count = 0;

  constructor(api: KubernetesApi, events: GuardEvents) {
    this.#api = api;
    this.#events = events;
  }

  start(): void {
    const events = {
      onListed: (objects: readonly KubernetesObject[]) =>
        this.#listed(objects.filter((object) => !isTerminating(object)).map(knownGuard)),
      onChanged: (object: KubernetesObject) => {
        if (isTerminating(object)) this.#gone(knownGuard(object));
        else this.#changed(knownGuard(object));
      },
      onGone: (object: KubernetesObject) => this.#gone(knownGuard(object)),
      onFailed: this.#events.onFailed,
    };
    this.#watch = this.#api.watch(guardsIn(null), {}, events);
  }

  /** Whether all have been listed at least once; until then others may be there too. */
  get complete(): boolean {
    return this.#complete;
  }

  /** Of all namespaces. */
  get count(): number {
    return this.#count;
  }

  get({ namespace, name }: GuardName): KnownGuard | null {
    return this.#guards.get(namespace)?.get(name) ?? null;
  }

  get namespaces(): readonly string[] {
    return [...this.#guards.keys()];
  }

  in(namespace: string): readonly KnownGuard[] {
    return [...(this.#guards.get(namespace)?.values() ?? [])];
  }

  stop(): void {
    this.#watch?.stop();
  }

  #listed(guards: readonly KnownGuard[]): void {
    const listed = new Set(guards.map(guardKey));
    const missing = this.namespaces
      .flatMap((namespace) => this.in(namespace))
      .filter((guard) => !listed.has(guardKey(guard)));
    this.#complete = true;
    for (const guard of missing) this.#gone(guard);
    for (const guard of guards) this.#changed(guard);
  }

  #changed(guard: KnownGuard): void {
    const before = this.get(guard);
    if (before?.uid === guard.uid && before.resourceVersion === guard.resourceVersion) return;
    const neighbours = this.#guards.get(guard.namespace) ?? new Map<string, KnownGuard>();
    this.#guards.set(guard.namespace, neighbours.set(guard.name, guard));
    if (before === null) this.#count += 1;
    this.#events.onChanged(guard, before);
  }

  #gone({ namespace, name }: GuardName): void {
    const neighbours = this.#guards.get(namespace);
    const guard = neighbours?.get(name);
    if (neighbours === undefined || guard === undefined) return;
    neighbours.delete(name);
    this.#count -= 1;
    if (neighbours.size === 0) this.#guards.delete(namespace);
    this.#events.onGone(guard);
  }
}

/** Such a guard guards nothing any more. */
function isTerminating({ metadata }: KubernetesObject): boolean {
  return metadata.deletionTimestamp !== undefined;
}

/** `default/etcd`, which a name can't hold otherwise: neither part has a slash. */
export function guardKey({ namespace, name }: GuardName): string {
  return `${namespace}/${name}`;
}

/** What `guardKey` was made of. */
export function guardOf(key: string): GuardName {
  const [namespace = '', name = ''] = key.split('/');
  return { namespace, name };
}

/** What is remembered of this one. */
export function knownGuard(object: KubernetesObject): KnownGuard {
  const { namespace = '', name, uid, resourceVersion, generation = 0 } = object.metadata;
  const decoded = decodeGuard(object);
  const selector = decoded.guard === undefined ? decoded.selector : decoded.guard.spec.selector;
  const healthy = healthyIn(object);
  return { namespace, name, uid, resourceVersion, generation, selector, healthy };
}

/** False too if it can't be told while somebody keeps the status. */
function healthyIn(object: KubernetesObject): KnownGuard['healthy'] {
  const { conditions = [] } = shownIn(object);
  if (conditions.some(({ type, status }) => type === 'Accepted' && status === 'False'))
    return 'False';
  const found = conditions.find(({ type }) => type === 'Healthy');
  if (found === undefined) return 'Unknown';
  return found.status === 'True' ? 'True' : 'False';
}
