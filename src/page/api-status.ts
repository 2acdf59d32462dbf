import type { ClusterStatus } from '../guards/guard-status.ts';
import type { LoggedDecision } from './decision-log.ts';
import type { Looked } from './looks.ts';
import { keyOf, type KnownGuard, type PodLook } from './port.ts';
import { GUARDS_A_PAGE, type GuardPage } from './query.ts';

/** One guard of `/api/status`: an item of `etcd-guard status -o json`, and when it was seen. */
export interface StatusItem {
  readonly apiVersion: 'etcd-guard.io/v1alpha1';
  readonly kind: 'EtcdGuard';
  readonly metadata: { readonly namespace: string; readonly name: string };
  /** null: not looked at yet. */
  readonly spec: unknown;
  readonly status: ClusterStatus | null;
  readonly pods: readonly Pick<PodLook, 'pod' | 'decision' | 'reason' | 'message'>[];
  /** RFC 3339; null: not yet. */
  readonly seen: string | null;
  /** Why it could not be looked at; null: it could, or was not tried yet. */
  readonly failure: string | null;
}

/** What `/api/status` answers; docs/status-page.md describes it. */
export interface ApiStatus {
  readonly version: string;
  readonly replica: string;
  readonly time: string;
  /** Of all guards, whether they match or not. */
  readonly counts: GuardPage['counts'];
  readonly matching: number;
  readonly page: number;
  readonly pages: number;
  readonly perPage: number;
  readonly items: readonly StatusItem[];
  readonly decisions: readonly (Omit<LoggedDecision, 'atMs' | 'guard'> & {
    readonly time: string;
    /** `default/etcd`; null: it could not be judged. */
    readonly guard: string | null;
  })[];
}

/** What all answers have. */
export interface ApiFrame {
  readonly version: string;
  readonly replica: string;
  readonly nowMs: number;
}

/** The same as the page, for programs. */
export function apiStatus(
  { version, replica, nowMs }: ApiFrame,
  { counts, matching, page, pages }: GuardPage,
  items: readonly StatusItem[],
  decisions: readonly LoggedDecision[],
): ApiStatus {
  return {
    version,
    replica,
    time: new Date(nowMs).toISOString(),
    counts,
    matching,
    page,
    pages,
    perPage: GUARDS_A_PAGE,
    items,
    decisions: decisions.map(({ atMs, guard, ...rest }) => ({
      time: new Date(atMs).toISOString(),
      guard: guard === null ? null : keyOf(guard),
      ...rest,
    })),
  };
}

/** One guard, as it was last seen. */
export function statusItem({ namespace, name }: KnownGuard, looked: Looked | null): StatusItem {
  const common = {
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'EtcdGuard',
    metadata: { namespace, name },
  } as const;
  if (looked === null) return { ...common, ...NOTHING, seen: null, failure: null };
  const { look, failure } = looked;
  const seen = new Date(looked.atMs).toISOString();
  if (look === null) return { ...common, ...NOTHING, seen, failure: failure ?? 'it has gone' };
  const pods = look.pods.map(({ pod, decision, reason, message }) => ({
    pod,
    decision,
    reason,
    message,
  }));
  return { ...common, spec: look.spec, status: look.status, pods, seen, failure: null };
}

const NOTHING = { spec: null, status: null, pods: [] };
