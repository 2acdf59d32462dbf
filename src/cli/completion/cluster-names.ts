import type { GuardsConfig } from '../../config.ts';
import { podsIn } from '../../kubernetes/guards/cluster-reader.ts';
import { decodeGuard, guardsIn } from '../../kubernetes/guards/guard-resource.ts';
import { selectorText } from '../../kubernetes/guards/selector-text.ts';
import { openClusterGuards } from '../cluster-guards.ts';
import type { Surroundings } from '../streams.ts';

/** Nobody who types waits longer for a list. */
const LIST_MS = 2_000;

/** Of EtcdGuards, or of the pods that these select. */
export async function namesInCluster(
  kind: 'guards' | 'pods',
  {
    config,
    namespace: wanted,
    environment,
  }: {
    readonly config: Extract<GuardsConfig, { kind: 'cluster' }>;
    readonly namespace: string | null;
    readonly environment: Surroundings['environment'];
  },
): Promise<readonly string[]> {
  const guards = await openClusterGuards(config, environment);
  const { api } = guards;
  const namespace = wanted ?? guards.namespace;
  try {
    const objects = await api.list(guardsIn(namespace), {}, LIST_MS);
    if (kind === 'guards') return objects.map(({ metadata }) => metadata.name);
    const selectors = objects.flatMap((object) => decodeGuard(object).guard?.spec.selector ?? []);
    const pods = await Promise.all(
      selectors.map((selector) =>
        api.list(podsIn(namespace), { labelSelector: selectorText(selector) }, LIST_MS),
      ),
    );
    return [...new Set(pods.flat().map(({ metadata }) => metadata.name))];
  } finally {
    guards.close();
  }
}
