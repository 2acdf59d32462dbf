import type { ClusterStatus, MemberStatus } from '../../guards/guard-status.ts';
import type { GuardStatus } from '../guards/guard-resource.ts';

/** What was written of a guard before, and what stands now. */
export interface Known {
  readonly before: GuardStatus;
  readonly generation: number;
  /** The pods that it selects now; null: they are not known. */
  readonly pods: readonly string[] | null;
}

/**
 * The status with voters, quorum and members as they were last agreed on where no list is agreed on
 * now: none of them healthy if they were asked, else nobody knows how many. For people and metrics
 * alone: decisions read none of it.
 */
export function withLastKnown(status: ClusterStatus, known: Known): ClusterStatus {
  const { voters = 0, quorum = 0, members = [] } = known.before;
  if (status.voters !== null || voters === 0 || !isSameCluster(known)) return status;
  const former = members.filter(({ id }) => id !== undefined).map(silent);
  const names = new Set(former.map(({ pod }) => pod));
  return {
    ...status,
    voters,
    quorum,
    ...(wasAsked(status, known) && { healthyVoters: 0, health: `0/${voters}` }),
    members: [...former, ...status.members.filter(({ pod }) => !names.has(pod))],
  };
}

/** A guard that can't be used, or selects nobody, says nothing about how its etcd is. */
function wasAsked({ conditions }: ClusterStatus, { pods }: Known): boolean {
  return (
    pods !== null && pods.length > 0 && !conditions.some(({ reason }) => reason === 'NotAsked')
  );
}

/** A selector may have been changed to another cluster's pods, whose voters are others. */
function isSameCluster({ before, generation, pods }: Known): boolean {
  if (before.observedGeneration === generation || pods === null) return true;
  return (before.members ?? []).some(({ pod }) => pod !== undefined && pods.includes(pod));
}

function silent({ pod, name, id }: NonNullable<GuardStatus['members']>[number]): MemberStatus {
  return {
    pod: pod ?? null,
    name: name ?? null,
    id: id ?? null,
    role: null,
    health: 'Unknown',
    lag: null,
  };
}
