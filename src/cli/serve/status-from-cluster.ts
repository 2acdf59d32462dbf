import type { ClusterView } from '../../decision/cluster-view.ts';
import type { Guard } from '../../decision/situation.ts';
import type { ConnectionSettings, EtcdCluster } from '../../etcd/port.ts';
import type { KubernetesApi, KubernetesObject } from '../../kubernetes/api/api.ts';
import { withSharedReads } from '../../kubernetes/api/shared-reads.ts';
import { API_MS, ClusterReader } from '../../kubernetes/guards/cluster-reader.ts';
import { guardsIn, shownIn } from '../../kubernetes/guards/guard-resource.ts';
import { KubernetesSource } from '../../kubernetes/guards/kubernetes-source.ts';
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
}

/** Pods of one guard are judged at one moment: what they have in common is read once. */
const SHARED_MS = 500;
const LOOK_MS = 10_000;

const STANDINGS = { True: 'fine', False: 'trouble', Unknown: 'unknown' } as const;

/** The status page's view of EtcdGuards; reads and connections of its own, so that no review waits for it. */
export class StatusFromCluster implements StatusSource {
  /** Fewer than with files: each costs the API server some ten reads. */
  readonly looksPerSecond = 10;
  readonly #context: StatusFromClusterContext;
  readonly #reader: ClusterReader;
  readonly #source: KubernetesSource;

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
    const { cluster, reading } = await this.#reader.look(object, left);
    return lookAtGuard({
      cluster,
      spec: object['spec'],
      pods: (reading?.live ?? []).map(({ snapshot }) => snapshot),
      unasked: unaskedIn(object),
      source: this.#source,
    });
  }

  close(): void {
    this.#reader.close();
  }
}

const UNASKED: ReadonlySet<string> = new Set(['NamespaceNotLabelled', 'WebhookNotRegistered']);

/** As whichever replica keeps the status has written it: that one follows namespaces and the webhook. */
function unaskedIn(object: KubernetesObject): string | null {
  const accepted = shownIn(object).conditions?.find(({ type }) => type === 'Accepted');
  return accepted !== undefined && UNASKED.has(accepted.reason) ? accepted.message : null;
}
