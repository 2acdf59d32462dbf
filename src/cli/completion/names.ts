import type { GuardsConfig } from '../../config.ts';
import { openGuards } from '../guards.ts';
import type { Surroundings } from '../streams.ts';

/** Where names are looked for. */
export interface Place {
  readonly guards: GuardsConfig;
  /** null: the kubeconfig's, or else `default`. */
  readonly namespace: string | null;
}

/** Of guards, or of the pods that they select; rejects where there is no telling. */
export async function namesIn(
  kind: 'guards' | 'pods',
  { guards, namespace }: Place,
  { environment }: Surroundings,
): Promise<readonly string[]> {
  // Loaded only where a cluster is used: client-node takes four tenths of a second.
  if (guards.kind === 'cluster') {
    const { namesInCluster } = await import('./cluster-names.ts');
    return namesInCluster(kind, { config: guards, namespace, environment });
  }
  const source = await openGuards(guards.files);
  source.close();
  return source.guards
    .filter(({ guard }) => guard.namespace === (namespace ?? 'default'))
    .flatMap(({ guard, loaded }) =>
      kind === 'guards' ? guard.name : Object.keys(loaded.document.spec.members.addresses),
    );
}
