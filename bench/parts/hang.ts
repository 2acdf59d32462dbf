import type { Bench } from '../bench.ts';
import { inMs, perSecond, type PartResult } from '../result.ts';
import type { Stage } from '../stage.ts';
import { median } from '../statistics.ts';

/**
 * One of five members is stopped by SIGSTOP: the kernel goes on accepting connections for it, and
 * nobody answers. The others can still be spared. Reviews have ten seconds, as the API server asks.
 */
export async function hang(bench: Bench): Promise<PartResult> {
  const stage = await bench.newStage(5);
  try {
    await bench.warmUp(stage);
    const victim = (await stage.etcd.followers()).at(-1)?.name ?? '';
    const before = await look(bench, stage, bench.options.lengths.turns);
    stage.etcd.pauseMember(victim);
    const during = await look(bench, stage, bench.options.lengths.hangs);
    const beside = await beside32(bench, stage);
    stage.etcd.resumeMember(victim);
    await stage.etcd.waitHealthy();
    const after = await look(bench, stage, bench.options.lengths.turns);
    const times = {
      title: 'A member that hangs, of five; medians at one connection',
      columns: ['', 'unguarded', 'refused', 'spared'],
      lines: [
        ['before', ...before.map(inMs)],
        ['while it hangs', ...during.map(inMs)],
        ['after', ...after.map(inMs)],
      ],
    };
    const rates = {
      title: 'While it hangs: 32 connections, half of each',
      columns: ['answers', 'slowest of a hundred'],
      lines: [[perSecond(beside.perSecond), inMs(beside.p99Ms)]],
    };
    return { rows: [], tables: [times, rates], data: { before, during, after, beside } };
  } finally {
    await stage.stop();
  }
}

async function look(bench: Bench, stage: Stage, count: number): Promise<readonly number[]> {
  const found: number[] = [];
  for (const name of ['unguarded', 'refused', 'spared']) {
    bench.progress(`${count} x ${name}`);
    found.push(median(await stage.load.latencies(name, count)));
  }
  return found;
}

async function beside32({ options }: Bench, { load }: Stage) {
  const how = { connections: 32, ms: options.lengths.fullLoadMs / 4 };
  const { answers, seconds, p99Ms } = await load.rate(['refused', 'unguarded'], how);
  return { perSecond: answers / seconds, p99Ms };
}
