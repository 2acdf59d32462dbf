import type { GuardedCluster, GuardSource } from '../../admission/guard-source.ts';
import type { PodSnapshot } from '../../admission/review.ts';
import { viewOf } from '../../decision/cluster-view.ts';
import type { GuardLook, PodLook } from '../../page/port.ts';
import { judgePod, subjectFor } from '../judge-pod.ts';

/** A guard as it was just read, with nobody about to go. */
export interface GuardToLookAt {
  readonly cluster: GuardedCluster;
  readonly spec: unknown;
  /** Those that it selects. */
  readonly pods: readonly PodSnapshot[];
  /** As in `GuardLook`. */
  readonly unasked: string | null;
  /** Who judges them. */
  readonly source: GuardSource;
}

/** A member that takes longer counts as silent. */
const MEMBER_MS = 2_000;

/** What a person should see of it: its cluster as it answers now, and each pod's dry run. */
export async function lookAtGuard(one: GuardToLookAt): Promise<GuardLook> {
  const { cluster, spec, pods, unasked, source } = one;
  const { guard, fault = null, reservations } = cluster;
  const reserved = new Set(reservations.map(({ pod }) => pod));
  const [seen, looks] = await Promise.all([
    fault === null ? seenNow(cluster) : { view: null, answers: new Map() },
    Promise.all(
      pods.map(async (pod): Promise<PodLook> => {
        const { verdict } = await judgePod(subjectFor(pod, 'delete'), source);
        const { kind: decision, reason, message } = verdict;
        const { name, terminating } = pod;
        return { pod: name, decision, reason, message, terminating, reserved: reserved.has(name) };
      }),
    ),
  ]);
  return { guard, spec: openPart(spec), unasked, fault, pods: looks, ...seen };
}

async function seenNow({ etcd, endpoints, pods, reservations, guard }: GuardedCluster) {
  const answers = await etcd.ask(endpoints, MEMBER_MS);
  const { maxRaftLag } = guard.policy;
  return { view: viewOf({ pods, answers, proof: null, reservations, maxRaftLag }), answers };
}

/** Nothing that tells where credentials are. */
function openPart(spec: unknown): unknown {
  const { selector, members, policy } = recordOf(spec);
  const { port, addresses } = recordOf(members);
  return { selector, members: { port, addresses }, policy };
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
