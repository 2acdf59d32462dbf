import { PROTECTED } from '../test/harness/admission-webhook.ts';
import type { EtcdCluster } from '../test/harness/etcd-cluster.ts';
import type { KubeApiserver } from '../test/harness/kube-apiserver.ts';
import { guardDocument, namespaceOf } from './guard-documents.ts';
import { etcdPodManifest, runningStatus } from './pods.ts';

const AT_ONCE = 16;

/** Namespaces, guards and pods of these numbers. */
export async function makeGuards(
  api: KubeApiserver,
  etcd: EtcdCluster,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<void> {
  const numbers = Array.from({ length: to - from }, (_, at) => from + at).values();
  const work = async (): Promise<void> => {
    for (const index of numbers) await makeOne(api, etcd, index);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

async function makeOne({ admin }: KubeApiserver, etcd: EtcdCluster, index: number): Promise<void> {
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
