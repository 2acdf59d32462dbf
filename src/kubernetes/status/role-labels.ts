import type { ClusterView, MemberView } from '../../decision/cluster-view.ts';
import { matchesLabels } from '../../guards/label-selector.ts';
import { reportable, type ApiError, type KubernetesApi } from '../api/api.ts';
import { API_MS, podsIn } from '../guards/cluster-reader.ts';
import { livePod, type LivePod } from '../guards/live-pod.ts';
import type { KnownGuard } from './watched-guards.ts';

/** On the pods of members, for policies that can't ask etcd. */
export const ROLE_LABEL = 'etcd-guard.io/role';

type Role = 'leader' | 'follower' | 'learner';

/** What labels need from outside. */
export interface RoleLabelContext {
  readonly api: KubernetesApi;
  /** Asked right before each write. */
  readonly mayWrite: () => boolean;
  readonly onFailed: (error: ApiError) => void;
}

/** Keeps `etcd-guard.io/role` on the pods of members, and only there. */
export class RoleLabels {
  readonly #context: RoleLabelContext;

  constructor(context: RoleLabelContext) {
    this.#context = context;
  }

  /**
   * Writes what has changed. As long as no leader is confirmed everything stays as it was last known:
   * the labels are for the time when nobody can ask. A new leader gets its label before the former
   * one loses it, so that at no time neither has it.
   */
  async follow(view: ClusterView, pods: readonly LivePod[]): Promise<void> {
    if (view.list !== 'agreed' || view.leader.kind !== 'confirmed') return;
    const changes = pods
      .map((pod) => ({ pod, role: roleOf(pod, view) }))
      .filter(({ pod, role }) => labelOf(pod) !== role);
    const [leaders, others] = [true, false].map((leads) =>
      changes.filter(({ role }) => (role === 'leader') === leads),
    );
    for (const { pod, role } of [...(leaders ?? []), ...(others ?? [])]) {
      // Without the new leader's label the former one keeps its own.
      if (!(await this.#label(pod, role))) return;
    }
  }

  /** Takes the label from pods that none of all these guards selects any more. */
  async sweep(guards: readonly KnownGuard[]): Promise<void> {
    const everywhere = { prefix: '/api/v1', plural: 'pods', namespace: null };
    try {
      const { api } = this.#context;
      const labelled = await api.list(everywhere, { labelSelector: ROLE_LABEL }, API_MS);
      const stray = labelled
        .flatMap((object) => livePod(object) ?? [])
        .filter(({ snapshot }) => !guards.some((guard) => selects(guard, snapshot)));
      for (const pod of stray) await this.#label(pod, null);
    } catch (error) {
      this.#failed(error);
    }
  }

  /** null takes it away. */
  async #label({ snapshot, uid }: LivePod, role: Role | null): Promise<boolean> {
    if (!this.#context.mayWrite()) return false;
    // The uid makes it fail for a pod that has taken the other's name meanwhile.
    const patch = { metadata: { uid, labels: { [ROLE_LABEL]: role } } };
    try {
      await this.#context.api.patch(podsIn(snapshot.namespace), snapshot.name, patch, API_MS);
      return true;
    } catch (error) {
      return this.#failed(error);
    }
  }

  /** Whether it is none: the pod is gone, and its label with it. */
  #failed(error: unknown): boolean {
    const failure = reportable(error, 'role labels could not be kept');
    if (failure.code === 'not-found' || failure.code === 'conflict') return true;
    this.#context.onFailed(failure);
    return false;
  }
}

/** null: it is no member's, or it can't be told whose. */
function roleOf({ snapshot }: LivePod, view: ClusterView): Role | null {
  const member = view.members.find(({ pods }) => pods[0] === snapshot.name);
  return member === undefined ? null : roleOfMember(member, view);
}

function roleOfMember({ id, learner }: MemberView, { leader }: ClusterView): Role {
  if (leader.kind === 'confirmed' && leader.id === id) return 'leader';
  return learner ? 'learner' : 'follower';
}

function labelOf({ snapshot: { labels } }: LivePod): string | null {
  return Object.hasOwn(labels, ROLE_LABEL) ? (labels[ROLE_LABEL] ?? null) : null;
}

function selects(guard: KnownGuard, pod: LivePod['snapshot']): boolean {
  if (guard.namespace !== pod.namespace) return false;
  return guard.selector === null || matchesLabels(guard.selector, pod.labels);
}
