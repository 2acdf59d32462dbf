import type { Reason } from '../../decision/situation.ts';
import type { Finding } from '../finding.ts';

/** What a delete of one pod would get now; null: that can't be told from here. */
export interface PodStatus {
  readonly pod: string;
  readonly decision: 'allow' | 'deny' | null;
  readonly reason: Reason | null;
  readonly message: string;
}

/** The part of an EtcdGuard's status that tables show, of this moment or as it was recorded. */
export interface ShownStatus {
  readonly leader?: string | null | undefined;
  readonly voters?: number | null | undefined;
  readonly healthyVoters?: number | null | undefined;
  readonly quorum?: number | null | undefined;
  readonly disruptionsAllowed?: number | undefined;
  readonly members?: readonly ShownMember[] | undefined;
}

interface ShownMember {
  readonly pod?: string | null | undefined;
  readonly role?: string | null | undefined;
  readonly health: string;
  readonly lag?: number | null | undefined;
}

/** One guard in the output of `etcd-guard status -o json`. */
export interface GuardStatus {
  readonly apiVersion: 'etcd-guard.io/v1alpha1';
  readonly kind: 'EtcdGuard';
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly spec: unknown;
  readonly status: ShownStatus;
  /** `status` is what the guard itself wrote down, and why; absent: it is of this moment. */
  readonly recorded?: { readonly lastWritten: string | null; readonly why: string };
  readonly pods: readonly PodStatus[];
}

/** A guard, and what only people are told about it. */
export interface Shown {
  /** `default/etcd` */
  readonly title: string;
  readonly item: GuardStatus;
  /** What each pod's member said, where that makes no cluster; null: it does. */
  readonly said: ReadonlyMap<string, string> | null;
  /** Whoever answers names nobody. */
  readonly leaderless: boolean;
  /** Sentences for below the tables. */
  readonly notes: readonly string[];
  /** false: its cluster can't be judged. */
  readonly sure: boolean;
}

/** One lock in the output of `etcd-guard status -o json`, as it is stored. */
export interface LockStatus {
  readonly apiVersion: 'etcd-guard.io/v1alpha1';
  readonly kind: 'ExclusiveLock';
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly spec: unknown;
  readonly status: unknown;
}

/** An ExclusiveLock, for people. */
export interface ShownLock {
  /** `default/lockred` */
  readonly title: string;
  readonly selector: string;
  readonly exclusive: string;
  readonly matched: number | null;
  readonly untilMs: number | null;
  /** `yes (Enforced)`, or `?` while nobody has written it down. */
  readonly inForce: string;
  readonly item: LockStatus;
}

/** All that one look has found. */
export interface AllShown {
  readonly guards: readonly Shown[];
  readonly locks: readonly ShownLock[];
}

/** Where `status` has its guards from. */
export interface StatusSource {
  /** null: all namespaces. */
  readonly namespace: string | null;
  /**
   * Those that were asked for, as they are now. etcd is given the time that a review of that many
   * milliseconds would have, or else one that the API server sends by default.
   */
  look(timeoutMs?: number): Promise<readonly Shown[]>;
  /** Absent: guards from files have none beside them. */
  locks?(): Promise<readonly ShownLock[]>;
  /** Whether there is not even the namespace; false too if that can't be told. Absent: it never can. */
  lacksNamespace?(): Promise<boolean>;
  close(): void;
}

/** A row of `pods`. */
export function podStatus(pod: string, { decision, reason, message }: Finding): PodStatus {
  return { pod, decision, reason, message };
}
