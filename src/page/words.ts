import { byName } from '../decision/by-name.ts';
import type { Reason } from '../decision/situation.ts';
import type { GuardLook, PodLook } from './port.ts';
import type { PodRow } from './rows.ts';

/** For somebody who has never seen etcd: why a pod may go or not, in one short sentence. */
export const IN_SHORT: Readonly<Record<Reason, string>> = {
  NotGuarded: 'No guard selects it.',
  AlreadyGoing: 'It is being deleted already.',
  NotRunningHere: 'No etcd member runs in it.',
  PreconditionStale: 'Another pod was meant.',
  BreakGlass: 'Somebody has set break-glass on it, so nothing is checked.',
  AmbiguousGuard: 'More than one guard selects it: it stays until only one does.',
  KnownDown: 'Its container is down already: deleting it can only help.',
  Unverifiable: 'There is no telling whether the others could do without it.',
  NotAMember: 'It is no member of this cluster.',
  Learner: 'It only learns and has no vote: nothing depends on it.',
  LeaderProtected: 'It leads the cluster, or is about to. Another member has to lead first.',
  QuorumLost: 'The cluster has no leader, and this pod may hold the last copy of its data.',
  NothingToLose: 'It is not healthy, and enough others are.',
  QuorumAtRisk: 'Without it too few healthy voters would be left.',
  Spared: 'It follows, and enough healthy voters would be left.',
};

/** The same for a pod as it is now. */
export function shortReason(
  { decision, reason, terminating, reserved }: PodLook,
  { unasked }: Pick<GuardLook, 'unasked'>,
): string {
  if (unasked !== null && reason === 'Unverifiable')
    return 'No guard is asked about it, so it would go even if etcd needs it.';
  if (decision === 'allow' && reserved && !terminating)
    return 'Its deletion was allowed a moment ago. The others are judged as if it were gone.';
  return IN_SHORT[reason];
}

/** `Healthy`, or what is wrong. */
export function healthWords({ health, why }: PodRow): string {
  switch (health) {
    case 'Healthy':
      return 'Healthy';
    case 'Unhealthy':
      return why === '' ? 'Not healthy' : `Not healthy: ${why}`;
    case 'Unknown':
      return why === '' ? 'Not known' : `Not known: ${why}`;
  }
}

/** What the member is to its cluster. */
export function roleWords({ role, isPod }: PodRow): string {
  if (!isPod) return `${role ?? 'Member'}, in no known pod`;
  return role ?? 'No known member';
}

/** Every write makes a follower lag for a moment; of more, what changes all the time is left out. */
const NOTABLE_LAG = 10n;

/** `about 1,200 behind`; empty if that is not known, or said already as the reason why it is not healthy. */
export function lagWords({ lag, why }: PodRow): string {
  if (lag === null || why.endsWith('entries behind')) return '';
  return lag < NOTABLE_LAG ? 'up to date' : `about ${roundly(lag)} behind`;
}

/** Two digits of it; the tables of `Intl.NumberFormat` would stay in memory. */
function roundly(count: bigint): string {
  const unit = 10n ** BigInt(Math.max(0, String(count).length - 2));
  const rounded = ((count + unit / 2n) / unit) * unit;
  return String(rounded).replaceAll(/\B(?=(?:\d{3})+$)/g, ',');
}

/** How the cluster stands, and what may go. */
export function headline(look: GuardLook, rows: readonly PodRow[]): readonly [string, string] {
  return [
    standingWords(look, rows),
    look.unasked === null
      ? mayGoWords(rows)
      : 'Nothing guards these pods now: each of them would go, whatever that does to etcd.',
  ];
}

function standingWords({ fault, view }: GuardLook, rows: readonly PodRow[]): string {
  if (fault !== null) return `Its etcd can't be asked: ${fault}.`;
  if (view === null) return 'Its etcd was not asked.';
  if (rows.length === 0) return 'No pod matches its selector.';
  if (view.list === 'several') return 'Its pods answer for two clusters: the selector is too wide.';
  if (view.leader.kind === 'leaderless') return 'No leader: whoever answers names none.';
  if (view.list === 'none') return 'Too few members answer to tell how the cluster stands.';
  const counts = `${view.healthyVoters} of ${view.voters} voters are healthy, ${view.quorum} are needed.`;
  if (view.leader.kind === 'unclear') return `Who leads is not clear. ${counts}`;
  const leader = rows.find(({ role }) => role === 'Leader')?.name ?? 'A member in no known pod';
  return `${leader} leads. ${counts}`;
}

function mayGoWords(rows: readonly PodRow[]): string {
  const going = rows.filter((row) => isGoing(row));
  const free = rows.filter((row) => row.verdict?.decision === 'allow' && !isGoing(row));
  const gone = going.length === 0 ? '' : ` Being deleted already, or about to be: ${names(going)}.`;
  if (free.length === 0) return `No ${gone === '' ? '' : 'other '}pod may be deleted now.${gone}`;
  if (free.length === 1) return `Only ${names(free)} may be deleted now.${gone}`;
  return `One of these may be deleted now: ${names(free)}. Then look again.${gone}`;
}

/** It is, or was allowed to be deleted a moment ago. */
function isGoing({ verdict }: PodRow): boolean {
  return verdict !== null && (verdict.terminating || verdict.reserved);
}

const NAMES_SHOWN = 8;

function names(rows: readonly PodRow[]): string {
  const shown = rows
    .slice(0, NAMES_SHOWN)
    .map(({ name }) => name)
    .sort(byName);
  const more = rows.length - shown.length;
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ');
}
