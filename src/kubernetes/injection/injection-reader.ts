import { GuardSourceError } from '../../admission/guard-source.ts';
import type { InjectingGuard, InjectionSource } from '../../injection/answer.ts';
import type { Creation } from '../../injection/creation.ts';
import type { Injection } from '../../injection/injection.ts';
import { matchesLabels } from '../../guards/label-selector.ts';
import { ApiError, type KubernetesApi, type KubernetesObject } from '../api/api.ts';
import { API_MS, invalidGuard } from '../guards/cluster-reader.ts';
import { decodeGuard, guardsIn, type GuardSpec } from '../guards/guard-resource.ts';

/** What new pods are given, from EtcdGuards; read live, since a pod is made but once. */
export class InjectionReader implements InjectionSource {
  readonly #api: Pick<KubernetesApi, 'get' | 'list'>;

  constructor(api: Pick<KubernetesApi, 'get' | 'list'>) {
    this.#api = api;
  }

  async guardsOf(
    { namespace, labels }: Pick<Creation, 'namespace' | 'labels'>,
    withinMs: number,
  ): Promise<readonly InjectingGuard[]> {
    const objects = await asSource(() =>
      this.#api.list(guardsIn(namespace), {}, Math.min(API_MS, withinMs)),
    );
    return objects
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      .flatMap((object) => guardOf(object, labels) ?? []);
  }

  async hasConfigMap(namespace: string, name: string, withinMs: number): Promise<boolean> {
    const configMaps = { prefix: '/api/v1', plural: 'configmaps', namespace };
    const found = await asSource(() => this.#api.get(configMaps, name, Math.min(API_MS, withinMs)));
    return found !== null;
  }
}

/** null: it does not select these labels, or nobody can tell that it does. */
function guardOf(
  object: KubernetesObject,
  labels: Readonly<Record<string, string>>,
): InjectingGuard | null {
  const { namespace = '', name } = object.metadata;
  const decoded = decodeGuard(object);
  const selector = decoded.guard === undefined ? decoded.selector : decoded.guard.spec.selector;
  if (selector === null || !matchesLabels(selector, labels)) return null;
  if (decoded.guard !== undefined) {
    return { namespace, name, injection: injectionOf(decoded.guard.spec) };
  }
  const [problem] = decoded.problems;
  const fault = problem === undefined ? 'it is not valid' : invalidGuard(object, problem);
  return { namespace, name, injection: null, fault };
}

function injectionOf({ inject }: GuardSpec): Injection | null {
  if (inject === undefined) return null;
  const { files, readinessGate, terminationGracePeriodSeconds = null } = inject;
  return { files, readinessGate, terminationGracePeriodSeconds };
}

async function asSource<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    throw new GuardSourceError(error.message, { cause: error });
  }
}
