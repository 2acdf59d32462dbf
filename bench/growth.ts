import { setTimeout as delay } from 'node:timers/promises';
import type { Bench } from './bench.ts';
import type { Guard } from './guard.ts';
import { namespaceOf } from './guard-documents.ts';
import { until } from '../test/harness/until.ts';
import { processorMs, residentMiB } from './process-figures.ts';
import { atMost, inMiB, inMicroseconds, inMs, type Row, type Table } from './result.ts';
import { deletionReview } from './reviews.ts';
import { ALLOWED, REFUSED, type Stage } from './stage.ts';
import { median } from './statistics.ts';

/** A process with so many guards. */
export interface Growth {
  readonly guards: number;
  /** MiB of old space that it was given: the image's, or more where that was too little. */
  readonly heapMiB: number;
  readonly readyMs: number;
  /** Without any review, in percent of a processor. */
  readonly idlePercent: number;
  readonly etcdCallsPerMinute: number;
  readonly idleMiB: number;
  readonly afterLoadMiB: number;
  readonly refusedMs: number;
  readonly refusedProcessorMs: number;
  readonly unguardedMs: number;
  readonly unguardedProcessorMs: number;
  readonly scrapeMs: number;
  readonly scrapeKiB: number;
}

/** A heap that is tried when the image's does not do. */
const LARGE_HEAP_MIB = 512;
const HEAP = /--max-old-space-size=(\d+)/;
const START_MS = 180_000;
const READY_MS = 300_000;

interface GrowthOptions {
  readonly guards: number;
  /** The arguments that say where they come from. */
  readonly source: readonly string[];
  /** Anything else to be done while the guard is at rest. */
  readonly atRest?: () => Promise<void>;
}

/** What it takes to have that many guards; if they end the process, with a larger heap. */
export async function grow(bench: Bench, stage: Stage, options: GrowthOptions): Promise<Growth> {
  const { env } = stage.guardOptions;
  const words = env['NODE_OPTIONS'] ?? '';
  const image = Number(HEAP.exec(words)?.[1]);
  const first = await growWith(bench, stage, { ...options, env, heapMiB: image });
  if (first !== 'ended') return first;
  bench.progress(`the guard ended; again with ${LARGE_HEAP_MIB} MiB of heap`);
  const larger = words.replace(HEAP, `--max-old-space-size=${LARGE_HEAP_MIB}`);
  const second = await growWith(bench, stage, {
    ...options,
    env: { ...env, NODE_OPTIONS: larger },
    heapMiB: LARGE_HEAP_MIB,
  });
  if (second === 'ended') throw new Error(`the guard ended with ${LARGE_HEAP_MIB} MiB of heap too`);
  return second;
}

async function growWith(
  bench: Bench,
  stage: Stage,
  {
    heapMiB,
    ...options
  }: GrowthOptions & { readonly env: NodeJS.ProcessEnv; readonly heapMiB: number },
): Promise<Growth | 'ended'> {
  const begin = performance.now();
  const guard = await stage.startGuard({ ...options, startWithinMs: START_MS }).catch(notStarted);
  if (guard === null) return 'ended';
  try {
    await until('the guard is ready', () => guard.ready(), { timeoutMs: READY_MS });
    const readyMs = performance.now() - begin;
    return { heapMiB, readyMs, ...(await grown(bench, stage, { ...options, guard })) };
  } catch (error) {
    if (await guard.ends()) return 'ended';
    throw error;
  } finally {
    await guard.stop();
  }
}

/** Too many guards end it before it listens. */
function notStarted(error: unknown): null {
  process.stderr.write(`${String(error)}\n`);
  return null;
}

/** Figures before and after reviews of the last guard. */
async function grown(
  bench: Bench,
  stage: Stage,
  { guard, guards, atRest }: GrowthOptions & { readonly guard: Guard },
): Promise<Omit<Growth, 'heapMiB' | 'readyMs'>> {
  const { steadyMs } = bench.options.lengths;
  await delay(steadyMs);
  const calls = await etcdCalls(guard);
  const before = await processorMs(guard.pid);
  const start = performance.now();
  await delay(steadyMs);
  const elapsedMs = performance.now() - start;
  const idlePercent = (((await processorMs(guard.pid)) - before) / elapsedMs) * 100;
  const etcdCallsPerMinute = (((await etcdCalls(guard)) - calls) / elapsedMs) * 60_000;
  const idleMiB = await residentMiB(guard.pid);
  await atRest?.();
  const reviews = await reviewed(bench, stage, { guard, guards });
  const scrapeStart = performance.now();
  const scrapeKiB = (await guard.metrics()).length / 1024;
  const scrapeMs = performance.now() - scrapeStart;
  const idle = { guards, idlePercent, etcdCallsPerMinute, idleMiB };
  return { ...idle, ...reviews, scrapeMs, scrapeKiB };
}

async function etcdCalls(guard: Guard): Promise<number> {
  return guard.metric('etcdguard_etcd_request_duration_seconds_count');
}

async function reviewed(
  { options: { lengths } }: Bench,
  stage: Stage,
  { guard, guards }: { readonly guard: Guard; readonly guards: number },
) {
  const { leader } = await stage.roles();
  const target = stage.targetOf(guard);
  const namespace = namespaceOf(guards - 1);
  const refused = { name: leader, app: 'etcd', namespace, dryRun: false };
  const unguarded = { name: 'shop-0', app: 'shop', namespace, dryRun: false };
  const names = { refused: `refused ${guard.pid}`, unguarded: `unguarded ${guard.pid}` };
  await stage.load.prepare(
    { name: names.refused, target, body: deletionReview(refused), expected: REFUSED },
    { name: names.unguarded, target, body: deletionReview(unguarded), expected: ALLOWED },
  );
  const count = lengths.turns * lengths.perTurn;
  const timed = async (name: string) => {
    await stage.load.latencies(name, lengths.turns);
    const before = await processorMs(guard.pid);
    const ms = median(await stage.load.latencies(name, count));
    return { ms, processorMs: ((await processorMs(guard.pid)) - before) / count };
  };
  const deny = await timed(names.refused);
  const allow = await timed(names.unguarded);
  const how = { connections: 32, ms: lengths.fullLoadMs / 4 };
  await stage.load.rate([names.refused, names.unguarded], how);
  return {
    refusedMs: deny.ms,
    refusedProcessorMs: deny.processorMs,
    unguardedMs: allow.ms,
    unguardedProcessorMs: allow.processorMs,
    afterLoadMiB: await residentMiB(guard.pid),
  };
}

/** The aims: memory with a thousand guards, and processor time with none of them asked about. */
export function growthRows(measured: readonly Growth[], where: string): readonly Row[] {
  const many = measured.filter(({ guards }) => guards >= 100);
  return many.flatMap(({ guards, idlePercent, afterLoadMiB, heapMiB }) => [
    ...atMost([0.5], {
      what: `idle processor time, ${guards} guards ${where}`,
      measured: `${idlePercent.toFixed(2)} %`,
      against: 'percent of a processor for each 100 guards',
      figure: idlePercent / (guards / 100),
    }),
    ...(guards === 1_000
      ? atMost([250], {
          what: `resident, ${guards} guards ${where}`,
          measured: inMiB(afterLoadMiB),
          against: `after load, ${heapMiB} MiB of heap`,
          figure: afterLoadMiB,
        })
      : []),
  ]);
}

export function growthTables(measured: readonly Growth[], where: string): readonly Table[] {
  const per = (cells: (one: Growth) => readonly string[]): string[][] =>
    measured.map((one) => [String(one.guards), ...cells(one)]);
  return [
    {
      title: `Guards ${where}: at rest`,
      columns: ['guards', 'ready after', 'processor', 'etcd calls/min', 'resident', 'heap limit'],
      lines: per((one) => [
        `${one.readyMs.toFixed(0)} ms`,
        `${one.idlePercent.toFixed(2)} %`,
        one.etcdCallsPerMinute.toFixed(0),
        inMiB(one.idleMiB),
        inMiB(one.heapMiB),
      ]),
    },
    {
      title: `Guards ${where}: reviewed`,
      columns: [
        'guards',
        'refused',
        'processor time',
        'unguarded',
        'processor time',
        'resident after',
        'scrape',
        'of',
      ],
      lines: per((one) => [
        inMs(one.refusedMs),
        inMicroseconds(one.refusedProcessorMs),
        inMs(one.unguardedMs),
        inMicroseconds(one.unguardedProcessorMs),
        inMiB(one.afterLoadMiB),
        inMs(one.scrapeMs),
        `${one.scrapeKiB.toFixed(0)} KiB`,
      ]),
    },
  ];
}
