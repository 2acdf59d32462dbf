import type { Judgement } from '../admission/hearing.ts';
import { disruptionsAllowed, type ClusterView, type MemberView } from '../decision/cluster-view.ts';
import type { FileGuard } from '../guards/file-source.ts';

/** One row of `status.members` of an EtcdGuard. */
export interface MemberStatus {
  readonly pod: string | null;
  readonly name: string;
  readonly id: string;
  readonly role: 'Leader' | 'Follower' | 'Learner';
  readonly health: MemberView['health'];
  readonly lag: number | null;
}

/** metav1.Condition. */
export interface Condition {
  readonly type: 'Reachable' | 'Healthy';
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  readonly lastTransitionTime: string;
}

/** `status` of an EtcdGuard, as far as one look at the cluster can fill it in. */
export interface ClusterStatus {
  readonly leader: string | null;
  readonly voters: number | null;
  readonly healthyVoters: number | null;
  readonly quorum: number | null;
  readonly disruptionsAllowed: number;
  readonly members: readonly MemberStatus[];
  readonly conditions: readonly Condition[];
}

/** What a delete of one pod would get now. */
export interface PodStatus {
  readonly pod: string;
  readonly decision: 'allow' | 'deny';
  readonly reason: string;
  readonly message: string;
}

/** One guard in the output of `etcd-guard status -o json`. */
export interface GuardStatus {
  readonly apiVersion: 'etcd-guard.io/v1alpha1';
  readonly kind: 'EtcdGuard';
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: unknown;
  readonly status: ClusterStatus;
  readonly pods: readonly PodStatus[];
}

/** Puts together what a look at the cluster and a dry run for each of its pods gave. */
export function guardStatus(
  { guard, loaded }: FileGuard,
  view: ClusterView,
  pods: readonly { readonly pod: string; readonly judgement: Judgement }[],
): GuardStatus {
  return {
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'EtcdGuard',
    metadata: { name: guard.name, namespace: guard.namespace },
    spec: loaded.document.spec,
    status: clusterStatus(view, new Date().toISOString()),
    pods: pods.map(({ pod, judgement: { verdict } }) => ({
      pod,
      decision: verdict.kind,
      reason: verdict.reason,
      message: verdict.message,
    })),
  };
}

function clusterStatus(view: ClusterView, now: string): ClusterStatus {
  const leaderId = view.leader.kind === 'confirmed' ? view.leader.id : null;
  const leader = view.members.find(({ id }) => id === leaderId);
  return {
    leader: leader === undefined ? null : podOf(leader),
    ...(view.list === 'agreed' ? counts(view) : NOT_COUNTED),
    disruptionsAllowed: disruptionsAllowed(view),
    members: view.members.map((member) => memberStatus(member, leaderId)),
    conditions: conditions(view, now),
  };
}

const NOT_COUNTED = { voters: null, healthyVoters: null, quorum: null };

function counts({ voters, healthyVoters, quorum }: ClusterView) {
  return { voters, healthyVoters, quorum };
}

function podOf({ pods, name }: MemberView): string {
  return pods[0] ?? name;
}

function memberStatus(member: MemberView, leaderId: string | null): MemberStatus {
  const follows = member.learner ? 'Learner' : 'Follower';
  return {
    pod: member.pods[0] ?? null,
    name: member.name,
    id: member.id,
    role: member.id === leaderId ? 'Leader' : follows,
    health: member.health,
    lag: member.lag === null ? null : Number(member.lag),
  };
}

function conditions(view: ClusterView, now: string): readonly Condition[] {
  const reachable = view.list === 'agreed';
  const whole = reachable && view.leader.kind === 'confirmed' && view.healthyVoters === view.voters;
  const sick = view.members.filter(({ learner, health }) => !learner && health !== 'Healthy');
  return [
    {
      type: 'Reachable',
      status: reachable ? 'True' : 'False',
      reason: reachable ? 'QuorumAnswers' : 'NoAgreedMemberList',
      message: reachable
        ? 'a quorum of voters answers with one member list'
        : 'no quorum of voters answers with one member list',
      lastTransitionTime: now,
    },
    {
      type: 'Healthy',
      status: healthStatus(reachable, whole),
      reason: whole ? 'AllVotersHealthy' : 'NotAllVotersHealthy',
      message: sick.map(({ pods, name, why }) => `${pods[0] ?? name}: ${why}`).join('; '),
      lastTransitionTime: now,
    },
  ];
}

function healthStatus(reachable: boolean, whole: boolean): Condition['status'] {
  if (!reachable) return 'Unknown';
  return whole ? 'True' : 'False';
}
