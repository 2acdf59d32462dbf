import type { Command, Options } from './command.ts';
import { guardsConfig, MEANT, namespaceName, POD, podName, via, VIA } from './meant.ts';
import type { GuardsConfig, Via } from './meant.ts';
import { flag, oneOf, type Given } from './values.ts';

const OUTPUTS = ['text', 'json', 'yaml'] as const;

/** `etcd-guard check`. */
export interface CheckConfig {
  readonly command: 'check';
  readonly guards: GuardsConfig;
  readonly pod: string;
  /** null: the kubeconfig's, or else `default`. */
  readonly namespace: string | null;
  readonly via: Via;
  readonly eviction: boolean;
  readonly output: (typeof OUTPUTS)[number];
}

const OPTIONS: Options = {
  ...MEANT,
  output: { type: 'string', short: 'o', values: OUTPUTS },
  ...VIA,
  eviction: { type: 'boolean' },
};

/** `etcd-guard check`, as it is read. */
export const CHECK: Command<CheckConfig> = { options: OPTIONS, word: POD, read };

function read(given: Given): CheckConfig {
  return {
    command: 'check',
    guards: guardsConfig(given),
    pod: podName(given.words[0], given) ?? '',
    namespace: namespaceName(given),
    via: via(given),
    eviction: flag(given, 'eviction'),
    output: oneOf(given, 'output', OUTPUTS) ?? 'text',
  };
}
