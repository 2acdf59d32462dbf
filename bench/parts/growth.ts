import type { Bench } from '../bench.ts';
import { grow, growthRows, growthTables, type Growth } from '../growth.ts';
import { writeGuards } from '../guard-documents.ts';
import { failed, type PartResult, type Row } from '../result.ts';

/** Many guards from a file. All have the same members, so that it is the guard that grows. */
export async function growth(bench: Bench): Promise<PartResult> {
  const stage = await bench.stage();
  const measured: Growth[] = [];
  const failures: Row[] = [];
  for (const guards of bench.options.lengths.guards) {
    bench.progress(`${guards} guards from a file`);
    const file = await writeGuards(stage.directory, stage.etcd, guards);
    try {
      measured.push(await grow(bench, stage, { guards, source: ['--guards', file] }));
    } catch (error) {
      failures.push(failed(`${guards} guards from a file`, error));
    }
  }
  return {
    rows: [...growthRows(measured, 'from a file'), ...failures],
    tables: growthTables(measured, 'from a file'),
    data: measured,
  };
}
