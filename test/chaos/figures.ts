import type { Findings } from './check.ts';
import type { Event, EventOf, Review } from './history.ts';
import { Timeline } from './timeline.ts';

/** What was done, and what came of it, in lines for a terminal. */
export function figuresOf(events: readonly Event[], findings: Findings): readonly string[] {
  const of = <K extends Event['kind']>(kind: K): readonly EventOf<K>[] =>
    events.filter((event): event is EventOf<K> => event.kind === kind);
  const reviews = of('review');
  const wanted = reviews.filter(({ reason, dryRun }) => reason !== 'AlreadyGoing' && !dryRun);
  const answered = reviews.filter(({ outcome }) => outcome === 'allow' || outcome === 'deny');
  const timeline = new Timeline(events);
  const alone = answered.filter((one) => timeline.replicaWasWell(one.replica, one.from, one.t));
  const [times, aloneTimes] = [timesOf(answered), timesOf(alone)];
  const written = of('write');
  const found = new Map(of('found').flatMap(({ pairs }) => pairs));
  const isRead = of('found').length > 0;
  const kept = written.filter(({ key, value }) => found.get(key) === value).length;
  const faults = of('fault').map(({ what }) => what.kind);
  return [
    row('requests of actors', `${of('request').length}: ${counted(of('request').map(asked))}`),
    row('reviews', `${reviews.length}, of them ${wanted.length} new and meant`),
    row('allowed', reasons(wanted, 'allow')),
    row('refused', reasons(wanted, 'deny')),
    row('unanswered', unanswered(reviews)),
    row('late or lost', `${findings.unansweredByFault}, each with a replica killed or paused`),
    row(
      'answer times',
      `median ${at(times, 0.5)} ms, 99 % ${at(times, 0.99)} ms, worst ${at(times, 1)} ms; ` +
        `worst of a replica left alone ${at(aloneTimes, 1)} ms`,
    ),
    row('elected meanwhile', `${findings.electedMeanwhile} of those allowed`),
    row('faults', `${faults.length}: ${counted(faults)}`),
    row('elections', String(elections(of('belief')))),
    row(
      'writes',
      `${written.length} acknowledged, ${isRead ? `${kept} of them found again` : 'not read back'}`,
    ),
    row('calm rounds', of('liveness').map(calm).join('; ')),
  ];
}

function row(name: string, text: string): string {
  return `${name.padEnd(20)}${text}`;
}

function asked({ what, code }: EventOf<'request'>): string {
  return `${what} ${code < 400 && code > 0 ? 'done' : `failed`}`;
}

function calm({ deleted, leaderRefused, tookMs }: EventOf<'liveness'>): string {
  const seconds = Math.round(tookMs / 100) / 10;
  return `${deleted.length} ${deleted.length === 1 ? 'follower' : 'followers'} in ${seconds} s, leader refused ${leaderRefused} times`;
}

function unanswered(reviews: readonly Review[]): string {
  const of = (outcome: Review['outcome']): number =>
    reviews.filter((review) => review.outcome === outcome).length;
  return `${of('failed')}, and ${of('abandoned')} that the API server hung up on`;
}

/** Milliseconds, the shortest first. */
function timesOf(reviews: readonly Review[]): readonly number[] {
  return reviews.map(({ t, from }) => t - from).toSorted((a, b) => a - b);
}

function reasons(reviews: readonly Review[], outcome: Review['outcome']): string {
  const those = reviews.filter((review) => review.outcome === outcome);
  return `${those.length}: ${counted(those.map(({ reason }) => reason || '(guards not found out)'))}`;
}

function elections(beliefs: readonly EventOf<'belief'>[]): number {
  return new Set(beliefs.flatMap(({ leader, term }) => (leader === null ? [] : [term]))).size;
}

/** Each with its number, the most frequent first. */
export function counted(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  const sorted = [...counts].toSorted(([, a], [, b]) => b - a);
  return sorted.map(([name, count]) => `${name} ${count}`).join(', ');
}

function at(sorted: readonly number[], share: number): number {
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0);
}
