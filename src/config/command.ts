import type { Given } from './values.ts';

/** As Node's `parseArgs` takes it; `values` are all that it may have, where these are a closed set. */
export interface Option {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  readonly multiple?: boolean;
  readonly values?: readonly string[];
}

/** By their long names, in the order in which completion offers them. */
export type Options = Readonly<Record<string, Option>>;

/** What the word after a command is. */
export type Word = 'pod' | 'guard' | 'reason' | 'shell';

/** A command: what may stand behind it, and what that asks for. */
export interface Command<Asked> {
  /** Besides --help, which each command has. */
  readonly options: Options;
  /** The one word that may follow; with `missing`, which is said then, it has to. */
  readonly word?: { readonly is: Word; readonly missing?: string };
  /** What it gives counts only where there are no problems. */
  readonly read: (given: Given) => Asked;
}
