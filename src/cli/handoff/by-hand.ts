import type { FoundCluster } from '../clusters/clusters.ts';

/** What to do where no member answers from here, as far as the guard has written down who is who. */
export function byHand(found: FoundCluster): string {
  const { cluster, recorded } = found;
  const way = recordedWay(found);
  if (way !== '') return `Run this where its members can be reached, or ${way}`;
  const look = `kubectl get pods -n ${cluster.guard.namespace}`;
  if (recorded.length > 0 && !recorded.some(({ health }) => health === 'Healthy')) {
    return `Nor does the guard know of a healthy one: bring its members back first (${look}, and their logs).`;
  }
  return `Are its members running (${look})? If so, run this where they can be reached, such as in a pod of the cluster.`;
}

/** What can be run in the leader's pod, by what the guard has written down; empty where it has not. */
export function recordedWay({ cluster: { guard }, recorded }: FoundCluster): string {
  const leader = recorded.find(({ role }) => role === 'Leader')?.pod;
  const next = recorded.find(
    ({ role, health, pod, id }) => role === 'Follower' && health === 'Healthy' && pod && id,
  );
  if (!leader || !next?.id) return '';
  return (
    'in the pod of the leader, as the guard has recorded it ' +
    `(with the options for TLS and users that etcd wants): kubectl exec -n ${guard.namespace} ${leader} -- ` +
    `etcdctl move-leader ${next.id}, which is ${next.pod ?? next.id}.`
  );
}
