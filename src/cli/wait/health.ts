import type { WaitConfig } from '../../config.ts';
import { whyNoList } from '../../decision/wording.ts';
import { openClusters, type Clusters, type FoundCluster } from '../clusters/clusters.ts';
import { heardNobody } from '../finding.ts';
import { lookAt } from '../look.ts';
import type { Surroundings } from '../streams.ts';
import type { Condition, Progress } from './wait.ts';

/** The pod's member is a healthy voter, by what etcd answers from here; throws a UsageError. */
export async function openHealth(
  { guards, namespace, pod }: WaitConfig,
  around: Surroundings,
): Promise<Condition> {
  const clusters = await openClusters(guards, namespace, around);
  return { look: () => healthIn(clusters, pod), close: () => clusters.close() };
}

/** How the pod's member is, in whichever of these clusters has the pod. */
export async function healthIn(
  clusters: Pick<Clusters, 'namespace' | 'find'>,
  pod: string,
): Promise<Progress> {
  const all = await clusters.find();
  const found = all.filter(({ cluster }) => cluster.pods.some(({ name }) => name === pod));
  const [only] = found;
  const where = `in namespace ${clusters.namespace}`;
  if (only === undefined) return waiting(`no guard ${where} has a pod ${pod} now${unread(all)}`);
  if (found.length > 1) return waiting(`${found.length} guards ${where} select ${pod}`);
  return healthOf(pod, only);
}

/** The pod may be one of those that could not be read. */
function unread(all: readonly FoundCluster[]): string {
  const faults = all.flatMap(({ cluster: { guard, pods, fault } }) =>
    pods.length === 0 && fault !== undefined ? [`${guard.name}: ${fault}`] : [],
  );
  return faults.length === 0 ? '' : `, as far as can be told (${faults.join('; ')})`;
}

async function healthOf(pod: string, { cluster }: FoundCluster): Promise<Progress> {
  if (cluster.fault !== undefined) return waiting(`its cluster can't be asked: ${cluster.fault}`);
  const { view, said } = await lookAt(cluster);
  if (heardNobody(view)) {
    const words = said.get(pod);
    return waiting(
      `no member answers from here${words === undefined ? '' : ` (${pod}: ${words})`}`,
    );
  }
  const noList = whyNoList(view.list);
  if (noList !== null) return waiting(noList);
  const member = view.members.find(({ pods }) => pods.includes(pod));
  if (member === undefined) return waiting(`${pod} runs no member`);
  if (member.learner) return waiting(`${pod} is a learner`);
  if (member.health !== 'Healthy') {
    return waiting(`${pod} is ${member.health.toLowerCase()} (${member.why})`);
  }
  const counts = `${view.healthyVoters}/${view.voters} voters are`;
  return { reached: true, words: `${pod} is healthy; ${counts}` };
}

function waiting(words: string): Progress {
  return { reached: false, words };
}
