import type { FoundCluster } from '../clusters/clusters.ts';

/** What to do where no member answers from here, as far as the guard has written down who is who. */
export function byHand({ cluster: { guard }, recorded }: FoundCluster): string {
  const leader = recorded.find(({ role }) => role === 'Leader')?.pod;
  const next = recorded.find(
    ({ role, health, pod, id }) => role === 'Follower' && health === 'Healthy' && pod && id,
  );
  if (!leader || !next?.id)
    return 'Run this where its members can be reached: in a pod of the cluster.';
  return (
    'Run this where its members can be reached, or in the pod of the leader, as the guard has recorded it ' +
    `(with the options for TLS and users that etcd wants): kubectl exec -n ${guard.namespace} ${leader} -- ` +
    `etcdctl move-leader ${next.id}, which is ${next.pod ?? next.id}.`
  );
}
