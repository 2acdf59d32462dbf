import type { Event, EventOf } from './history.ts';

/** What is known of a member from a moment on. */
interface MemberState {
  readonly t: number;
  readonly running: boolean;
  readonly paused: boolean;
  readonly cut: boolean;
  readonly slowed: boolean;
  /** Whom it takes for the leader. */
  readonly leader: string | null;
  /** How many processes it has had. */
  readonly starts: number;
}

const UNKNOWN: MemberState = {
  t: Number.NEGATIVE_INFINITY,
  running: false,
  paused: false,
  cut: false,
  slowed: false,
  leader: null,
  starts: 0,
};

type OfMember = EventOf<'process'> | EventOf<'link'> | EventOf<'belief'>;

/** What was true of whom and when, from a history in any order. */
export class Timeline {
  readonly #members = new Map<string, MemberState[]>();
  readonly #voters: EventOf<'voters'>[] = [];
  readonly #replicas: EventOf<'replica'>[] = [];

  constructor(events: readonly Event[]) {
    for (const event of inOrder(events)) {
      if (event.kind === 'process' || event.kind === 'link' || event.kind === 'belief') {
        this.#change(event);
      } else if (event.kind === 'voters') this.#voters.push(event);
      else if (event.kind === 'replica') this.#replicas.push(event);
    }
  }

  /** All sets of voters that there may have been in this time. */
  votersWithin(from: number, to: number): readonly (readonly string[])[] {
    return within(this.#voters, from, to).flatMap(({ sets }) => sets);
  }

  /** Whether at some moment it ran, was reached and knew a leader: else nobody can have relied on it. */
  wasUseful(member: string, from: number, to: number): boolean {
    return this.#within(member, from, to).some(isUseful);
  }

  /** Whether all the time it ran, was reached without delay and knew a leader: nobody can call it dead. */
  wasWell(member: string, from: number, to: number): boolean {
    const states = this.#within(member, from, to);
    return states.length > 0 && states.every((state) => isUseful(state) && !state.slowed);
  }

  /** Whether a process that was started after this moment has known a leader by then. */
  isBack(member: string, since: number, by: number): boolean {
    const before = this.#within(member, since, since)[0] ?? UNKNOWN;
    return this.#within(member, since, by).some(
      (state) => state.starts > before.starts && isUseful(state),
    );
  }

  /**
   * Whom a quorum of voters, all of them running or paused, took for the leader in this time, one
   * after the other; null stands for a moment without.
   */
  confirmedWithin(voters: readonly string[], from: number, to: number): readonly (string | null)[] {
    const moments = voters.flatMap((member) => this.#within(member, from, to).map((s) => s.t));
    const during = [from, ...moments.filter((moment) => moment > from)].toSorted((a, b) => a - b);
    return [...new Set(during)].map((moment) => this.#confirmedAt(voters, moment));
  }

  /** Whether this replica ran undisturbed all the time. */
  replicaWasWell(replica: number, from: number, to: number): boolean {
    const own = this.#replicas.filter((event) => event.replica === replica);
    const states = within(own, from, to).map(({ state }) => state);
    return states.length > 0 && states.every((state) => state === 'started' || state === 'resumed');
  }

  #confirmedAt(voters: readonly string[], moment: number): string | null {
    const votes = new Map<string, number>();
    for (const member of voters) {
      const state = this.#within(member, moment, moment)[0] ?? UNKNOWN;
      if (state.running && state.leader !== null) {
        votes.set(state.leader, (votes.get(state.leader) ?? 0) + 1);
      }
    }
    const quorum = Math.floor(voters.length / 2) + 1;
    const [winner] = [...votes].find(([, count]) => count >= quorum) ?? [];
    // Followers go on naming one that has died, for an election timeout.
    if (winner === undefined || this.#within(winner, moment, moment)[0]?.running !== true) {
      return null;
    }
    return winner;
  }

  #within(member: string, from: number, to: number): readonly MemberState[] {
    return within(this.#members.get(member) ?? [], from, to);
  }

  #change(event: OfMember): void {
    const states = this.#members.get(event.member) ?? [];
    states.push(after(states.at(-1) ?? UNKNOWN, event));
    this.#members.set(event.member, states);
  }
}

/** By time; what happened at the same time stays in the order in which it was recorded. */
export function inOrder(events: readonly Event[]): readonly Event[] {
  return events.toSorted((a, b) => a.t - b.t);
}

/** What was so at `from`, and what came until `to`. */
function within<T extends { readonly t: number }>(
  sorted: readonly T[],
  from: number,
  to: number,
): readonly T[] {
  const next = firstAfter(sorted, from);
  const states: T[] = sorted.slice(Math.max(0, next - 1), next);
  for (let at = next; at < sorted.length; at += 1) {
    const state = sorted[at];
    if (state === undefined || state.t > to) break;
    states.push(state);
  }
  return states;
}

function firstAfter(sorted: readonly { readonly t: number }[], moment: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle]?.t ?? Infinity) <= moment) low = middle + 1;
    else high = middle;
  }
  return low;
}

function isUseful({ running, paused, cut, leader }: MemberState): boolean {
  return running && !paused && !cut && leader !== null;
}

function after(state: MemberState, event: OfMember): MemberState {
  const { t } = event;
  if (event.kind === 'belief') return { ...state, t, leader: event.leader };
  if (event.kind === 'process') return { ...state, t, ...afterProcess(state, event.state) };
  switch (event.state) {
    case 'cut':
    case 'joined':
      return { ...state, t, cut: event.state === 'cut' };
    case 'slowed':
    case 'freed':
      return { ...state, t, slowed: event.state === 'slowed' };
  }
}

function afterProcess(
  { starts }: MemberState,
  state: EventOf<'process'>['state'],
): Partial<MemberState> {
  switch (state) {
    case 'started':
      return { running: true, paused: false, leader: null, starts: starts + 1 };
    case 'ended':
      return { running: false, paused: false, leader: null };
    case 'paused':
      return { paused: true };
    case 'resumed':
      return { paused: false };
  }
}
