import { isDeepStrictEqual } from 'node:util';
import { recordOf } from '../../admission/json.ts';
import { ApiError, type KubernetesApi, type KubernetesObject } from '../api/api.ts';
import type { ResourceDiscovery } from '../api/discovery.ts';
import { NAMESPACES, WEBHOOK_CONFIGURATIONS } from '../guards/protection.ts';
import { RefreshQueue, type RefreshTiming } from '../status/refresh-queue.ts';
import { LockCounting, type Counted } from './lock-counting.ts';
import { lockStatusOf } from './lock-findings.ts';
import { decodeLock, locksIn, type LockObject, type LockStatus } from './lock-resource.ts';
import { lockScopeOf, notHeld, type LockScope, type NotHeld } from './lock-scope.ts';

/** What keeping the status of locks needs from outside. */
export interface LockStatusContext {
  readonly api: KubernetesApi;
  readonly discovery: ResourceDiscovery;
  /** Name of the ValidatingWebhookConfiguration that has the API server ask about changes. */
  readonly webhookConfiguration: string;
  /** Wall clock, milliseconds since the epoch. */
  readonly nowMs: () => number;
  /** Asked right before each write: whether this replica holds the Lease at this moment. */
  readonly mayWrite: () => boolean;
  /** `about` is the lock, or what else could not be read or written. */
  readonly onFailed: (about: string, error: ApiError) => void;
}

const API_MS = 3_000;
const REFRESH_MS = 30_000;
const CONFLICT_MS = 1_000;
/** How long the webhook configuration is remembered. */
const SCOPE_MS = 10_000;
/** Lists of many objects: few at a time, and never often for one lock. */
const TIMING: RefreshTiming = { settleMs: 100, spacingMs: 2_000, concurrency: 2 };

/** Writes what is known of each lock to its status, while this replica holds the Lease. */
export class LockStatusKeeper {
  readonly #context: LockStatusContext;
  readonly #counting: LockCounting;
  readonly #queue = new RefreshQueue((key) => this.#refresh(key), TIMING);
  /** Locks that there are, with what of them a status rests on. */
  readonly #known = new Map<string, string>();
  #watch: { stop(): void } | null = null;
  #scope: { readonly at: number; readonly read: Promise<LockScope> } | null = null;

  constructor(context: LockStatusContext) {
    this.#context = context;
    this.#counting = new LockCounting(context);
  }

  start(): void {
    this.#watch = this.#context.api.watch(
      locksIn(null),
      {},
      {
        onListed: (objects) => this.#listed(objects),
        onChanged: (object) => this.#changed(object),
        onGone: (object) => this.#gone(keyOf(object)),
        onFailed: (error) => this.#context.onFailed('ExclusiveLocks', error),
      },
    );
  }

  stop(): void {
    this.#watch?.stop();
    this.#watch = null;
    this.#queue.clear();
    this.#known.clear();
  }

  #listed(objects: readonly KubernetesObject[]): void {
    const keys = new Set(objects.map(keyOf));
    for (const key of this.#known.keys()) if (!keys.has(key)) this.#gone(key);
    for (const object of objects) this.#changed(object);
  }

  /** A change of its status alone is nothing to look at. */
  #changed(object: KubernetesObject): void {
    const key = keyOf(object);
    const { uid, generation = 0, deletionTimestamp = '' } = object.metadata;
    const seen = `${uid} ${generation} ${deletionTimestamp}`;
    if (this.#known.get(key) === seen) return;
    this.#known.set(key, seen);
    this.#queue.changed(key);
  }

  #gone(key: string): void {
    this.#known.delete(key);
    this.#queue.forget(key);
  }

  /** Gives the milliseconds until the next look; never rejects. */
  async #refresh(key: string): Promise<number> {
    const [namespace = '', name = ''] = key.split('/');
    const { api, nowMs, mayWrite } = this.#context;
    try {
      const object = await api.get(locksIn(namespace), name, API_MS);
      if (object === null || this.#watch === null) return REFRESH_MS;
      const lock = decodeLock(object);
      const next = withStatus(object, lockStatusOf(await this.#findings(lock)));
      if (next !== null && mayWrite()) {
        await api.replace(locksIn(namespace), next, { subresource: 'status', withinMs: API_MS });
      }
      return Math.min(REFRESH_MS, untilItsEnd(lock, nowMs()));
    } catch (error) {
      return this.#failed(key, error);
    }
  }

  #failed(key: string, error: unknown): number {
    const failure =
      error instanceof ApiError
        ? error
        : new ApiError('refused', 'the status of a lock could not be kept', error);
    // Somebody counted a denial meanwhile.
    if (failure.code === 'conflict') return CONFLICT_MS;
    if (failure.code !== 'not-found') this.#context.onFailed(key, failure);
    return REFRESH_MS;
  }

  async #findings(lock: LockObject): Promise<Parameters<typeof lockStatusOf>[0]> {
    const nothing: Counted = { matched: 0, unknown: new Map(), uncounted: new Map() };
    const [counted, held] = await Promise.all([
      lock.lock === null ? nothing : this.#counting.count(lock.lock),
      this.#notHeld(lock),
    ]);
    return { lock, nowMs: this.#context.nowMs(), notHeld: held, ...counted };
  }

  async #notHeld({ lock, namespace }: LockObject): Promise<NotHeld | null> {
    if (lock === null) return null;
    const [scope, object] = await Promise.all([
      this.#readScope(),
      this.#context.api.get(NAMESPACES, namespace, API_MS),
    ]);
    return notHeld(scope, lock, object?.metadata.labels ?? {});
  }

  #readScope(): Promise<LockScope> {
    const now = performance.now();
    if (this.#scope !== null && now - this.#scope.at < SCOPE_MS) return this.#scope.read;
    const { api, webhookConfiguration: name } = this.#context;
    const read = api.get(WEBHOOK_CONFIGURATIONS, name, API_MS).then(
      (object) => lockScopeOf(object, name),
      (error: unknown) => {
        if (!(error instanceof ApiError) || error.code !== 'forbidden') throw error;
        return { configuration: name, webhooks: null };
      },
    );
    this.#scope = { at: now, read };
    read.catch(() => {
      this.#scope = null;
    });
    return read;
  }
}

/** null: it would say nothing new. What another version shows besides stays. */
function withStatus(object: KubernetesObject, status: LockStatus): KubernetesObject | null {
  const { status: before } = decodeLock(object);
  if (isDeepStrictEqual(asJson(before), asJson(status))) return null;
  const { reason: _reason, ...rest } = recordOf(object['status']);
  return { ...object, status: { ...rest, ...status } };
}

function untilItsEnd({ lock }: LockObject, nowMs: number): number {
  const untilMs = lock?.untilMs ?? null;
  return untilMs === null || untilMs <= nowMs ? Infinity : untilMs - nowMs;
}

function keyOf({ metadata: { namespace = '', name } }: KubernetesObject): string {
  return `${namespace}/${name}`;
}

function asJson(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}
