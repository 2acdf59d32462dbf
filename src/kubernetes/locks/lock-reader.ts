import { GuardSourceError } from '../../admission/guard-source.ts';
import type { Json } from '../../admission/json.ts';
import type { LockSource } from '../../locks/answer.ts';
import type { ObjectPlace } from '../../locks/change.ts';
import type { Lock } from '../../locks/lock.ts';
import { ApiError, type KubernetesApi, type Resource } from '../api/api.ts';
import { decodeLock, locksIn } from './lock-resource.ts';

/**
 * The longest that one request to the API server may take, milliseconds: a review waits for three at
 * most, the list that was under way when it came, its own, and the object, and has 10 s.
 */
const API_MS = 2_500;

/** Of one namespace: the list that is under way, and the one that begins after it. */
interface Lists {
  now: Promise<readonly Lock[]>;
  next: Promise<readonly Lock[]> | null;
}

/**
 * Reads locks live: once `kubectl apply` has returned, the next change is held against the lock. So a
 * list that began before a change came never answers for it; those that wait share the next.
 */
export class LockReader implements LockSource {
  readonly #api: Pick<KubernetesApi, 'get' | 'list'>;
  readonly #lists = new Map<string, Lists>();

  constructor(api: Pick<KubernetesApi, 'get' | 'list'>) {
    this.#api = api;
  }

  /** Shared by reviews of different allowances, so that it has one of its own. */
  locksIn(namespace: string): Promise<readonly Lock[]> {
    const lists = this.#lists.get(namespace);
    if (lists === undefined) return this.#begin(namespace);
    const begin = (): Promise<readonly Lock[]> => this.#begin(namespace);
    lists.next ??= lists.now.then(begin, begin);
    return lists.next;
  }

  #begin(namespace: string): Promise<readonly Lock[]> {
    const now = this.#list(namespace);
    const lists: Lists = { now, next: null };
    this.#lists.set(namespace, lists);
    const ended = (): void => {
      if (this.#lists.get(namespace) === lists && lists.next === null) {
        this.#lists.delete(namespace);
      }
    };
    now.then(ended, ended);
    return now;
  }

  async #list(namespace: string): Promise<readonly Lock[]> {
    const objects = await this.#api
      .list(locksIn(namespace), {}, API_MS)
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
