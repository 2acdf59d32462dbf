import type { ClusterView } from '../decision/cluster-view.ts';
import type { Answer, Guard, Reason } from '../decision/situation.ts';
import type { ClusterStatus } from '../guards/guard-status.ts';

/** A guard's place; no two guards have the same. */
export interface GuardName {
  readonly namespace: string;
  readonly name: string;
}

/** fine: a leader is confirmed and every voter healthy, when last seen; unknown: not seen yet. */
export type Standing = 'trouble' | 'unknown' | 'fine';

/** A guard, and all that is known of it without asking. */
export interface KnownGuard extends GuardName {
  readonly standing: Standing;
}

/** A pod that the guard selects, and what a delete of it would get now. */
export interface PodLook {
  readonly pod: string;
  readonly decision: 'allow' | 'deny';
  readonly reason: Reason;
  /** One line, as whoever asks for the delete would read it. */
  readonly message: string;
  readonly terminating: boolean;
  /** Its deletion was allowed a while ago, and that still counts. */
  readonly reserved: boolean;
}

/** A guard's cluster as it answers at one moment. */
export interface GuardLook {
  readonly guard: Guard;
  /** Of the EtcdGuard; without anything that tells how to log in. */
  readonly spec: unknown;
  /** Why the API server asks nobody about its pods, so that nothing is refused; null: it asks, as far as is known. */
  readonly unasked: string | null;
  /** Why its cluster can't be asked; null: it was. */
  readonly fault: string | null;
  /** What all of it amounts to, as `etcd-guard status -o json` says it. */
  readonly status: ClusterStatus;
  /** null: nobody was asked. */
  readonly view: ClusterView | null;
  readonly answers: ReadonlyMap<string, Answer>;
  readonly pods: readonly PodLook[];
}

/** The port to the guards, wherever they come from. */
export interface StatusSource {
  /** In no order; costs nothing but memory. */
  known(): readonly KnownGuard[];
  /** Asks etcd and judges each pod as a dry run; null: there is no such guard. Rejects with a sentence. */
  look(guard: GuardName): Promise<GuardLook | null>;
}

/** `default/etcd`; neither part holds a slash. */
export function keyOf({ namespace, name }: GuardName): string {
  return `${namespace}/${name}`;
}
