import type { FileGuard } from '../../guards/file-source.ts';
import type { Finding } from '../finding.ts';

const MOST_NAMES = 20;

/** For a pod that no guard from a file names: which they do name. Their files may be about another one. */
export function ofUnnamedPod(
  finding: Finding,
  { name, namespace }: { readonly name: string; readonly namespace: string },
  guards: readonly FileGuard[],
): Finding {
  if (finding.reason !== 'NotGuarded') return finding;
  const named = guards.flatMap(({ guard, loaded }) =>
    Object.keys(loaded.document.spec.members.addresses).map((pod) =>
      guard.namespace === namespace ? pod : `${guard.namespace}/${pod}`,
    ),
  );
  const rest = named.length - MOST_NAMES;
  const names = `${named.slice(0, MOST_NAMES).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
  const selecting = guards
    .filter(({ guard, loaded }) => guard.namespace === namespace && loaded.document.spec.selector)
    .map(({ guard }) => `${guard.namespace}/${guard.name}`);
  const who = selecting.length === 1 ? 'The EtcdGuard' : 'The EtcdGuards';
  const byLabels = `${who} ${selecting.join(', ')} may still select it by its labels, which its name does not tell.`;
  const message = [
    `No guard names a pod ${name} in namespace ${namespace}, so no guard would keep it. Pods that are named: ${names}.`,
    ...(selecting.length > 0 ? [byLabels] : []),
  ].join(' ');
  return { ...finding, message };
}
