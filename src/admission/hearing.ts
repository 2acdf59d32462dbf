import type { ClusterView } from '../decision/cluster-view.ts';
import { choosesSuccessor, decide, viewIn } from '../decision/decide.ts';
import type {
  Guard,
  HandOffState,
  Obstacle,
  Reservation,
  Situation,
  TargetFacts,
} from '../decision/situation.ts';
import type { Allow, Decision, HandOff, Step, Verdict } from '../decision/verdict.ts';
import { EtcdRequestError } from '../etcd/port.ts';
import type { Turns } from '../sharing/turns.ts';
import type { Deadline } from './deadline.ts';
import {
  GuardSourceError,
  type Found,
  type GuardedCluster,
  type GuardedSubject,
  type GuardSource,
  type Held,
  type NewReservation,
  type ObjectReference,
} from './guard-source.ts';
import type { AdmissionRequest } from './review.ts';

/** How often a move of leadership is looked for while its confirmation is waited for. */
const CONFIRM_EVERY_MS = 20;
/** How often it is looked what came of a hand-off that another review makes; each look reads all anew. */
const AWAIT_EVERY_MS = 100;
/**
 * No review lasts longer than 30 s: whoever entered a hand-off before that has been cut short before
 * it could make it or take it back. A little more, since the writer's clock may be another one.
 */
const ABANDONED_MS = 35_000;

/** What a hearing came to. */
export interface Judgement {
  readonly verdict: Verdict;
  /** The first of the guards that select the pod. */
  readonly guard: Guard | null;
  /** What etcd looked like at the end; null if it was not asked. */
  readonly view: ClusterView | null;
  readonly handOff: HandOffState;
  /** The pod, then the guards that select it. */
  readonly about: readonly ObjectReference[];
}

/** A request that takes a pod away. */
export type GuardedRequest = AdmissionRequest & { readonly subject: GuardedSubject };

/** What hearings need from outside. */
export interface HearingContext {
  readonly guards: GuardSource;
  /** Wall clock, milliseconds since the epoch. */
  readonly nowMs: () => number;
  /** Absent: nobody else is heard at the same time. */
  readonly turns?: Pick<Turns, 'take'>;
}

/** Read without etcd, so that whatever needs no etcd is decided all the same. */
const CROWDED: Obstacle = {
  kind: 'Unread',
  cause: 'too many reviews came at once, and its turn to ask etcd did not come in time',
};
const TOO_MANY =
  'etcd-guard could not judge this request, since too many reviews came at once, so it is refused. Try again.';

/**
 * Judges one request: reads ledger, pods and etcd in that order, does what `decide` asks for, and
 * answers once a verdict stands and, where it needs one, its reservation is in the ledger. Whatever
 * happens, it ends by the deadline. Not a promise where there is nothing to wait for: the guards are at
 * hand, and none selects the pod.
 */
export function hear(
  request: GuardedRequest,
  context: HearingContext,
  deadline: Deadline,
): Judgement | Promise<Judgement> {
  return new Hearing(request, context, deadline).begin();
}

type Outcome = Judgement | 'again';

class Hearing {
  readonly #request: GuardedRequest;
  readonly #context: HearingContext;
  readonly #deadline: Deadline;
  #handOff: HandOffState = { kind: 'none' };
  #crowded: Obstacle | null = null;
  /** The reservation that this hearing made for a hand-off. */
  #held: Held | null = null;

  constructor(request: GuardedRequest, context: HearingContext, deadline: Deadline) {
    this.#request = request;
    this.#context = context;
    this.#deadline = deadline;
  }

  begin(): Judgement | Promise<Judgement> {
    return (this.#context.guards.atHand ? this.#atOnce() : null) ?? this.#inTurn();
  }

  /** null: a guard selects the pod. */
  #atOnce(): Judgement | null {
    const found = this.#read();
    if (found instanceof Promise || found.clusters.length > 0) return null;
    const situation = this.#situationOf(found);
    const decision = decide(situation);
    return isVerdict(decision) ? this.#judgement(decision, situation, []) : null;
  }

  /** The turn comes before all reading: what a decision rests on is not to grow old while it waits. */
  async #inTurn(): Promise<Judgement> {
    const { turns } = this.#context;
    if (turns === undefined || goesAlready(this.#request)) return this.#run();
    const end = await turns.take(setOf(this.#request), this.#deadline.patienceMs());
    if (end === null) {
      this.#crowded = CROWDED;
      return this.#run();
    }
    try {
      return await this.#run();
    } finally {
      end();
    }
  }

  async #run(): Promise<Judgement> {
    let allowed = false;
    try {
      let found = await this.#firstRead();
      let outcome = await this.#attempt(found, this.#situationOf(found));
      while (outcome === 'again') {
        const fresh = await this.#readAgain();
        if ('kind' in fresh) {
          outcome = await this.#attempt(found, hindered(this.#situationOf(found), fresh));
        } else {
          found = fresh;
          outcome = await this.#attempt(found, this.#situationOf(found));
        }
      }
      allowed = outcome.verdict.kind === 'allow';
      return outcome;
    } finally {
      // A leader that has handed over but stays after all must not keep its slot.
      if (!allowed) await this.#release();
    }
  }

  #read(): Found | Promise<Found> {
    const { guards } = this.#context;
    const found = guards.read(this.#request.subject, this.#deadline.remainingMs());
    return found instanceof Promise ? this.#inTime(found, 'the guards were not read') : found;
  }

  /** Others whose turn did not come read at the same moment; it is not the API server that is to blame. */
  async #firstRead(): Promise<Found> {
    try {
      return await this.#read();
    } catch (error) {
      if (this.#crowded === null) throw error;
      throw new GuardSourceError(TOO_MANY);
    }
  }

  /** With a verdict in reach already, a read that fails is one more thing that is not known. */
  async #readAgain(): Promise<Found | Obstacle> {
    try {
      return await this.#read();
    } catch (error) {
      if (error instanceof OutOfTimeError) return { kind: 'OutOfTime' };
      if (!(error instanceof GuardSourceError)) throw error;
      return { kind: 'LedgerUnavailable', cause: error.message };
    }
  }

  /** One pass from a fresh read to a verdict; `again` if the ledger has changed under it. */
  async #attempt({ clusters }: Found, read: Situation): Promise<Outcome> {
    const [cluster] = clusters;
    let situation = read;
    for (;;) {
      const look = lookAtCordons(situation, cluster);
      if (look !== null) situation = withPods(situation, await look(this.#deadline.memberMs()));
      const decision = decide(situation);
      if (decision.kind === 'deny') return this.#judgement(decision, situation, clusters);
      if (decision.kind === 'allow') {
        const secured = await this.#secure(decision, cluster, situation);
        if (secured === 'again') return 'again';
        if (secured === 'secured') return this.#judgement(decision, situation, clusters);
        situation = hindered(situation, { kind: 'LedgerUnavailable', cause: secured.cause });
      } else if (cluster === undefined || this.#deadline.remainingMs() <= 0) {
        situation = hindered(situation, { kind: 'OutOfTime' });
      } else {
        const next = await this.#take(decision, cluster, situation);
        if (next === 'again') return 'again';
        situation = next;
      }
    }
  }

  #situationOf({ target, clusters }: Found): Situation {
    const { subject, dryRun, user, preconditionUid } = this.#request;
    const [cluster] = clusters;
    return {
      nowMs: this.#context.nowMs(),
      request: {
        operation: subject.kind,
        dryRun,
        caller: { user: user.name, groups: user.groups },
        preconditionUid,
      },
      target,
      guards: clusters.map(({ guard }) => guard),
      pods: cluster?.pods ?? [],
      reservations: cluster?.reservations ?? [],
      answers: null,
      proof: null,
      handOff: this.#handOff,
      obstacle: cluster === undefined ? null : (faultOf(cluster) ?? this.#crowded),
    };
  }

  #judgement(
    verdict: Verdict,
    situation: Situation,
    clusters: readonly GuardedCluster[],
  ): Judgement {
    const guard = situation.guards[0] ?? null;
    const about = referencesTo(situation.target, clusters);
    return { verdict, guard, view: viewIn(situation), handOff: this.#handOff, about };
  }

  /** Sees to it that the ledger has the entry that an allow rests on. */
  async #secure(
    allow: Allow,
    cluster: GuardedCluster | undefined,
    situation: Situation,
  ): Promise<'secured' | 'again' | { readonly cause: string }> {
    if (cluster === undefined) return 'secured';
    if (allow.reserve === 'no') return this.#keep(cluster, situation);
    const { reserve, reason } = allow;
    try {
      const entry = this.#entry(reason, null);
      const held = await this.#inTime(cluster.reserve(entry), 'it was not written');
      if (held !== 'conflict') return 'secured';
      return reserve === 'required' || this.#deadline.remainingMs() > 0 ? 'again' : 'secured';
    } catch (error) {
      return reserve === 'ifPossible' ? 'secured' : { cause: causeOf(error) };
    }
  }

  /** The entry that a repeated request relies on may have ended, or be about to be taken back. */
  async #keep(
    cluster: GuardedCluster,
    { request, reservations, answers, obstacle }: Situation,
  ): Promise<'secured' | 'again' | { readonly cause: string }> {
    const relies = answers !== null && obstacle === null && reservations.some(({ own }) => own);
    if (request.dryRun || !relies) return 'secured';
    try {
      const kept = await this.#inTime(cluster.keep(), 'it was not read');
      return kept === 'kept' ? 'secured' : 'again';
    } catch (error) {
      return { cause: causeOf(error) };
    }
  }

  #entry(reason: Allow['reason'], handOffTo: HandOff['to']['id'] | null): NewReservation {
    const { user, gracePeriodSeconds } = this.#request;
    return { reason, by: user.name, gracePeriodSeconds, handOffTo };
  }

  /** Finds out what is missing. */
  async #take(
    step: Step,
    cluster: GuardedCluster,
    situation: Situation,
  ): Promise<Situation | 'again'> {
    switch (step.kind) {
      case 'ask':
        return this.#ask(cluster, situation);
      case 'prove': {
        const asked = cluster.endpoints.filter(({ pod }) => step.pods.includes(pod));
        const proof = await cluster.etcd.prove(asked, this.#deadline.memberMs());
        return { ...situation, proof };
      }
      case 'handOff':
        return this.#moveLeader(step, cluster, situation);
    }
  }

  async #ask(cluster: GuardedCluster, situation: Situation): Promise<Situation | 'again'> {
    const withinMs = this.#deadline.memberMs();
    const answers = await cluster.etcd.ask(cluster.endpoints, withinMs);
    const asked = { ...situation, answers };
    const view = viewIn(asked);
    // A round cut short by the deadline tells of the deadline, not of the members.
    if (view === null || withinMs < this.#deadline.fullMemberMs) return asked;
    return cluster.observed(answers, view) ? 'again' : asked;
  }

  /** Reserves the leader and names its successor in one swap, then moves leadership and waits for it. */
  async #moveLeader(
    { reason, from, to }: HandOff,
    cluster: GuardedCluster,
    situation: Situation,
  ): Promise<Situation | 'again'> {
    try {
      if (situation.reservations.some(isUnderWay)) return await this.#awaitOtherHandOff();
      if ((await this.#hold(cluster, this.#entry(reason, to.id))) === 'conflict') return 'again';
      const leader = cluster.endpoints.find(({ pod }) => pod === from.pod);
      if (leader === undefined) throw new EtcdRequestError('unreachable', 'it has no address');
      await cluster.etcd.moveLeader(leader, to.id, this.#deadline.memberMs());
      await this.#confirmMove(from, cluster, situation);
      this.#handOff = { kind: 'moved' };
      return 'again';
    } catch (error) {
      await this.#release();
      this.#handOff = { kind: 'failed', cause: causeOf(error) };
      return { ...situation, handOff: this.#handOff };
    }
  }

  /** Another review of the same pod moves leadership: what came of it shows in ledger and cluster. */
  async #awaitOtherHandOff(): Promise<'again'> {
    // One more look has to fit in, or the refusal would speak of time and not of the hand-off.
    const lookMs = this.#deadline.fullMemberMs / 4;
    if (this.#deadline.remainingMs() <= AWAIT_EVERY_MS + lookMs) throw notConfirmed();
    await passing(AWAIT_EVERY_MS);
    return 'again';
  }

  async #hold(cluster: GuardedCluster, entry: NewReservation): Promise<Held | 'conflict'> {
    const writing = cluster.reserve(entry);
    try {
      const held = await this.#inTime(writing, 'the reservation was not written');
      if (held !== 'conflict') this.#held = held;
      return held;
    } catch (error) {
      // It may be written yet, and then it would promise a hand-off that nobody makes.
      void writing.then(
        (held) => (held === 'conflict' ? undefined : held.release()),
        () => undefined,
      );
      throw error;
    }
  }

  /** Never rejects, and does not wait beyond the deadline. */
  async #release(): Promise<void> {
    const held = this.#held;
    this.#held = null;
    if (held === null) return;
    await this.#inTime(held.release(), 'the reservation was not taken back').catch(() => undefined);
  }

  async #confirmMove(
    from: HandOff['from'],
    cluster: GuardedCluster,
    situation: Situation,
  ): Promise<void> {
    for (;;) {
      const asked = await this.#ask(cluster, situation);
      const { leader } = (asked === 'again' ? null : viewIn(asked)) ?? {};
      if (leader?.kind === 'confirmed' && leader.id !== from.id) return;
      if (this.#deadline.remainingMs() <= CONFIRM_EVERY_MS) throw notConfirmed();
      await passing(CONFIRM_EVERY_MS);
    }
  }

  /** Rejects with an OutOfTimeError at the deadline; the work itself goes on. */
  async #inTime<T>(work: Promise<T>, what: string): Promise<T> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => reject(new OutOfTimeError(`${what} in time`)),
      this.#deadline.remainingMs(),
    );
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Needs no etcd, and must not wait: the kubelet sends its last DELETEs one after another. */
function goesAlready({ subject }: GuardedRequest): boolean {
  return subject.kind === 'delete' && subject.pod.terminating;
}

/** The StatefulSet of a pod, by its name: about one cluster, as far as that can be told before reading. */
function setOf({ namespace, name, subject }: GuardedRequest): string {
  const pod = subject.kind === 'delete' ? subject.pod.name : name;
  return `${namespace}/${pod.replace(/-[^-]*$/, '')}`;
}

/** Nobody is chosen to lead next before it was looked who is on a cordoned node; null: it need not be. */
function lookAtCordons(
  situation: Situation,
  cluster: GuardedCluster | undefined,
): NonNullable<GuardedCluster['withCordons']> | null {
  const looked = situation.pods !== cluster?.pods;
  if (looked || cluster.withCordons === undefined) return null;
  return choosesSuccessor(situation) ? cluster.withCordons : null;
}

function withPods(situation: Situation, pods: Situation['pods']): Situation {
  return { ...situation, pods };
}

function referencesTo(
  { namespace, name, uid }: TargetFacts,
  clusters: readonly GuardedCluster[],
): readonly ObjectReference[] {
  const pod: ObjectReference = { kind: 'Pod', namespace, name, uid };
  return [
    pod,
    ...clusters.map(({ guard, uid: guardUid = null }): ObjectReference => ({
      kind: 'EtcdGuard',
      namespace: guard.namespace,
      name: guard.name,
      uid: guardUid,
    })),
  ];
}

function isVerdict(decision: Decision): decision is Verdict {
  return decision.kind === 'allow' || decision.kind === 'deny';
}

/** Something else than etcd took longer than the request may. */
class OutOfTimeError extends Error {
  override readonly name = 'OutOfTimeError';
}

/** A hand-off of the target that another review makes; one that is abandoned may be made anew. */
function isUnderWay({ own, handOffTo, ageMs }: Reservation): boolean {
  return own && handOffTo !== null && ageMs < ABANDONED_MS;
}

function notConfirmed(): EtcdRequestError {
  return new EtcdRequestError('timeout', 'no new leader was confirmed in time');
}

function faultOf({ fault, faultPasses = false }: GuardedCluster): Obstacle | null {
  if (fault === undefined) return null;
  return { kind: faultPasses ? 'Unread' : 'Misconfigured', cause: fault };
}

function causeOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown';
}

function passing(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function hindered(situation: Situation, obstacle: Obstacle): Situation {
  return { ...situation, obstacle };
}
