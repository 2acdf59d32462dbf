import type { Command, Options } from './command.ts';
import { guardName, guardsConfig, MEANT, namespaceName, via, VIA } from './meant.ts';
import type { GuardsConfig, Via } from './meant.ts';
import { flag, oneOf, type Given } from './values.ts';

const OUTPUTS = ['table', 'json', 'yaml', 'name'] as const;

/** `etcd-guard status`. */
export interface StatusConfig {
  readonly command: 'status';
  readonly guards: GuardsConfig;
  /** null: all guards of the namespace. */
  readonly name: string | null;
  /** null: the kubeconfig's, or else `default`. */
  readonly namespace: string | null;
  readonly allNamespaces: boolean;
  readonly via: Via;
  readonly output: (typeof OUTPUTS)[number];
  readonly watch: boolean;
}

const OPTIONS: Options = {
  ...MEANT,
  output: { type: 'string', short: 'o', values: OUTPUTS },
  ...VIA,
  'all-namespaces': { type: 'boolean', short: 'A' },
  watch: { type: 'boolean', short: 'w' },
};

/** `etcd-guard status`, as it is read. */
export const STATUS: Command<StatusConfig> = { options: OPTIONS, word: { is: 'guard' }, read };

function read(given: Given): StatusConfig {
  const namespace = namespaceName(given);
  const allNamespaces = flag(given, 'all-namespaces');
  if (allNamespaces && namespace !== null) {
    given.problems.push('--namespace and --all-namespaces exclude each other');
  }
  return {
    command: 'status',
    guards: guardsConfig(given),
    name: guardName(given.words[0], given),
    namespace,
    allNamespaces,
    via: via(given),
    output: oneOf(given, 'output', OUTPUTS) ?? 'table',
    watch: flag(given, 'watch'),
  };
}
