import type { Bench } from '../bench.ts';
import { residentMiB } from '../process-figures.ts';
import { atMost, none, type PartResult } from '../result.ts';
import type { Stage } from '../stage.ts';

const REVIEWS = 1_000;
const PARTS_OF_LOAD = 12;

/**
 * Requests to etcd that unguarded reviews make, and what full load leaves in memory: of a guard of its own,
 * since the 256 connections of another part stay open and in memory.
 */
export async function memory(bench: Bench): Promise<PartResult> {
  const stage = await bench.newStage(3);
  try {
    await bench.warmUp(stage);
    return await measured(bench, stage);
  } finally {
    await stage.stop();
  }
}

async function measured(bench: Bench, stage: Stage): Promise<PartResult> {
  const ms = bench.options.lengths.fullLoadMs;
  const etcdRequests = await countEtcdRequests(stage);
  bench.progress(`${ms / 1000} s of full load`);
  const { resident, answers } = await fullLoad(stage, ms);
  const last = resident.at(-1) ?? Number.NaN;
  const rows = [
    none({
      what: 'etcd requests of unguarded reviews',
      measured: String(etcdRequests),
      against: `${REVIEWS} reviews`,
      figure: etcdRequests,
    }),
    ...atMost([110, 128], {
      what: 'resident after full load',
      measured: `${last.toFixed(0)} MiB`,
      against: `${ms / 1000} s, at most ${Math.max(...resident).toFixed(0)} MiB`,
      figure: last,
    }),
  ];
  return { rows, tables: [], data: { etcdRequests, resident, answers } };
}

/** The fewest of three tries: the guard looks at its clusters every 30 s of its own accord. */
async function countEtcdRequests({ guard, load }: Stage): Promise<number> {
  const sent = (): Promise<number> => guard.metric('etcdguard_etcd_request_duration_seconds_count');
  const seen: number[] = [];
  while (seen.length < 3 && !seen.includes(0)) {
    const before = await sent();
    await load.latencies('unguarded', REVIEWS);
    seen.push((await sent()) - before);
  }
  return Math.min(...seen);
}

/** Half of the connections ask for the leader, half for a pod that nobody guards. */
async function fullLoad({ guard, load }: Stage, ms: number) {
  const resident: number[] = [];
  let answers = 0;
  for (let part = 0; part < PARTS_OF_LOAD; part += 1) {
    const how = { connections: 32, ms: ms / PARTS_OF_LOAD };
    answers += (await load.rate(['refused', 'unguarded'], how)).answers;
    resident.push(await residentMiB(guard.pid));
  }
  return { resident, answers };
}
