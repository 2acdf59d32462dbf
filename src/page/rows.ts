import { byName } from '../decision/by-name.ts';
import type { ClusterView, MemberView } from '../decision/cluster-view.ts';
import type { GuardLook, PodLook, Standing } from './port.ts';

/** One pod of a cluster, or one member that no pod is known to run, as the page shows it. */
export interface PodRow {
  /** The pod's name, or else the member's. */
  readonly name: string;
  /** false: a member that no pod is known to run. */
  readonly isPod: boolean;
  /** null: it is no known member. */
  readonly role: 'Leader' | 'Follower' | 'Learner' | null;
  readonly health: MemberView['health'];
  /** Why it is not healthy, in a few words; empty if it is. */
  readonly why: string;
  /** Entries behind; null: not known. */
  readonly lag: bigint | null;
  /** null: nothing could be deleted. */
  readonly verdict: PodLook | null;
}

/** The leader first, then voters, learners, and pods that are no known members. */
export function rowsOf({ view, pods, answers }: GuardLook): readonly PodRow[] {
  const verdicts = new Map(pods.map((pod) => [pod.pod, pod]));
  const members = view?.members ?? [];
  const rows = members.flatMap((member) => memberRows(member, view, verdicts));
  const shown = new Set(rows.map(({ name }) => name));
  const others = pods.filter(({ pod }) => !shown.has(pod));
  return [
    ...rows,
    ...others.map((verdict) => ({
      ...NO_MEMBER,
      ...said(answers.get(verdict.pod)),
      verdict,
      name: verdict.pod,
    })),
  ].sort((a, b) => rank(a) - rank(b) || byName(a.name, b.name));
}

const NO_MEMBER = { isPod: true, role: null, health: 'Unknown', lag: null } as const;

function said(answer: ReturnType<GuardLook['answers']['get']>): Pick<PodRow, 'why'> {
  if (answer === undefined) return { why: 'no answer' };
  if (answer.kind !== 'status') return { why: answer.cause };
  return { why: answer.leader === null ? 'names no leader' : 'no known member' };
}

function rank({ role }: PodRow): number {
  return role === null ? 3 : { Leader: 0, Follower: 1, Learner: 2 }[role];
}

function memberRows(
  member: MemberView,
  view: ClusterView | null,
  verdicts: ReadonlyMap<string, PodLook>,
): readonly PodRow[] {
  const { health, why, lag, learner, id } = member;
  const leads = view?.leader.kind === 'confirmed' && view.leader.id === id;
  const follows = learner ? 'Learner' : 'Follower';
  const common = { role: leads ? 'Leader' : follows, health, why, lag } as const;
  if (member.pods.length === 0) {
    const name = member.name === '' ? `member ${id}` : member.name;
    return [{ ...common, name, isPod: false, verdict: null }];
  }
  return member.pods.map((name) => ({
    ...common,
    name,
    isPod: true,
    verdict: verdicts.get(name) ?? null,
  }));
}

/** As in the order of a page. */
export function standingOf(view: ClusterView | null): Standing {
  if (view === null || view.leader.kind !== 'confirmed') return 'trouble';
  return view.healthyVoters === view.voters ? 'fine' : 'trouble';
}
