import type { Bench } from '../bench.ts';
import { residentMiB } from '../process-figures.ts';
import { atMost, inMiB, type PartResult } from '../result.ts';
import { median } from '../statistics.ts';

const PARTS_OF_SOAK = 60;

/** Load for long; what is resident at its end against a sixth of the way in, when all is warm. */
export async function soak(bench: Bench): Promise<PartResult> {
  const stage = await bench.stage();
  const { soakMs } = bench.options.lengths;
  const samples: { readonly resident: number; readonly heap: number; readonly answers: number }[] =
    [];
  for (let part = 0; part < PARTS_OF_SOAK; part += 1) {
    const how = { connections: 32, ms: soakMs / PARTS_OF_SOAK };
    const { answers } = await stage.load.rate(['refused', 'unguarded', 'spared'], how);
    const resident = await residentMiB(stage.guard.pid);
    const heap = (await stage.guard.metric('nodejs_heap_size_used_bytes')) / 1024 / 1024;
    samples.push({ resident, heap, answers });
    bench.progress(`${part + 1}/${PARTS_OF_SOAK}: ${inMiB(resident)}, ${answers} answers`);
  }
  const sixth = PARTS_OF_SOAK / 6;
  const early = median(samples.slice(sixth, 2 * sixth).map(({ resident }) => resident));
  const late = median(samples.slice(-sixth).map(({ resident }) => resident));
  const rows = atMost([1.05], {
    what: `growth over ${(soakMs / 60_000).toFixed(1)} min of load`,
    measured: `${inMiB(late)} at the end`,
    against: `${inMiB(early)} after a sixth`,
    figure: late / early,
  });
  const lines = samples
    .filter((_, index) => (index + 1) % sixth === 0)
    .map(({ resident, heap, answers }, index) => [
      `${((soakMs / 60_000 / 6) * (index + 1)).toFixed(1)} min`,
      inMiB(resident),
      inMiB(heap),
      String(answers),
    ]);
  const columns = ['after', 'resident', 'heap in use', 'answers in the last part'];
  return { rows, tables: [{ title: 'Soak', columns, lines }], data: samples };
}
