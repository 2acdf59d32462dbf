import { problemText } from '../guards/document.ts';
import { loadGuardFiles } from '../guards/file-guards.ts';
import { FileSource } from '../guards/file-source.ts';
import { activeOfThisProcess } from '../sharing/active.ts';
import { UsageError } from './backend.ts';
import { connectForCommand } from './connect-for-command.ts';

/** The guards of these files for one command's use; throws a UsageError that names every problem. */
export async function openGuards(files: readonly string[]): Promise<FileSource> {
  const loaded = await loadGuardFiles(files);
  if (loaded.problems !== undefined) throw new UsageError(loaded.problems.map(problemText));
  return new FileSource(loaded.guards, {
    connect: connectForCommand,
    monotonicMs: () => performance.now(),
    activeMs: activeOfThisProcess,
    viewed: () => undefined,
  });
}
