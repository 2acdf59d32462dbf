import type { IRangeResponse, IStatusResponse } from 'etcd3';

import type { ProofAnswer } from '../decision/situation.ts';
import type { AskContext, AskedMember } from './ask-round.ts';
import { callOptions } from './authentication.ts';
import { noAnswerWithin } from './failure.ts';
import type { Outcome } from './failure.ts';
import { WITHOUT_ID } from './member-answer.ts';
import type { AnswerReader } from './member-answer.ts';
import type { RequestWindow } from './member-connection.ts';
import { LINEARIZABLE_READ, STATUS } from './requests.ts';
import type { Round } from '../sharing/shared-rounds.ts';

interface Slot extends AskedMember {
  read: Outcome<IRangeResponse> | null;
  after: Outcome<IStatusResponse> | null;
}

/** Has every member serve a linearizable read, and asks each that did for its Status. */
export function proofRound(
  members: readonly AskedMember[],
  window: RequestWindow,
  context: AskContext,
): Round<ReadonlyMap<string, ProofAnswer>> {
  const slots = members.map((member): Slot => ({ ...member, read: null, after: null }));
  return {
    ended: Promise.all(slots.map((slot) => prove(slot, window, context))),
    snapshot: (withinMs) =>
      new Map(slots.map((slot) => [slot.pod, proofOf(slot, withinMs, context.reader)])),
    giveUp() {
      for (const slot of slots) if (slot.after === null) slot.connection?.discard();
    },
  };
}

async function prove(
  slot: Slot,
  window: RequestWindow,
  { authentication }: AskContext,
): Promise<void> {
  const { connection } = slot;
  if (connection === null) return;
  // Without a token: none can have expired, and etcd's complaint comes after the read index.
  const options = callOptions(window, null);
  slot.read = await connection.request(LINEARIZABLE_READ, window, options);
  if (!served(slot.read)) return;
  slot.after = await authentication.request(connection, STATUS, window, () => undefined);
}

/** etcd checks rights once the read index is confirmed; any other error may have come before. */
function served(read: Outcome<IRangeResponse>): boolean {
  return (
    read.ok ||
    (read.failure.kind === 'refused' &&
      ['permission denied', 'user name is empty'].includes(read.failure.words))
  );
}

function proofOf(slot: Slot, withinMs: number, reader: AnswerReader): ProofAnswer {
  const { connection, read, after } = slot;
  if (connection === null) return { served: false, after: null, cause: 'no address yet' };
  if (read === null || !served(read)) {
    return { served: false, after: null, cause: `linearizable read: ${causeOf(read, withinMs)}` };
  }
  if (after?.ok !== true) {
    return { served: true, after: null, cause: `Status: ${causeOf(after, withinMs)}` };
  }
  const identity = reader.identity(after.value);
  return { served: true, after: identity, cause: identity === null ? WITHOUT_ID.words : null };
}

function causeOf(outcome: Outcome<unknown> | null, withinMs: number): string {
  if (outcome?.ok !== false || outcome.failure.kind === 'timeout') return noAnswerWithin(withinMs);
  return outcome.failure.words;
}
