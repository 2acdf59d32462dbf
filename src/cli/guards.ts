import { connectEtcd } from '../etcd/connect.ts';
import type { EtcdRequestObserver } from '../etcd/port.ts';
import { problemText } from '../guards/document.ts';
import { loadGuardFiles } from '../guards/file-guards.ts';
import { FileSource } from '../guards/file-source.ts';
import { askedOnceMore } from './ask-once-more.ts';
import { UsageError } from './backend.ts';

/** Nobody counts the requests of a single command. */
export const UNOBSERVED: EtcdRequestObserver = { etcdRequest: () => undefined };

/** The guards of these files for one command's use; throws a UsageError that names every problem. */
export async function openGuards(files: readonly string[]): Promise<FileSource> {
  const loaded = await loadGuardFiles(files);
  if (loaded.problems !== undefined) throw new UsageError(loaded.problems.map(problemText));
  return new FileSource(loaded.guards, {
    connect: (settings) => askedOnceMore(connectEtcd(settings, UNOBSERVED)),
    monotonicMs: () => performance.now(),
    viewed: () => undefined,
  });
}
