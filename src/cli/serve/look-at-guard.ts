import type { GuardedCluster, GuardSource } from '../../admission/guard-source.ts';
import type { PodSnapshot } from '../../admission/review.ts';
import { viewOf, type ClusterView } from '../../decision/cluster-view.ts';
import type { Answer } from '../../decision/situation.ts';
import type { ClusterStatus } from '../../guards/guard-status.ts';
import type { Unprotected } from '../../kubernetes/guards/protection.ts';
import type { GuardLook, PodLook } from '../../page/port.ts';
import { judged } from '../finding.ts';
import { judgePod, subjectFor } from '../judge-pod.ts';
import { whereNobodyIsAsked } from '../nobody-asked.ts';

/** A guard as it was just read, with nobody about to go. */
export interface GuardToLookAt {
  readonly cluster: GuardedCluster;
  readonly spec: unknown;
  /** Those that it selects. */
  readonly pods: readonly PodSnapshot[];
  /** null: the API server asks about its pods, as far as is known. */
  readonly unprotected: Unprotected | null;
  /** What answers amount to; null: etcd was not asked. `now` is RFC 3339. */
  readonly statusOf: (seen: SeenNow | null, now: string) => ClusterStatus;
  /** Who judges them. */
  readonly source: GuardSource;
}

/** A cluster as it answers. */
export interface SeenNow {
  readonly view: ClusterView;
  readonly answers: ReadonlyMap<string, Answer>;
}

/** A member that takes longer counts as silent. */
const MEMBER_MS = 2_000;

/** What a person should see of it: its cluster as it answers now, and each pod's dry run. */
export async function lookAtGuard(one: GuardToLookAt): Promise<GuardLook> {
  const { cluster, spec, pods, unprotected, source, statusOf } = one;
  const { guard, fault = null, reservations } = cluster;
  const reserved = new Set(reservations.map(({ pod }) => pod));
  const [seen, looks] = await Promise.all([
    fault === null ? seenNow(cluster) : null,
    Promise.all(
      pods.map(async (pod): Promise<PodLook> => {
        const { name, terminating } = pod;
        const judgement = await judgePod(subjectFor(pod, 'delete'), source);
        const finding = whereNobodyIsAsked(judged(judgement), name, unprotected);
        const { decision, message, reason } = finding;
        return {
          pod: name,
          decision,
          reason: reason ?? judgement.verdict.reason,
          message,
          terminating,
          reserved: reserved.has(name),
        };
      }),
    ),
  ]);
  const status = statusOf(seen, new Date().toISOString());
  const { view, answers } = seen ?? { view: null, answers: new Map() };
  const unasked = unprotected?.message ?? null;
  return { guard, spec: openPart(spec), unasked, fault, status, pods: looks, view, answers };
}

async function seenNow(cluster: GuardedCluster): Promise<SeenNow> {
  const { etcd, endpoints, pods, reservations, guard } = cluster;
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
