import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { z } from 'zod';

const questionSchema = z.object({ id: z.int(), method: z.string(), params: z.unknown() });
const replySchema = z.object({
  id: z.int(),
  result: z.unknown().optional(),
  error: z.string().optional(),
});

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** How Node is started. */
export interface ChildOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Arguments for Node itself. */
  readonly execArgv: string[];
}

/** A part of the bench in a process of its own, which ends with this one. */
export class Child {
  readonly #name: string;
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #asked = 0;

  constructor(script: string, options: ChildOptions) {
    this.#name = script;
    this.#process = fork(new URL(script, import.meta.url), { ...options, stdio: 'inherit' });
    this.#process.on('message', (message) => {
      const { id, result, error } = replySchema.parse(message);
      if (error === undefined) this.#waiting.get(id)?.resolve(result);
      else this.#waiting.get(id)?.reject(new Error(`${script}: ${error}`));
      this.#waiting.delete(id);
    });
    this.#process.once('exit', (code, signal) => {
      const how = signal ?? `code ${String(code)}`;
      for (const { reject } of this.#waiting.values()) {
        reject(new Error(`${script} ended with ${how}`));
      }
      this.#waiting.clear();
    });
  }

  /** Has the child do something and waits for what comes of it, which has to be of that shape. */
  async ask<T>(
    method: string,
    params: unknown,
    { result, withinMs = 60_000 }: { readonly result: z.ZodType<T>; readonly withinMs?: number },
  ): Promise<T> {
    this.#asked += 1;
    const id = this.#asked;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#waiting.set(id, { resolve, reject });
    const timer = setTimeout(() => {
      this.#waiting.delete(id);
      reject(new Error(`${this.#name}: '${method}' took more than ${withinMs} ms`));
    }, withinMs);
    try {
      this.#process.send({ id, method, params });
      return result.parse(await promise);
    } finally {
      clearTimeout(timer);
    }
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }
}

/** The other end: answers what the parent asks, and ends when the parent has gone. */
export function answerParent(
  methods: Readonly<Record<string, (params: unknown) => Promise<unknown>>>,
): void {
  process.on('message', (message) => {
    const { id, method, params } = questionSchema.parse(message);
    const run = methods[method];
    const answered =
      run === undefined ? Promise.reject(new Error(`no method '${method}'`)) : run(params);
    answered.then(
      (result) => process.send?.({ id, result }),
      (error: unknown) => process.send?.({ id, error: String(error) }),
    );
  });
  // oxlint-disable-next-line unicorn/no-process-exit -- this is the entry of a process
  process.once('disconnect', () => process.exit());
}
