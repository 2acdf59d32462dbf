import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { startGuard, type GuardProcess } from '../harness/guard-process.ts';
import type { History } from './history.ts';

/** The built program, several times, with clocks of their own. */
export class Replicas {
  readonly #program: string;
  readonly #kubeconfig: string;
  readonly #directory: string;
  readonly #history: History;
  readonly #all: (GuardProcess | undefined)[] = [];
  readonly #skews: number[] = [];
  #over = false;

  constructor(init: {
    readonly program: string;
    readonly kubeconfig: string;
    readonly directory: string;
    readonly history: History;
  }) {
    this.#program = init.program;
    this.#kubeconfig = init.kubeconfig;
    this.#directory = init.directory;
    this.#history = init.history;
  }

  /** undefined while it is down. */
  at(replica: number): GuardProcess | undefined {
    return this.#all[replica];
  }

  /** As a Service: whoever listens, in turn. Who is paused is still taken for alive. */
  next(turn: number): number {
    const listening = this.#all.flatMap((one, index) => (one?.process.running ? [index] : []));
    return listening[turn % listening.length] ?? 0;
  }

  async start(replica: number, skewMs = this.#skews[replica] ?? 0): Promise<void> {
    if (this.#over) return;
    this.#skews[replica] = skewMs;
    const started = await startGuard({
      program: await this.#skewed(skewMs),
      guards: null,
      args: [`--kubeconfig=${this.#kubeconfig}`],
    });
    this.#all[replica] = started;
    this.#history.add({ kind: 'replica', replica, state: 'started', skewMs });
    void this.#untilItEnds(replica, started);
  }

  async kill(replica: number): Promise<void> {
    const one = this.#all[replica];
    if (one === undefined) return;
    this.#history.add({ kind: 'replica', replica, state: 'killed' });
    await one.stop();
  }

  pause(replica: number): void {
    this.#all[replica]?.process.pause();
    this.#history.add({ kind: 'replica', replica, state: 'paused' });
  }

  resume(replica: number): void {
    if (this.#all[replica] === undefined) return;
    this.#all[replica].process.resume();
    this.#history.add({ kind: 'replica', replica, state: 'resumed' });
  }

  /** The end of what each has logged, for when something went wrong. */
  get logs(): readonly string[] {
    return this.#all.map((one) => one?.process.output ?? '');
  }

  async stop(): Promise<void> {
    this.#over = true;
    const running = this.#all.filter((one) => one !== undefined);
    await Promise.all(running.map((one) => one.stop()));
  }

  async #untilItEnds(replica: number, started: GuardProcess): Promise<void> {
    await started.process.exit;
    this.#history.add({ kind: 'replica', replica, state: 'killed' });
    if (this.#all[replica] === started) this.#all[replica] = undefined;
  }

  /** The program as it is, but for its clock. */
  async #skewed(skewMs: number): Promise<string> {
    if (skewMs === 0) return this.#program;
    await mkdir(this.#directory, { recursive: true });
    const path = join(this.#directory, `skewed-by-${skewMs}.mjs`);
    await writeFile(
      path,
      [
        'const RealDate = Date;',
        `const now = () => RealDate.now() + (${skewMs});`,
        'globalThis.Date = class extends RealDate {',
        '  constructor(...args) { if (args.length === 0) super(now()); else super(...args); }',
        '  static now() { return now(); }',
        '};',
        `await import(${JSON.stringify(pathToFileURL(this.#program).href)});`,
        '',
      ].join('\n'),
    );
    return path;
  }
}
