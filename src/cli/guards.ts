import { connectEtcd } from '../etcd/connect.ts';
import type { EtcdRequestObserver } from '../etcd/port.ts';
import { problemText } from '../guards/document.ts';
import { loadGuardFiles } from '../guards/file-guards.ts';
import { FileSource } from '../guards/file-source.ts';
import type { Streams } from './streams.ts';

const UNOBSERVED: EtcdRequestObserver = { etcdRequest: () => undefined };

/** The guards of these files for one command's use; null once their problems have been printed. */
export async function openGuards(
  files: readonly string[],
  streams: Streams,
): Promise<FileSource | null> {
  const loaded = await loadGuardFiles(files);
  if (loaded.problems !== undefined) {
    for (const problem of loaded.problems) streams.err(`etcd-guard: ${problemText(problem)}\n`);
    return null;
  }
  return new FileSource(loaded.guards, {
    connect: (settings) => connectEtcd(settings, UNOBSERVED),
    monotonicMs: () => performance.now(),
    viewed: () => undefined,
  });
}
