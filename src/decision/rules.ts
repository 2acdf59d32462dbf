import { glassIsBroken } from './break-glass.ts';
import { answersForAnotherCluster, isConfirmedLeader, isShort, type Case } from './case.ts';
import type { ClusterView } from './cluster-view.ts';
import { getsHandOff, handOffCandidate, type Candidate } from './hand-off.ts';
import * as say from './messages.ts';
import { podsThatAnswer, proofOf } from './proof.ts';
import type { Answer, Reason } from './situation.ts';
import type { Ask, HandOff, Prove, Verdict } from './verdict.ts';

/** One row of the table, or a part of one; docs/decision.md lists them, and says what the words mean. */
export interface Rule {
  readonly id: string;
  /** The row of the decision table, from 1. */
  readonly row: number;
  readonly reason: Reason;
  readonly why: string;
  /** True or false, or what has to be found out before that can be told. */
  readonly applies: (c: Case) => boolean | Ask | Prove;
  readonly verdict: (c: Case) => Verdict | HandOff | Prove;
}

/** How long a repeated request goes through under the reservation that the first one made. */
const OWN_RESERVATION_MS = 60_000;

const ASK: Ask = { kind: 'ask' };

/**
 * The decision table; the first match wins. Rows stand where their evidence is due: a refusal needs
 * neither proof nor time nor ledger, so row 8's demand for them comes after every refusal. Else
 * `unknown: Allow` would let go a leader whose hand-off ran out of time.
 */
export const RULES: readonly Rule[] = [
  {
    id: 'not-guarded',
    row: 1,
    reason: 'NotGuarded',
    why: 'no EtcdGuard selects the pod',
    applies: ({ situation }) => situation.guards.length === 0,
    verdict: (c) => allow(c, 'NotGuarded', 'no'),
  },
  {
    id: 'already-going',
    row: 2,
    reason: 'AlreadyGoing',
    why: 'the pod is terminating already; the last DELETE must pass, or it hangs',
    applies: ({ situation }) => situation.target.terminating,
    verdict: (c) => allow(c, 'AlreadyGoing', 'no'),
  },
  {
    id: 'not-running-here',
    row: 3,
    reason: 'NotRunningHere',
    why: 'a mirror pod, or never scheduled',
    applies: ({ situation: { target } }) => target.mirror || target.unscheduled,
    verdict: (c) => allow(c, 'NotRunningHere', 'ifPossible'),
  },
  {
    id: 'finished',
    row: 3,
    reason: 'NotRunningHere',
    why: 'Succeeded or Failed, while its member does not answer and no voter names it leader',
    applies: (c) =>
      c.situation.target.finished && c.guard !== null && askedFirst(c, finishedForGood),
    verdict: (c) => allow(c, 'NotRunningHere', 'ifPossible'),
  },
  {
    id: 'precondition-stale',
    row: 4,
    reason: 'PreconditionStale',
    why: 'the request asks for another pod of that name; the API server refuses it itself',
    applies: ({ situation: { request, target } }) =>
      request.preconditionUid !== null &&
      target.uid !== null &&
      request.preconditionUid !== target.uid,
    verdict: (c) => allow(c, 'PreconditionStale', 'no'),
  },
  {
    id: 'break-glass',
    row: 5,
    reason: 'BreakGlass',
    why: 'an operator annotated the pod with a reason, and that has not expired',
    applies: ({ situation }) => glassIsBroken(situation),
    verdict: (c) => allow(c, 'BreakGlass', 'ifPossible'),
  },
  {
    id: 'ambiguous-guard',
    row: 6,
    reason: 'AmbiguousGuard',
    why: 'more than one EtcdGuard selects the pod',
    applies: ({ situation }) => situation.guards.length > 1,
    verdict: (c) => deny(c, 'AmbiguousGuard'),
  },
  {
    id: 'known-down',
    row: 7,
    reason: 'KnownDown',
    why: 'its container is down on a Ready node and its member is silent; a leader is confirmed or its data outlives it',
    applies: (c) => c.situation.target.containersDown && askedFirst(c, knownDown),
    verdict: (c) => allow(c, 'KnownDown', 'ifPossible'),
  },
  {
    id: 'not-asked',
    row: 8,
    reason: 'Unverifiable',
    why: 'out of time, or no ledger, before etcd could be asked',
    applies: ({ situation, view }) => situation.obstacle !== null && view === null,
    verdict: unverifiable,
  },
  {
    id: 'no-list',
    row: 8,
    reason: 'Unverifiable',
    why: 'no member list, or more than one, is given by a quorum of its own voters',
    applies: (c) =>
      askedFirst(c, ({ view }) => view.list !== 'agreed' && view.leader.kind !== 'leaderless'),
    verdict: unverifiable,
  },
  {
    id: 'foreign-cluster',
    row: 8,
    reason: 'Unverifiable',
    why: 'the pod answers for another cluster',
    applies: (c) => askedFirst(c, answersForAnotherCluster),
    verdict: unverifiable,
  },
  {
    id: 'leader-unclear',
    row: 8,
    reason: 'Unverifiable',
    why: 'voters answer, but no quorum of them names one leader',
    applies: ({ view }) => view?.leader.kind === 'unclear',
    verdict: unverifiable,
  },
  {
    id: 'not-a-member',
    row: 9,
    reason: 'NotAMember',
    why: 'it answers as no member, or all members are known to be other pods',
    applies: ({ view, memberId }) => view?.list === 'agreed' && memberId === null,
    verdict: (c) => allow(c, 'NotAMember', 'no'),
  },
  {
    id: 'learner',
    row: 10,
    reason: 'Learner',
    why: 'its member has no vote',
    applies: ({ member }) => member?.learner === true,
    verdict: (c) => allow(c, 'Learner', 'ifPossible'),
  },
  {
    id: 'leader',
    row: 11,
    reason: 'LeaderProtected',
    why: 'its member is the confirmed leader, answering us or not, reserved or not',
    applies: (c) => isConfirmedLeader(c),
    verdict: handOffOrDeny,
  },
  {
    id: 'hand-off-candidate',
    row: 11,
    reason: 'LeaderProtected',
    why: 'leadership is being handed to it',
    applies: (c) => isCandidate(c),
    verdict: (c) => deny(c, 'LeaderProtected'),
  },
  {
    id: 'names-itself-leader',
    row: 11,
    reason: 'LeaderProtected',
    why: 'it names itself leader, and the proof does not stand for another',
    applies: namesItselfUnrefuted,
    verdict: (c) => deny(c, 'LeaderProtected'),
  },
  {
    id: 'quorum-lost',
    row: 12,
    reason: 'QuorumLost',
    why: 'some voter answers, and all that answer name nobody',
    applies: ({ view }) => view?.leader.kind === 'leaderless',
    verdict: (c) => deny(c, 'QuorumLost'),
  },
  {
    id: 'lag-unproven',
    row: 14,
    reason: 'QuorumAtRisk',
    why: 'only lag keeps the quorum from being spared; a linearizable read tells whether it is real',
    applies: (c) => (lagDecides(c) ? proveAll(c) : false),
    verdict: (c) => deny(c, 'QuorumAtRisk'),
  },
  {
    id: 'quorum-at-risk',
    row: 14,
    reason: 'QuorumAtRisk',
    why: 'without it, fewer healthy voters than the quorum would be left',
    applies: (c) => isShort(c) && c.guard?.policy.quorum === 'Enforce',
    verdict: (c) => deny(c, 'QuorumAtRisk'),
  },
  {
    id: 'reservation-unused',
    row: 14,
    reason: 'QuorumAtRisk',
    why: 'it was allowed more than a minute ago and has not gone; the slot has to come free',
    applies: ({ own }) => own !== null && own.ageMs > OWN_RESERVATION_MS,
    verdict: (c) => deny(c, 'QuorumAtRisk'),
  },
  {
    id: 'obstacle',
    row: 8,
    reason: 'Unverifiable',
    why: 'out of time, or no ledger, where an allow needs both',
    applies: ({ situation }) => situation.obstacle !== null,
    verdict: unverifiable,
  },
  {
    id: 'unproven',
    row: 8,
    reason: 'Unverifiable',
    why: 'an allow of a voter needs proof, and there is none',
    applies: (c) => {
      if (c.situation.proof === null && someoneCanProve(c)) return proveAll(c);
      return !proofOf(c).stands;
    },
    verdict: unverifiable,
  },
  {
    id: 'nothing-to-lose',
    row: 13,
    reason: 'NothingToLose',
    why: 'it does not answer or is not healthy, and enough others are',
    applies: (c) => c.member?.health !== 'Healthy' && !isShort(c),
    verdict: (c) => allow(c, 'NothingToLose', 'required'),
  },
  {
    id: 'quorum-at-risk-warned',
    row: 14,
    reason: 'QuorumAtRisk',
    why: 'fewer healthy voters than the quorum would be left, and the policy is to warn',
    applies: isShort,
    verdict: (c) => allow(c, 'QuorumAtRisk', 'required'),
  },
  {
    id: 'spared',
    row: 15,
    reason: 'Spared',
    why: 'a healthy follower that the quorum can spare',
    applies: () => true,
    verdict: (c) => allow(c, 'Spared', 'required'),
  },
];

function allow(
  c: Case,
  reason: Reason,
  reserve: 'required' | 'ifPossible' | 'no',
): Extract<Verdict, { kind: 'allow' }> {
  // An entry that is older may end before the deletion that is allowed now.
  const standing = c.own !== null && c.own.ageMs <= OWN_RESERVATION_MS ? c.own : null;
  const told = reserve === 'required' ? (standing?.reason ?? reason) : reason;
  return {
    kind: 'allow',
    reason: told,
    member: c.memberId,
    message: say.allowance(c, reason),
    warnings: say.warnings(c, reason),
    reserve: c.situation.request.dryRun || standing !== null ? 'no' : reserve,
  };
}

function deny(c: Case, reason: Reason): Verdict {
  return {
    kind: 'deny',
    reason,
    member: c.memberId,
    message: say.message(c, reason),
    warnings: say.denialWarnings(c),
  };
}

/** A hand-off that is not confirmed is refused, whatever the policy: its target was the leader. */
function unverifiable(c: Case): Verdict {
  const handedOff = c.situation.handOff.kind !== 'none';
  if (c.guard?.policy.unknown === 'Allow' && !handedOff)
    return allow(c, 'Unverifiable', 'ifPossible');
  return deny(c, 'Unverifiable');
}

/** Etcd's side of a rule: ask first, unless nothing more can be found out. */
function askedFirst(
  c: Case,
  applies: (c: Case & { readonly view: ClusterView; readonly answer: Answer }) => boolean,
): boolean | Ask {
  const { view, answer } = c;
  if (view === null || answer === null) return c.situation.obstacle === null ? ASK : false;
  return applies({ ...c, view, answer });
}

function finishedForGood({ situation, view, answer, readings }: Case): boolean {
  if (answer?.kind !== 'silent' || view === null) return false;
  const named = [...(situation.answers ?? [])].flatMap(([, a]) =>
    a.kind === 'status' && a.leader !== null ? [a.leader] : [],
  );
  if (view.list !== 'agreed') return named.length === 0;
  return !readings.some((id) => id !== null && named.includes(id));
}

function knownDown({ situation, view, answer }: Case): boolean {
  if (answer?.kind !== 'silent') return false;
  return view?.leader.kind === 'confirmed' || !situation.target.onEmptyDir;
}

function isCandidate({ situation, memberId }: Case): boolean {
  return situation.reservations.some(
    ({ handOffTo }) => handOffTo !== null && handOffTo === memberId,
  );
}

function lagDecides(c: Case): boolean {
  return isShort(c) && quorumCanProve(c);
}

/** Nobody has been asked for proof yet, and enough could be. */
function quorumCanProve(c: Case): boolean {
  const { proof, obstacle } = c.situation;
  const wouldBe = c.after.length + c.laggards.length;
  return proof === null && obstacle === null && wouldBe >= (c.view?.quorum ?? 0);
}

function someoneCanProve({ after, laggards }: Case): boolean {
  return after.length + laggards.length > 0;
}

function namesItselfUnrefuted(c: Case): boolean | Prove {
  if (c.member?.namesItselfLeader !== true) return false;
  if (quorumCanProve(c)) return proveAll(c);
  return isShort(c) || !proofOf(c).stands;
}

function proveAll(c: Case): Prove {
  const members = [...c.after, ...c.laggards];
  return { kind: 'prove', pods: members.flatMap((member) => podsThatAnswer(member, c)) };
}

function handOffOrDeny(c: Case): Verdict | HandOff | Prove {
  const { request, target } = c.situation;
  if (!mayMove(c)) return deny(c, 'LeaderProtected');
  if (lagDecides(c)) return proveAll(c);
  const candidate = spareableFor(c);
  if (candidate === null || c.memberId === null) return deny(c, 'LeaderProtected');
  if (request.dryRun) return rehearse(c);
  return {
    kind: 'handOff',
    reason: reasonAsFollower(c),
    from: { pod: target.name, id: c.memberId },
    to: candidate,
  };
}

function callerHandsOff({ guard, situation: { request } }: Case): boolean {
  return guard !== null && getsHandOff(guard.policy, request.operation, request.caller);
}

/** What no proof could change: asked first, so that a refusal does not wait for one. */
function mayMove(c: Case): boolean {
  const { handOff, obstacle } = c.situation;
  if (!callerHandsOff(c) || handOff.kind !== 'none' || obstacle !== null) return false;
  if (c.answer?.kind !== 'status' || c.readings.length > 1 || isCandidate(c)) return false;
  return c.own === null || c.own.ageMs <= OWN_RESERVATION_MS;
}

/** Its member leads, and the caller gets a hand-off to somebody who could lead instead. */
export function comesToHandOff(c: Case): boolean {
  return isConfirmedLeader(c) && mayMove(c) && spareableFor(c) !== null;
}

/** Who would lead instead, if the leader could be spared as a follower; else null. */
function spareableFor(c: Case): Candidate | null {
  if (isShort(c) && c.guard?.policy.quorum === 'Enforce') return null;
  return handOffCandidate(c);
}

/** A dry run moves nothing, but an allow of a voter needs proof all the same. */
function rehearse(c: Case): Verdict | Prove {
  if (c.situation.proof === null) return proveAll(c);
  if (!proofOf(c).stands) return unverifiable(c);
  return allow(c, reasonAsFollower(c), 'required');
}

/** What the leader would be allowed with if it followed. */
function reasonAsFollower(c: Case): Reason {
  if (isShort(c)) return 'QuorumAtRisk';
  return c.member?.health === 'Healthy' ? 'Spared' : 'NothingToLose';
}
