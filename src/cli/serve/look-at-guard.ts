import type { GuardedCluster, GuardSource } from '../../admission/guard-source.ts';
import { recordOf } from '../../admission/json.ts';
import type { PodSnapshot } from '../../admission/review.ts';
import type { ClusterStatus } from '../../guards/guard-status.ts';
import type { Unprotected } from '../../kubernetes/guards/protection.ts';
import type { GuardLook, PodLook } from '../../page/port.ts';
import { judged } from '../finding.ts';
import { judgePod, subjectFor } from '../judge-pod.ts';
import { lookAt, type Seen } from '../look.ts';
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
  readonly statusOf: (seen: Seen | null, now: string) => ClusterStatus;
  /** Who judges them. */
  readonly source: GuardSource;
}

/** What a person should see of it: its cluster as it answers now, and each pod's dry run. */
export async function lookAtGuard(one: GuardToLookAt): Promise<GuardLook> {
  const { cluster, spec, pods, unprotected, source, statusOf } = one;
  const { guard, fault = null, reservations } = cluster;
  const reserved = new Set(reservations.map(({ pod }) => pod));
  const [seen, looks] = await Promise.all([
    fault === null ? lookAt(cluster) : null,
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

/** Nothing that tells where credentials are. */
function openPart(spec: unknown): unknown {
  const { selector, members, policy } = recordOf(spec);
  const { port, addresses } = recordOf(members);
  return { selector, members: { port, addresses }, policy };
}
