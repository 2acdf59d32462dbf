import { PROTECTED, webhookConfiguration } from '../../test/harness/admission-webhook.ts';
import { GUARD_USER, install } from '../../test/harness/guarded-cluster.ts';
import { startKubeApiserver, type KubeApiserver } from '../../test/harness/kube-apiserver.ts';
import { KubeError } from '../../test/harness/kube-client.ts';
import { until } from '../../test/harness/until.ts';
import type { Bench } from '../bench.ts';
import { Guard } from '../guard.ts';
import { guardDocument } from '../guard-documents.ts';
import { etcdPodManifest, runningStatus } from '../pods.ts';
import { atMost, inMs, type PartResult, type Row } from '../result.ts';
import type { Stage } from '../stage.ts';
import { median, quantile } from '../statistics.ts';

const UNWATCHED = 'unwatched';
const KINDS = ['without a webhook', 'unguarded', 'follower, reserved'] as const;

type Kind = (typeof KINDS)[number];

/** A graceful DELETE of a pod, as kubectl's. */
const GRACEFUL = { gracePeriodSeconds: 30 };
const FORCED = { gracePeriodSeconds: 0 };

/**
 * The same DELETE in a namespace that the webhook doesn't see, of a pod that nobody guards, and of
 * a follower that is reserved by a write to its EtcdGuard; in turn. Everything is free to run on
 * any processor.
 */
export async function apiserver(bench: Bench): Promise<PartResult> {
  const stage = await bench.stage();
  bench.progress('starting an API server');
  const api = await startKubeApiserver();
  try {
    await setUp(api, stage);
    const guard = await startWebhook(api, stage);
    try {
      return report(await measure(bench, stage, api));
    } finally {
      await guard.stop();
    }
  } finally {
    await api.stop();
  }
}

async function setUp(api: KubeApiserver, { etcd }: Stage): Promise<void> {
  await install(api, []);
  await api.admin.patch('/api/v1/namespaces/default', { metadata: { labels: PROTECTED } });
  await api.admin.create('/api/v1/namespaces', { metadata: { name: UNWATCHED } });
  await api.admin.create(
    '/apis/etcd-guard.io/v1alpha1/namespaces/default/etcdguards',
    guardDocument(etcd),
  );
  for (const { name } of etcd.members) {
    await makePod(api, { name, namespace: 'default', app: 'etcd' });
  }
}

async function startWebhook(api: KubeApiserver, stage: Stage): Promise<Guard> {
  const kubeconfig = await api.kubeconfigFor({ user: GUARD_USER });
  const guard = await Guard.start({
    ...stage.guardOptions,
    source: [`--kubeconfig=${kubeconfig}`],
  });
  try {
    const { ca, port } = stage.targetOf(guard);
    await api.apply(webhookConfiguration(port, ca));
    const { leader } = await stage.roles();
    await until('the webhook is in force', () => refuses(api, leader));
    return guard;
  } catch (error) {
    await guard.stop();
    throw error;
  }
}

async function refuses({ admin }: KubeApiserver, leader: string): Promise<boolean> {
  try {
    await admin.delete(`/api/v1/namespaces/default/pods/${leader}?dryRun=All`, GRACEFUL);
    return false;
  } catch (error) {
    return error instanceof KubeError && error.message.includes('leads etcd cluster');
  }
}

interface Pod {
  readonly name: string;
  readonly namespace: string;
  readonly app: string;
}

async function makePod({ admin }: KubeApiserver, pod: Pod): Promise<void> {
  const path = `/api/v1/namespaces/${pod.namespace}/pods`;
  await admin.create(path, etcdPodManifest(pod));
  await admin.patch(`${path}/${pod.name}/status`, runningStatus());
}

async function measure(
  bench: Bench,
  stage: Stage,
  api: KubeApiserver,
): Promise<ReadonlyMap<Kind, readonly number[]>> {
  const { follower } = await stage.roles();
  const name = follower ?? '';
  const pods: Readonly<Record<Kind, Pod>> = {
    'without a webhook': { name, namespace: UNWATCHED, app: 'etcd' },
    unguarded: { name: 'shop-0', namespace: 'default', app: 'shop' },
    'follower, reserved': { name, namespace: 'default', app: 'etcd' },
  };
  await makePod(api, pods['without a webhook']);
  await makePod(api, pods.unguarded);
  const taken = new Map<Kind, number[]>(KINDS.map((kind) => [kind, []]));
  const { deletes } = bench.options.lengths;
  const warmUps = Math.ceil(deletes / 10);
  bench.progress(`${deletes} DELETEs of each kind`);
  for (let turn = -warmUps; turn < deletes; turn += 1) {
    for (const [kind, all] of taken) {
      const ms = await deletion(api, pods[kind]);
      if (turn >= 0) all.push(ms);
    }
  }
  return taken;
}

/** Milliseconds of the DELETE alone; then the pod goes for good, and comes back. */
async function deletion(api: KubeApiserver, pod: Pod): Promise<number> {
  const path = `/api/v1/namespaces/${pod.namespace}/pods/${pod.name}`;
  const start = performance.now();
  await api.admin.delete(path, GRACEFUL);
  const taken = performance.now() - start;
  await api.admin.delete(path, FORCED);
  await makePod(api, pod);
  return taken;
}

function report(taken: ReadonlyMap<Kind, readonly number[]>): PartResult {
  const at = (kind: Kind, share: number): number => quantile(taken.get(kind) ?? [], share);
  const lines = [...taken].map(([kind, all]) => [
    kind,
    inMs(median(all)),
    inMs(quantile(all, 0.99)),
    (median(all) / at('without a webhook', 0.5)).toFixed(2),
  ]);
  const columns = ['DELETE', 'median', 'p99', 'ratio of medians'];
  const table = { title: "A real API server's DELETE", columns, lines };
  const slower = (share: number, limit: number, word: string): readonly Row[] =>
    atMost([limit], {
      what: `DELETE of a follower, ${word}`,
      measured: inMs(at('follower, reserved', share)),
      against: `${inMs(at('without a webhook', share))} without a webhook; ms more`,
      figure: at('follower, reserved', share) - at('without a webhook', share),
    });
  const rows = [...slower(0.5, 5, 'median'), ...slower(0.99, 15, 'p99')];
  return { rows, tables: [table], data: Object.fromEntries(taken) };
}
