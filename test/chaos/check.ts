import type { Event, EventOf, Review } from './history.ts';
import { inOrder, Timeline } from './timeline.ts';

/** The promises, by the names that a report gives them. */
export const PROMISES = {
  leader: 'the confirmed leader is never taken away',
  quorum: 'voters allowed away never exceed what the quorum spares',
  writes: 'acknowledged writes are never lost',
  time: 'every review is answered within its time',
  liveness: 'once all is healthy, followers can be deleted and the leader cannot',
} as const;

export type PromiseName = keyof typeof PROMISES;

/** A promise that was not kept, and how. */
export interface Violation {
  readonly promise: PromiseName;
  readonly t: number;
  readonly what: string;
}

/** What a history comes to. */
export interface Findings {
  readonly violations: readonly Violation[];
  /**
   * Allows of a pod that was the confirmed leader, but had not been all through the review: it was
   * elected, or confirmed, after the guard had begun to ask.
   */
  readonly electedMeanwhile: number;
  /** Reviews that were not answered because their replica was killed or paused meanwhile. */
  readonly unansweredByFault: number;
}

/** Between what a member knew and its line about it, in a log that counts milliseconds. */
const MARGIN_MS = 50;
/** An API request lives no longer: what was allowed has been done by then or never will be. */
const REQUEST_MS = 60_000;
/** How long an entry lives. */
const AGAIN_MS = 120_000;
/** Nobody goes because of these: the pod goes already, or it has no vote. */
const HARMLESS: ReadonlySet<string> = new Set([
  'AlreadyGoing',
  'NotGuarded',
  'PreconditionStale',
  'NotAMember',
  'Learner',
  'BreakGlass',
]);
/** Of a dead member: that it is dead is what is checked. */
const DEAD: ReadonlySet<string> = new Set(['KnownDown', 'NotRunningHere']);

/** Judges what was recorded; with `finished`, also what only the end shows. */
export function check(events: readonly Event[], finished: boolean): Findings {
  return new Check(events).run(finished);
}

interface Permit {
  readonly pod: string;
  readonly uid: string;
  readonly t: number;
  /** When its request was over, at the latest, and whether it was refused after all. */
  readonly endsAt: number;
  readonly refused: boolean;
  /** An eviction takes whichever pod has the name when it is carried out. */
  readonly byName: boolean;
}

class Check {
  readonly #events: readonly Event[];
  readonly #timeline: Timeline;
  readonly #violations: Violation[] = [];
  readonly #requests: readonly EventOf<'request'>[];
  readonly #podEvents: readonly EventOf<'pod'>[];
  readonly #pods = new Map<string, EventOf<'pod'>[]>();
  #permits: readonly Permit[] = [];
  #electedMeanwhile = 0;
  #unansweredByFault = 0;

  constructor(events: readonly Event[]) {
    this.#events = inOrder(events);
    this.#timeline = new Timeline(events);
    this.#requests = this.#of('request');
    this.#podEvents = this.#of('pod');
    for (const event of this.#podEvents) {
      this.#pods.set(event.uid, [...(this.#pods.get(event.uid) ?? []), event]);
    }
  }

  run(finished: boolean): Findings {
    for (const review of this.#of('review')) this.#review(review);
    for (const round of this.#of('liveness')) this.#liveness(round);
    if (finished) this.#writes();
    return {
      violations: this.#violations,
      electedMeanwhile: this.#electedMeanwhile,
      unansweredByFault: this.#unansweredByFault,
    };
  }

  #of<K extends Event['kind']>(kind: K): readonly EventOf<K>[] {
    return this.#events.filter((event): event is EventOf<K> => event.kind === kind);
  }

  #broken(promise: PromiseName, { t }: Event, what: string): void {
    this.#violations.push({ promise, t, what });
  }

  #review(review: Review): void {
    this.#time(review);
    if (review.outcome !== 'allow' || review.dryRun || HARMLESS.has(review.reason)) return;
    this.#leader(review);
    // Who is allowed again under an entry is given the reason of the first time.
    const again = this.#permits.some(({ uid, t }) => uid === review.uid && review.t - t < AGAIN_MS);
    if (DEAD.has(review.reason) && !(again && this.#wasWell(review))) this.#dead(review);
    else this.#quorum(review);
    this.#permits = [...this.#permits, this.#permit(review)];
  }

  #time(review: Review): void {
    const { from, t, replica, outcome, timeoutMs } = review;
    const tookMs = t - from;
    const inTime = (outcome === 'allow' || outcome === 'deny') && tookMs <= timeoutMs;
    // Who hangs up early has not waited for the answer.
    if (inTime || (outcome === 'abandoned' && tookMs < timeoutMs)) return;
    if (!this.#timeline.replicaWasWell(replica, from, t)) {
      this.#unansweredByFault += 1;
      return;
    }
    this.#broken('time', review, `${describe(review)}: ${outcome} after ${tookMs} ms`);
  }

  #leader(review: Review): void {
    const { pod, from, t } = review;
    const readings = this.#timeline
      .votersWithin(from - MARGIN_MS, t)
      .map((voters) => this.#timeline.confirmedWithin(voters, from - MARGIN_MS, t));
    if (readings.every((leaders) => leaders.every((leader) => leader === pod))) {
      this.#broken('leader', review, `${describe(review)}: it led all the time`);
    } else if (readings.some((leaders) => leaders.at(-1) === pod)) {
      this.#electedMeanwhile += 1;
    }
  }

  #wasWell({ pod, from, t }: Review): boolean {
    return this.#timeline.wasWell(pod, from - MARGIN_MS, t);
  }

  #dead(review: Review): void {
    if (!this.#wasWell(review)) return;
    this.#broken('quorum', review, `${describe(review)}: but its member was well all the time`);
  }

  /** By every set of voters that there may have been too many are gone. */
  #quorum(review: Review): void {
    const { pod, from, t } = review;
    const sets = this.#timeline.votersWithin(from - MARGIN_MS, t);
    const gone = this.#goneFor(review);
    const short = sets.filter((voters) => {
      const quorum = Math.floor(voters.length / 2) + 1;
      const left = voters.filter((member) => !gone.has(member) && member !== pod);
      return voters.includes(pod) && left.length < quorum;
    });
    if (sets.length === 0 || short.length < sets.length) return;
    const why = [...gone].map(([member, reason]) => `${member} ${reason}`).join(', ');
    const voters = short[0]?.length ?? 0;
    this.#broken('quorum', review, `${describe(review)}: of ${voters} voters ${why}`);
  }

  /** Who else can't be counted on, and why. */
  #goneFor({ pod, from, t }: Review): ReadonlyMap<string, string> {
    const gone = new Map<string, string>();
    const voters = new Set(this.#timeline.votersWithin(from - MARGIN_MS, t).flat());
    for (const member of voters) {
      if (!this.#timeline.wasUseful(member, from - MARGIN_MS, t)) gone.set(member, 'was of no use');
    }
    for (const permit of this.#permits) {
      if (permit.pod !== pod && this.#isOut(permit, t)) {
        gone.set(permit.pod, `was allowed away ${Math.round(t - permit.t)} ms before`);
      }
    }
    gone.delete(pod);
    return gone;
  }

  #permit(review: Review): Permit {
    const { pod, t, operation } = review;
    const request = this.#requests.find((one) => isOf(review, one));
    const answered = request !== undefined && request.code !== 0;
    const endsAt = answered ? request.t : t + REQUEST_MS;
    const byName = operation === 'eviction';
    const refused = answered && request.code >= 400;
    // Which pod an eviction has taken shows afterwards.
    const taken = this.#podEvents.findLast(
      (one) => one.name === pod && one.state !== 'created' && one.t <= endsAt + MARGIN_MS,
    );
    const uid = byName ? (taken?.uid ?? review.uid) : review.uid;
    return { pod, uid, t, endsAt, refused, byName };
  }

  /** Allowed away, and may yet go or has gone and is not back. */
  #isOut(permit: Permit, moment: number): boolean {
    const { pod, uid, endsAt } = permit;
    if (moment < endsAt && permit.byName) return true;
    if (moment >= endsAt && permit.refused) return false;
    const life = this.#pods.get(uid) ?? [];
    const gone = life.find(({ state }) => state === 'gone');
    if (gone !== undefined && gone.t <= moment) return !this.#timeline.isBack(pod, gone.t, moment);
    const terminating = life.find(({ state }) => state === 'terminating');
    if (terminating !== undefined && terminating.t <= moment) return true;
    return moment < Math.max(endsAt, permit.t + REQUEST_MS);
  }

  #liveness(round: EventOf<'liveness'>): void {
    const { tookMs, withinMs, left, leaderRefused, trouble } = round;
    const name = `calm after round ${round.round}`;
    if (trouble !== '') this.#broken('liveness', round, `${name}: ${trouble}`);
    else if (left.length > 0) {
      this.#broken('liveness', round, `${name}: ${left.join(', ')} not let go in ${tookMs} ms`);
    } else if (tookMs > withinMs) {
      this.#broken('liveness', round, `${name}: ${tookMs} ms for all followers`);
    } else if (leaderRefused === 0) {
      this.#broken('liveness', round, `${name}: the leader was never refused`);
    }
  }

  #writes(): void {
    const writes = this.#of('write');
    const found = new Map(this.#of('found').flatMap(({ pairs }) => pairs));
    const lost = writes.filter(({ key, value }) => found.get(key) !== value);
    const [first] = lost;
    const last = this.#events.at(-1);
    if (first !== undefined && last !== undefined) {
      const what = `${lost.length} of ${writes.length}, the first ${first.key} of ${at(first.t)}`;
      this.#broken('writes', last, what);
    }
  }
}

/** Whether the review was about this request of an actor. */
function isOf({ pod, user, operation, from, t }: Review, request: EventOf<'request'>): boolean {
  const { what, actor } = request;
  if (request.from > from + MARGIN_MS || request.t + MARGIN_MS < t) return false;
  if (!actor.endsWith(`(${user})`) || what.startsWith('evict') !== (operation === 'eviction')) {
    return false;
  }
  return request.pod === pod || what === 'collection';
}

function describe(review: Review): string {
  const { id, replica, operation, pod, reason, t } = review;
  return `${at(t)} replica ${replica} answered the ${operation} of ${pod} (${reason}, review ${id})`;
}

function at(t: number): string {
  return new Date(t).toISOString();
}
