import { z } from 'zod';
import { Sources } from './bundle.ts';

const profileSchema = z.object({
  nodes: z.array(
    z.object({
      id: z.int(),
      callFrame: z.object({
        functionName: z.string(),
        url: z.string(),
        lineNumber: z.int(),
        columnNumber: z.int(),
      }),
      children: z.array(z.int()).default([]),
    }),
  ),
  samples: z.array(z.int()),
  timeDeltas: z.array(z.number()),
});

export type Profile = z.infer<typeof profileSchema>;

/** What V8's profiler writes. */
export function parseProfile(value: unknown): Profile {
  return profileSchema.parse(value);
}

const PROFILER = 'the profiler itself';

/** Microseconds, without those in which the process had nothing to do, and those of profiling. */
export interface Spent {
  readonly busy: number;
  readonly byPart: ReadonlyMap<string, number>;
  /** In the function itself. */
  readonly self: ReadonlyMap<string, number>;
  /** With all that it called. */
  readonly inclusive: ReadonlyMap<string, number>;
}

interface Place {
  readonly name: string;
  readonly part: string;
}

/** Adds the samples up by function and by part of the program. */
export async function spentOf({ nodes, samples, timeDeltas }: Profile): Promise<Spent> {
  const selfTimes = new Map<number, number>();
  for (const [index, id] of samples.entries()) {
    selfTimes.set(id, (selfTimes.get(id) ?? 0) + (timeDeltas[index] ?? 0));
  }
  const parents = new Map(
    nodes.flatMap(({ id, children }) => children.map((child) => [child, id])),
  );
  const places = await placesOf(nodes, parents);
  const byPart = new Map<string, number>();
  const self = new Map<string, number>();
  const inclusive = new Map<string, number>();
  let busy = 0;
  for (const [id, time] of selfTimes) {
    const place = places.get(id);
    if (place === undefined || place.name === '(idle)' || place.part === PROFILER) continue;
    busy += time;
    add(byPart, place.part, time);
    add(self, place.name, time);
    for (const name of namesUpFrom(id, parents, places)) add(inclusive, name, time);
  }
  return { busy, byPart, self, inclusive };
}

function add(times: Map<string, number>, key: string, time: number): void {
  times.set(key, (times.get(key) ?? 0) + time);
}

/** Each once, however deep a function calls itself. */
function namesUpFrom(
  from: number,
  parents: ReadonlyMap<number, number>,
  places: ReadonlyMap<number, Place>,
): ReadonlySet<string> {
  const names = new Set<string>();
  for (let id: number | undefined = from; id !== undefined; id = parents.get(id)) {
    const name = places.get(id)?.name;
    if (name !== undefined && name !== '(root)') names.add(name);
  }
  return names;
}

async function placesOf(
  nodes: Profile['nodes'],
  parents: ReadonlyMap<number, number>,
): Promise<ReadonlyMap<number, Place>> {
  const sources = new Sources();
  const places = new Map<number, { readonly name: string; readonly part: string | null }>();
  for (const { id, callFrame } of nodes) {
    const { functionName, url, lineNumber, columnNumber } = callFrame;
    const { source, line } = url.startsWith('file:')
      ? await sources.at(url, lineNumber, columnNumber)
      : { source: url, line: lineNumber + 1 };
    const name = functionName === '' ? '(anonymous)' : functionName;
    const short = shortOf(source);
    const where = short === '' ? '' : `  ${short}:${line}`;
    places.set(id, { name: `${name}${where}`, part: partOf(name, short) });
  }
  const inherited = (id: number | undefined): string => {
    const place = id === undefined ? undefined : places.get(id);
    if (place === undefined) return 'built into V8 and Node';
    return place.part ?? inherited(parents.get(id ?? 0));
  };
  return new Map([...places].map(([id, { name }]) => [id, { name, part: inherited(id) }]));
}

function shortOf(source: string): string {
  if (source.includes('node_modules/')) return source.replace(/^.*node_modules\//, '');
  return source.replace(/^.*\/(?=(?:src|bench)\/)/, '');
}

const PARTS_BY_NAME: readonly (readonly [RegExp, string])[] = [
  [/^\(garbage collector\)$/, 'garbage collection'],
  [/^\(program\)$/, 'outside of JavaScript'],
  [/^(parseJson|sendJson)$/, 'JSON'],
];

/** The first that fits names the part. */
const PARTS_BY_SOURCE: readonly (readonly [RegExp, string])[] = [
  [/^src\/decision\//, 'decision'],
  // Nothing but the log writes to a file under load.
  [/^src\/telemetry\/logger|^(pino|sonic-boom|safe-stable-stringify|node:fs)/, 'log'],
  [/^src\/telemetry\/|^prom-client|^node:internal\/perf\//, 'metrics'],
  [/^src\/(etcd|sharing)\//, 'our etcd side'],
  [/^src\/(server|admission)\//, 'our server and admission'],
  [/^src\//, 'the rest of ours'],
  [/^bench\/|^node:inspector/, PROFILER],
  [/^@grpc\/grpc-js/, 'grpc-js'],
  [/^(@?protobufjs|@grpc\/proto-loader|long)\//, 'protobuf'],
  [/^(etcd3|cockatiel)\//, 'etcd3'],
  [/^node:internal\/http2/, "Node's HTTP/2"],
  [/^node:_?http/, "Node's HTTP"],
  [/^node:.*(stream|net$|buffer|tls)/, "Node's streams, sockets and TLS"],
  [/^node:.*(async|promise|timer|task_queue|diagnostics)/, "Node's timers, promises, contexts"],
  [/^node:/, 'the rest of Node'],
  [/^./, 'other packages'],
];

/** null: what is built in belongs to whoever called it. */
function partOf(name: string, source: string): string | null {
  const byName = PARTS_BY_NAME.find(([pattern]) => pattern.test(name));
  const bySource = PARTS_BY_SOURCE.find(([pattern]) => pattern.test(source));
  return (byName ?? bySource)?.[1] ?? null;
}
