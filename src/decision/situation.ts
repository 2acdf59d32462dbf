import type { MemberId } from './member-id.ts';

/** What a caller asked the API server for. */
export type Operation = 'delete' | 'eviction';

/** Who asked, as the API server authenticated them. */
export interface Caller {
  readonly user: string;
  readonly groups: readonly string[];
}

/** The request, as far as a decision depends on it. */
export interface RequestFacts {
  readonly operation: Operation;
  readonly dryRun: boolean;
  readonly caller: Caller;
  readonly preconditionUid: string | null;
}

/** `spec.policy` of an EtcdGuard, defaults filled in. */
export interface Policy {
  readonly leader: 'Deny' | 'HandOff';
  /** `Evictions`, `Controllers`, user names, and `group:NAME`. */
  readonly handOff: readonly string[];
  readonly quorum: 'Enforce' | 'Warn';
  readonly unknown: 'Deny' | 'Allow';
  /** Entries behind at which a voter no longer counts as healthy. */
  readonly maxRaftLag: number;
}

/** An EtcdGuard that selects the pod. */
export interface Guard {
  readonly namespace: string;
  readonly name: string;
  readonly policy: Policy;
  /** What makes a pod one of its pods, where that is not a selector. */
  readonly podsFrom?: 'addresses';
}

/** The pod that would go, as far as only its own object can tell; what is not known is false or null. */
export interface TargetFacts {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string | null;
  readonly terminating: boolean;
  readonly mirror: boolean;
  /** The pod is known to have no node. */
  readonly unscheduled: boolean;
  /** Phase Succeeded or Failed. */
  readonly finished: boolean;
  readonly breakGlass: BreakGlass | null;
  /** Its Node is Ready and the containers that matter are waiting or terminated. */
  readonly containersDown: boolean;
  readonly onEmptyDir: boolean;
  /** Labelled as etcd, whether or not a guard selects it. */
  readonly looksLikeEtcd: boolean;
}

/** The two break-glass annotations, unread; null for one that is not there. */
export interface BreakGlass {
  readonly reason: string | null;
  readonly until: string | null;
}

/** A pod that the guard selects: where its member is asked, and what its object says. */
export interface PodFacts {
  readonly name: string;
  /** host:port at which its member is asked; null while it has none. */
  readonly address: string | null;
  /** Further hosts under which its member may have listed itself, lower case: pod IP, pod name. */
  readonly hosts: readonly string[];
  readonly terminating: boolean;
  /** Its node takes no new pods; known only where a successor is chosen. */
  readonly cordoned: boolean;
}

/** A member as etcd's member list has it. */
export interface ListedMember {
  readonly id: MemberId;
  readonly name: string;
  readonly learner: boolean;
  /** host:port of its client URLs, lower case. */
  readonly clientAddresses: readonly string[];
  /** Hosts of its peer and client URLs, lower case, without ports. */
  readonly hosts: readonly string[];
}

/** What a member's Status and MemberList said. */
export interface StatusAnswer {
  readonly kind: 'status';
  readonly id: MemberId;
  readonly clusterId: string;
  /** null: it answered Status but gave no list. */
  readonly list: readonly ListedMember[] | null;
  readonly leader: MemberId | null;
  /** The term of its last applied entry: shown, never decided by. */
  readonly term: bigint;
  readonly raftIndex: bigint;
  readonly appliedIndex: bigint;
  /** Members with a CORRUPT alarm. */
  readonly corrupt: readonly MemberId[];
  /** Members with a NOSPACE alarm. */
  readonly noSpace: readonly MemberId[];
}

/** Something at the address answered, but refused to tell (a missing right, an unknown method). */
export interface RefusedAnswer {
  readonly kind: 'refused';
  readonly cause: string;
}

/** The cause where nobody listens at the address. */
export const CONNECTION_REFUSED = 'connection refused';

/** Nothing answered in time. */
export interface SilentAnswer {
  readonly kind: 'silent';
  readonly cause: string;
}

/** What asking one pod's member brought. */
export type Answer = StatusAnswer | RefusedAnswer | SilentAnswer;

/** One member's part of a proof: its own linearizable read, and a Status asked after it. */
export interface ProofAnswer {
  readonly served: boolean;
  /** null: the Status after the read did not come. */
  readonly after: {
    readonly id: MemberId;
    readonly clusterId: string;
    readonly leader: MemberId | null;
  } | null;
  readonly cause: string | null;
}

/** A live entry of the reservation ledger. */
export interface Reservation {
  readonly pod: string;
  /** It is the target's own: it was allowed to go already. */
  readonly own: boolean;
  readonly ageMs: number;
  /** The reason it was allowed with. */
  readonly reason: Reason;
  /** The member that leadership is handed to, while this entry lives. */
  readonly handOffTo: MemberId | null;
}

/** Why nothing more can be found out, in words. */
export type Obstacle =
  | { readonly kind: 'OutOfTime' }
  | { readonly kind: 'LedgerUnavailable'; readonly cause: string }
  /** Something of the cluster could not be read this time. */
  | { readonly kind: 'Unread'; readonly cause: string }
  | { readonly kind: 'Misconfigured'; readonly cause: string };

/** How far a hand-off of this request's target came. */
export type HandOffState =
  | { readonly kind: 'none' }
  | { readonly kind: 'moved' }
  | { readonly kind: 'failed'; readonly cause: string };

/** Everything that a decision rests on; nothing else is looked at. */
export interface Situation {
  /** Milliseconds since the epoch, for break-glass-until alone. */
  readonly nowMs: number;
  readonly request: RequestFacts;
  readonly target: TargetFacts;
  /** All guards that select the target. */
  readonly guards: readonly Guard[];
  /** All pods of the one guard, the target among them; not read unless exactly one guard selects it. */
  readonly pods: readonly PodFacts[];
  readonly reservations: readonly Reservation[];
  /** By pod name; null: etcd has not been asked. A pod without an entry is silent. */
  readonly answers: ReadonlyMap<string, Answer> | null;
  /** By pod name; null: no proof has been asked for. */
  readonly proof: ReadonlyMap<string, ProofAnswer> | null;
  readonly handOff: HandOffState;
  readonly obstacle: Obstacle | null;
}

/** Every reason of the decision table, in its order. */
export const REASONS = [
  'NotGuarded',
  'AlreadyGoing',
  'NotRunningHere',
  'PreconditionStale',
  'BreakGlass',
  'AmbiguousGuard',
  'KnownDown',
  'Unverifiable',
  'NotAMember',
  'Learner',
  'LeaderProtected',
  'QuorumLost',
  'NothingToLose',
  'QuorumAtRisk',
  'Spared',
] as const;

/** A row of the decision table. */
export type Reason = (typeof REASONS)[number];
