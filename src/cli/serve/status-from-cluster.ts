import type { ClusterView } from '../../decision/cluster-view.ts';
import type { Guard } from '../../decision/situation.ts';
import type { ConnectionSettings, EtcdCluster } from '../../etcd/port.ts';
import { withTimes } from '../../guards/guard-status.ts';
import { ApiError, type KubernetesApi } from '../../kubernetes/api/api.ts';
import { withSharedReads } from '../../kubernetes/api/shared-reads.ts';
import { API_MS, ClusterReader } from '../../kubernetes/guards/cluster-reader.ts';
import { guardsIn, shownIn } from '../../kubernetes/guards/guard-resource.ts';
import { KubernetesSource } from '../../kubernetes/guards/kubernetes-source.ts';
import {
  NAMESPACES,
  readScope,
  unprotectedIn,
  type Unprotected,
} from '../../kubernetes/guards/protection.ts';
import { acceptance } from '../../kubernetes/status/spec-acceptance.ts';
import { wholeStatus } from '../../kubernetes/status/whole-status.ts';
import type { KnownGuard as WatchedGuard } from '../../kubernetes/status/watched-guards.ts';
import type { GuardLook, GuardName, KnownGuard, StatusSource } from '../../page/port.ts';
import { lookAtGuard } from './look-at-guard.ts';

/** What looking at guards of a cluster needs. */
export interface StatusFromClusterContext {
  readonly api: KubernetesApi;
  readonly connect: (settings: ConnectionSettings) => EtcdCluster;
  /** Hears of every view that a round gave. */
  readonly viewed: (guard: Guard, view: ClusterView) => void;
  readonly known: () => readonly WatchedGuard[];
  /** Name of the ValidatingWebhookConfiguration that has the API server ask us. */
  readonly webhookConfiguration: string;
}

/** Pods of one guard are judged at one moment: what they have in common is read once. */
const SHARED_MS = 500;
/** The webhook's configuration is read no more often than that. */
const SLOW_MS = 2_000;
const LOOK_MS = 10_000;

const STANDINGS = { True: 'fine', False: 'trouble', Unknown: 'unknown' } as const;

/** The status page's view of EtcdGuards; reads and connections of its own, so that no review waits for it. */
export class StatusFromCluster implements StatusSource {
  /** Fewer than with files: each costs the API server some ten reads. */
  readonly looksPerSecond = 10;
  readonly #context: StatusFromClusterContext;
  readonly #reader: ClusterReader;
  readonly #source: KubernetesSource;
  /** For what people seldom change. */
  readonly #slow: Pick<KubernetesApi, 'get'>;

  constructor(context: StatusFromClusterContext) {
    const { api, connect, viewed } = context;
    this.#context = context;
    this.#reader = new ClusterReader({
      api: withSharedReads(api, SHARED_MS, () => performance.now()),
      connect,
      viewed,
      nowMs: () => Date.now(),
    });
    this.#source = new KubernetesSource(this.#reader);
    this.#slow = withSharedReads(api, SLOW_MS, () => performance.now());
  }

  known(): readonly KnownGuard[] {
    return this.#context.known().map(({ namespace, name, healthy }) => ({
      namespace,
      name,
      standing: STANDINGS[healthy],
    }));
  }

  async look({ namespace, name }: GuardName): Promise<GuardLook | null> {
    const endsAtMs = performance.now() + LOOK_MS;
    const object = await this.#reader.reads.get(guardsIn(namespace), name, API_MS);
    if (object === null || object.metadata.deletionTimestamp !== undefined) return null;
    const left = (): number => Math.max(0, Math.min(API_MS, endsAtMs - performance.now()));
    const [look, unprotected] = await Promise.all([
      this.#reader.look(object, left),
      this.#unprotected(namespace),
    ]);
    const { cluster, reading } = look;
    const others = this.#context
      .known()
      .filter((one) => one.namespace === namespace && one.name !== name);
    const accepted = acceptance({ object, reading, others, unprotected });
    return lookAtGuard({
      cluster,
      spec: object['spec'],
      pods: (reading?.live ?? []).map(({ snapshot }) => snapshot),
      unprotected,
      statusOf: (seen, now) =>
        withTimes(
          wholeStatus({ object, look, seen, accepted, now }),
          shownIn(object).conditions ?? [],
        ),
      source: this.#source,
    });
  }

  close(): void {
    this.#reader.close();
  }

  /** null too where that can't be read. */
  async #unprotected(name: string): Promise<Unprotected | null> {
    try {
      const [scope, namespace] = await Promise.all([
        readScope(this.#slow, this.#context.webhookConfiguration, API_MS),
        // Judging the pods reads it as well.
        this.#reader.reads.get(NAMESPACES, name, API_MS),
      ]);
      if (namespace === null) return null;
      return unprotectedIn(scope, { name, labels: namespace.metadata.labels ?? {} });
    } catch (error) {
      if (error instanceof ApiError) return null;
      throw error;
    }
  }
}
