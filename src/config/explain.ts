import type { Command } from './command.ts';

/** `etcd-guard explain`. */
export interface ExplainConfig {
  readonly command: 'explain';
  /** null: all of them. */
  readonly reason: string | null;
}

/** `etcd-guard explain`, as it is read. */
export const EXPLAIN: Command<ExplainConfig> = {
  options: {},
  word: { is: 'reason' },
  read: ({ words }) => ({ command: 'explain', reason: words[0] ?? null }),
};
