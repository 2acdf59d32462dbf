import type { Case } from './case.ts';
import { CONNECTION_REFUSED, type PodFacts } from './situation.ts';

/** Where a pod's member is asked; null if it has no address. */
export function addressOf({ situation }: Case, pod: string): string | null {
  return situation.pods.find(({ name }) => name === pod)?.address ?? null;
}

/** `a and b have the same address x:2379`, of the first address that several pods have; else null. */
export function sharedAddress(pods: readonly PodFacts[]): string | null {
  for (const { name, address } of pods) {
    const others = address === null ? [] : pods.filter((one) => one.address === address);
    const [, second, third] = others;
    if (second === undefined) continue;
    if (third !== undefined) return `${others.length} pods have the same address ${address}`;
    return `${name} and ${second.name} have the same address ${address}`;
  }
  return null;
}

/** Of the member that answers for the pod: its name, if that is the name of another guarded pod; else null. */
export function nameOfAnotherPod({ answer, situation }: Case): string | null {
  if (answer?.kind !== 'status') return null;
  const name = answer.list?.find(({ id }) => id === answer.id)?.name;
  if (name === undefined || name === situation.target.name) return null;
  return situation.pods.some((pod) => pod.name === name) ? name : null;
}

/** As if etcd were not there, or somewhere else. */
export function allRefuseConnections({ situation: { pods, answers } }: Case): boolean {
  const causes = pods.map(({ name }) => {
    const answer = answers?.get(name);
    return answer?.kind === 'silent' ? answer.cause : null;
  });
  return causes.length > 0 && causes.every((cause) => cause === CONNECTION_REFUSED);
}
