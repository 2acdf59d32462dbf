import type { MemberId } from './member-id.ts';
import type { Reason } from './situation.ts';

/** The pod may go. */
export interface Allow {
  readonly kind: 'allow';
  readonly reason: Reason;
  readonly member: MemberId | null;
  readonly message: string;
  readonly warnings: readonly string[];
  /**
   * required: it may go only once the ledger has it. ifPossible: the ledger should have it.
   * no: nothing to write (a dry run, an entry that is there already, or nobody's voter).
   */
  readonly reserve: 'required' | 'ifPossible' | 'no';
}

/** The pod must stay. */
export interface Deny {
  readonly kind: 'deny';
  readonly reason: Reason;
  readonly member: MemberId | null;
  readonly message: string;
  readonly warnings: readonly string[];
}

/** A final answer. */
export type Verdict = Allow | Deny;

/** Etcd has to be asked first; then decide again. */
export interface Ask {
  readonly kind: 'ask';
}

/** These pods' members have to serve a linearizable read first; then decide again. */
export interface Prove {
  readonly kind: 'prove';
  readonly pods: readonly string[];
}

/** The leader has to be reserved and leadership moved first; then decide again. */
export interface HandOff {
  readonly kind: 'handOff';
  /** The reason that the leader would be allowed with as a follower. */
  readonly reason: Reason;
  readonly from: { readonly pod: string; readonly id: MemberId };
  readonly to: { readonly pod: string; readonly id: MemberId };
}

/** What is missing before there can be a verdict. */
export type Step = Ask | Prove | HandOff;

/** What to do next: answer, or find something out and decide again. */
export type Decision = Verdict | Step;
