import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { z } from 'zod';
import { forgetProcess, reapProcess } from '../test/harness/reaper.ts';

/** How a guard is started. */
export interface GuardOptions {
  /** The bundle's entry. */
  readonly main: string;
  /** The arguments that say where its guards come from. */
  readonly source: readonly string[];
  readonly certFile: string;
  readonly keyFile: string;
  readonly env: NodeJS.ProcessEnv;
  /** More arguments for Node itself. */
  readonly execArgv?: readonly string[];
  readonly startWithinMs?: number;
}

const listeningSchema = z.object({
  msg: z.literal('listening'),
  https: z.string(),
  http: z.string(),
});
const START_MS = 15_000;

/** A guard, started from the bundle. */
export class Guard {
  readonly #process: ChildProcess;
  /** From before the process was made to its line "listening". */
  readonly startMs: number;
  readonly port: number;
  readonly #url: string;

  private constructor(child: ChildProcess, startMs: number, at: z.infer<typeof listeningSchema>) {
    this.#process = child;
    this.startMs = startMs;
    this.port = Number(at.https.split(':').at(-1));
    this.#url = `http://${at.http}`;
  }

  static async start(options: GuardOptions): Promise<Guard> {
    const args = [
      ...(options.execArgv ?? []),
      options.main,
      'serve',
      ...options.source,
      '--tls-cert',
      options.certFile,
      '--tls-key',
      options.keyFile,
      '--listen=127.0.0.1:0',
      '--metrics-listen=127.0.0.1:0',
    ];
    const startedAt = performance.now();
    const child = spawn(process.execPath, args, {
      env: options.env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const { pid } = child;
    if (pid !== undefined) {
      reapProcess(pid);
      child.once('exit', () => forgetProcess(pid));
    }
    const at = await listening(child, options.startWithinMs ?? START_MS);
    // Its log is read, as a container runtime would read it, and thrown away.
    child.stdout?.resume();
    return new Guard(child, performance.now() - startedAt, at);
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Whether it has ended or does so now: a request fails before the end of a process is known. */
  async ends(withinMs = 5_000): Promise<boolean> {
    if (!this.running) return true;
    const signal = AbortSignal.timeout(withinMs);
    return once(this.#process, 'exit', { signal }).then(
      () => true,
      () => false,
    );
  }

  /** Whether it would take reviews. */
  async ready(): Promise<boolean> {
    const response = await fetch(`${this.#url}/readyz`);
    await response.arrayBuffer();
    return response.ok;
  }

  async metrics(): Promise<string> {
    const response = await fetch(`${this.#url}/metrics`);
    return response.text();
  }

  /** The sum of all samples of a metric. */
  async metric(name: string): Promise<number> {
    const samples = (await this.metrics())
      .split('\n')
      .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
    if (samples.length === 0) throw new Error(`the guard has no metric ${name}`);
    return samples.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  async stop(): Promise<void> {
    if (!this.running) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }
}

async function listening(
  child: ChildProcess,
  withinMs: number,
): Promise<z.infer<typeof listeningSchema>> {
  const { promise, resolve, reject } = Promise.withResolvers<z.infer<typeof listeningSchema>>();
  let text = '';
  const read = (chunk: string): void => {
    text += chunk;
    const line = text.split('\n').find((one) => one.includes('"listening"') && one.endsWith('}'));
    if (line !== undefined) resolve(listeningSchema.parse(JSON.parse(line)));
  };
  child.stdout?.setEncoding('utf8').on('data', read);
  child.once('error', reject);
  child.once('exit', (code) => reject(new Error(`the guard ended with ${String(code)}:\n${text}`)));
  const timer = setTimeout(() => reject(new Error(`not listening:\n${text}`)), withinMs);
  try {
    return await promise;
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  } finally {
    clearTimeout(timer);
    child.stdout?.off('data', read);
  }
}
