import type { Answer, ListedMember, StatusAnswer } from '../decision/situation.ts';
import type { Authentication } from './authentication.ts';
import { noAnswerWithin } from './failure.ts';
import type { Failure } from './failure.ts';
import { WITHOUT_ID } from './member-answer.ts';
import type { AnswerReader } from './member-answer.ts';
import type { MemberConnection, RequestWindow } from './member-connection.ts';
import { MEMBER_LIST, STATUS } from './requests.ts';
import type { Round } from '../sharing/shared-rounds.ts';

/** A pod's member and the connection to it, null where it has no address. */
export interface AskedMember {
  readonly pod: string;
  readonly connection: Pick<MemberConnection, 'request' | 'resolving' | 'discard'> | null;
}

/** What rounds of one cluster share. */
export interface AskContext {
  readonly authentication: Authentication;
  readonly reader: AnswerReader;
}

interface Slot extends AskedMember {
  /** Still without its list. */
  status: StatusAnswer | null;
  statusFailure: Failure | null;
  list: readonly ListedMember[] | null;
  listFailure: Failure | null;
  /** It refused, and the request is being tried again. */
  refusal: Failure | null;
}

/** Asks every member for Status and MemberList, all at once. */
export function askRound(
  members: readonly AskedMember[],
  window: RequestWindow,
  context: AskContext,
): Round<ReadonlyMap<string, Answer>> {
  const slots = members.map(({ pod, connection }): Slot => ({
    pod,
    connection,
    status: null,
    statusFailure: null,
    list: null,
    listFailure: null,
    refusal: null,
  }));
  return {
    ended: Promise.all(slots.map((slot) => askMember(slot, window, context))),
    snapshot: (withinMs) => new Map(slots.map((slot) => [slot.pod, answerOf(slot, withinMs)])),
    giveUp() {
      // Their deadlines pass at this moment too; the next round must not wait for that.
      for (const slot of slots) if (pending(slot)) slot.connection?.discard();
    },
  };
}

function pending(slot: Slot): boolean {
  return slot.status === null && slot.statusFailure === null;
}

/** Answers are read as they come, while others are still waited for. */
function askMember(slot: Slot, window: RequestWindow, context: AskContext): Promise<unknown> {
  const { connection } = slot;
  if (connection === null) return Promise.resolve();
  const { authentication, reader } = context;
  const note = (failure: Failure): void => {
    slot.refusal = failure;
  };
  return Promise.all([
    authentication.request(connection, STATUS, window, note).then((outcome) => {
      slot.status = outcome.ok ? reader.status(outcome.value) : null;
      slot.statusFailure = outcome.ok ? null : outcome.failure;
      if (outcome.ok && slot.status === null) slot.statusFailure = WITHOUT_ID;
      return outcome;
    }),
    authentication.request(connection, MEMBER_LIST, window, note).then((outcome) => {
      slot.list = outcome.ok ? reader.list(outcome.value) : null;
      slot.listFailure = outcome.ok ? null : outcome.failure;
      return outcome;
    }),
  ]);
}

function answerOf(slot: Slot, withinMs: number): Answer {
  if (slot.connection === null) return { kind: 'silent', cause: 'no address yet' };
  if (slot.status !== null) return { ...slot.status, list: slot.list };
  return withoutStatus(slot, slot.statusFailure, withinMs);
}

function withoutStatus(slot: Slot, failure: Failure | null, withinMs: number): Answer {
  if (failure?.kind === 'refused') return { kind: 'refused', cause: failure.words };
  const cause = silence(slot, failure, withinMs);
  const heard = heardOtherwise(slot);
  return heard === null
    ? { kind: 'silent', cause }
    : { kind: 'refused', cause: `${heard}; then ${cause}` };
}

/** What it said beside its Status: whoever said anything is not silent. */
function heardOtherwise({ refusal, list, listFailure }: Slot): string | null {
  if (refusal !== null) return refusal.words;
  if (list !== null) return 'it told its member list';
  return listFailure?.kind === 'refused' ? listFailure.words : null;
}

function silence(slot: Slot, failure: Failure | null, withinMs: number): string {
  if (failure?.kind === 'unreachable') return failure.words;
  if (slot.connection?.resolving === true)
    return `name did not resolve: ${noAnswerWithin(withinMs)}`;
  return noAnswerWithin(withinMs);
}
