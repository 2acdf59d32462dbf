import { REASONS, type Operation, type Reason } from '../decision/situation.ts';
import type { EtcdMethod } from '../etcd/port.ts';

/** What is known of a metric before anything has been counted. */
export interface MetricDescription {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** What it says and in which unit, in whole sentences. */
  readonly what: string;
  /** When it, or a series of it, is not there. */
  readonly absent: string;
  /** All values that a label can have, or what bounds them. */
  readonly labels: Readonly<Record<string, readonly string[] | string>>;
  /** Which of several replicas have it. */
  readonly from: 'every replica' | 'the replica that keeps the status';
}

export const OPERATIONS: readonly Operation[] = ['delete', 'eviction'];
export const DECISIONS = ['allow', 'deny', 'error'] as const;
/** Reasons that a refusal can have. */
export const DENYING: readonly Reason[] = [
  'AmbiguousGuard',
  'Unverifiable',
  'LeaderProtected',
  'QuorumLost',
  'QuorumAtRisk',
];
export const METHODS: readonly EtcdMethod[] = [
  'Status',
  'MemberList',
  'Range',
  'MoveLeader',
  'Alarm',
];
export const OUTCOMES = ['ok', 'error', 'timeout'] as const;
export const HAND_OFF_OUTCOMES = ['moved', 'failed', 'refused'] as const;
export const HEALTHS = ['healthy', 'unhealthy', 'unknown'] as const;
export const WATCHED_FILES = ['guards', 'certificate', 'access'] as const;

/** Seconds, from a local answer to the webhook's timeout. */
export const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

const GUARD = {
  namespace: 'that of the EtcdGuard; empty where there is none',
  guard: 'name of the EtcdGuard; empty where there is none',
} as const;
const KEEPER = 'the replica that keeps the status' as const;
const EVERY = 'every replica' as const;
const NOT_LOOKED_AT = 'Absent until the cluster was looked at, and on other replicas.';

/** Every metric of the guard's own: the only place that has their names. */
export const METRICS = {
  requests: {
    name: 'etcdguard_admission_requests_total',
    type: 'counter',
    what: 'Answered reviews of pod deletions and evictions, by what was asked and what was answered. A request to Kubernetes can be reviewed twice.',
    absent: 'A series is absent until its first review, but for reason Unverifiable.',
    labels: {
      operation: [...OPERATIONS, ''],
      decision: DECISIONS,
      reason: [...REASONS, 'BadRequest', 'InternalError'],
      ...GUARD,
      dry_run: ['true', 'false'],
    },
    from: EVERY,
  },
  denials: {
    name: 'etcdguard_denials_total',
    type: 'counter',
    what: 'Reviews of deletions and evictions of guarded pods that were refused; dry runs are not counted.',
    absent: 'Absent while there is no EtcdGuard.',
    labels: { operation: OPERATIONS, reason: DENYING, ...GUARD },
    from: EVERY,
  },
  duration: {
    name: 'etcdguard_admission_duration_seconds',
    type: 'histogram',
    what: 'Seconds from the arrival of a review to its answer, hand-offs included.',
    absent: 'Never absent.',
    labels: { operation: OPERATIONS, decision: DECISIONS },
    from: EVERY,
  },
  inFlight: {
    name: 'etcdguard_admission_requests_in_flight',
    type: 'gauge',
    what: 'Reviews that have come and are not answered yet.',
    absent: 'Never absent.',
    labels: {},
    from: EVERY,
  },
  etcdDuration: {
    name: 'etcdguard_etcd_request_duration_seconds',
    type: 'histogram',
    what: 'Seconds that one request to one etcd member took, all clusters together.',
    absent: 'Never absent.',
    labels: { method: METHODS, outcome: OUTCOMES },
    from: EVERY,
  },
  handOffs: {
    name: 'etcdguard_handoffs_total',
    type: 'counter',
    what: 'Reviews whose caller was to get leadership handed over: moved, tried and failed, or refused because the leader could not be spared as a follower. Dry runs are not counted.',
    absent: 'Absent while there is no EtcdGuard.',
    labels: { ...GUARD, outcome: HAND_OFF_OUTCOMES },
    from: EVERY,
  },
  breakGlass: {
    name: 'etcdguard_break_glass_total',
    type: 'counter',
    what: 'Reviews of pods that were let go unchecked because of a break-glass annotation; dry runs are not counted.',
    absent: 'Absent while there is no EtcdGuard.',
    labels: GUARD,
    from: EVERY,
  },
  reservations: {
    name: 'etcdguard_reservations',
    type: 'gauge',
    what: 'Pods that were allowed to go and have not been seen to go; each holds the place of one member that can be spared.',
    absent: NOT_LOOKED_AT,
    labels: GUARD,
    from: KEEPER,
  },
  guardedPods: {
    name: 'etcdguard_guarded_pods',
    type: 'gauge',
    what: 'Pods that the EtcdGuard selects.',
    absent: NOT_LOOKED_AT,
    labels: GUARD,
    from: KEEPER,
  },
  unguardedPods: {
    name: 'etcdguard_unguarded_pods',
    type: 'gauge',
    what: 'Pods that have not ended, with label app or app.kubernetes.io/name "etcd", in a protected namespace, that no EtcdGuard selects. Looked at once a minute.',
    absent: 'Absent where there are none, on other replicas, and with guards from files.',
    labels: { namespace: 'protected namespaces that have such pods' },
    from: KEEPER,
  },
  voters: {
    name: 'etcdguard_cluster_voters',
    type: 'gauge',
    what: 'Voting members in the member list, by health as last seen. Learners are not counted. While no quorum gives a member list, those of the last one are unknown.',
    absent: NOT_LOOKED_AT,
    labels: { ...GUARD, health: HEALTHS },
    from: KEEPER,
  },
  hasLeader: {
    name: 'etcdguard_cluster_has_leader',
    type: 'gauge',
    what: '1 if a quorum of voters named one leader when last asked, else 0.',
    absent: NOT_LOOKED_AT,
    labels: GUARD,
    from: KEEPER,
  },
  leaderChanges: {
    name: 'etcdguard_cluster_leader_changes_total',
    type: 'counter',
    what: 'Times that another member was seen to lead than the time before. Changes between two looks count as one.',
    absent:
      'Absent until the cluster was looked at. Stays on a replica that no longer keeps the status.',
    labels: GUARD,
    from: KEEPER,
  },
  disruptionsAllowed: {
    name: 'etcdguard_cluster_disruptions_allowed',
    type: 'gauge',
    what: 'Healthy voters beyond the quorum when last asked; 0 while no leader is confirmed.',
    absent: NOT_LOOKED_AT,
    labels: GUARD,
    from: KEEPER,
  },
  keepsStatus: {
    name: 'etcdguard_keeps_status',
    type: 'gauge',
    what: '1 on the replica that looks at clusters and gives the etcdguard_cluster metrics, else 0. With guards from files always 1.',
    absent: 'Never absent.',
    labels: {},
    from: EVERY,
  },
  ready: {
    name: 'etcdguard_ready',
    type: 'gauge',
    what: '1 if this replica takes reviews, as /readyz says, else 0.',
    absent: 'Never absent.',
    labels: {},
    from: EVERY,
  },
  certificateExpiry: {
    name: 'etcdguard_certificate_expiry_timestamp_seconds',
    type: 'gauge',
    what: 'When the serving certificate expires, in seconds since the epoch.',
    absent: 'Absent until there is a certificate.',
    labels: {},
    from: EVERY,
  },
  reloadFailures: {
    name: 'etcdguard_reload_failures_total',
    type: 'counter',
    what: 'New versions of files, or of the Secret with the certificate, that could not be used. The old version stays in force.',
    absent: 'Never absent.',
    labels: { file: WATCHED_FILES },
    from: EVERY,
  },
  buildInfo: {
    name: 'etcdguard_build_info',
    type: 'gauge',
    what: 'Always 1; the labels tell the versions of etcd-guard and Node.',
    absent: 'Never absent.',
    labels: { version: 'of etcd-guard', node: 'version of Node' },
    from: EVERY,
  },
} as const satisfies Readonly<Record<string, MetricDescription>>;

/** Metrics of what a component turns on; they are not there without it. */
export const LOCK_METRICS = {
  lockDenials: {
    name: 'etcdguard_lock_denials_total',
    type: 'counter',
    what: 'Changes that were refused because of an ExclusiveLock; dry runs are not counted. A series that has not grown for a day goes.',
    absent: 'Absent without the component exclusive-locks, and until the first refusal.',
    labels: {
      operation: ['CREATE', 'UPDATE', 'DELETE'],
      resource: 'plural name and group, of those that locks name',
      namespace: 'that of the lock and of what it holds',
      lock: 'name of the ExclusiveLock',
    },
    from: EVERY,
  },
} as const satisfies Readonly<Record<string, MetricDescription>>;

export const INJECTION_OUTCOMES = ['injected', 'unchanged', 'incomplete', 'failed'] as const;

/** As LOCK_METRICS, of injection. */
export const INJECTION_METRICS = {
  injections: {
    name: 'etcdguard_injections_total',
    type: 'counter',
    what: 'New pods that asked for injection: given all of it, having it already (the API server may ask twice), given less than asked for, or nothing because the guard failed. Dry runs are counted.',
    absent: 'Absent without the component injection.',
    labels: { outcome: INJECTION_OUTCOMES },
    from: EVERY,
  },
} as const satisfies Readonly<Record<string, MetricDescription>>;

/** The text of `# HELP`. */
export function helpOf({ what, absent }: MetricDescription): string {
  return absent === 'Never absent.' ? what : `${what} ${absent}`;
}
