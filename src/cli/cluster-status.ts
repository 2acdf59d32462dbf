import type { Judgement } from '../admission/hearing.ts';
import type { ClusterView } from '../decision/cluster-view.ts';
import type { FileGuard } from '../guards/file-source.ts';
import { clusterStatus, type ClusterStatus } from '../guards/guard-status.ts';

/** What a delete of one pod would get now. */
export interface PodStatus {
  readonly pod: string;
  readonly decision: 'allow' | 'deny';
  readonly reason: string;
  readonly message: string;
}

/** One guard in the output of `etcd-guard status -o json`. */
export interface GuardStatus {
  readonly apiVersion: 'etcd-guard.io/v1alpha1';
  readonly kind: 'EtcdGuard';
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: unknown;
  readonly status: ClusterStatus;
  readonly pods: readonly PodStatus[];
}

/** Puts together what a look at the cluster and a dry run for each of its pods gave. */
export function guardStatus(
  { guard, loaded }: FileGuard,
  view: ClusterView,
  pods: readonly { readonly pod: string; readonly judgement: Judgement }[],
): GuardStatus {
  return {
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'EtcdGuard',
    metadata: { name: guard.name, namespace: guard.namespace },
    spec: loaded.document.spec,
    status: clusterStatus(view, new Date().toISOString()),
    pods: pods.map(({ pod, judgement: { verdict } }) => ({
      pod,
      decision: verdict.kind,
      reason: verdict.reason,
      message: verdict.message,
    })),
  };
}
