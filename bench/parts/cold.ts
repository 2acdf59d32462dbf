import type { Bench } from '../bench.ts';
import { inMs, type PartResult } from '../result.ts';
import { deletionReview } from '../reviews.ts';
import { ALLOWED, REFUSED } from '../stage.ts';
import { median } from '../statistics.ts';

const FOLLOWING = 20;

/** The first reviews of a process: nothing compiled, no connection to etcd. */
export async function cold(bench: Bench): Promise<PartResult> {
  const stage = await bench.stage();
  const { leader } = await stage.roles();
  const kinds = [
    { what: 'refused', body: { name: leader, app: 'etcd' }, expected: REFUSED },
    { what: 'unguarded', body: { name: 'shop-0', app: 'shop' }, expected: ALLOWED },
  ];
  const lines: string[][] = [];
  const data: unknown[] = [];
  for (const { what, body, expected } of kinds) {
    const handshakes: number[] = [];
    const taken: number[][] = [];
    while (taken.length < bench.options.lengths.starts) {
      const guard = await stage.startGuard({});
      const target = stage.targetOf(guard);
      const name = `cold ${guard.pid}`;
      await stage.load.prepare({
        name,
        target,
        body: deletionReview({ ...body, dryRun: false }),
        expected,
      });
      const first = await stage.load.first(name, FOLLOWING);
      await guard.stop();
      handshakes.push(first.handshakeMs);
      taken.push(first.taken);
    }
    const at = (index: number): string =>
      inMs(median(taken.map((one) => one[index] ?? Number.NaN)));
    const handshake = inMs(median(handshakes));
    lines.push([what, handshake, at(0), at(1), at(FOLLOWING - 1)]);
    data.push({ what, handshakes, taken });
  }
  const columns = ['review', 'handshake', 'first', 'second', `${FOLLOWING}th`];
  return { rows: [], tables: [{ title: 'After a start, medians', columns, lines }], data };
}
