import type { PodStatus, Shown, ShownStatus } from './shown.ts';
import { table } from '../table.ts';

/** One guard for people: the cluster, its pods, and what else there is to say. */
export function tables(shown: Shown): string {
  const { item, said, notes, title } = shown;
  const rows = said === null ? memberRows(item.status, item.pods) : saidRows(said, item.pods);
  const parts = [
    summary(shown),
    ...(item.pods.length === 0 ? [] : [rows]),
    ...(notes.length === 0 ? [] : [notes.map((note) => `${title}: ${note}\n`).join('')]),
  ];
  return parts.join('\n');
}

function summary({ title, item, leaderless }: Shown): string {
  const { leader, healthyVoters, voters, quorum, disruptionsAllowed } = item.status;
  return table([
    ['GUARD', 'LEADER', 'HEALTHY', 'QUORUM', 'DISRUPTIONS ALLOWED'],
    [
      title,
      leader ?? (leaderless ? 'none' : '?'),
      voters === null || voters === undefined ? '?' : `${healthyVoters ?? '?'}/${voters}`,
      `${quorum ?? '?'}`,
      `${disruptionsAllowed ?? '?'}`,
    ],
  ]);
}

function memberRows({ members = [] }: ShownStatus, pods: readonly PodStatus[]): string {
  const rows = pods.map((one) => {
    const member = members.find(({ pod }) => pod === one.pod);
    const lag = member?.lag ?? '?';
    return [one.pod, member?.role ?? '?', member?.health ?? '?', `${lag}`, deleteNow(one)];
  });
  return table([['POD', 'ROLE', 'HEALTH', 'LAG', 'DELETE NOW'], ...rows]);
}

function saidRows(said: ReadonlyMap<string, string>, pods: readonly PodStatus[]): string {
  const rows = pods.map((one) => [one.pod, said.get(one.pod) ?? '?', deleteNow(one)]);
  return table([['POD', 'MEMBER', 'DELETE NOW'], ...rows]);
}

function deleteNow({ decision, reason }: PodStatus): string {
  if (decision === null) return '?';
  return reason === null ? decision : `${decision} (${reason})`;
}
