import { ApiError, type KubernetesApi, type KubernetesObject } from '../../kubernetes/api/api.ts';
import { exclusiveText } from '../../kubernetes/locks/lock-findings.ts';
import { decodeLock, locksIn } from '../../kubernetes/locks/lock-resource.ts';
import { isInForce } from '../../locks/judge.ts';
import type { LockStatus, ShownLock } from './shown.ts';

const LIST_MS = 10_000;

/** The ExclusiveLocks of a namespace, or of all; none where that component is not installed. */
export async function listLocks(
  api: Pick<KubernetesApi, 'list'>,
  namespace: string | null,
  nowMs: number,
): Promise<readonly ShownLock[]> {
  try {
    const objects = await api.list(locksIn(namespace), {}, LIST_MS);
    return objects.map((object) => shownLock(object, nowMs));
  } catch (error) {
    // Whoever only looks after guards needs no right to see locks.
    const passed = error instanceof ApiError && ['not-found', 'forbidden'].includes(error.code);
    if (passed) return [];
    throw error;
  }
}

function shownLock(object: KubernetesObject, nowMs: number): ShownLock {
  const decoded = decodeLock(object);
  const { namespace, name, lock, status } = decoded;
  return {
    title: `${namespace}/${name}`,
    selector: lock?.selectorText ?? '?',
    exclusive: exclusiveText(lock?.exclusive ?? []),
    matched: status.matched ?? null,
    untilMs: lock?.untilMs ?? null,
    inForce: inForce(decoded, nowMs),
    item: itemOf(object),
  };
}

/** By its own words where these tell; else as the guard has written it down. */
function inForce(
  { lock, terminating, status: { conditions = [] } }: ReturnType<typeof decodeLock>,
  nowMs: number,
): string {
  if (lock === null) return 'no (InvalidSpec)';
  if (terminating) return 'no (Terminating)';
  if (!isInForce(lock, nowMs)) return 'no (Expired)';
  const written = conditions.find(({ type }) => type === 'InForce');
  // An end that has been moved since is the only way out of it.
  if (written === undefined || written.reason === 'Expired') return '?';
  return `${written.status === 'True' ? 'yes' : 'no'} (${written.reason})`;
}

function itemOf(object: KubernetesObject): LockStatus {
  const { managedFields: _, ...metadata } = { managedFields: null, ...object.metadata };
  return {
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'ExclusiveLock',
    metadata,
    spec: object['spec'],
    status: object['status'] ?? {},
  };
}
