import type { MemberView } from './cluster-view.ts';
import type { Case } from './case.ts';
import type { ProofAnswer } from './situation.ts';

/** Whether the members that would be left have shown that they can go on without the target. */
export interface Proof {
  readonly stands: boolean;
  /** Why not, in a few words; empty if it stands. */
  readonly why: string;
}

/**
 * The proof of docs/decision.md: members of `after`, at least a quorum of
 * them (all, where fewer are left), each served a linearizable read themselves, and a Status asked
 * of each after its read still names the same leader, who is neither terminating nor reserved.
 */
export function proofOf(c: Case): Proof {
  const { view, after } = c;
  if (view === null || view.leader.kind !== 'confirmed') return { stands: false, why: 'no leader' };
  const leaderId = view.leader.id;
  const leader = view.members.find(({ id }) => id === leaderId);
  if (leader === undefined || isGoing(leader, c)) {
    return { stands: false, why: 'the leader is itself about to go' };
  }
  if (c.memberId !== leaderId && isNamedAfterReads(c)) {
    return { stands: false, why: 'it has just been elected leader' };
  }
  const failures = after.flatMap((member) => {
    const why = failureOf(member, c, leaderId);
    return why === null ? [] : [`${podsThatAnswer(member, c).join('/')} ${why}`];
  });
  const proven = after.length - failures.length;
  // Where nobody would be left there is nobody to prove anything.
  const stands = proven > 0 && proven >= Math.min(view.quorum, after.length);
  return { stands, why: stands ? '' : (failures[0] ?? 'no healthy voter would be left') };
}

/** Those that can serve a read as this member; a silent pod that only matches it can't. */
export function podsThatAnswer({ pods }: MemberView, { situation }: Case): readonly string[] {
  return pods.filter((pod) => situation.answers?.get(pod)?.kind === 'status');
}

/** A single later word for the target outweighs the earlier ones of a quorum. */
function isNamedAfterReads({ memberId, view, situation }: Case): boolean {
  if (memberId === null) return false;
  return [...(situation.proof ?? [])].some(
    ([, { after }]) => after?.clusterId === view?.clusterId && after?.leader === memberId,
  );
}

/** The target's own reservation does not count against it. */
function isGoing({ pods }: MemberView, { situation }: Case): boolean {
  const terminating = situation.pods.some((pod) => pod.terminating && pods.includes(pod.name));
  return terminating || situation.reservations.some((r) => !r.own && pods.includes(r.pod));
}

function failureOf(member: MemberView, c: Case, leader: string): string | null {
  const { proof } = c.situation;
  for (const pod of podsThatAnswer(member, c)) {
    const why = failureAt(proof?.get(pod), member, {
      leader,
      clusterId: c.view?.clusterId ?? null,
    });
    if (why !== null) return why;
  }
  return null;
}

function failureAt(
  answer: ProofAnswer | undefined,
  member: MemberView,
  expected: { readonly leader: string; readonly clusterId: string | null },
): string | null {
  if (answer?.served !== true) {
    return `did not serve a linearizable read (${answer?.cause ?? 'no answer'})`;
  }
  const { after } = answer;
  if (after === null) return 'did not answer after its read';
  if (after.id !== member.id || after.clusterId !== expected.clusterId)
    return 'changed its identity';
  return after.leader === expected.leader ? null : 'names another leader after its read';
}
