import type { Command, Options } from './command.ts';
import {
  guardName,
  guardsConfig,
  MEANT,
  namespaceName,
  podName,
  type GuardsConfig,
} from './meant.ts';
import { duration, flag, text, type Given } from './values.ts';

/** `etcd-guard handoff`. */
export interface HandOffConfig {
  readonly command: 'handoff';
  readonly guards: GuardsConfig;
  /** null: whichever leads. */
  readonly pod: string | null;
  /** null: the only one there is. */
  readonly guard: string | null;
  /** null: whom the guard would choose. */
  readonly to: string | null;
  /** null: the kubeconfig's, or else `default`. */
  readonly namespace: string | null;
  readonly yes: boolean;
  readonly dryRun: boolean;
  readonly timeoutMs: number;
}

/** The guard makes a hand-off anew that is still in its ledger a little later. */
const LONGEST = {
  ms: 30_000,
  problem: '--timeout of a hand-off can be at most 30s: by then the guard would make it anew',
};

const OPTIONS: Options = {
  ...MEANT,
  guard: { type: 'string' },
  to: { type: 'string' },
  timeout: { type: 'string' },
  yes: { type: 'boolean', short: 'y' },
  'dry-run': { type: 'boolean' },
};

/** `etcd-guard handoff`, as it is read. */
export const HAND_OFF: Command<HandOffConfig> = { options: OPTIONS, word: { is: 'pod' }, read };

function read(given: Given): HandOffConfig {
  const pod = podName(given.words[0], given);
  const to = podName(text(given, 'to'), given);
  if (pod !== null && pod === to) {
    given.problems.push(`leadership can't be moved from ${pod} to itself`);
  }
  const timeoutMs = duration(given, 'timeout', '10s', LONGEST);
  return {
    command: 'handoff',
    guards: guardsConfig(given),
    pod,
    to,
    guard: guardName(text(given, 'guard'), given),
    namespace: namespaceName(given),
    yes: flag(given, 'yes'),
    dryRun: flag(given, 'dry-run'),
    timeoutMs,
  };
}
