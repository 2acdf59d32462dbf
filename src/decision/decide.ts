import type { Case } from './case.ts';
import { viewOf, type ClusterView, type Observed } from './cluster-view.ts';
import { comesToHandOff, RULES } from './rules.ts';
import type { Answer, Situation } from './situation.ts';
import type { Allow, Decision, Prove } from './verdict.ts';

/**
 * Decides by the table in `rules.ts`: total, deterministic, without I/O. Where the pod may be one of
 * several members, it is judged as each of them and as none, and allowed only if every reading is.
 */
export function decide(situation: Situation): Decision {
  return combine(casesOf(situation).map(decideOne));
}

/**
 * Whether `decide` would name who is to lead next, in a hand-off or in a dry run of one: only then does it
 * matter which pods are on cordoned nodes.
 */
export function choosesSuccessor(situation: Situation): boolean {
  return casesOf(situation).some(comesToHandOff);
}

/** The last view that was made of each round of answers. */
const lastViews = new WeakMap<
  ReadonlyMap<string, Answer>,
  { readonly observed: Observed; readonly view: ClusterView }
>();

/**
 * The view that a situation's answers show; null while etcd has not been asked. Each step of a
 * review and all that share a round look at the same things: then it is made once.
 */
export function viewIn(situation: Situation): ClusterView | null {
  const [guard] = situation.guards;
  if (situation.answers === null || guard === undefined) return null;
  const { pods, answers, proof, reservations } = situation;
  const observed = { pods, answers, proof, reservations, maxRaftLag: guard.policy.maxRaftLag };
  const last = lastViews.get(answers);
  if (last !== undefined && isSame(last.observed, observed)) return last.view;
  const view = viewOf(observed);
  lastViews.set(answers, { observed, view });
  return view;
}

function isSame(a: Observed, b: Observed): boolean {
  const noReservations = a.reservations.length === 0 && b.reservations.length === 0;
  return (
    a.pods === b.pods &&
    a.proof === b.proof &&
    a.maxRaftLag === b.maxRaftLag &&
    (noReservations || a.reservations === b.reservations)
  );
}

function casesOf(situation: Situation): readonly Case[] {
  const view = viewIn(situation);
  const readings = view?.readingsOf(situation.target.name) ?? [];
  const common = {
    situation,
    view,
    readings,
    guard: situation.guards.length === 1 ? (situation.guards[0] ?? null) : null,
    answer: answerOfTarget(situation),
    own: situation.reservations.find(({ own }) => own) ?? null,
  };
  const ids = readings.length === 0 ? [null] : readings;
  return ids.map((memberId) => {
    const others = (view?.members ?? []).filter(({ id, learner }) => !learner && id !== memberId);
    return {
      ...common,
      memberId,
      member: view?.members.find(({ id }) => id === memberId) ?? null,
      after: others.filter(({ health }) => health === 'Healthy'),
      laggards: others.filter(({ onlyLags }) => onlyLags),
    };
  });
}

function answerOfTarget({ answers, target }: Situation): Case['answer'] {
  if (answers === null) return null;
  return answers.get(target.name) ?? { kind: 'silent', cause: 'no answer' };
}

function decideOne(c: Case): Decision {
  for (const rule of RULES) {
    const applies = rule.applies(c);
    if (applies === true) return rule.verdict(c);
    if (applies !== false) return applies;
  }
  throw new Error('the last rule of the table applies to everything');
}

/** A refusal of one reading refuses; what one still has to find out comes before any allow. */
function combine(decisions: readonly Decision[]): Decision {
  const refusal = decisions.find(({ kind }) => kind === 'deny');
  if (refusal !== undefined) return refusal;
  const step = decisions.find(({ kind }) => kind === 'ask' || kind === 'handOff');
  if (step !== undefined) return step;
  const prove = decisions.filter((d): d is Prove => d.kind === 'prove');
  if (prove.length > 0) return { kind: 'prove', pods: [...new Set(prove.flatMap((d) => d.pods))] };
  return strictest(decisions.filter((d): d is Allow => d.kind === 'allow'));
}

function strictest(allows: readonly Allow[]): Allow {
  for (const reserve of ['required', 'ifPossible', 'no'] as const) {
    const found = allows.find((allow) => allow.reserve === reserve);
    if (found !== undefined) return found;
  }
  throw new Error('a pod has at least one reading');
}
