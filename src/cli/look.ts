import type { GuardedCluster } from '../admission/guard-source.ts';
import { viewOf, type ClusterView } from '../decision/cluster-view.ts';
import type { Answer } from '../decision/situation.ts';

/** A member that takes longer counts as silent. */
const MEMBER_MS = 2_000;

/** A cluster as it answers now. */
export interface Seen {
  readonly view: ClusterView;
  readonly answers: ReadonlyMap<string, Answer>;
  /** What each pod's member said, in a few words. */
  readonly said: ReadonlyMap<string, string>;
}

/** Asks every member. */
export async function lookAt(cluster: GuardedCluster): Promise<Seen> {
  const { etcd, endpoints, pods, reservations, guard } = cluster;
  const answers = await etcd.ask(endpoints, MEMBER_MS);
  const { maxRaftLag } = guard.policy;
  return {
    view: viewOf({ pods, answers, proof: null, reservations, maxRaftLag }),
    answers,
    said: new Map(pods.map(({ name }) => [name, words(answers.get(name))])),
  };
}

function words(answer: Answer | undefined): string {
  if (answer === undefined) return 'no answer';
  if (answer.kind !== 'status') return answer.cause;
  return answer.leader === null ? 'names no leader' : `names ${answer.leader} leader`;
}

/** What people should know of a cluster that gives no whole picture; empty if it does. */
export function notesOn({ view, said }: Seen): readonly string[] {
  if (said.size === 0) return ['No pod matches its selector.'];
  if (view.list === 'several')
    return ['Its pods answer for two clusters, each with a quorum: the selector is too wide.'];
  const lost = view.leader.kind === 'leaderless' ? ' No voter that answers names a leader.' : '';
  if (view.list === 'none') return [`No quorum of voters answers with one member list.${lost}`];
  return lost === '' ? [] : [lost.trim()];
}
