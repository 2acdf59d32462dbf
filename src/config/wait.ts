import type { Command, Options } from './command.ts';
import { guardsConfig, MEANT, namespaceName, POD, podName, via, VIA } from './meant.ts';
import type { GuardsConfig, Via } from './meant.ts';
import { duration, oneOf, text, type Given } from './values.ts';

const CONDITIONS = ['deletable', 'healthy'] as const;

/** `etcd-guard wait`. */
export interface WaitConfig {
  readonly command: 'wait';
  readonly guards: GuardsConfig;
  readonly pod: string;
  /** null: the kubeconfig's, or else `default`. */
  readonly namespace: string | null;
  readonly via: Via;
  readonly condition: (typeof CONDITIONS)[number];
  readonly timeoutMs: number;
}

const OPTIONS: Options = {
  ...MEANT,
  ...VIA,
  for: { type: 'string', values: CONDITIONS },
  timeout: { type: 'string' },
};

/** `etcd-guard wait`, as it is read. */
export const WAIT: Command<WaitConfig> = { options: OPTIONS, word: POD, read };

function read(given: Given): WaitConfig {
  const condition = oneOf(given, 'for', CONDITIONS);
  if (text(given, 'for') === undefined && !given.valueless.has('for')) {
    given.problems.push(`--for is missing: ${CONDITIONS.join(' or ')}`);
  }
  return {
    command: 'wait',
    guards: guardsConfig(given),
    pod: podName(given.words[0], given) ?? '',
    namespace: namespaceName(given),
    via: via(given),
    condition: condition ?? 'deletable',
    timeoutMs: duration(given, 'timeout', '30s'),
  };
}
