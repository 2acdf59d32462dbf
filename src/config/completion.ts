import type { Command } from './command.ts';
import type { Given } from './values.ts';

/** The shells that completion is for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** `etcd-guard completion`. */
export interface CompletionConfig {
  readonly command: 'completion';
  readonly shell: (typeof SHELLS)[number];
}

/** What a shell asks while somebody types. */
export interface CompleteConfig {
  readonly command: '__complete';
  /** The last is being typed, and may be empty. */
  readonly words: readonly string[];
}

/** `etcd-guard completion`, as it is read. */
export const COMPLETION: Command<CompletionConfig> = {
  options: {},
  word: { is: 'shell', missing: 'the name of a shell is missing: bash, zsh or fish' },
  read,
};

function read({ words: [word], problems }: Given): CompletionConfig {
  const shell = SHELLS.find((one) => one === word);
  if (word !== undefined && shell === undefined) {
    problems.push(`no completion for '${word}'; the shells are ${SHELLS.join(', ')}`);
  }
  return { command: 'completion', shell: shell ?? 'bash' };
}
