import { setTimeout as delay } from 'node:timers/promises';
import { GUARD_USER, install } from '../../test/harness/guarded-cluster.ts';
import { startKubeApiserver, type KubeApiserver } from '../../test/harness/kube-apiserver.ts';
import type { Bench } from '../bench.ts';
import { makeGuards } from '../cluster-guards.ts';
import { grow, growthRows, growthTables, type Growth } from '../growth.ts';
import { failed, type PartResult, type Row, type Table } from '../result.ts';

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
      await makeGuards(api, stage.etcd, { from: made, to: guards });
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
