import type { PodSnapshot } from '../admission/review.ts';
import { BREAK_GLASS_ANNOTATION, BREAK_GLASS_UNTIL_ANNOTATION } from '../decision/break-glass.ts';
import type { TargetFacts } from '../decision/situation.ts';

/** Where an emptyDir holds scratch files, not an etcd's data. */
const SCRATCH = /^\/(tmp|run|var\/run|var\/tmp|dev\/shm)(\/|$)/;

/** Of a pod that is given by name alone, all that only its object could tell is taken as absent. */
export function factsOfName(namespace: string, name: string): TargetFacts {
  return {
    namespace,
    name,
    uid: null,
    terminating: false,
    mirror: false,
    unscheduled: false,
    finished: false,
    breakGlass: null,
    containersDown: false,
    onEmptyDir: false,
    looksLikeEtcd: false,
  };
}

/**
 * What the pod's object tells. `memberPort` is the guard's port, which finds the container that runs
 * etcd. Whether its Node is Ready only the Kubernetes API knows, so nothing is known to be down here.
 */
export function factsOfPod(pod: PodSnapshot, memberPort: number | null): TargetFacts {
  const reason = pod.annotations[BREAK_GLASS_ANNOTATION] ?? null;
  const until = pod.annotations[BREAK_GLASS_UNTIL_ANNOTATION] ?? null;
  const { labels } = pod;
  return {
    ...factsOfName(pod.namespace, pod.name),
    uid: pod.uid,
    terminating: pod.terminating,
    mirror: pod.mirror,
    unscheduled: pod.neverScheduled,
    finished: pod.phase === 'Succeeded' || pod.phase === 'Failed',
    breakGlass: reason === null && until === null ? null : { reason, until },
    onEmptyDir: keepsDataOnEmptyDir(pod, memberPort),
    looksLikeEtcd: labels['app'] === 'etcd' || labels['app.kubernetes.io/name'] === 'etcd',
  };
}

function keepsDataOnEmptyDir(pod: PodSnapshot, memberPort: number | null): boolean {
  if (pod.emptyDirMounts.length === 0) return false;
  const declaring = pod.containers.filter(
    ({ ports }) => memberPort !== null && ports.includes(memberPort),
  );
  const etcd = new Set((declaring.length > 0 ? declaring : pod.containers).map(({ name }) => name));
  return pod.emptyDirMounts.some(
    ({ container, mountPath }) => etcd.has(container) && !SCRATCH.test(mountPath),
  );
}
