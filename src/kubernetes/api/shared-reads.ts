import type { KubernetesApi } from './api.ts';

interface Reading {
  readonly at: number;
  readonly result: Promise<unknown>;
}

/**
 * The same API, of which nothing is read twice within so many milliseconds: for who looks at many
 * pods of one cluster at one moment, and decides nothing by it.
 */
export function withSharedReads(
  api: KubernetesApi,
  forMs: number,
  monotonicMs: () => number,
): KubernetesApi {
  const readings = new Map<string, Reading>();
  function shared<T>(key: string, read: () => Promise<T>): Promise<T>;
  function shared(key: string, read: () => Promise<unknown>): Promise<unknown> {
    const now = monotonicMs();
    // In the order in which they were made.
    for (const [old, { at }] of readings) {
      if (now - at < forMs) break;
      readings.delete(old);
    }
    const before = readings.get(key);
    if (before !== undefined) return before.result;
    const result = read();
    readings.set(key, { at: now, result });
    return result;
  }
  return {
    get: (resource, name, withinMs) =>
      shared(JSON.stringify(['get', resource, name]), () => api.get(resource, name, withinMs)),
    list: (resource, options, withinMs) =>
      shared(JSON.stringify(['list', resource, options]), () =>
        api.list(resource, options, withinMs),
      ),
    create: (...given) => api.create(...given),
    replace: (...given) => api.replace(...given),
    patch: (...given) => api.patch(...given),
    patchStatus: (...given) => api.patchStatus(...given),
    watch: (...given) => api.watch(...given),
    close: () => api.close(),
  };
}
