import type { HandOffOutcome } from '../telemetry/recorder.ts';
import type { GuardedRequest, Judgement } from './hearing.ts';
import type { ObjectReference } from './guard-source.ts';

/** Something that people should find beside the objects that it is about. */
export interface Announcement {
  readonly about: readonly ObjectReference[];
  readonly type: 'Normal' | 'Warning';
  /** CamelCase, of a closed set: together with the object and the type it tells what is the same. */
  readonly reason: string;
  /** What was done about the request. */
  readonly action: 'Refused' | 'Allowed' | 'MovedLeadership';
  /** One line of any length. */
  readonly message: string;
}

/** The port to whoever tells people; returns at once, never throws, and may drop what is too much. */
export type Announce = (announcement: Announcement) => void;

/** Every reason that is announced; docs/events.md says when. */
export const ANNOUNCED: Readonly<Record<string, Announcement['type']>> = {
  LeaderProtected: 'Warning',
  QuorumAtRisk: 'Warning',
  QuorumLost: 'Warning',
  Unverifiable: 'Warning',
  AmbiguousGuard: 'Warning',
  HandOffRefused: 'Warning',
  HandOffFailed: 'Warning',
  LeadershipMoved: 'Normal',
  BreakGlass: 'Warning',
  UnverifiableAllowed: 'Warning',
  QuorumAtRiskAllowed: 'Warning',
  KnownDown: 'Normal',
  InternalError: 'Warning',
  Locked: 'Warning',
  LockedAllowed: 'Warning',
};

/** Of what may go, only this: nobody vouched for it, or somebody should hear of it. */
const LET_THROUGH: Partial<Readonly<Record<Judgement['verdict']['reason'], string>>> = {
  BreakGlass: 'BreakGlass',
  KnownDown: 'KnownDown',
  // Not the names of the refusals: what was let go must not vanish in a count of what was refused.
  Unverifiable: 'UnverifiableAllowed',
  QuorumAtRisk: 'QuorumAtRiskAllowed',
};

/** Longer user names are cut. */
const LONGEST_USER = 100;

/** What there is to tell of a judgement: nothing of dry runs, of pods that nobody guards, of plain allows. */
export function announcementsOf(
  request: GuardedRequest,
  judgement: Judgement,
  handOff: HandOffOutcome | null,
): readonly Announcement[] {
  if (request.dryRun || judgement.guard === null) return [];
  const { about, verdict } = judgement;
  const told: Announcement[] = [];
  if (handOff === 'moved') told.push(moved(request, judgement));
  const reason = verdict.kind === 'deny' ? refusal(verdict, handOff) : LET_THROUGH[verdict.reason];
  if (reason !== undefined) {
    const action = verdict.kind === 'deny' ? 'Refused' : 'Allowed';
    const message = `${asked(request)} ${action.toLowerCase()}: ${verdict.message}`;
    told.push({ about, type: ANNOUNCED[reason] ?? 'Warning', reason, action, message });
  }
  return told;
}

/** What there is to tell of a request that was refused without a judgement, for the reason given. */
export function announcementOfFailure(
  request: GuardedRequest,
  message: string,
): readonly Announcement[] {
  if (request.dryRun) return [];
  const { subject, namespace, name } = request;
  const uid = subject.kind === 'delete' ? subject.pod.uid : null;
  return [
    {
      about: [{ kind: 'Pod', namespace, name, uid }],
      type: 'Warning',
      reason: 'InternalError',
      action: 'Refused',
      message: `${asked(request)} refused: ${message}`,
    },
  ];
}

/** A hand-off that did not come about has a name of its own: it has causes of its own. */
function refusal({ reason }: Judgement['verdict'], handOff: HandOffOutcome | null): string {
  if (handOff === 'failed') return 'HandOffFailed';
  return handOff === 'refused' ? 'HandOffRefused' : reason;
}

function moved(request: GuardedRequest, { about, guard, view }: Judgement): Announcement {
  const cluster = guard === null ? '' : ` of etcd cluster ${guard.namespace}/${guard.name}`;
  const { leader } = view ?? {};
  const id = leader?.kind === 'confirmed' ? leader.id : null;
  const next = view?.members.find((member) => member.id === id);
  const to = next === undefined ? '' : ` to ${next.pods[0] ?? `member ${next.id}`}`;
  return {
    about,
    type: 'Normal',
    reason: 'LeadershipMoved',
    action: 'MovedLeadership',
    message: `${asked(request)}: leadership${cluster} was moved from ${request.name}${to} first.`,
  };
}

/** `Eviction of etcd-0 by alice` */
function asked({ subject, name, user }: GuardedRequest): string {
  const what = subject.kind === 'delete' ? 'Delete' : 'Eviction';
  const shown = shownUser(user.name);
  return `${what} of ${name}${shown === '' ? '' : ` by ${shown}`}`;
}

/** A user's name as one line of bearable length. */
export function shownUser(name: string): string {
  const who = name.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim();
  return who.length <= LONGEST_USER ? who : `${who.slice(0, LONGEST_USER).toWellFormed()}…`;
}
