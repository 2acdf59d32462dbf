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

/** Runs commands and shows them, their output as it comes. */
export class Shell {
  readonly #options: ShellOptions;

  constructor(options: ShellOptions) {
    this.#options = options;
  }

  async show(program: string, ...args: readonly string[]): Promise<CommandOutcome> {
    command([program, ...args].map(quoted).join(' '));
    return this.#run([program, ...args], output);
  }

  async quietly(program: string, ...args: readonly string[]): Promise<CommandOutcome> {
    return this.#run([program, ...args], () => undefined);
  }

  async #run(
    [program = '', ...args]: readonly string[],
    heard: (line: string) => void,
  ): Promise<CommandOutcome> {
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

function quoted(word: string): string {
  return /^[\w./:=,@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
