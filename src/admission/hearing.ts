import { setTimeout as delay } from 'node:timers/promises';
import type { ClusterView } from '../decision/cluster-view.ts';
import { decide, viewIn } from '../decision/decide.ts';
import type { Guard, HandOffState, Obstacle, Situation } from '../decision/situation.ts';
import type { Allow, HandOff, Step, Verdict } from '../decision/verdict.ts';
import { EtcdRequestError } from '../etcd/port.ts';
import type { Deadline } from './deadline.ts';
import type { Found, GuardedCluster, GuardedSubject, GuardSource, Held } from './guard-source.ts';
import type { AdmissionRequest } from './review.ts';

/** How often a move of leadership is looked for while its confirmation is waited for. */
const CONFIRM_EVERY_MS = 20;

/** What a hearing came to. */
export interface Judgement {
  readonly verdict: Verdict;
  /** The first of the guards that select the pod. */
  readonly guard: Guard | null;
  /** What etcd looked like at the end; null if it was not asked. */
  readonly view: ClusterView | null;
  readonly handOff: HandOffState;
}

/** A request that takes a pod away. */
export type GuardedRequest = AdmissionRequest & { readonly subject: GuardedSubject };

/** What hearings need from outside. */
export interface HearingContext {
  readonly guards: GuardSource;
  /** Wall clock, milliseconds since the epoch. */
  readonly nowMs: () => number;
}

/**
 * Judges one request: reads ledger, pods and etcd in that order, does what `decide` asks for, and
 * answers once a verdict stands and, where it needs one, its reservation is in the ledger. Whatever
 * happens, it ends by the deadline.
 */
export function hear(
  request: GuardedRequest,
  context: HearingContext,
  deadline: Deadline,
): Promise<Judgement> {
  return new Hearing(request, context, deadline).run();
}

type Outcome = Judgement | 'again';

class Hearing {
  readonly #request: GuardedRequest;
  readonly #context: HearingContext;
  readonly #deadline: Deadline;
  #handOff: HandOffState = { kind: 'none' };
  /** The reservation that this hearing made for a hand-off. */
  #held: Held | null = null;

  constructor(request: GuardedRequest, context: HearingContext, deadline: Deadline) {
    this.#request = request;
    this.#context = context;
    this.#deadline = deadline;
  }

  async run(): Promise<Judgement> {
    let allowed = false;
    try {
      for (;;) {
        const found = await this.#context.guards.read(this.#request.subject);
        const outcome = await this.#attempt(found);
        if (outcome === 'again') continue;
        allowed = outcome.verdict.kind === 'allow';
        return outcome;
      }
    } finally {
      // A leader that has handed over but stays after all must not keep its slot.
      if (!allowed) await this.#held?.release();
    }
  }

  /** One pass from a fresh read to a verdict; `again` if the ledger has changed under it. */
  async #attempt(found: Found): Promise<Outcome> {
    const [cluster] = found.clusters;
    let situation = this.#situationOf(found);
    for (;;) {
      const decision = decide(situation);
      if (decision.kind === 'deny') return this.#judgement(decision, situation);
      if (decision.kind === 'allow') {
        const kept = await this.#reserve(decision, cluster);
        if (kept === 'again') return 'again';
        if (kept === 'kept') return this.#judgement(decision, situation);
        situation = hindered(situation, { kind: 'LedgerUnavailable', cause: kept.cause });
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
      obstacle: null,
    };
  }

  #judgement(verdict: Verdict, situation: Situation): Judgement {
    const guard = situation.guards[0] ?? null;
    return { verdict, guard, view: viewIn(situation), handOff: this.#handOff };
  }

  async #reserve(
    { reserve, reason }: Allow,
    cluster: GuardedCluster | undefined,
  ): Promise<'kept' | 'again' | { readonly cause: string }> {
    if (reserve === 'no' || cluster === undefined) return 'kept';
    try {
      const held = await cluster.reserve(this.#entry(reason, null));
      if (held !== 'conflict') return 'kept';
      return reserve === 'required' || this.#deadline.remainingMs() > 0 ? 'again' : 'kept';
    } catch (error) {
      if (reserve === 'ifPossible') return 'kept';
      return { cause: error instanceof Error ? error.message : 'unknown' };
    }
  }

  #entry(reason: Allow['reason'], handOffTo: HandOff['to']['id'] | null) {
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

  async #ask(cluster: GuardedCluster, situation: Situation): Promise<Situation> {
    const answers = await cluster.etcd.ask(cluster.endpoints, this.#deadline.memberMs());
    const asked = { ...situation, answers };
    const view = viewIn(asked);
    if (view !== null) cluster.observed(answers, view);
    return asked;
  }

  /** Reserves the leader and names its successor in one swap, then moves leadership and waits for it. */
  async #moveLeader(
    { reason, from, to }: HandOff,
    cluster: GuardedCluster,
    situation: Situation,
  ): Promise<Situation | 'again'> {
    try {
      if (!situation.reservations.some(({ own, handOffTo }) => own && handOffTo !== null)) {
        const held = await cluster.reserve(this.#entry(reason, to.id));
        if (held === 'conflict') return 'again';
        this.#held = held;
        const leader = cluster.endpoints.find(({ pod }) => pod === from.pod);
        if (leader === undefined) throw new EtcdRequestError('unreachable', 'it has no address');
        await cluster.etcd.moveLeader(leader, to.id, this.#deadline.memberMs());
      }
      await this.#confirmMove(from, cluster, situation);
      this.#handOff = { kind: 'moved' };
      return 'again';
    } catch (error) {
      const cause = error instanceof Error ? error.message : 'unknown';
      await this.#held?.release();
      this.#held = null;
      this.#handOff = { kind: 'failed', cause };
      return { ...situation, handOff: this.#handOff };
    }
  }

  async #confirmMove(
    from: HandOff['from'],
    cluster: GuardedCluster,
    situation: Situation,
  ): Promise<void> {
    for (;;) {
      const { leader } = viewIn(await this.#ask(cluster, situation)) ?? {};
      if (leader?.kind === 'confirmed' && leader.id !== from.id) return;
      if (this.#deadline.remainingMs() <= CONFIRM_EVERY_MS) {
        throw new EtcdRequestError('timeout', 'no new leader was confirmed in time');
      }
      await delay(CONFIRM_EVERY_MS);
    }
  }
}

function hindered(situation: Situation, obstacle: Obstacle): Situation {
  return { ...situation, obstacle };
}
