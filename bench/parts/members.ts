import type { Bench } from '../bench.ts';
import { oneByOne, type OneByOne, type Timed } from '../one-by-one.ts';
import { inMicroseconds, inMs, perSecond, type PartResult } from '../result.ts';
import { median } from '../statistics.ts';

/** Clusters of other sizes. One or two members can spare nobody. */
export async function members(bench: Bench): Promise<PartResult> {
  const { lengths } = bench.options;
  const lines: string[][] = [];
  const data: unknown[] = [];
  for (const count of lengths.members) {
    const stage = count === 3 ? await bench.stage() : await bench.newStage(count);
    try {
      if (count !== 3) await bench.warmUp(stage);
      const spared = count < 3 ? [] : (['spared'] as const);
      const taken = await oneByOne(stage, ['unguarded', 'refused', ...spared], lengths);
      const rates: number[] = [];
      while (rates.length < lengths.loadTurns) {
        const how = { connections: 32, ms: lengths.loadMs };
        const { answers, seconds } = await stage.load.rate(['refused'], how);
        rates.push(answers / seconds);
      }
      lines.push([String(count), ...cellsOf(taken), perSecond(median(rates))]);
      data.push({ members: count, oneByOne: Object.fromEntries(taken), refusedAt32: rates });
    } finally {
      if (count !== 3) await stage.stop();
    }
  }
  const columns = [
    'members',
    'round',
    'refused',
    '/ (round + unguarded)',
    'processor time',
    'spared',
    'refused at 32',
  ];
  const table = { title: 'Members, one connection and 32', columns, lines };
  return { rows: [], tables: [table], data };
}

function cellsOf(taken: ReadonlyMap<Timed, OneByOne>): readonly string[] {
  const ms = (name: Timed): number => taken.get(name)?.medianMs ?? Number.NaN;
  const ratio = ms('refused') / (ms('round') + ms('unguarded'));
  return [
    inMs(ms('round')),
    inMs(ms('refused')),
    ratio.toFixed(2),
    inMicroseconds(taken.get('refused')?.processorMs ?? Number.NaN),
    taken.has('spared') ? inMs(ms('spared')) : '-',
  ];
}
