import { setTimeout as delay } from 'node:timers/promises';
import { PROTECTED } from '../../test/harness/admission-webhook.ts';
import { GUARD_USER, install } from '../../test/harness/guarded-cluster.ts';
import { startKubeApiserver, type KubeApiserver } from '../../test/harness/kube-apiserver.ts';
import type { Bench } from '../bench.ts';
import { grow, growthRows, growthTables, type Growth } from '../growth.ts';
import { guardDocument, namespaceOf } from '../guard-documents.ts';
import { etcdPodManifest, runningStatus } from '../pods.ts';
import { failed, type PartResult, type Row, type Table } from '../result.ts';
import type { Stage } from '../stage.ts';

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
    const measured: Growth[] = [];
    const failures: Row[] = [];
    const requests: string[][] = [];
    let made = 0;
    for (const guards of bench.options.lengths.clusterGuards) {
      bench.progress(`${guards} guards in a cluster`);
      await make(api, stage, { from: made, to: guards });
      made = guards;
      const atRest = async (): Promise<void> => {
        const perMinute = await apiRequestsPerMinute(api, bench.options.lengths.steadyMs);
        requests.push([String(guards), perMinute.toFixed(0)]);
      };
      try {
        measured.push(await grow(bench, stage, { guards, source, atRest }));
      } catch (error) {
        failures.push(failed(`${guards} guards in a cluster`, error));
      }
    }
    const where = 'in a cluster';
    const table: Table = {
      title: 'API requests at rest, of everybody',
      columns: ['guards', 'requests/min'],
      lines: requests,
    };
    return {
      rows: [...growthRows(measured, where), ...failures],
      tables: [...growthTables(measured, where), table],
      data: { measured, requests },
    };
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

async function apiRequestsPerMinute(api: KubeApiserver, ms: number): Promise<number> {
  const before = await apiRequests(api);
  await delay(ms);
  return (((await apiRequests(api)) - before) / ms) * 60_000;
}

async function apiRequests({ admin }: KubeApiserver): Promise<number> {
  const lines = (await admin.text('GET', '/metrics')).split('\n');
  return lines
    .filter((line) => line.startsWith('apiserver_request_total{'))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}
