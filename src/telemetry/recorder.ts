import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { disruptionsAllowed, type ClusterView } from '../decision/cluster-view.ts';
import { REASONS, type Operation, type Reason } from '../decision/situation.ts';
import type { EtcdMethod, EtcdRequestObserver } from '../etcd/port.ts';
import { measureEventLoopLag } from './event-loop-lag.ts';
import { expositionFor, type Exposition } from './exposition.ts';
import {
  BUCKETS,
  DECISIONS,
  DENYING,
  HAND_OFF_OUTCOMES,
  HEALTHS,
  helpOf,
  INJECTION_METRICS,
  INJECTION_OUTCOMES,
  METHODS,
  LOCK_METRICS,
  METRICS,
  OPERATIONS,
  OUTCOMES,
  WATCHED_FILES,
  type MetricDescription,
} from './metrics.ts';

/** Namespace and name of a guard, both empty where there is none. */
export interface GuardLabels {
  readonly namespace: string;
  readonly guard: string;
}

/** One answered review. `operation` is empty where the body did not tell. */
export interface AdmissionRecord {
  readonly operation: Operation | '';
  readonly decision: (typeof DECISIONS)[number];
  readonly reason: Reason | 'BadRequest' | 'InternalError';
  readonly guard: GuardLabels;
  readonly dryRun: boolean;
  readonly seconds: number;
}

/** A change that a lock refused. */
export interface LockDenial {
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE';
  readonly resource: string;
  readonly namespace: string;
  readonly lock: string;
}

/** What became of a leader that a caller was entitled to have handed over. */
export type HandOffOutcome = (typeof HAND_OFF_OUTCOMES)[number];

/** What became of a new pod that asked for injection. */
export type InjectionOutcome = (typeof INJECTION_OUTCOMES)[number];

/** A file that is followed while running. */
export type WatchedFile = (typeof WATCHED_FILES)[number];

const DAY_MS = 86_400_000;
const NO_GUARD: GuardLabels = { namespace: '', guard: '' };
/** Long enough for every Prometheus to have seen what was counted last. */
const KEPT_AFTER_REMOVAL_MS = 3_600_000;
/** Locks come and go, and nobody tells a replica that holds no Lease. */
const LOCK_SERIES_MS = DAY_MS;

/** promtool calls these malformed: gauges that end in _total. */
const MISNAMED = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];

type LabelOf<D extends MetricDescription> = keyof D['labels'] & string;

/** A guard as it is when it is scraped. */
export type GuardRow = GuardLabels & { readonly reservations: number; readonly pods: number };

/** Every metric of the guard, as METRICS describes it. */
export class Recorder implements EtcdRequestObserver {
  readonly #registry = new Registry();

  readonly #monotonicMs: () => number;
  readonly #requests = new Counter({
    ...this.#described(METRICS.requests),
    collect: () => this.#countUnguarded(),
  });
  /** Reviews since the last scrape that no guard selects, but for dry runs. */
  readonly #unguarded: Record<Operation, number> = { delete: 0, eviction: 0 };
  readonly #denials = this.#counter(METRICS.denials);
  readonly #duration = this.#histogram(METRICS.duration);
  readonly #etcdDuration = this.#histogram(METRICS.etcdDuration);
  readonly #handOffs = this.#counter(METRICS.handOffs);
  readonly #breakGlass = this.#counter(METRICS.breakGlass);
  readonly #voters = this.#gauge(METRICS.voters);
  readonly #hasLeader = this.#gauge(METRICS.hasLeader);
  readonly #leaderChanges = this.#counter(METRICS.leaderChanges);
  readonly #disruptionsAllowed = this.#gauge(METRICS.disruptionsAllowed);
  readonly #keepsStatus = this.#gauge(METRICS.keepsStatus);
  readonly #certificateExpiry = this.#gauge(METRICS.certificateExpiry);
  readonly #reloadFailures = this.#counter(METRICS.reloadFailures);
  #reviewsInFlight = 0;
  /** By guard: who was last seen to lead. */
  readonly #leaders = new Map<string, string>();
  /** By guard: how many voters the last member list had that was agreed on. */
  readonly #lastVoters = new Map<string, number>();
  /** Guards that are gone, and since when; their counters are still there. */
  readonly #removed = new Map<string, GuardLabels & { readonly at: number }>();

  constructor(version: string, monotonicMs: () => number = () => performance.now()) {
    this.#monotonicMs = monotonicMs;
    // Ours take the place of its event loop gauges, so it need not look.
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: DAY_MS });
    for (const name of MISNAMED) this.#registry.removeSingleMetric(name);
    measureEventLoopLag(this.#registry);
    this.#gauge(METRICS.inFlight, (gauge) => gauge.set(this.#reviewsInFlight));
    this.#gauge(METRICS.buildInfo).set({ version, node: process.version }, 1);
    // Zero would be a certificate that expired in 1970.
    this.#certificateExpiry.remove();
    this.#createKnownSeries();
  }

  /** What `/metrics` answers to this Accept header. */
  async exposition(accept: string): Promise<Exposition> {
    await this.#forgetRemoved();
    return expositionFor(accept, await this.#registry.metrics());
  }

  /** Live reservations and guarded pods, a row a guard, read when they are scraped. */
  readAtScrape(rows: () => Iterable<GuardRow>): void {
    const all = [
      [METRICS.reservations, 'reservations'],
      [METRICS.guardedPods, 'pods'],
    ] as const;
    for (const [description, field] of all) {
      this.#gauge(description, (gauge) => {
        gauge.reset();
        for (const { namespace, guard, ...row } of rows()) {
          gauge.set({ namespace, guard }, row[field]);
        }
      });
    }
  }

  /** Pods that look like etcd and have no guard, by namespace, read when they are scraped. */
  unguardedAtScrape(pods: () => Iterable<readonly [namespace: string, pods: number]>): void {
    this.#gauge(METRICS.unguardedPods, (gauge) => {
      gauge.reset();
      for (const [namespace, count] of pods()) gauge.set({ namespace }, count);
    });
  }

  /** Whether this replica takes reviews, asked when it is scraped; must not reject. */
  readyAtScrape(ready: () => Promise<boolean>): void {
    this.#gauge(METRICS.ready, async (gauge) => gauge.set((await ready()) ? 1 : 0));
  }

  /** Begins to count refusals by ExclusiveLocks; gives what they are told to. */
  countLockDenials(): (denial: LockDenial) => void {
    const last = new Map<string, { readonly denial: LockDenial; readonly at: number }>();
    const counter: Counter<keyof LockDenial> = new Counter({
      ...this.#described(LOCK_METRICS.lockDenials),
      collect: () => {
        const over = this.#monotonicMs() - LOCK_SERIES_MS;
        for (const [key, { denial, at }] of last) {
          if (at > over) continue;
          last.delete(key);
          counter.remove({ ...denial });
        }
      },
    });
    return (denial) => {
      const { operation, resource, namespace, lock } = denial;
      const key = JSON.stringify([operation, resource, namespace, lock]);
      last.set(key, { denial, at: this.#monotonicMs() });
      counter.inc({ operation, resource, namespace, lock });
    };
  }

  /** Begins to count what new pods are given; gives what it is told to. */
  countInjections(): (outcome: InjectionOutcome) => void {
    const counter = this.#counter(INJECTION_METRICS.injections);
    for (const outcome of INJECTION_OUTCOMES) counter.inc({ outcome }, 0);
    return (outcome) => counter.inc({ outcome });
  }

  /** Creates the series of a guard, so that the first refusal is an increase and not a new series. */
  addGuard({ namespace, guard }: GuardLabels): void {
    this.#removed.delete(keyOf({ namespace, guard }));
    for (const operation of OPERATIONS) {
      for (const reason of DENYING) this.#denials.inc({ operation, reason, namespace, guard }, 0);
      for (const decision of ['allow', 'deny'] as const) {
        const answer = { operation, decision, reason: 'Unverifiable', dry_run: 'false' };
        this.#requests.inc({ ...answer, namespace, guard }, 0);
      }
    }
    for (const outcome of HAND_OFF_OUTCOMES) this.#handOffs.inc({ namespace, guard, outcome }, 0);
    this.#breakGlass.inc({ namespace, guard }, 0);
  }

  /** The guard is gone: so is what was seen of its cluster, and its counters an hour later. */
  removeGuard({ namespace, guard }: GuardLabels): void {
    this.forgetCluster({ namespace, guard });
    const at = this.#monotonicMs();
    this.#removed.set(keyOf({ namespace, guard }), { namespace, guard, at });
  }

  /** Another replica looks at the guard's cluster from now on. */
  forgetCluster({ namespace, guard }: GuardLabels): void {
    for (const health of HEALTHS) this.#voters.remove({ namespace, guard, health });
    this.#hasLeader.remove({ namespace, guard });
    this.#disruptionsAllowed.remove({ namespace, guard });
    this.#leaders.delete(keyOf({ namespace, guard }));
    this.#lastVoters.delete(keyOf({ namespace, guard }));
  }

  /** Whether this process is the one that looks at clusters. */
  keepsStatus(keeps: boolean): void {
    this.#keepsStatus.set(keeps ? 1 : 0);
  }

  reviewStarted(): void {
    this.#reviewsInFlight += 1;
  }

  reviewEnded(record: AdmissionRecord): void {
    const { operation, decision, reason, dryRun } = record;
    const { namespace, guard } = record.guard;
    this.#reviewsInFlight -= 1;
    if (operation !== '') this.#duration.observe({ operation, decision }, record.seconds);
    if (operation !== '' && reason === 'NotGuarded' && !dryRun) {
      this.#unguarded[operation] += 1;
      return;
    }
    this.#requests.inc({ operation, decision, reason, namespace, guard, dry_run: `${dryRun}` });
    if (dryRun) return;
    if (decision === 'deny') this.#denials.inc({ operation, reason, namespace, guard });
    if (reason === 'BreakGlass') this.#breakGlass.inc({ namespace, guard });
  }

  /** A request that never became a review: not JSON, too large, too slow. */
  badRequest(): void {
    this.reviewStarted();
    this.reviewEnded({
      operation: '',
      decision: 'error',
      reason: 'BadRequest',
      guard: NO_GUARD,
      dryRun: false,
      seconds: 0,
    });
  }

  handOff({ namespace, guard }: GuardLabels, outcome: HandOffOutcome): void {
    this.#handOffs.inc({ namespace, guard, outcome });
  }

  etcdRequest(method: EtcdMethod, outcome: (typeof OUTCOMES)[number], seconds: number): void {
    this.#etcdDuration.observe({ method, outcome }, seconds);
  }

  /** `lastKnown` are the voters of the last member list that was agreed on; without it, that was seen here. */
  cluster(
    { namespace, guard }: GuardLabels,
    view: ClusterView,
    lastKnown = this.#lastVoters.get(keyOf({ namespace, guard })) ?? null,
  ): void {
    const agreed = view.list === 'agreed';
    if (agreed) this.#lastVoters.set(keyOf({ namespace, guard }), view.voters);
    const voters = view.members.filter(({ learner }) => !learner);
    for (const health of ['Healthy', 'Unhealthy', 'Unknown'] as const) {
      const count = voters.filter((member) => member.health === health).length;
      const former = agreed || health !== 'Unknown' ? 0 : (lastKnown ?? 0);
      this.#voters.set({ namespace, guard, health: lowerCase(health) }, count + former);
    }
    this.#hasLeader.set({ namespace, guard }, view.leader.kind === 'confirmed' ? 1 : 0);
    this.#leaderChanges.inc({ namespace, guard }, this.#hasChanged({ namespace, guard }, view));
    this.#disruptionsAllowed.set({ namespace, guard }, disruptionsAllowed(view));
  }

  certificateExpires(at: Date): void {
    this.#certificateExpiry.set(at.getTime() / 1000);
  }

  reloadFailed(file: WatchedFile): void {
    this.#reloadFailures.inc({ file });
  }

  /** Most reviews of a cluster are such, and prom-client checks and joins all labels at each call. */
  #countUnguarded(): void {
    for (const operation of OPERATIONS) {
      const labels = { ...NO_GUARD, operation, decision: 'allow', reason: 'NotGuarded' } as const;
      this.#requests.inc({ ...labels, dry_run: 'false' }, this.#unguarded[operation]);
      this.#unguarded[operation] = 0;
    }
  }

  #createKnownSeries(): void {
    const none = { namespace: '', guard: '', dry_run: 'false' };
    for (const operation of OPERATIONS) {
      this.#requests.inc({ ...none, operation, decision: 'allow', reason: REASONS[0] }, 0);
      this.#requests.inc({ ...none, operation, decision: 'error', reason: 'InternalError' }, 0);
      for (const decision of DECISIONS) {
        this.#duration.zero({ operation, decision });
      }
    }
    this.#requests.inc({ ...none, operation: '', decision: 'error', reason: 'BadRequest' }, 0);
    for (const method of METHODS) {
      for (const outcome of OUTCOMES) this.#etcdDuration.zero({ method, outcome });
    }
    for (const file of WATCHED_FILES) this.#reloadFailures.inc({ file }, 0);
  }

  /** 1 if another leads than the time before. */
  #hasChanged(guard: GuardLabels, { leader }: ClusterView): 0 | 1 {
    if (leader.kind !== 'confirmed') return 0;
    const key = keyOf(guard);
    const before = this.#leaders.get(key) ?? leader.id;
    this.#leaders.set(key, leader.id);
    return before === leader.id ? 0 : 1;
  }

  /** Where guards come and go with namespaces, what is counted of them would grow for ever. */
  async #forgetRemoved(): Promise<void> {
    const over = this.#monotonicMs() - KEPT_AFTER_REMOVAL_MS;
    const forgotten = [...this.#removed].filter(([, { at }]) => at <= over).map(([key]) => key);
    if (forgotten.length === 0) return;
    for (const key of forgotten) this.#removed.delete(key);
    const keys = new Set(forgotten);
    for (const counter of [this.#requests, this.#denials, this.#handOffs, this.#breakGlass]) {
      await removeFrom(counter, keys);
    }
    await removeFrom(this.#leaderChanges, keys);
  }

  #counter<const D extends MetricDescription>(description: D): Counter<LabelOf<D>> {
    return new Counter({ ...this.#described(description) });
  }

  #histogram<const D extends MetricDescription>(description: D): Histogram<LabelOf<D>> {
    return new Histogram({ ...this.#described(description), buckets: BUCKETS });
  }

  #gauge<const D extends MetricDescription>(
    description: D,
    collect?: (gauge: Gauge<LabelOf<D>>) => void | Promise<void>,
  ): Gauge<LabelOf<D>> {
    const gauge: Gauge<LabelOf<D>> = new Gauge({
      ...this.#described(description),
      ...(collect && { collect: () => collect(gauge) }),
    });
    return gauge;
  }

  #described<const D extends MetricDescription>(description: D) {
    const { name } = description;
    const labelNames = Object.keys(description.labels) as LabelOf<D>[];
    return { name, help: helpOf(description), labelNames, registers: [this.#registry] };
  }
}

async function removeFrom(
  counter: Counter<'namespace' | 'guard'>,
  guards: ReadonlySet<string>,
): Promise<void> {
  const { values } = await counter.get();
  for (const { labels } of values) {
    const { namespace = '', guard = '' } = labels;
    if (guards.has(keyOf({ namespace: String(namespace), guard: String(guard) }))) {
      counter.remove(labels);
    }
  }
}

function keyOf({ namespace, guard }: GuardLabels): string {
  return `${namespace}/${guard}`;
}

function lowerCase(health: 'Healthy' | 'Unhealthy' | 'Unknown') {
  return health.toLowerCase();
}
