import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EtcdCluster } from '../test/harness/etcd-cluster.ts';

/** The namespace of the guard of that number: the first is alone in `default`. */
export function namespaceOf(index: number): string {
  return index === 0 ? 'default' : `team-${index}`;
}

/** A guard of this etcd. All that differ in number only guard the same members. */
export function guardDocument(etcd: EtcdCluster, index = 0): unknown {
  const pairs = etcd.members.map(({ name, address }) => [name, address] as const);
  return {
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'EtcdGuard',
    metadata: { name: 'etcd', namespace: namespaceOf(index) },
    spec: {
      selector: { matchLabels: { app: 'etcd' } },
      members: { addresses: Object.fromEntries(pairs) },
    },
  };
}

/** A file of so many guards, each in a namespace of its own. */
export async function writeGuards(
  directory: string,
  etcd: EtcdCluster,
  count = 1,
): Promise<string> {
  const file = join(directory, `guards-${count}.yaml`);
  const documents = Array.from({ length: count }, (_, index) => guardDocument(etcd, index));
  // JSON is YAML.
  await writeFile(file, documents.map((document) => JSON.stringify(document)).join('\n---\n'));
  return file;
}
