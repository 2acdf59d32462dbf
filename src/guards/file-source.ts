import type {
  Found,
  GuardedCluster,
  GuardedSubject,
  GuardSource,
  NewReservation,
} from '../admission/guard-source.ts';
import { viewBeforeProof, type ClusterView } from '../decision/cluster-view.ts';
import type { Answer, Guard, PodFacts } from '../decision/situation.ts';
import type { ConnectionSettings, EtcdCluster } from '../etcd/port.ts';
import type { ActiveMs } from '../sharing/active.ts';
import { hostOf } from './address.ts';
import { guardKey, type LoadedGuard } from './file-guards.ts';
import { matchesLabels } from './label-selector.ts';
import { MemoryLedger } from './memory-ledger.ts';
import { factsOfName, factsOfPod } from './pod-facts.ts';

/** A process that was busy for so long since it asked may have heard a member too late. */
const BUSY_MS = 1_000;

/** What the source needs from outside. */
export interface FileSourceContext {
  readonly connect: (settings: ConnectionSettings) => EtcdCluster;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicMs: () => number;
  readonly activeMs: ActiveMs;
  /** Hears of every view that a round gave. */
  readonly viewed: (guard: Guard, view: ClusterView) => void;
}

/** One guard from a file, its connections and its ledger. */
export interface FileGuard {
  readonly guard: Guard;
  readonly ledger: MemoryLedger;
  readonly loaded: LoadedGuard;
  /** The cluster as it would be read for this pod; null asks for no pod in particular. */
  clusterFor(pod: string | null): GuardedCluster;
  close(): void;
}

/** Guards from files: the keys of `addresses` are the pods, and the ledger is in memory. */
export class FileSource implements GuardSource {
  readonly atHand = true;
  readonly #context: FileSourceContext;
  #guards = new Map<string, FileGuard>();
  #byNamespace = new Map<string, FileGuard[]>();

  constructor(loaded: readonly LoadedGuard[], context: FileSourceContext) {
    this.#context = context;
    this.replace(loaded);
  }

  get guards(): readonly FileGuard[] {
    return [...this.#guards.values()];
  }

  /** Takes over a new version of the files. Ledgers stay, connections too where nothing changed. */
  replace(loaded: readonly LoadedGuard[]): void {
    const next = new Map<string, FileGuard>();
    for (const one of loaded) {
      const key = guardKey(one.document.metadata);
      next.set(key, fileGuard(one, this.#context, this.#guards.get(key) ?? null));
    }
    for (const [key, old] of this.#guards) {
      if (next.get(key)?.loaded.settingsKey !== old.loaded.settingsKey) old.close();
    }
    this.#guards = next;
    this.#byNamespace = Map.groupBy(next.values(), ({ guard }) => guard.namespace);
  }

  read(subject: GuardedSubject): Found {
    const { namespace, name } = subject.kind === 'delete' ? subject.pod : subject;
    const inNamespace = this.#byNamespace.get(namespace) ?? [];
    const selecting = inNamespace.filter((guard) => selects(guard, subject, name));
    const port = selecting[0]?.loaded.document.spec.members.port ?? null;
    const target =
      subject.kind === 'delete' ? factsOfPod(subject.pod, port) : factsOfName(namespace, name);
    return { target, clusters: selecting.map((guard) => guard.clusterFor(name)) };
  }

  close(): void {
    for (const guard of this.#guards.values()) guard.close();
  }
}

function selects({ loaded }: FileGuard, subject: GuardedSubject, name: string): boolean {
  const { members, selector } = loaded.document.spec;
  if (Object.hasOwn(members.addresses, name)) return true;
  if (subject.kind === 'eviction' || selector === undefined) return false;
  return matchesLabels(selector, subject.pod.labels);
}

function fileGuard(
  loaded: LoadedGuard,
  context: FileSourceContext,
  before: FileGuard | null,
): FileGuard {
  const { metadata, spec } = loaded.document;
  const guard: Guard = {
    namespace: metadata.namespace,
    name: metadata.name,
    policy: spec.policy,
    podsFrom: 'addresses',
  };
  const ledger = before?.ledger ?? new MemoryLedger(context.monotonicMs);
  const kept = before?.loaded.settingsKey === loaded.settingsKey ? before : null;
  const etcd = kept?.clusterFor(null).etcd ?? lazily(() => context.connect(loaded.settings));
  const pods = Object.entries(spec.members.addresses).map(([name, address]) =>
    podAt(name, address),
  );
  const endpoints = pods.map(({ name, address }) => ({ pod: name, address }));
  const viewNow = (answers: ReadonlyMap<string, Answer>): ClusterView => {
    const { reservations } = ledger.read('');
    return viewBeforeProof({ guard, pods, reservations }, answers);
  };
  return {
    guard,
    ledger,
    loaded,
    close: () => etcd.close(),
    clusterFor(pod) {
      const { version, readAt, reservations } = ledger.read(pod ?? '');
      const activeSinceMs = context.activeMs();
      const addressed = pod === null || Object.hasOwn(spec.members.addresses, pod);
      const extra = addressed ? [] : [podAt(pod, null)];
      return {
        guard,
        etcd,
        reservations,
        endpoints,
        pods: extra.length === 0 ? pods : [...pods, ...extra],
        reserve: async (entry: NewReservation) => {
          const release = ledger.reserve(pod ?? '', version, entry);
          return release === 'conflict' ? release : { release: async () => release() };
        },
        keep: async () => (ledger.keep(pod ?? '', readAt) ? 'kept' : 'conflict'),
        observed(answers, view) {
          // Whom this process was too busy to hear has not gone: its reservation would end too soon.
          const heardAll = ![...answers.values()].some(({ kind }) => kind === 'silent');
          const trusted = heardAll || context.activeMs() - activeSinceMs < BUSY_MS;
          const states = ledger.size > 0 && trusted ? statesIn(answers, pods, guard) : null;
          const ended = states !== null && ledger.observe(readAt, states);
          context.viewed(guard, ended ? viewNow(answers) : view);
          return ended;
        },
      };
    },
  };
}

function podAt(name: string, address: string | null): PodFacts {
  const host = address === null ? null : hostOf(address);
  const hosts = host === null || host === name ? [name] : [host, name];
  return { name, address, hosts, terminating: false, cordoned: false };
}

/** Silent, or a healthy voter if reservations are left out of account. */
function statesIn(
  answers: ReadonlyMap<string, Answer>,
  pods: readonly PodFacts[],
  guard: Guard,
): (pod: string) => 'silent' | 'healthy' | 'other' {
  const view = viewBeforeProof({ guard, pods, reservations: [] }, answers);
  const healthy = new Set(
    view.members
      .filter(({ learner, health }) => !learner && health === 'Healthy')
      .flatMap((member) => member.pods),
  );
  // If nobody answers it is rather the guard that hears nothing, and then no member has gone.
  const heard = answers.size === 1 || [...answers.values()].some(({ kind }) => kind === 'status');
  return (pod) => {
    if (answers.get(pod)?.kind === 'silent') return heard ? 'silent' : 'other';
    return healthy.has(pod) ? 'healthy' : 'other';
  };
}

/** Thousands of guards in one process: nothing is set up before its first use. */
function lazily(connect: () => EtcdCluster): EtcdCluster {
  let made: EtcdCluster | null = null;
  const cluster = (): EtcdCluster => (made ??= connect());
  return {
    ask: (endpoints, withinMs, options) => cluster().ask(endpoints, withinMs, options),
    prove: (endpoints, withinMs) => cluster().prove(endpoints, withinMs),
    moveLeader: (leader, to, withinMs) => cluster().moveLeader(leader, to, withinMs),
    close: () => made?.close(),
  };
}
