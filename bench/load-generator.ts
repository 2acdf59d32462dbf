import { z } from 'zod';
import { answerParent } from './child.ts';
import { Connection, postOf, type Target } from './connection.ts';
import { quantile } from './statistics.ts';

/** A kind of request, and what every answer to it has to contain. */
interface Shot {
  readonly target: Target;
  readonly request: Buffer;
  readonly expected: readonly string[];
}

const targetSchema = z.object({ host: z.string(), port: z.int(), ca: z.string() });
const prepareSchema = z.object({
  name: z.string(),
  target: targetSchema,
  body: z.string(),
  expected: z.array(z.string()),
});
const latenciesSchema = z.object({ name: z.string(), count: z.int() });
const rateSchema = z.object({
  names: z.array(z.string()).min(1),
  connections: z.int(),
  ms: z.number(),
});
const eachSchema = z.object({ names: z.array(z.string()).min(1), connections: z.int() });
const firstSchema = z.object({ name: z.string(), count: z.int() });

const shots = new Map<string, Shot>();
/** By port: idle ones cost a server nothing, and handshakes are nobody's measure here. */
const pools = new Map<number, Connection[]>();

function shot(name: string): Shot {
  const found = shots.get(name);
  if (found === undefined) throw new Error(`no shot '${name}'`);
  return found;
}

async function connectionsTo(target: Target, count: number): Promise<readonly Connection[]> {
  const pool = (pools.get(target.port) ?? []).filter(({ open }) => open);
  pools.set(target.port, pool);
  while (pool.length < count) pool.push(await Connection.open(target));
  return pool.slice(0, count);
}

/** The milliseconds that it took. */
async function fire(connection: Connection, { request, expected }: Shot): Promise<number> {
  const start = performance.now();
  const answer = await connection.post(request);
  const taken = performance.now() - start;
  if (!answer.startsWith('HTTP/1.1 200 ') || !expected.every((text) => answer.includes(text))) {
    throw new Error(`expected ${expected.join(' and ')} in this answer:\n${answer}`);
  }
  return taken;
}

/** Requests one after another on one connection. */
async function latencies(one: Shot, count: number): Promise<readonly number[]> {
  const taken: number[] = [];
  for (const connection of await connectionsTo(one.target, 1)) {
    while (taken.length < count) taken.push(await fire(connection, one));
  }
  return taken;
}

/** As many as go through in that time; the connections take turns at the kinds of request. */
async function rate(kinds: readonly Shot[], connections: number, ms: number) {
  const [first] = kinds;
  if (first === undefined) throw new Error('nothing to send');
  const pool = await connectionsTo(first.target, connections);
  const cpu = process.cpuUsage();
  const start = performance.now();
  const taken: number[] = [];
  await Promise.all(
    pool.map(async (connection, index) => {
      const kind = kinds[index % kinds.length] ?? first;
      while (performance.now() - start < ms) taken.push(await fire(connection, kind));
    }),
  );
  const elapsedMs = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  return {
    answers: taken.length,
    seconds: elapsedMs / 1000,
    medianMs: quantile(taken, 0.5),
    p99Ms: quantile(taken, 0.99),
    busy: (user + system) / 1000 / elapsedMs,
  };
}

/** Each of these once, in that order, over so many connections. */
async function each(all: readonly Shot[], connections: number) {
  const [first] = all;
  if (first === undefined) throw new Error('nothing to send');
  const pool = await connectionsTo(first.target, connections);
  const left = all.values();
  const taken: number[] = [];
  const start = performance.now();
  await Promise.all(
    pool.map(async (connection) => {
      for (const one of left) taken.push(await fire(connection, one));
    }),
  );
  return { taken, seconds: (performance.now() - start) / 1000 };
}

/** On a connection of its own, from before the handshake, which is told apart. */
async function firstOnes(one: Shot, count: number) {
  const start = performance.now();
  const connection = await Connection.open(one.target);
  const handshakeMs = performance.now() - start;
  const taken: number[] = [];
  while (taken.length < count) taken.push(await fire(connection, one));
  connection.close();
  return { handshakeMs, taken };
}

answerParent({
  async prepare(params) {
    const { name, target, body, expected } = prepareSchema.parse(params);
    shots.set(name, { target, request: postOf(Buffer.from(body)), expected });
    return null;
  },
  async latencies(params) {
    const { name, count } = latenciesSchema.parse(params);
    return latencies(shot(name), count);
  },
  async rate(params) {
    const { names, connections, ms } = rateSchema.parse(params);
    return rate(names.map(shot), connections, ms);
  },
  async each(params) {
    const { names, connections } = eachSchema.parse(params);
    return each(names.map(shot), connections);
  },
  async first(params) {
    const { name, count } = firstSchema.parse(params);
    return firstOnes(shot(name), count);
  },
});
