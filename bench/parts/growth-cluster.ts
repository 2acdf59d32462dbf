import { setTimeout as delay } from 'node:timers/promises';
import { PROTECTED } from '../../test/harness/admission-webhook.ts';
import { GUARD_USER, install } from '../../test/harness/guarded-cluster.ts';
import { startKubeApiserver, type KubeApiserver } from '../../test/harness/kube-apiserver.ts';
import { until } from '../../test/harness/until.ts';
import type { Bench } from '../bench.ts';
import { grown, growthRows, growthTables, withEnoughHeap, type Growth } from '../growth.ts';
import { guardDocument, namespaceOf } from '../guard-documents.ts';
import { etcdPodManifest, runningStatus } from '../pods.ts';
import type { PartResult, Table } from '../result.ts';
import type { Stage } from '../stage.ts';

const START_MS = 180_000;
const READY_MS = 300_000;
const AT_ONCE = 16;

/** Many EtcdGuards in a real API server, each with the pods of its members. */
export async function growthCluster(bench: Bench): Promise<PartResult> {
  const stage = await bench.stage();
  bench.progress('starting an API server');
  const api = await startKubeApiserver();
  try {
    await install(api, []);
    const kubeconfig = await api.kubeconfigFor({ user: GUARD_USER });
    const source = [`--kubeconfig=${kubeconfig}`];
    const measured: (Growth & { readonly apiRequestsPerMinute: number })[] = [];
    let made = 0;
    for (const guards of bench.options.lengths.clusterGuards) {
      bench.progress(`${guards} guards in a cluster`);
      await make(api, stage, { from: made, to: guards });
      made = guards;
      measured.push(
        await withEnoughHeap(bench, stage, (env, heapMiB) =>
          grow(bench, stage, { api, guards, source, env, heapMiB }),
        ),
      );
    }
    const where = 'in a cluster';
    const requests: Table = {
      title: 'API requests at rest, of everybody',
      columns: ['guards', 'requests/min'],
      lines: measured.map((one) => [String(one.guards), one.apiRequestsPerMinute.toFixed(0)]),
    };
    const tables = [...growthTables(measured, where), requests];
    return { rows: growthRows(measured, where), tables, data: measured };
  } finally {
    await api.stop();
  }
}

/** Namespaces, guards and pods of these numbers. */
async function make(
  api: KubeApiserver,
  stage: Stage,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<void> {
  const numbers = Array.from({ length: to - from }, (_, at) => from + at).values();
  const work = async (): Promise<void> => {
    for (const index of numbers) await makeOne(api, stage, index);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

async function makeOne({ admin }: KubeApiserver, { etcd }: Stage, index: number): Promise<void> {
  const namespace = namespaceOf(index);
  if (index > 0) {
    await admin.create('/api/v1/namespaces', {
      metadata: { name: namespace, labels: PROTECTED },
    });
  }
  await admin.create(
    `/apis/etcd-guard.io/v1alpha1/namespaces/${namespace}/etcdguards`,
    guardDocument(etcd, index),
  );
  const pods = `/api/v1/namespaces/${namespace}/pods`;
  for (const { name } of etcd.members) {
    await admin.create(pods, etcdPodManifest({ name, namespace, app: 'etcd' }));
    await admin.patch(`${pods}/${name}/status`, runningStatus());
  }
}

async function grow(
  bench: Bench,
  stage: Stage,
  how: {
    readonly api: KubeApiserver;
    readonly guards: number;
    readonly source: readonly string[];
    readonly env: NodeJS.ProcessEnv;
    readonly heapMiB: number;
  },
): Promise<Growth & { readonly apiRequestsPerMinute: number }> {
  const { api, guards, source, env, heapMiB } = how;
  const begin = performance.now();
  const guard = await stage.startGuard({ source, env, startWithinMs: START_MS });
  try {
    await until('the guard is ready', () => guard.ready(), { timeoutMs: READY_MS });
    const readyMs = performance.now() - begin;
    const figures = await grown(bench, stage, { guard, guards });
    const before = await apiRequests(api);
    const { steadyMs } = bench.options.lengths;
    await delay(steadyMs);
    const perMinute = (((await apiRequests(api)) - before) / steadyMs) * 60_000;
    return { ...figures, readyMs, heapMiB, apiRequestsPerMinute: perMinute };
  } finally {
    await guard.stop();
  }
}

async function apiRequests({ admin }: KubeApiserver): Promise<number> {
  const lines = (await admin.text('GET', '/metrics')).split('\n');
  return lines
    .filter((line) => line.startsWith('apiserver_request_total{'))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}
