import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { forgetProcess, reapProcess } from './reaper.ts';
import { until } from './until.ts';

/** How much of the end of a process's output is kept, in characters. */
const OUTPUT_LIMIT = 128 * 1024;
const OUTPUT_IN_ERRORS = 4 * 1024;

export interface ProcessOptions {
  /** What errors call it; the command's own name otherwise. */
  readonly name?: string;
  /** The whole environment; this process's own otherwise. */
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Polled until it is true; while it throws, the process is not ready either. */
  readonly ready?: (started: ManagedProcess) => Promise<boolean> | boolean;
  readonly readyTimeoutMs?: number;
}

export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/**
 * A child process in a process group of its own, so that Ctrl-C reaches only its parent.
 * It does not outlive this process, whatever ends that.
 */
export class ManagedProcess {
  readonly name: string;
  readonly pid: number;
  /** Resolves when the process has ended and its output was read to the end; never rejects. */
  readonly exit: Promise<ProcessExit>;
  readonly #child: ChildProcess;
  #exited: ProcessExit | undefined;
  #output = '';
  #paused = false;

  private constructor(name: string, child: ChildProcess, pid: number) {
    this.name = name;
    this.pid = pid;
    this.#child = child;
    reapProcess(pid);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-OUTPUT_LIMIT);
      });
    }
    this.exit = new Promise((resolve) => {
      // 'exit' and not 'close' frees the id: the pipes may be held open by a grandchild.
      child.once('exit', (code, signal) => {
        forgetProcess(pid);
        this.#exited = { code, signal };
      });
      child.once('close', (code, signal) => resolve({ code, signal }));
    });
  }

  /** Resolves when the process is ready; if it ends first or takes too long, it is ended and its output is in the error. */
  static async start(
    command: string,
    args: readonly string[],
    options: ProcessOptions = {},
  ): Promise<ManagedProcess> {
    const name = options.name ?? basename(command);
    const child = spawn(command, args, {
      env: options.env ?? process.env,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    if (child.pid === undefined) {
      const [cause]: unknown[] = await once(child, 'error');
      throw new Error(`${name} did not start: ${String(cause)}`, { cause });
    }
    child.on('error', () => {});
    const started = new ManagedProcess(name, child, child.pid);
    const { ready } = options;
    if (ready !== undefined) await started.#becomeReady(ready, options.readyTimeoutMs ?? 30_000);
    return started;
  }

  /** The end of what it wrote to stdout and stderr. */
  get output(): string {
    return this.#output;
  }

  /** How it ended, or undefined while it runs (or is paused). */
  get exited(): ProcessExit | undefined {
    return this.#exited;
  }

  get running(): boolean {
    return this.#exited === undefined;
  }

  /** Whether it runs and is not paused. */
  get active(): boolean {
    return this.running && !this.#paused;
  }

  /** Sends a signal, if the process still runs. */
  signal(signal: NodeJS.Signals): void {
    // Never by a bare process id: once it has ended, that may be another's.
    if (this.running) this.#child.kill(signal);
  }

  /** SIGTERM, then SIGKILL after the grace. */
  async stop(graceMs = 10_000): Promise<ProcessExit> {
    this.signal('SIGTERM');
    this.resume();
    const timer = new AbortController();
    const ended = await Promise.race([
      this.exit,
      delay(graceMs, undefined, { signal: timer.signal }).catch(() => undefined),
    ]);
    timer.abort();
    return ended ?? this.kill();
  }

  /** Ends it with the signal, SIGKILL by default, and waits for the end. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<ProcessExit> {
    this.signal(signal);
    this.resume();
    return this.exit;
  }

  /** Stops it where it is: its sockets stay open and nobody answers, from the return on. */
  pause(): void {
    this.#paused = true;
    this.signal('SIGSTOP');
    waitUntilStopped(this.pid);
  }

  resume(): void {
    this.#paused = false;
    this.signal('SIGCONT');
  }

  /** The first match in the output, as soon as there is one. */
  async waitForOutput(pattern: RegExp, timeoutMs = 15_000): Promise<RegExpExecArray> {
    return this.orExplain(`no ${String(pattern)} in the output`, timeoutMs, () => {
      const match = pattern.exec(this.#output);
      return match ?? undefined;
    });
  }

  async #becomeReady(
    ready: NonNullable<ProcessOptions['ready']>,
    timeoutMs: number,
  ): Promise<void> {
    try {
      await this.orExplain('not ready', timeoutMs, async () => (await ready(this)) || undefined);
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  /** Like `until`, but gives up when the process ends, and has its output in the error. */
  async orExplain<T>(
    what: string,
    timeoutMs: number,
    probe: () => Promise<T | undefined> | T | undefined,
  ): Promise<T> {
    const ended = new AbortController();
    const watchForEnd = (): void =>
      ended.abort(new Error(`${what}: it ended ${this.#describeExit()}`));
    this.#child.once('close', watchForEnd);
    if (!this.running) watchForEnd();
    try {
      return await until(what, probe, { timeoutMs, signal: ended.signal });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new Error(`${this.name}: ${message}\n${this.#output.slice(-OUTPUT_IN_ERRORS)}`, {
        cause: error,
      });
    } finally {
      this.#child.off('close', watchForEnd);
    }
  }

  #describeExit(): string {
    const { code, signal } = this.#exited ?? {};
    return signal ? `by ${signal}` : `with code ${String(code)}`;
  }
}

const STOP_MS = 5_000;
/** After the name in brackets: stopped, or no more than a zombie. */
const STOPPED = /\) [TZX] [^)]*$/;

/**
 * A thread stops when it is next given a processor, which on a busy machine takes a moment. Waits
 * without letting others of this process run, for whoever pauses a process means now.
 */
function waitUntilStopped(pid: number): void {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const endsAt = performance.now() + STOP_MS;
  while (!hasStopped(pid)) {
    if (performance.now() > endsAt) throw new Error(`process ${pid} does not stop`);
    Atomics.wait(cell, 0, 0, 1);
  }
}

/** All its threads; where there is no /proc, nobody can tell. */
function hasStopped(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).every((thread) =>
      STOPPED.test(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1')),
    );
  } catch {
    return true;
  }
}
