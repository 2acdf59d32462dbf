import { execa } from 'execa';
import { command, output } from './narration.ts';

export interface CommandOutcome {
  readonly exitCode: number;
  /** stdout and stderr, as they came. */
  readonly text: string;
}

export interface ShellOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Ends what runs. */
  readonly signal: AbortSignal;
}

/** A program and its arguments. */
export type Command = readonly [string, ...(readonly string[])];

/** Runs commands and shows them, their output as it comes. */
export class Shell {
  readonly #options: ShellOptions;

  constructor(options: ShellOptions) {
    this.#options = options;
  }

  async show(...line: Command): Promise<CommandOutcome> {
    command(asTyped(line));
    return this.#run(line, output);
  }

  /** Two at the same moment. */
  async showBoth(one: Command, other: Command): Promise<readonly [CommandOutcome, CommandOutcome]> {
    command(`${asTyped(one)} & ${asTyped(other)} & wait`);
    return Promise.all([this.#run(one, output), this.#run(other, output)]);
  }

  async quietly(...line: Command): Promise<CommandOutcome> {
    return this.#run(line, () => undefined);
  }

  async #run([program, ...args]: Command, heard: (line: string) => void): Promise<CommandOutcome> {
    const { cwd, env, signal } = this.#options;
    const running = execa(program, args, {
      cwd,
      env,
      cancelSignal: signal,
      reject: false,
      all: true,
      stdin: 'ignore',
    });
    for await (const line of running.iterable({ from: 'all' })) heard(line);
    const { exitCode, all } = await running;
    return { exitCode: exitCode ?? 1, text: all };
  }
}

function asTyped(words: Command): string {
  return words.map(quoted).join(' ');
}

function quoted(word: string): string {
  return /^[\w./:=,@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
