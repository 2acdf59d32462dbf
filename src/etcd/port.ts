import type { MemberId } from '../decision/member-id.ts';
import type { Answer, ProofAnswer } from '../decision/situation.ts';

/** Where one pod's member serves clients. */
export interface MemberEndpoint {
  readonly pod: string;
  /** host:port, or null while the pod has no address: it is silent then. */
  readonly address: string | null;
}

/** How to reach the members of one cluster; file contents, already read. */
export interface ConnectionSettings {
  readonly tls: TlsSettings | null;
  readonly auth: { readonly username: string; readonly password: string } | null;
}

/** PEM contents, and the name that members' certificates are checked against. */
export interface TlsSettings {
  readonly ca: Buffer | null;
  readonly cert: Buffer | null;
  readonly key: Buffer | null;
  /** `{pod}` stands for the pod's name; null: the host of the address. */
  readonly serverName: string | null;
}

/** Whom an `ask` is for. */
export interface AskOptions {
  /** false: no review waits for it, so it does not keep the connections open. */
  readonly keepWarm?: boolean;
}

/** What the guard asks of one etcd cluster. No method rejects because of a member that fails. */
export interface EtcdCluster {
  /**
   * Status and MemberList of every endpoint, side by side. Calls that wait at the same time and
   * name the same endpoints share one round; a round that began before the call never answers it.
   * After withinMs, whoever has not answered is silent.
   */
  ask(
    endpoints: readonly MemberEndpoint[],
    withinMs: number,
    options?: AskOptions,
  ): Promise<ReadonlyMap<string, Answer>>;

  /** A linearizable read served by each endpoint itself, then its Status. Shared like `ask`. */
  prove(
    endpoints: readonly MemberEndpoint[],
    withinMs: number,
  ): Promise<ReadonlyMap<string, ProofAnswer>>;

  /** Sent to the leader's own endpoint; rejects with an EtcdRequestError. */
  moveLeader(leader: MemberEndpoint, to: MemberId, withinMs: number): Promise<void>;

  /** Lets running requests end, then closes all connections. */
  close(): void;
}

/** A request to etcd that failed, in words fit for an operator. */
export class EtcdRequestError extends Error {
  override readonly name = 'EtcdRequestError';
  readonly code: 'timeout' | 'unreachable' | 'refused';

  constructor(code: EtcdRequestError['code'], message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** The requests that `etcdguard_etcd_request_duration_seconds` counts. */
export type EtcdMethod = 'Status' | 'MemberList' | 'Range' | 'MoveLeader' | 'Alarm';

/** Told about every request to etcd, once it has ended. */
export interface EtcdRequestObserver {
  etcdRequest(
    method: EtcdMethod,
    outcome: 'ok' | 'error' | 'timeout',
    seconds: number,
    /** host:port of the member. */
    address: string,
  ): void;
}
