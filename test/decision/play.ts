import { decide, viewIn } from '../../src/decision/decide.ts';
import type { MemberId } from '../../src/decision/member-id.ts';
import type { Situation } from '../../src/decision/situation.ts';
import type { Decision, Verdict } from '../../src/decision/verdict.ts';
import { clusterOf, type Cluster } from './described-cluster.ts';
import type { Description, Item } from './dsl.ts';

/** More steps than any request may take: ask, prove, hand off, prove again, and one to spare. */
const STEP_LIMIT = 8;

/** Plays the guard against a described cluster; what it expects, as lines of text. */
export function play(description: Description): string {
  const cluster = clusterOf(description);
  const steps: string[] = [];
  let { situation, leader } = cluster;
  for (let n = 0; n < STEP_LIMIT; n += 1) {
    const decision = decide(situation);
    const next = follow(decision, { description, cluster, situation, leader, steps });
    if ('verdict' in next) return report(description, next, steps);
    ({ situation, leader } = next);
  }
  throw new Error(`no verdict after ${STEP_LIMIT} steps: ${steps.join(', ')}`);
}

interface Turn {
  readonly description: Description;
  readonly cluster: Cluster;
  readonly situation: Situation;
  readonly leader: Cluster['leader'];
  readonly steps: string[];
}

type Next =
  | { readonly situation: Situation; readonly leader: Cluster['leader'] }
  | { readonly situation: Situation; readonly verdict: Verdict };

function follow(decision: Decision, turn: Turn): Next {
  const { cluster, situation, leader, steps } = turn;
  switch (decision.kind) {
    case 'ask': {
      steps.push('asked');
      const obstacle = outOfTimeAfterAnswers(turn) ? ({ kind: 'OutOfTime' } as const) : null;
      return { situation: { ...situation, answers: cluster.answers(leader), obstacle }, leader };
    }
    case 'prove': {
      steps.push(`proved ${decision.pods.join(' ')}`);
      const asked = [...cluster.proof(leader)].filter(([pod]) => decision.pods.includes(pod));
      return { situation: { ...situation, proof: new Map(asked) }, leader };
    }
    case 'handOff':
      return handOff(decision, turn);
    case 'allow':
      return decision.reserve === 'required'
        ? (withoutLedger(turn) ?? { situation, verdict: decision })
        : { situation, verdict: decision };
    case 'deny':
      return { situation, verdict: decision };
  }
}

function outOfTimeAfterAnswers({ description }: Turn): boolean {
  return first(description, 'outOfTime')?.name === 'answers';
}

function first({ words }: Description, key: string): Item | undefined {
  return words.get(key)?.[0];
}

/** The ledger could not be written: decide again with that; null while it can be. */
function withoutLedger({ description, situation, leader, steps }: Turn): Next | null {
  const ledger = first(description, 'ledger');
  if (ledger === undefined) return null;
  steps.push('could not reserve');
  const obstacle = { kind: 'LedgerUnavailable', cause: ledger.name } as const;
  return { situation: { ...situation, obstacle }, leader };
}

function handOff(decision: Extract<Decision, { kind: 'handOff' }>, turn: Turn): Next {
  const { description, situation, cluster, leader, steps } = turn;
  const blocked = withoutLedger(turn);
  if (blocked !== null) return blocked;
  const { from, to, reason } = decision;
  steps.push(`handed off ${from.pod} to ${to.pod} as ${reason}`);
  const move = description.words.get('move')?.[0];
  if (move?.name === 'fails') {
    const state = { kind: 'failed', cause: move.value ?? 'etcdserver: request timed out' } as const;
    return { situation: { ...situation, handOff: state }, leader };
  }
  const leads = leaderAfter(move?.name, { before: leader, to: to.id });
  const own = { pod: from.pod, own: true, ageMs: 0, reason, handOffTo: to.id };
  steps.push('asked');
  return {
    situation: {
      ...situation,
      answers: move?.name === 'unclear' ? new Map() : cluster.answers(leads),
      proof: null,
      reservations: [...situation.reservations.filter((entry) => !entry.own), own],
      handOff: { kind: 'moved' },
    },
    leader: leads,
  };
}

function leaderAfter(
  move: string | undefined,
  { before, to }: { readonly before: Cluster['leader']; readonly to: MemberId },
): Cluster['leader'] {
  if (move === 'unconfirmed') return before;
  return move === 'leaderless' ? null : to;
}

function report(
  description: Description,
  { situation, verdict }: { readonly situation: Situation; readonly verdict: Verdict },
  steps: readonly string[],
): string {
  const view = viewIn(situation);
  const healthy = (view?.members ?? []).filter(
    ({ id, learner, health }) => !learner && health === 'Healthy' && id !== verdict.member,
  );
  const arithmetic =
    view?.list === 'agreed' ? ` after=${healthy.length} quorum=${view.quorum}` : '';
  const reserve = verdict.kind === 'allow' && verdict.reserve !== 'no' ? verdict.reserve : null;
  return [
    `${verdict.kind} ${verdict.reason}${arithmetic}${reserve === null ? '' : ` reserve=${reserve}`}`,
    steps.length === 0 ? 'asked nothing' : steps.join(', '),
    ...(description.words.has('message') ? [`message: ${verdict.message}`] : []),
    ...verdict.warnings.map((warning) => `warning: ${warning}`),
  ].join('\n');
}
