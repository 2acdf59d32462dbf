import type { ClusterView } from '../decision/cluster-view.ts';
import type { MemberId } from '../decision/member-id.ts';
import type {
  Answer,
  Guard,
  PodFacts,
  Reason,
  Reservation,
  TargetFacts,
} from '../decision/situation.ts';
import type { EtcdCluster, MemberEndpoint } from '../etcd/port.ts';
import type { Subject } from './review.ts';

/** A pod that a request would take away. */
export type GuardedSubject = Exclude<Subject, { kind: 'other' }>;

/** The port to guards, their pods and their ledgers: files, or the Kubernetes API. */
export interface GuardSource {
  /** Reading waits for nothing; absent: it does. */
  readonly atHand?: true;
  /**
   * Everything about the pod that is not asked of etcd; read anew at every call, ledger before pods.
   * Rejects with a GuardSourceError, or throws one.
   */
  read(subject: GuardedSubject, withinMs: number): Found | Promise<Found>;
}

/** Guards or pods could not be read; the message is a sentence for whoever is refused for that. */
export class GuardSourceError extends Error {
  override readonly name = 'GuardSourceError';
}

/** What one read found. */
export interface Found {
  readonly target: TargetFacts;
  /** A cluster for each guard that selects the target. */
  readonly clusters: readonly GuardedCluster[];
}

/** An object, as an Event would name it; `uid` is null where it is not known, or is none's. */
export interface ObjectReference {
  /** Without an `apiVersion` it is a Pod or an EtcdGuard. */
  readonly kind: string;
  readonly apiVersion?: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string | null;
}

/** One guard with its pods, as they were read for one target. */
export interface GuardedCluster {
  readonly guard: Guard;
  /** Of the guard's object; a guard from a file has none. */
  readonly uid?: string;
  /** Why its cluster can't be asked, however it answers: a Secret is missing, the guard is wrong. */
  readonly fault?: string;
  /** Nobody has to mend that: it is tried again. */
  readonly faultPasses?: boolean;
  /** None of them counts as cordoned: see `withCordons`. */
  readonly pods: readonly PodFacts[];
  /**
   * `pods` once more, with which of them, the target aside, are on cordoned nodes now: for whoever is
   * about to choose a successor. A node that can't be read counts as not cordoned; never rejects.
   * Absent: nobody knows of nodes.
   */
  readonly withCordons?: (withinMs: number) => Promise<readonly PodFacts[]>;
  readonly endpoints: readonly MemberEndpoint[];
  readonly etcd: EtcdCluster;
  /** The ledger as it was before pods and etcd were read. */
  readonly reservations: readonly Reservation[];
  /** Swaps the entry in if the ledger is still as it was read; rejects if it can't be written. */
  reserve(entry: NewReservation): Promise<Held | 'conflict'>;
  /**
   * Before the target is allowed once more under its own entry: makes sure that this entry, as it
   * was read, still stands, and that whoever wrote it doesn't take it back. `conflict` if it has
   * ended or been replaced; rejects if that can't be told.
   */
  keep(): Promise<'kept' | 'conflict'>;
  /**
   * Hears of every full round of answers and what it amounts to. True: that has ended entries
   * among `reservations`, so whoever decides should read anew.
   */
  observed(answers: ReadonlyMap<string, Answer>, view: ClusterView): boolean;
}

/** An entry to be written for the target. */
export interface NewReservation {
  readonly reason: Reason;
  readonly by: string;
  readonly gracePeriodSeconds: number | null;
  readonly handOffTo: MemberId | null;
}

/** An entry that this request wrote. */
export interface Held {
  /**
   * Takes it back, unless it has been replaced meanwhile or somebody relies on it; an entry that it
   * replaced stands again. Never rejects.
   */
  release(): Promise<void>;
}
