import type { Lock } from '../../locks/lock.ts';
import { ApiError, type KubernetesApi } from '../api/api.ts';
import type { ResourceDiscovery, ServedResource } from '../api/discovery.ts';
import { selectorText } from '../guards/selector-text.ts';
import { resourceOf } from './lock-reader.ts';

/** What a lock holds, as far as it can be told. */
export interface Counted {
  readonly matched: number;
  /** Resources that the API server does not serve, each with a hint in words or ''. */
  readonly unknown: ReadonlyMap<string, string>;
  /** Resources that could not be counted, each with its reason. */
  readonly uncounted: ReadonlyMap<string, string>;
}

const WITHIN_MS = 5_000;
/** How long what the API server serves is remembered. */
const SERVED_MS = 30_000;
/** Where a resource is looked for that is named without its group. */
const LIKELY_GROUPS = ['apps', 'batch', 'networking.k8s.io', 'policy', 'etcd-guard.io'];

type Served = ReadonlyMap<string, ServedResource> | null;

/** Counts what locks hold; asks for metadata and nothing else. */
export class LockCounting {
  readonly #api: Pick<KubernetesApi, 'list'>;
  readonly #discovery: ResourceDiscovery;
  readonly #served = new Map<string, { readonly at: number; readonly served: Promise<Served> }>();

  constructor({
    api,
    discovery,
  }: {
    readonly api: Pick<KubernetesApi, 'list'>;
    readonly discovery: ResourceDiscovery;
  }) {
    this.#api = api;
    this.#discovery = discovery;
  }

  /** Rejects with an ApiError if nobody can tell what the API server serves. */
  async count(lock: Lock): Promise<Counted> {
    const unknown = new Map<string, string>();
    const uncounted = new Map<string, string>();
    let matched = 0;
    for (const name of lock.resources) {
      const [plural = '', ...rest] = name.split('.');
      const group = rest.join('.');
      const served = (await this.#servedBy(group))?.get(plural);
      if (served === undefined) {
        unknown.set(name, await this.#hintAt(name));
        continue;
      }
      const found = await this.#matching(lock, { group, plural, served });
      if (typeof found === 'number') matched += found;
      else uncounted.set(name, found);
    }
    return { matched, unknown, uncounted };
  }

  /** The number, or why there is none. */
  async #matching(
    { namespace, selector }: Lock,
    {
      group,
      plural,
      served: { version },
    }: { readonly group: string; readonly plural: string; readonly served: ServedResource },
  ): Promise<number | string> {
    const resource = resourceOf({ group, version, resource: plural, namespace });
    const options = { labelSelector: selectorText(selector), metadataOnly: true };
    try {
      return (await this.#api.list(resource, options, WITHIN_MS)).length;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return error.code === 'forbidden' ? 'no right to list them' : error.message;
    }
  }

  async #hintAt(name: string): Promise<string> {
    if (name.includes('.')) return '';
    for (const group of LIKELY_GROUPS) {
      const served = await this.#servedBy(group);
      if (served?.has(name) === true) return ` (is ${name}.${group} meant?)`;
    }
    return '';
  }

  #servedBy(group: string): Promise<Served> {
    const nowMs = performance.now();
    const known = this.#served.get(group);
    if (known !== undefined && nowMs - known.at < SERVED_MS) return known.served;
    const served = this.#discovery.served(group, WITHIN_MS);
    this.#served.set(group, { at: nowMs, served });
    served.catch(() => this.#served.delete(group));
    return served;
  }
}
