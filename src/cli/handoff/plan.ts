import type { GuardedCluster } from '../../admission/guard-source.ts';
import { viewBeforeProof, type ClusterView, type MemberView } from '../../decision/cluster-view.ts';
import { handOffCandidate, type Candidate } from '../../decision/hand-off.ts';
import type { MemberId } from '../../decision/member-id.ts';
import type { Answer } from '../../decision/situation.ts';
import { whyNoList } from '../../decision/wording.ts';
import { heardNobody } from '../finding.ts';

/** A member and its pod. */
export interface Leader {
  readonly pod: string;
  readonly id: MemberId;
}

/** What is to be done, or why it is not. */
export type Plan =
  | { readonly kind: 'move'; readonly from: Leader; readonly to: Candidate }
  /** The pod does not lead, or whoever shall lead does already: there is nothing to do. */
  | { readonly kind: 'done'; readonly leader: string }
  | { readonly kind: 'no-such-pod'; readonly pod: string }
  | { readonly kind: 'refused'; readonly why: string }
  /** Nobody can tell who leads; `silent`: nobody even answers from here. */
  | { readonly kind: 'unverifiable'; readonly why: string; readonly silent: boolean };

/** Who is wanted: null is whoever leads, and whom the guard would choose. */
export interface Wanted {
  readonly pod: string | null;
  readonly to: string | null;
}

/** What to do about this cluster by these answers; pure. */
export function planFor(
  wanted: Wanted,
  cluster: GuardedCluster,
  answers: ReadonlyMap<string, Answer>,
): Plan {
  const view = viewBeforeProof(cluster, answers);
  const unclear = whyUnclear(view, answers);
  if (unclear !== null) {
    return { kind: 'unverifiable', why: unclear, silent: heardNobody(view) };
  }
  const leader = leaderIn(view);
  if (leader === null) {
    return { kind: 'refused', why: 'the leader runs in no pod that is known' };
  }
  const { pod, member } = leader;
  const unknown = [wanted.pod, wanted.to].find(
    (name) => name !== null && !has(name, cluster, view),
  );
  if (typeof unknown === 'string') return { kind: 'no-such-pod', pod: unknown };
  if (wanted.pod !== null && !member.pods.includes(wanted.pod)) {
    return { kind: 'done', leader: pod };
  }
  if (wanted.to !== null && member.pods.includes(wanted.to)) {
    return { kind: 'done', leader: wanted.to };
  }
  const hindrance = whyNot(pod, cluster, answers);
  if (hindrance !== null) return { kind: 'refused', why: hindrance };
  return moveTo(wanted.to, { pod, id: member.id }, { view, cluster });
}

function whyUnclear(view: ClusterView, answers: ReadonlyMap<string, Answer>): string | null {
  const silences = [...answers].flatMap(([pod, answer]) =>
    answer.kind === 'status' ? [] : [`${pod}: ${answer.cause}`],
  );
  const who = silences.length === 0 ? '' : ` (${silences.slice(0, 5).join(', ')})`;
  if (view.leader.kind === 'leaderless') return `no voter that answers names a leader${who}`;
  const noList = whyNoList(view.list, who);
  if (noList !== null) return noList;
  return view.leader.kind === 'confirmed' ? null : `no quorum names one leader${who}`;
}

function leaderIn({ leader, members }: ClusterView): {
  readonly pod: string;
  readonly member: MemberView;
} | null {
  const id = leader.kind === 'confirmed' ? leader.id : null;
  const member = members.find((one) => one.id === id);
  const [pod] = member?.pods ?? [];
  return member === undefined || pod === undefined ? null : { pod, member };
}

function has(pod: string, { pods }: GuardedCluster, { members }: ClusterView): boolean {
  return (
    pods.some(({ name }) => name === pod) || members.some((member) => member.pods.includes(pod))
  );
}

/** What stands against any move. */
function whyNot(
  leader: string,
  { pods, reservations }: GuardedCluster,
  answers: ReadonlyMap<string, Answer>,
): string | null {
  const underWay = reservations.find(({ handOffTo }) => handOffTo !== null);
  if (underWay !== undefined) {
    return `a hand-off from ${underWay.pod} is under way already (for ${ageOf(underWay.ageMs)}); try again later`;
  }
  if (pods.some(({ name, terminating }) => name === leader && terminating)) {
    return `${leader} leads but is being deleted already; once it has stopped, another member leads`;
  }
  const answer = answers.get(leader);
  if (answer?.kind === 'status') return null;
  const cause = answer?.cause ?? 'no answer';
  return `${leader} leads but does not answer (${cause}), and only the leader can hand over; if it is down, the others elect another within seconds`;
}

function moveTo(
  to: string | null,
  from: Leader,
  { view, cluster }: { readonly view: ClusterView; readonly cluster: GuardedCluster },
): Plan {
  const after = view.members.filter(
    ({ id, learner, health }) => !learner && id !== from.id && health === 'Healthy',
  );
  const chosen = to === null ? after : after.filter(({ pods }) => pods.includes(to));
  const candidate = handOffCandidate({ after: chosen, situation: { pods: cluster.pods } });
  if (candidate !== null) return { kind: 'move', from, to: candidate };
  return { kind: 'refused', why: to === null ? whyNobody(from, view) : whyNotTo(to, view) };
}

function whyNobody({ id }: Leader, { members }: ClusterView): string {
  const others = members.filter((member) => member.id !== id);
  if (others.length === 0) return 'it is the only member';
  return `nobody is fit to lead instead: ${others.map(unfitness).join(', ')}`;
}

function whyNotTo(pod: string, { members }: ClusterView): string {
  const member = members.find(({ pods }) => pods.includes(pod));
  if (member === undefined) return `${pod} runs no member of the cluster`;
  return `${unfitness(member)} is not fit to lead`;
}

/** `etcd-1 (connection refused)` */
function unfitness({ pods, name, id, learner, health, why }: MemberView): string {
  const reason = why === '' ? health.toLowerCase() : why;
  return `${pods[0] ?? (name || id)} (${learner ? 'a learner' : reason})`;
}

function ageOf(ms: number): string {
  return `${Math.round(ms / 1_000)} s`;
}
