import { GUARD_USER, install } from '../../test/harness/guarded-cluster.ts';
import { startKubeApiserver } from '../../test/harness/kube-apiserver.ts';
import { until } from '../../test/harness/until.ts';
import type { Bench } from '../bench.ts';
import { makeGuards } from '../cluster-guards.ts';
import type { Guard } from '../guard.ts';
import { namespaceOf, writeGuards } from '../guard-documents.ts';
import { residentMiB } from '../process-figures.ts';
import { inMiB, inMs, noAim, type PartResult } from '../result.ts';
import { deletionReview } from '../reviews.ts';
import { REFUSED, SPARED, type Stage } from '../stage.ts';
import { median } from '../statistics.ts';

const WAVES = 3;
const READY_MS = 60_000;

interface Wave {
  readonly from: 'files' | 'an API server';
  readonly atOnce: number;
  readonly medianMs: number;
  readonly slowestMs: number;
  readonly residentMiB: number;
}

/**
 * A node pool that is emptied: reviews of hundreds of clusters at once, each the first of its
 * cluster, of leaders and of followers that can be spared, then of as many others, all within five
 * minutes. Fails unless each of them is judged. Dry runs, which reserve nothing.
 */
export async function storm(bench: Bench): Promise<PartResult> {
  const stage = await bench.stage();
  const waves = [...(await fromFiles(bench, stage)), ...(await fromCluster(bench, stage))];
  const table = {
    title: `Reviews of so many clusters at once, in ${WAVES} waves of other clusters`,
    columns: ['guards from', 'at once', 'median', 'slowest', 'resident after'],
    lines: waves.map((wave) => [
      wave.from,
      String(wave.atOnce),
      inMs(wave.medianMs),
      inMs(wave.slowestMs),
      inMiB(wave.residentMiB),
    ]),
  };
  const slowest = Math.max(...waves.map((wave) => wave.slowestMs));
  const row = noAim({
    what: 'slowest answer of a storm',
    measured: inMs(slowest),
    against: '10 s that a review has',
    figure: slowest / 10_000,
  });
  return { rows: [row], tables: [table], data: waves };
}

async function fromFiles(bench: Bench, stage: Stage): Promise<readonly Wave[]> {
  const { files: atOnce } = bench.options.lengths.storm;
  const file = await writeGuards(stage.directory, stage.etcd, WAVES * atOnce);
  const guard = await stage.startGuard({ source: ['--guards', file] });
  try {
    return await wavesAt(bench, stage, guard, { from: 'files', atOnce });
  } finally {
    await guard.stop();
  }
}

async function fromCluster(bench: Bench, stage: Stage): Promise<readonly Wave[]> {
  const { cluster: atOnce } = bench.options.lengths.storm;
  bench.progress(`starting an API server, ${WAVES * atOnce} guards in it`);
  const api = await startKubeApiserver();
  try {
    await install(api, []);
    await makeGuards(api, stage.etcd, { from: 0, to: WAVES * atOnce });
    const kubeconfig = await api.kubeconfigFor({ user: GUARD_USER });
    const guard = await stage.startGuard({ source: [`--kubeconfig=${kubeconfig}`] });
    try {
      await until('the guard is ready', () => guard.ready(), { timeoutMs: READY_MS });
      return await wavesAt(bench, stage, guard, { from: 'an API server', atOnce });
    } finally {
      await guard.stop();
    }
  } finally {
    await api.stop();
  }
}

async function wavesAt(
  bench: Bench,
  stage: Stage,
  guard: Guard,
  { from, atOnce }: Pick<Wave, 'from' | 'atOnce'>,
): Promise<readonly Wave[]> {
  const { leader, follower } = await stage.roles();
  const target = stage.targetOf(guard);
  const found: Wave[] = [];
  for (let wave = 0; wave < WAVES; wave += 1) {
    bench.progress(`${atOnce} clusters at once, guards from ${from}`);
    const names: string[] = [];
    for (let index = wave * atOnce; index < (wave + 1) * atOnce; index += 1) {
      const namespace = namespaceOf(index);
      const [pod, expected] = index % 2 === 0 ? [leader, REFUSED] : [follower ?? '', SPARED];
      const body = deletionReview({ name: pod, app: 'etcd', namespace, dryRun: true });
      const name = `storm ${guard.pid} ${index}`;
      await stage.load.prepare({ name, target, body, expected });
      names.push(name);
    }
    const { taken } = await stage.load.each(names, atOnce);
    found.push({
      from,
      atOnce,
      medianMs: median(taken),
      slowestMs: Math.max(...taken),
      residentMiB: await residentMiB(guard.pid),
    });
  }
  return found;
}
