import type { Decided } from '../admission/decided.ts';
import type { GuardName } from './port.ts';

/** A decision, and when it was made. */
export interface LoggedDecision extends Decided {
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

/** How many are kept. */
export const DECISIONS_KEPT = 50;

/** Whoever reaches the webhook chooses these, so none is taken at any length. */
const LONGEST_NAME = 253;
const LONGEST_MESSAGE = 2_000;

/** The last decisions of this process, in a ring. */
export class DecisionLog {
  readonly #ring: LoggedDecision[] = [];
  readonly #nowMs: () => number;
  readonly #listeners = new Set<() => void>();
  #next = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  add(decided: Decided): void {
    this.#ring[this.#next] = {
      ...decided,
      guard: decided.guard === null ? null : placeOf(decided.guard),
      atMs: this.#nowMs(),
      namespace: cut(decided.namespace, LONGEST_NAME),
      pod: cut(decided.pod, LONGEST_NAME),
      message: cut(decided.message, LONGEST_MESSAGE),
    };
    this.#next = (this.#next + 1) % DECISIONS_KEPT;
    for (const listener of this.#listeners) listener();
  }

  /** Newest first. */
  get entries(): readonly LoggedDecision[] {
    const older = this.#ring.slice(this.#next);
    const newer = this.#ring.slice(0, this.#next);
    return [...older, ...newer].toReversed();
  }

  /** Returns what ends it. */
  onAdded(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

function placeOf({ namespace, name }: GuardName): GuardName {
  return { namespace, name };
}

function cut(text: string, longest: number): string {
  return text.length <= longest ? text : `${text.slice(0, longest - 1)}…`;
}
