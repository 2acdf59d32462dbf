import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { disruptionsAllowed, type ClusterView } from '../decision/cluster-view.ts';
import { REASONS, type Operation, type Reason } from '../decision/situation.ts';
import type { EtcdMethod, EtcdRequestObserver } from '../etcd/port.ts';

/** Namespace and name of a guard, both empty where there is none. */
export interface GuardLabels {
  readonly namespace: string;
  readonly guard: string;
}

/** One answered review. `operation` is empty where the body did not tell. */
export interface AdmissionRecord {
  readonly operation: Operation | '';
  readonly decision: 'allow' | 'deny' | 'error';
  readonly reason: Reason | 'BadRequest' | 'InternalError';
  readonly guard: GuardLabels;
  readonly dryRun: boolean;
  readonly seconds: number;
}

/** What became of a leader that a caller was entitled to have handed over. */
export type HandOffOutcome = 'moved' | 'failed' | 'refused';

/** A file that is followed while running. */
export type WatchedFile = 'guards' | 'certificate';

const NO_GUARD: GuardLabels = { namespace: '', guard: '' };
const OPERATIONS: readonly Operation[] = ['delete', 'eviction'];
const DENYING: readonly Reason[] = [
  'AmbiguousGuard',
  'Unverifiable',
  'LeaderProtected',
  'QuorumLost',
  'QuorumAtRisk',
];
const METHODS: readonly EtcdMethod[] = ['Status', 'MemberList', 'Range', 'MoveLeader', 'Alarm'];
const OUTCOMES = ['ok', 'error', 'timeout'] as const;

/** From a local answer to the webhook's timeout. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** promtool calls these malformed: gauges that end in _total. */
const MISNAMED = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];

/** Every metric of the guard; the only place that knows their names. */
export class Recorder implements EtcdRequestObserver {
  readonly registry = new Registry();

  readonly #requests = new Counter({
    name: 'etcdguard_admission_requests_total',
    help: 'Answered admission reviews, by what was asked and what was answered.',
    labelNames: ['operation', 'decision', 'reason', 'namespace', 'guard', 'dry_run'] as const,
    registers: [this.registry],
  });
  readonly #denials = new Counter({
    name: 'etcdguard_denials_total',
    help: 'Deletions and evictions of guarded pods that were refused; dry runs are not counted.',
    labelNames: ['operation', 'reason', 'namespace', 'guard'] as const,
    registers: [this.registry],
  });
  readonly #duration = new Histogram({
    name: 'etcdguard_admission_duration_seconds',
    help: 'Time from the arrival of a review to its answer.',
    labelNames: ['operation', 'decision'] as const,
    buckets: BUCKETS,
    registers: [this.registry],
  });
  readonly #inFlight = new Gauge({
    name: 'etcdguard_admission_requests_in_flight',
    help: 'Admission reviews that are being judged now.',
    registers: [this.registry],
  });
  readonly #etcdDuration = new Histogram({
    name: 'etcdguard_etcd_request_duration_seconds',
    help: 'Time that requests to etcd members took, by method and outcome.',
    labelNames: ['method', 'outcome'] as const,
    buckets: BUCKETS,
    registers: [this.registry],
  });
  readonly #handOffs = new Counter({
    name: 'etcdguard_handoffs_total',
    help: 'Hand-offs of leadership that callers were entitled to, by outcome.',
    labelNames: ['namespace', 'guard', 'outcome'] as const,
    registers: [this.registry],
  });
  readonly #breakGlass = new Counter({
    name: 'etcdguard_break_glass_total',
    help: 'Deletions and evictions let through unchecked because of a break-glass annotation.',
    labelNames: ['namespace', 'guard'] as const,
    registers: [this.registry],
  });
  readonly #voters = new Gauge({
    name: 'etcdguard_cluster_voters',
    help: 'Voting members in the member list, by health as last seen.',
    labelNames: ['namespace', 'guard', 'health'] as const,
    registers: [this.registry],
  });
  readonly #hasLeader = new Gauge({
    name: 'etcdguard_cluster_has_leader',
    help: '1 if a quorum of voters named one leader when last asked, else 0.',
    labelNames: ['namespace', 'guard'] as const,
    registers: [this.registry],
  });
  readonly #disruptionsAllowed = new Gauge({
    name: 'etcdguard_cluster_disruptions_allowed',
    help: 'Healthy voters beyond the quorum when last asked.',
    labelNames: ['namespace', 'guard'] as const,
    registers: [this.registry],
  });
  readonly #certificateExpiry = new Gauge({
    name: 'etcdguard_certificate_expiry_timestamp_seconds',
    help: 'When the serving certificate expires, in seconds since the epoch.',
    registers: [this.registry],
  });
  readonly #reloadFailures = new Counter({
    name: 'etcdguard_reload_failures_total',
    help: 'New versions of watched files that could not be used; the old version stays in force.',
    labelNames: ['file'] as const,
    registers: [this.registry],
  });

  constructor(version: string) {
    collectDefaultMetrics({ register: this.registry });
    for (const name of MISNAMED) this.registry.removeSingleMetric(name);
    new Gauge({
      name: 'etcdguard_build_info',
      help: 'Always 1; the labels tell the versions of etcd-guard and Node.',
      labelNames: ['version', 'node'],
      registers: [this.registry],
    }).set({ version, node: process.version }, 1);
    this.#createKnownSeries();
  }

  /** Gauges that are read when they are scraped: live reservations and guarded pods, a row a guard. */
  readAtScrape(
    rows: () => Iterable<GuardLabels & { readonly reservations: number; readonly pods: number }>,
  ): void {
    const labelNames = ['namespace', 'guard'] as const;
    for (const [name, help, field] of [
      [
        'etcdguard_reservations',
        'Pods that were allowed to go and have not been seen back.',
        'reservations',
      ],
      ['etcdguard_guarded_pods', 'Pods that the guard protects.', 'pods'],
    ] as const) {
      const gauge = new Gauge({
        name,
        help,
        labelNames,
        registers: [],
        collect() {
          this.reset();
          for (const row of rows()) {
            this.set({ namespace: row.namespace, guard: row.guard }, row[field]);
          }
        },
      });
      this.registry.registerMetric(gauge);
    }
  }

  /** Creates the series of a guard, so that the first refusal is an increase and not a new series. */
  addGuard({ namespace, guard }: GuardLabels): void {
    for (const operation of OPERATIONS) {
      for (const reason of DENYING) this.#denials.inc({ operation, reason, namespace, guard }, 0);
    }
    for (const outcome of ['moved', 'failed', 'refused'] as const) {
      this.#handOffs.inc({ namespace, guard, outcome }, 0);
    }
    this.#breakGlass.inc({ namespace, guard }, 0);
  }

  /** Forgets what was last seen of a guard's cluster; its counters stay. */
  removeGuard(labels: GuardLabels): void {
    for (const health of ['healthy', 'unhealthy', 'unknown'] as const) {
      this.#voters.remove({ ...labels, health });
    }
    this.#hasLeader.remove({ ...labels });
    this.#disruptionsAllowed.remove({ ...labels });
  }

  reviewStarted(): void {
    this.#inFlight.inc();
  }

  reviewEnded(record: AdmissionRecord): void {
    const { operation, decision, reason, dryRun } = record;
    const { namespace, guard } = record.guard;
    this.#inFlight.dec();
    this.#requests.inc({ operation, decision, reason, namespace, guard, dry_run: `${dryRun}` });
    if (operation !== '') this.#duration.observe({ operation, decision }, record.seconds);
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

  etcdRequest(method: EtcdMethod, outcome: 'ok' | 'error' | 'timeout', seconds: number): void {
    this.#etcdDuration.observe({ method, outcome }, seconds);
  }

  cluster({ namespace, guard }: GuardLabels, view: ClusterView): void {
    const voters = view.members.filter(({ learner }) => !learner);
    for (const health of ['Healthy', 'Unhealthy', 'Unknown'] as const) {
      const count = voters.filter((member) => member.health === health).length;
      this.#voters.set({ namespace, guard, health: lowerCase(health) }, count);
    }
    this.#hasLeader.set({ namespace, guard }, view.leader.kind === 'confirmed' ? 1 : 0);
    this.#disruptionsAllowed.set({ namespace, guard }, disruptionsAllowed(view));
  }

  certificateExpires(at: Date): void {
    this.#certificateExpiry.set(at.getTime() / 1000);
  }

  reloadFailed(file: WatchedFile): void {
    this.#reloadFailures.inc({ file });
  }

  #createKnownSeries(): void {
    const none = { namespace: '', guard: '', dry_run: 'false' };
    for (const operation of OPERATIONS) {
      this.#requests.inc({ ...none, operation, decision: 'allow', reason: REASONS[0] }, 0);
      this.#requests.inc({ ...none, operation, decision: 'error', reason: 'InternalError' }, 0);
      for (const decision of ['allow', 'deny', 'error'] as const) {
        this.#duration.zero({ operation, decision });
      }
    }
    this.#requests.inc({ ...none, operation: '', decision: 'error', reason: 'BadRequest' }, 0);
    for (const method of METHODS) {
      for (const outcome of OUTCOMES) this.#etcdDuration.zero({ method, outcome });
    }
    for (const file of ['guards', 'certificate'] as const) this.#reloadFailures.inc({ file }, 0);
  }
}

function lowerCase(health: 'Healthy' | 'Unhealthy' | 'Unknown') {
  return health.toLowerCase();
}
