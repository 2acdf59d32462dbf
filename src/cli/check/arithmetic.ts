import { byName } from '../../decision/by-name.ts';
import type { ClusterView, MemberView } from '../../decision/cluster-view.ts';
import { names } from '../../decision/wording.ts';
import { plain } from '../text.ts';

/** How many members a line names before it says "and N more". */
const NAMES_SHOWN = 7;

/** What the verdict was reckoned from, a line each; none where etcd was not asked or did not agree. */
export function arithmetic(pod: string, view: ClusterView | null): readonly string[] {
  if (view === null || view.list !== 'agreed') return [];
  const voters = view.members
    .filter(({ learner }) => !learner)
    .toSorted((a, b) => byName(nameOf(a), nameOf(b)));
  const healthy = voters.filter(({ health }) => health === 'Healthy');
  const others = voters.filter(({ health }) => health !== 'Healthy');
  return [
    `leader: ${leaderOf(view)}`,
    `voters: ${view.voters}, so the quorum is ${view.quorum}`,
    `healthy now: ${healthy.length}${healthy.length === 0 ? '' : ` (${names(healthy.map(nameOf), NAMES_SHOWN)})`}`,
    ...(others.length === 0 ? [] : [`not healthy: ${names(others.map(withCause), NAMES_SHOWN)}`]),
    without(pod, view, healthy),
  ];
}

function leaderOf({ leader, members }: ClusterView): string {
  switch (leader.kind) {
    case 'confirmed': {
      const member = members.find(({ id }) => id === leader.id);
      return `${member === undefined ? leader.id : nameOf(member)}, named by a quorum`;
    }
    case 'leaderless':
      return 'none; no voter that answers names one';
    case 'unclear':
      return 'not confirmed; no quorum of voters names the same one';
  }
}

/** Every member that the pod may be is taken away. */
function without(pod: string, view: ClusterView, healthy: readonly MemberView[]): string {
  const { quorum } = view;
  const readings = view.readingsOf(pod);
  const left = Math.min(
    ...(readings.length === 0 ? [null] : readings).map(
      (reading) => healthy.filter(({ id }) => id !== reading).length,
    ),
  );
  const enough = left >= quorum;
  const sum = `${left} ${enough ? '>=' : '<'} ${quorum}`;
  const sure = readings.length > 1 ? ' (whichever member it is)' : '';
  return `without ${pod}${sure}: ${sum}, so the quorum ${enough ? 'stays' : 'is lost'}`;
}

function nameOf({ pods, name, id }: MemberView): string {
  return plain(pods[0] ?? (name || id));
}

function withCause(member: MemberView): string {
  return `${nameOf(member)} (${plain(member.why)})`;
}
