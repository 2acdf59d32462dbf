import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { ClusterView } from '../../decision/cluster-view.ts';
import type { Guard } from '../../decision/situation.ts';
import type { ApiError, KubernetesApi } from '../../kubernetes/api/api.ts';
import type { ClusterReader } from '../../kubernetes/guards/cluster-reader.ts';
import { Lease, type LeaseClaim } from '../../kubernetes/api/lease.ts';
import { StatusKeeper, type Looked } from '../../kubernetes/status/status-keeper.ts';
import { UnguardedPods } from '../../kubernetes/status/unguarded-pods.ts';
import {
  guardKey,
  WatchedGuards,
  type GuardName,
  type KnownGuard,
} from '../../kubernetes/status/watched-guards.ts';
import type { Capability } from './capability.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { GuardLabels, Recorder } from '../../telemetry/recorder.ts';

/** What keeping status needs. */
export interface KeepStatusContext {
  readonly api: KubernetesApi;
  readonly reader: ClusterReader;
  readonly recorder: Recorder;
  readonly log: Logger;
  /** That of the pod in which this runs, where the Lease is; null: it runs in none. */
  readonly namespace: string | null;
  /** What the Lease calls its holder; null: the host's name. */
  readonly podName: string | null;
  readonly roleLabels: boolean;
  readonly readinessGates: boolean;
  /** Name of the ValidatingWebhookConfiguration that has the API server ask us. */
  readonly webhookConfiguration: string;
  /** Whatever else one replica does for all. */
  readonly beside: readonly Pick<Capability, 'onHeld' | 'onLost'>[];
}

/** A replica that knows the guards, and keeps their status while it holds the Lease. */
export interface KeptStatus {
  /** What a review saw. */
  reviewed(guard: Guard, view: ClusterView): void;
  /** All guards, kept by this replica or not. */
  known(): readonly KnownGuard[];
  /** Whether this replica holds the Lease at this moment. */
  mayWrite(): boolean;
  /** Ends within a few seconds; the Lease is given back. */
  stop(): Promise<void>;
}

const LEASE_NAME = 'etcd-guard-status';
/** As shipped; for a replica that is run by hand. */
const DEFAULT_NAMESPACE = 'etcd-guard';

/** Begins at once. Nothing that goes wrong here keeps a review from being answered. */
export function keepStatus(context: KeepStatusContext): KeptStatus {
  const { api, reader, recorder, log, beside } = context;
  const { roleLabels, readinessGates, webhookConfiguration } = context;
  const warnings = new Warnings(log);
  const looked = new LookedAt(recorder);
  const guards = new WatchedGuards(api, {
    onChanged(guard, before) {
      if (before === null) recorder.addGuard(labelsOf(guard));
      keeper.guardChanged(guard, before);
    },
    onGone(guard) {
      keeper.guardGone(guard);
      looked.forget(guard);
      warnings.over(guardKey(guard));
    },
    onFailed: (error) => warnings.warn('EtcdGuards', "can't follow the EtcdGuards", error),
  });
  const keeper = new StatusKeeper({
    api,
    reader,
    guards,
    webhookConfiguration,
    nowMs: () => Date.now(),
    mayWrite: () => lease.held,
    roleLabels,
    readinessGates,
    events: {
      onLooked(guard, what) {
        warnings.over(guardKey(guard));
        if (lease.held) looked.at(guard, what);
      },
      onFailed: (about, error) => warnings.warn(about, "can't keep the status", error),
    },
  });
  const unguarded = new UnguardedPods({
    api,
    guards,
    webhookConfiguration,
    onFailed: (error) =>
      warnings.warn('unguarded pods', "can't look for pods that look like etcd", error),
  });
  recorder.unguardedAtScrape(() => unguarded.counts);
  const lease = new Lease(api, claimOf(context), {
    onHeld() {
      warnings.over('Lease');
      log.info({ lease: LEASE_NAME }, 'keeping the status of EtcdGuards');
      recorder.keepsStatus(true);
      keeper.start();
      unguarded.start();
      for (const one of beside) one.onHeld();
    },
    onLost() {
      log.info({ lease: LEASE_NAME }, 'no longer keeping the status of EtcdGuards');
      recorder.keepsStatus(false);
      keeper.stop();
      unguarded.stop();
      for (const one of beside) one.onLost();
      looked.forgetAll();
    },
    onFailed: (error) =>
      warnings.warn('Lease', "can't get the Lease: status is not kept by this replica", error),
  });
  guards.start();
  lease.start();
  return {
    reviewed: (guard, view) => keeper.reviewed(guard, view),
    mayWrite: () => lease.held,
    known: () => guards.namespaces.flatMap((namespace) => guards.in(namespace)),
    async stop() {
      guards.stop();
      await lease.stop();
    },
  };
}

function claimOf({ namespace, podName }: KeepStatusContext): LeaseClaim {
  return {
    namespace: namespace ?? DEFAULT_NAMESPACE,
    name: LEASE_NAME,
    // A container that starts anew in its pod is another process, and waits for what it left behind.
    identity: `${podName ?? hostname()}_${randomBytes(4).toString('hex')}`,
  };
}

function labelsOf({ namespace, name }: GuardName): GuardLabels {
  return { namespace, guard: name };
}

/** The gauges of the guards that this replica has looked at: no other has them. */
class LookedAt {
  readonly #recorder: Recorder;
  readonly #rows = new Map<string, GuardLabels & Pick<Looked, 'reservations' | 'pods'>>();

  constructor(recorder: Recorder) {
    this.#recorder = recorder;
    recorder.readAtScrape(() => this.#rows.values());
  }

  at(guard: GuardName, { view, voters, reservations, pods }: Looked): void {
    const labels = labelsOf(guard);
    this.#rows.set(guardKey(guard), { ...labels, reservations, pods });
    this.#recorder.cluster(labels, view, voters);
  }

  forget(guard: GuardName): void {
    this.#rows.delete(guardKey(guard));
    this.#recorder.removeGuard(labelsOf(guard));
  }

  forgetAll(): void {
    for (const { namespace, guard } of this.#rows.values()) {
      this.#recorder.forgetCluster({ namespace, guard });
    }
    this.#rows.clear();
  }
}

/** How often a warning is repeated while its cause lasts. */
const REPEAT_MS = 10 * 60_000;

/** One warning for what goes on failing in the same way, repeated from time to time. */
class Warnings {
  readonly #log: Logger;
  readonly #last = new Map<string, { readonly said: string; readonly at: number }>();

  constructor(log: Logger) {
    this.#log = log;
  }

  warn(about: string, message: string, error: ApiError): void {
    const said = `${error.code} ${message}`;
    const now = performance.now();
    const last = this.#last.get(about);
    if (last?.said === said && now - last.at < REPEAT_MS) return;
    this.#last.set(about, { said, at: now });
    this.#log.warn({ about, err: error }, message);
  }

  over(about: string): void {
    this.#last.delete(about);
  }
}
