import type { Bench } from '../bench.ts';
import { grown, growthRows, growthTables, withEnoughHeap, type Growth } from '../growth.ts';
import { writeGuards } from '../guard-documents.ts';
import type { PartResult } from '../result.ts';
import type { Stage } from '../stage.ts';

const START_MS = 180_000;

/** Many guards from a file. All have the same members, so that it is the guard that grows. */
export async function growth(bench: Bench): Promise<PartResult> {
  const stage = await bench.stage();
  const measured: Growth[] = [];
  for (const guards of bench.options.lengths.guards) {
    bench.progress(`${guards} guards from a file`);
    const file = await writeGuards(stage.directory, stage.etcd, guards);
    const measure = (env: NodeJS.ProcessEnv, heapMiB: number): Promise<Growth> =>
      grow(bench, stage, { guards, file, env, heapMiB });
    measured.push(await withEnoughHeap(bench, stage, measure));
  }
  return {
    rows: growthRows(measured, 'from a file'),
    tables: growthTables(measured, 'from a file'),
    data: measured,
  };
}

async function grow(
  bench: Bench,
  stage: Stage,
  how: {
    readonly guards: number;
    readonly file: string;
    readonly env: NodeJS.ProcessEnv;
    readonly heapMiB: number;
  },
): Promise<Growth> {
  const { guards, file, env, heapMiB } = how;
  const guard = await stage.startGuard({
    source: ['--guards', file],
    env,
    startWithinMs: START_MS,
  });
  try {
    const { startMs: readyMs } = guard;
    return { ...(await grown(bench, stage, { guard, guards })), readyMs, heapMiB };
  } finally {
    await guard.stop();
  }
}
