import { GuardSourceError } from '../../admission/guard-source.ts';
import type { Json } from '../../admission/json.ts';
import type { LockSource } from '../../locks/answer.ts';
import type { ObjectPlace } from '../../locks/change.ts';
import type { Lock } from '../../locks/lock.ts';
import { ApiError, type KubernetesApi, type Resource } from '../api/api.ts';
import { decodeLock, locksIn } from './lock-resource.ts';

/** The longest that one request to the API server may take, milliseconds. */
const API_MS = 3_000;

/** Reads locks live: once `kubectl apply` has returned, the next change is held against the lock. */
export class LockReader implements LockSource {
  readonly #api: Pick<KubernetesApi, 'get' | 'list'>;

  constructor(api: Pick<KubernetesApi, 'get' | 'list'>) {
    this.#api = api;
  }

  async locksIn(namespace: string, withinMs: number): Promise<readonly Lock[]> {
    const within = Math.min(API_MS, withinMs);
    const objects = await this.#api
      .list(locksIn(namespace), {}, within)
      .catch((error: unknown) => refuse(error, `which ExclusiveLocks there are in ${namespace}`));
    return objects.flatMap((object) => {
      const { lock, terminating } = decodeLock(object);
      return lock === null || terminating ? [] : [lock];
    });
  }

  read(place: ObjectPlace, withinMs: number): Promise<Json | null> {
    return this.#api
      .get(resourceOf(place), place.name, Math.min(API_MS, withinMs))
      .catch((error: unknown) =>
        refuse(error, `what labels ${place.resource} ${place.namespace}/${place.name} has`),
      );
  }
}

/** Where the objects of a namespace are read. */
export function resourceOf({
  group,
  version,
  resource,
  namespace,
}: Omit<ObjectPlace, 'name'>): Resource {
  const prefix = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  return { prefix, plural: resource, namespace };
}

const WHAT_HELPS: Partial<Readonly<Record<ApiError['code'], string>>> = {
  forbidden:
    'Give etcd-guard that permission and try again, or delete the webhook configuration etcd-guard-locks to be rid of all locks.',
  'not-found':
    'Install the CustomResourceDefinition of ExclusiveLock, or delete the webhook configuration etcd-guard-locks if locks are to go.',
};

function refuse(error: unknown, what: string): never {
  if (!(error instanceof ApiError)) throw error;
  const helps = WHAT_HELPS[error.code] ?? 'Try again once the API server answers.';
  throw new GuardSourceError(
    `Refused, since etcd-guard can't find out ${what}: ${error.message}. ${helps}`,
    { cause: error },
  );
}
