import { z } from 'zod';
import type { Child } from './child.ts';
import type { Target } from './connection.ts';

/** A kind of request that the load generator can send. */
export interface Shot {
  readonly name: string;
  readonly target: Target;
  readonly body: Buffer;
  /** What every answer has to contain. */
  readonly expected: readonly string[];
}

const timesSchema = z.array(z.number());
const rateSchema = z.object({
  answers: z.int(),
  seconds: z.number(),
  medianMs: z.number(),
  p99Ms: z.number(),
  busy: z.number(),
});
const eachSchema = z.object({ taken: timesSchema, seconds: z.number() });
const firstSchema = z.object({ handshakeMs: z.number(), taken: timesSchema });

/** A slice of load. `busy`: processors that the generator itself kept busy. */
export type Rate = z.infer<typeof rateSchema>;

const SPARE_MS = 60_000;

/** The load generator, in a process of its own. */
export class Load {
  readonly #child: Child;

  constructor(child: Child) {
    this.#child = child;
  }

  async prepare(...shots: readonly Shot[]): Promise<void> {
    for (const { body, ...shot } of shots) {
      await this.#child.ask('prepare', { ...shot, body: body.toString() }, { result: z.null() });
    }
  }

  /** Milliseconds of so many requests, one after another on one connection. */
  latencies(name: string, count: number): Promise<readonly number[]> {
    const withinMs = SPARE_MS + count * 100;
    return this.#child.ask('latencies', { name, count }, { result: timesSchema, withinMs });
  }

  /** The connections take turns at the kinds of request. */
  rate(
    names: readonly string[],
    { connections, ms }: { readonly connections: number; readonly ms: number },
  ): Promise<Rate> {
    const withinMs = SPARE_MS + ms;
    return this.#child.ask('rate', { names, connections, ms }, { result: rateSchema, withinMs });
  }

  /** Each of these once, spread over so many connections. */
  each(names: readonly string[], connections: number): Promise<z.infer<typeof eachSchema>> {
    const withinMs = SPARE_MS + names.length * 100;
    return this.#child.ask('each', { names, connections }, { result: eachSchema, withinMs });
  }

  /** The first requests on a connection that is made for them. */
  first(name: string, count: number): Promise<z.infer<typeof firstSchema>> {
    return this.#child.ask('first', { name, count }, { result: firstSchema });
  }
}
