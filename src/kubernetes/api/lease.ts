import { z } from 'zod';
import { ApiError, type KubernetesApi, type KubernetesObject, type Resource } from './api.ts';

/** client-go's leader election times, which Kubernetes' own components use. */
export interface LeaseTiming {
  /** How long a lease that is not renewed keeps others out. */
  readonly durationMs: number;
  /** How long its holder goes on without having renewed it; shorter, so that two never hold it. */
  readonly renewDeadlineMs: number;
  /** Between two attempts to get or renew it. */
  readonly retryMs: number;
}

const LEASE_TIMING: LeaseTiming = {
  durationMs: 15_000,
  renewDeadlineMs: 10_000,
  retryMs: 2_000,
};

/** Which Lease, and who wants it. */
export interface LeaseClaim {
  readonly namespace: string;
  readonly name: string;
  /** Another for every process, or two would take the Lease for their own. */
  readonly identity: string;
}

/** What becomes of a claim; held and lost take turns. */
export interface LeaseEvents {
  readonly onHeld: () => void;
  readonly onLost: () => void;
  /** An attempt failed; it is made again. */
  readonly onFailed: (error: ApiError) => void;
}

const GROUP = '/apis/coordination.k8s.io/v1';

const leaseSpec = z.object({
  holderIdentity: z.string().nullish(),
  leaseDurationSeconds: z.number().nullish(),
  acquireTime: z.string().nullish(),
  leaseTransitions: z.number().nullish(),
});

type LeaseSpec = z.infer<typeof leaseSpec>;

/**
 * Leader election on a Lease of coordination.k8s.io as client-go does it: who holds it has renewed
 * it lately by this process' own monotonic clock, since clocks of replicas differ.
 */
export class Lease {
  readonly #api: KubernetesApi;
  readonly #claim: LeaseClaim;
  readonly #events: LeaseEvents;
  readonly #timing: LeaseTiming;
  readonly #place: Resource;
  #timer: NodeJS.Timeout | undefined;
  #expiry: NodeJS.Timeout | undefined;
  /** The attempt under way; it never rejects. */
  #attempt: Promise<void> = Promise.resolve();
  #stopped = false;
  /** `onHeld` was the last that was told. */
  #told = false;
  /** Before the request that last renewed it; null: it is another's. */
  #renewedAt: number | null = null;
  /** The version of the Lease that was last seen, and when it was first seen. */
  #seen: { readonly version: string; readonly at: number } | null = null;

  constructor(
    api: KubernetesApi,
    claim: LeaseClaim,
    events: LeaseEvents,
    timing: LeaseTiming = LEASE_TIMING,
  ) {
    this.#api = api;
    this.#claim = claim;
    this.#events = events;
    this.#timing = timing;
    this.#place = { prefix: GROUP, plural: 'leases', namespace: claim.namespace };
  }

  /** By the clock, not by a timer: a process that was suspended must not write before it looks. */
  get held(): boolean {
    const { renewDeadlineMs } = this.#timing;
    return this.#renewedAt !== null && performance.now() - this.#renewedAt < renewDeadlineMs;
  }

  start(): void {
    this.#try();
  }

  /** Gives the Lease back, so that another replica need not wait until it runs out; never rejects. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#attempt;
    const held = this.held;
    this.#lose();
    if (held) await this.#release();
  }

  #try(): void {
    this.#attempt = this.#getOrRenew()
      .catch((error: unknown) => this.#failed(error))
      .then(() => this.#tryLater());
  }

  #tryLater(): void {
    if (this.#stopped) return;
    const { retryMs } = this.#timing;
    // Who waits is jittered as client-go does it, so that replicas don't ask in step.
    const ms = this.#renewedAt === null ? retryMs * (1 + 0.2 * Math.random()) : retryMs;
    this.#timer = setTimeout(() => this.#try(), ms);
    this.#timer.unref();
  }

  #failed(error: unknown): void {
    const failure =
      error instanceof ApiError
        ? error
        : new ApiError('refused', 'the Lease could not be used', error);
    // Somebody else was quicker.
    const lost = failure.code === 'conflict' || failure.code === 'exists';
    if (!lost && !this.#stopped) this.#events.onFailed(failure);
  }

  async #getOrRenew(): Promise<void> {
    const { name } = this.#claim;
    const startedAt = performance.now();
    const object = await this.#api.get(this.#place, name, this.#withinMs());
    if (object === null) {
      await this.#api.create(this.#place, this.#created(), this.#withinMs());
      this.#renewed(startedAt);
      return;
    }
    const spec = specOf(object);
    const own = spec.holderIdentity === this.#claim.identity;
    if (!own && !this.#isFree(object, spec)) {
      this.#lose();
      return;
    }
    await this.#api.replace(this.#place, withSpec(object, this.#renewedSpec(spec, own)), {
      withinMs: this.#withinMs(),
    });
    this.#renewed(startedAt);
  }

  /** Nobody holds it, or whoever does has not renewed it for as long as it lasts. */
  #isFree({ metadata }: KubernetesObject, spec: LeaseSpec): boolean {
    if (!spec.holderIdentity) return true;
    const now = performance.now();
    if (this.#seen?.version !== metadata.resourceVersion) {
      this.#seen = { version: metadata.resourceVersion, at: now };
    }
    const seconds = spec.leaseDurationSeconds ?? 0;
    const durationMs = seconds > 0 ? seconds * 1_000 : this.#timing.durationMs;
    return now - this.#seen.at >= durationMs;
  }

  /** An attempt must not outlast what is left of the Lease. */
  #withinMs(): number {
    const { renewDeadlineMs } = this.#timing;
    if (this.#renewedAt === null) return renewDeadlineMs / 2;
    const left = this.#renewedAt + renewDeadlineMs - performance.now();
    return Math.max(0, Math.min(renewDeadlineMs / 2, left));
  }

  #renewed(startedAt: number): void {
    this.#renewedAt = startedAt;
    clearTimeout(this.#expiry);
    const leftMs = startedAt + this.#timing.renewDeadlineMs - performance.now();
    this.#expiry = setTimeout(() => this.#lose(), Math.max(0, leftMs));
    this.#expiry.unref();
    if (this.#told || this.#stopped) return;
    this.#told = true;
    this.#events.onHeld();
  }

  #lose(): void {
    clearTimeout(this.#expiry);
    this.#renewedAt = null;
    if (!this.#told) return;
    this.#told = false;
    this.#events.onLost();
  }

  async #release(): Promise<void> {
    const { name, identity } = this.#claim;
    const withinMs = this.#timing.retryMs;
    try {
      const object = await this.#api.get(this.#place, name, withinMs);
      if (object === null) return;
      const spec = specOf(object);
      if (spec.holderIdentity !== identity) return;
      const released = { ...this.#renewedSpec(spec, true), holderIdentity: '' };
      await this.#api.replace(
        this.#place,
        withSpec(object, { ...released, leaseDurationSeconds: 1 }),
        { withinMs },
      );
    } catch {
      // It runs out by itself.
    }
  }

  #created() {
    const { namespace, name } = this.#claim;
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { namespace, name },
      spec: { ...this.#renewedSpec({}, false), leaseTransitions: 0 },
    };
  }

  #renewedSpec({ acquireTime, leaseTransitions }: LeaseSpec, own: boolean) {
    const now = microTime();
    const transitions = leaseTransitions ?? 0;
    return {
      holderIdentity: this.#claim.identity,
      leaseDurationSeconds: Math.max(1, Math.round(this.#timing.durationMs / 1_000)),
      acquireTime: own && acquireTime ? acquireTime : now,
      renewTime: now,
      leaseTransitions: own ? transitions : transitions + 1,
    };
  }
}

/** A Lease that says nothing that can be read is nobody's. */
function specOf(object: KubernetesObject): LeaseSpec {
  return leaseSpec.safeParse(object['spec']).data ?? {};
}

function withSpec(object: KubernetesObject, spec: Readonly<Record<string, unknown>>) {
  const before = object['spec'];
  return { ...object, spec: { ...(typeof before === 'object' && before), ...spec } };
}

/** metav1.MicroTime wants six digits. */
function microTime(): string {
  return new Date().toISOString().replace('Z', '000Z');
}
