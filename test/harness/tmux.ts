import { execa } from 'execa';
import { join } from 'node:path';
import { ManagedProcess } from './managed-process.ts';
import { temporaryDirectory, type TemporaryDirectory } from './reaper.ts';
import { requireBinary } from './require-binary.ts';
import { until } from './until.ts';

export interface TmuxOptions {
  readonly columns: number;
  readonly rows?: number;
  /** Of the shell and what is run in it, beside PATH. */
  readonly env?: Readonly<Record<string, string>>;
  /** bash without start-up files otherwise. */
  readonly shell?: readonly string[];
}

/** A terminal of that size with a shell in it, whose prompt is `$ `. */
export class Tmux {
  readonly #server: ManagedProcess;
  readonly #directory: TemporaryDirectory;
  readonly #tmux: (...args: readonly string[]) => Promise<string>;

  private constructor(
    server: ManagedProcess,
    directory: TemporaryDirectory,
    tmux: (...args: readonly string[]) => Promise<string>,
  ) {
    this.#server = server;
    this.#directory = directory;
    this.#tmux = tmux;
  }

  static async start({ columns, rows = 24, env = {}, shell }: TmuxOptions): Promise<Tmux> {
    const binary = requireBinary('tmux');
    const directory = await temporaryDirectory('tmux');
    const socket = join(directory.path, 'socket');
    const own = {
      PATH: process.env['PATH'] ?? '',
      HOME: directory.path,
      LC_ALL: 'C.UTF-8',
      TERM: 'xterm-256color',
      PS1: '$ ',
      ...env,
    };
    const tmux = async (...args: readonly string[]): Promise<string> => {
      const words = ['-S', socket, '-f', '/dev/null', ...args];
      const { stdout } = await execa(binary, words, { env: own, extendEnv: false });
      return stdout;
    };
    // In the foreground, so that it ends with the tests.
    const server = await ManagedProcess.start(
      binary,
      ['-u', '-S', socket, '-f', '/dev/null', '-D'],
      { name: 'tmux', env: own },
    );
    const size = ['-x', String(columns), '-y', String(rows)];
    const command = shell ?? ['bash', '--noprofile', '--norc', '-i'];
    try {
      await until('tmux answers', async () => {
        await tmux('new-session', '-d', ...size, ...command);
        return true;
      });
    } catch (error) {
      await server.kill();
      await directory.remove();
      throw error;
    }
    const started = new Tmux(server, directory, tmux);
    await started.shows(/^\$ ?$/m);
    return started;
  }

  /** The lines on the screen, blanks at their ends and empty lines below left out. */
  async screen(): Promise<string> {
    return (await this.#tmux('capture-pane', '-p')).trimEnd();
  }

  /** The same, with colours, as escape sequences. */
  async colored(): Promise<string> {
    return (await this.#tmux('capture-pane', '-p', '-e')).trimEnd();
  }

  /** All that can be scrolled back to, and the screen. */
  async scrollback(): Promise<string> {
    return (await this.#tmux('capture-pane', '-p', '-S', '-')).trimEnd();
  }

  /** Writes to this file whatever the terminal is sent from now on. */
  async record(file: string): Promise<void> {
    await this.#tmux('pipe-pane', `exec cat >'${file}'`);
  }

  /** A tmux variable of the pane, such as `cursor_flag`. */
  async variable(name: string): Promise<string> {
    return this.#tmux('display-message', '-p', `#{${name}}`);
  }

  /** Types the text, and nothing more. */
  async type(text: string): Promise<void> {
    await this.#tmux('send-keys', '-l', '--', text);
  }

  /** `Enter`, `Tab`, `C-c` */
  async press(...keys: readonly string[]): Promise<void> {
    await this.#tmux('send-keys', ...keys);
  }

  async run(command: string): Promise<void> {
    await this.type(command);
    await this.press('Enter');
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#tmux('resize-window', '-x', String(columns), '-y', String(rows));
  }

  /** The screen, as soon as it matches. */
  async shows(pattern: RegExp, timeoutMs = 20_000): Promise<string> {
    let last = '';
    return until(
      `the terminal shows ${String(pattern)}`,
      async () => {
        last = await this.screen();
        return pattern.test(last) ? last : undefined;
      },
      { timeoutMs },
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}; it shows:\n${last}`, { cause: error });
    });
  }

  async stop(): Promise<void> {
    await this.#tmux('kill-server').catch(() => undefined);
    await this.#server.kill();
    await this.#directory.remove();
  }
}
