import type { Bench } from '../bench.ts';
import { processorMs } from '../process-figures.ts';
import { inMicroseconds, inMs, type PartResult } from '../result.ts';
import { deletionReview } from '../reviews.ts';
import { ALLOWED, REFUSED, type ShotName, type Stage } from '../stage.ts';
import { median } from '../statistics.ts';

const PADDINGS = [0, 90_000, 900_000, 3_000_000] as const;

/** What larger pods cost; padding is one long annotation. */
export async function bodies(bench: Bench): Promise<PartResult> {
  const stage = await bench.stage();
  const { leader } = await stage.roles();
  const lines: string[][] = [];
  for (const padding of PADDINGS) {
    const unguarded = deletionReview({ name: 'shop-0', app: 'shop', dryRun: false, padding });
    const refused = deletionReview({ name: leader, app: 'etcd', dryRun: false, padding });
    const kinds = [
      ['bare', unguarded, ALLOWED],
      ['unguarded', unguarded, ALLOWED],
      ['refused', refused, REFUSED],
    ] as const;
    const size = `${(unguarded.length / 1000).toFixed(0)} KB`;
    for (const [server, body, expected] of kinds) {
      const name = `${server} ${padding}`;
      await stage.load.prepare({ name, target: stage.shotTarget(server), body, expected });
      lines.push([size, server, ...(await cells(bench, stage, { name, server }))]);
    }
  }
  const columns = ['review', 'request', 'median', 'processor time'];
  const table = { title: 'Larger reviews, one connection', columns, lines };
  return { rows: [], tables: [table], data: lines };
}

async function cells(
  bench: Bench,
  stage: Stage,
  { name, server }: { readonly name: string; readonly server: ShotName },
): Promise<readonly string[]> {
  const count = bench.options.lengths.turns * 2;
  await stage.load.latencies(name, Math.ceil(count / 4));
  const before = await processorMs(stage.pidOf(server));
  const taken = await stage.load.latencies(name, count);
  const spent = (await processorMs(stage.pidOf(server))) - before;
  return [inMs(median(taken)), inMicroseconds(spent / count)];
}
