import { isDeepStrictEqual } from 'node:util';
import type { LabelSelector } from '../../guards/label-selector.ts';
import type { ApiError, KubernetesApi, KubernetesObject } from '../api/api.ts';
import { podsIn } from '../guards/cluster-reader.ts';
import { selectorText } from '../guards/selector-text.ts';

/** What happens to pods; nothing of them is remembered. */
export interface PodEvents {
  readonly onChanged: (pod: KubernetesObject) => void;
  readonly onFailed: (error: ApiError) => void;
}

interface PodWatch {
  readonly labelSelector: string | null;
  readonly versions: Map<string, string>;
  readonly watch: { stop(): void };
}

/**
 * Each watch is a connection and some memory, and all begin with a list at the same moment, for which
 * reviews would have to wait.
 */
const MOST_WATCHES = 100;

/**
 * One watch for each namespace that has guards, of a single guard only the pods that it selects; none
 * for namespaces beyond the first hundred, where somebody has to look unasked.
 */
export class PodWatches {
  readonly #api: KubernetesApi;
  readonly #events: PodEvents;
  readonly #watches = new Map<string, PodWatch>();

  constructor(api: KubernetesApi, events: PodEvents) {
    this.#api = api;
    this.#events = events;
  }

  /** Follows what these selectors may select; null is a selector that can't be read. */
  follow(namespace: string, selectors: readonly (LabelSelector | null)[]): void {
    const before = this.#watches.get(namespace);
    const labelSelector = narrowest(selectors);
    if (before?.labelSelector === labelSelector && selectors.length > 0) return;
    before?.watch.stop();
    this.#watches.delete(namespace);
    if (selectors.length === 0 || this.#watches.size >= MOST_WATCHES) return;
    this.#watches.set(namespace, this.#started(namespace, labelSelector));
  }

  stop(): void {
    for (const { watch } of this.#watches.values()) watch.stop();
    this.#watches.clear();
  }

  #started(namespace: string, labelSelector: string | null): PodWatch {
    const versions = new Map<string, string>();
    const changed = (pod: KubernetesObject): void => {
      const { uid, resourceVersion } = pod.metadata;
      if (versions.get(uid) === resourceVersion) return;
      versions.set(uid, resourceVersion);
      this.#events.onChanged(pod);
    };
    const options = labelSelector === null ? {} : { labelSelector };
    const watch = this.#api.watch(podsIn(namespace), options, {
      onListed: (pods) => {
        const listed = new Set(pods.map(({ metadata }) => metadata.uid));
        for (const uid of versions.keys()) if (!listed.has(uid)) versions.delete(uid);
        pods.forEach(changed);
      },
      onChanged: changed,
      onGone: (pod) => {
        versions.delete(pod.metadata.uid);
        this.#events.onChanged(pod);
      },
      onFailed: this.#events.onFailed,
    });
    return { labelSelector, versions, watch };
  }
}

/** A list takes one selector: with several guards all pods of the namespace are followed. */
function narrowest(selectors: readonly (LabelSelector | null)[]): string | null {
  const [first = null, ...others] = selectors;
  if (first === null || others.some((other) => !isDeepStrictEqual(other, first))) return null;
  return selectorText(first);
}
