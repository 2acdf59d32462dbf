import { deadlineFor } from '../admission/deadline.ts';
import type { GuardedCluster } from '../admission/guard-source.ts';
import { viewBeforeProof, type ClusterView } from '../decision/cluster-view.ts';
import type { Answer } from '../decision/situation.ts';
import { upperFirst, whyNoList } from '../decision/wording.ts';
import { REVIEW_MS } from './judge-pod.ts';

/** A cluster as it answers now. */
export interface Seen {
  readonly view: ClusterView;
  readonly answers: ReadonlyMap<string, Answer>;
  /** What each pod's member said, in a few words. */
  readonly said: ReadonlyMap<string, string>;
}

/** Asks every member; one that takes longer than a review of that many milliseconds would wait is silent. */
export async function lookAt(cluster: GuardedCluster, timeoutMs = REVIEW_MS): Promise<Seen> {
  const { etcd, endpoints, pods } = cluster;
  const { fullMemberMs } = deadlineFor(timeoutMs, 0, () => 0);
  const answers = await etcd.ask(endpoints, fullMemberMs);
  return {
    view: viewBeforeProof(cluster, answers),
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
  const noList = upperFirst(whyNoList(view.list) ?? '');
  if (view.list === 'several') return [`${noList}: the selector is too wide.`];
  const lost = view.leader.kind === 'leaderless' ? ' No voter that answers names a leader.' : '';
  if (view.list === 'none') return [`${noList}.${lost}`];
  return [...(lost === '' ? [] : [lost.trim()]), ...notHealthy(view)];
}

const VOTERS_SHOWN = 9;

/** Why the count of healthy voters is not that of all, one sentence each. */
function notHealthy({ members }: ClusterView): readonly string[] {
  const sick = members.filter(({ learner, health }) => !learner && health !== 'Healthy');
  const shown = sick
    .slice(0, VOTERS_SHOWN)
    .map(({ pods, name, id, why }) => `Voter ${pods[0] ?? (name || id)} is not healthy: ${why}.`);
  const more = sick.length - shown.length;
  return more > 0 ? [...shown, `And ${more} more voters are not healthy.`] : shown;
}
