import type { IMember, IStatusResponse } from 'etcd3';

import type { Answer } from '../decision/situation.ts';
import type { Authentication } from './authentication.ts';
import { noAnswerWithin } from './failure.ts';
import type { Failure, Outcome } from './failure.ts';
import { statusAnswer } from './member-answer.ts';
import type { MemberLists } from './member-answer.ts';
import type { MemberConnection, RequestWindow } from './member-connection.ts';
import { MEMBER_LIST, STATUS } from './requests.ts';
import type { Round } from './shared-rounds.ts';

/** A pod's member and the connection to it, null where it has no address. */
export interface AskedMember {
  readonly pod: string;
  readonly connection: MemberConnection | null;
}

/** What rounds of one cluster share. */
export interface AskContext {
  readonly authentication: Authentication;
  readonly lists: MemberLists;
}

interface Slot extends AskedMember {
  status: Outcome<IStatusResponse> | null;
  list: Outcome<readonly IMember[]> | null;
  /** It refused, and the request is being tried again. */
  refusal: Failure | null;
}

/** Asks every member for Status and MemberList, all at once. */
export function askRound(
  members: readonly AskedMember[],
  window: RequestWindow,
  context: AskContext,
): Round<ReadonlyMap<string, Answer>> {
  const slots = members.map((member): Slot => ({
    ...member,
    status: null,
    list: null,
    refusal: null,
  }));
  return {
    ended: Promise.all(slots.map((slot) => askMember(slot, window, context))),
    snapshot: (withinMs) =>
      new Map(slots.map((slot) => [slot.pod, answerOf(slot, withinMs, context.lists)])),
    giveUp() {
      // Their deadlines pass at this moment too; the next round must not wait for that.
      for (const slot of slots) if (slot.status === null) slot.connection?.discard();
    },
  };
}

function askMember(
  slot: Slot,
  window: RequestWindow,
  { authentication }: AskContext,
): Promise<unknown> {
  const { connection } = slot;
  if (connection === null) return Promise.resolve();
  const note = (failure: Failure): void => {
    slot.refusal = failure;
  };
  const status = authentication.request(connection, STATUS, window, note).then((outcome) => {
    slot.status = outcome;
    return outcome;
  });
  const list = authentication.request(connection, MEMBER_LIST, window, note).then((outcome) => {
    slot.list = outcome;
    return outcome;
  });
  return Promise.all([status, list]);
}

function answerOf(slot: Slot, withinMs: number, lists: MemberLists): Answer {
  if (slot.connection === null) return { kind: 'silent', cause: 'no address yet' };
  if (slot.status?.ok !== true) return withoutStatus(slot, slot.status?.failure ?? null, withinMs);
  const list = slot.list?.ok === true ? lists.read(slot.list.value) : null;
  return (
    statusAnswer(slot.status.value, list) ?? {
      kind: 'refused',
      cause: 'it answers Status without a member id',
    }
  );
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
function heardOtherwise({ refusal, list }: Slot): string | null {
  if (refusal !== null) return refusal.words;
  if (list?.ok === true) return 'it told its member list';
  return list?.failure.kind === 'refused' ? list.failure.words : null;
}

function silence(slot: Slot, failure: Failure | null, withinMs: number): string {
  if (failure?.kind === 'unreachable') return failure.words;
  if (slot.connection?.resolving === true)
    return `name did not resolve: ${noAnswerWithin(withinMs)}`;
  return noAnswerWithin(withinMs);
}
