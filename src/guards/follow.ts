import { stat } from 'node:fs/promises';
import { repeatedly, type Repeating } from '../sharing/repeat.ts';
import type { Problem } from './document.ts';
import { loadGuardFiles, type LoadedGuard } from './file-guards.ts';

/** Told about new versions of the guard files. */
export interface GuardFileEvents {
  readonly onLoaded: (guards: readonly LoadedGuard[]) => void;
  /** Once for each distinct set of problems; the guards in force stay. */
  readonly onBroken: (problems: readonly Problem[]) => void;
}

const POLL_MS = 1_000;

/**
 * Follows the guard files and all files that they name, by looking at them every second: that also
 * sees the symbolic links that Kubernetes swaps when a ConfigMap or Secret changes.
 */
export function followGuardFiles(
  files: readonly string[],
  initial: readonly LoadedGuard[],
  events: GuardFileEvents,
): Repeating {
  let named = [...files, ...initial.flatMap(filesOf)];
  let seen = fingerprint(named);
  let complaint = '';
  let stopped = false;

  async function look(): Promise<void> {
    const now = fingerprint(named);
    if (complaint === '' && (await now) === (await seen)) return;
    // Taken before the load: what changes during it is seen the next time.
    seen = now;
    await reload();
  }

  async function reload(): Promise<void> {
    const loaded = await loadGuardFiles(files);
    if (loaded.problems === undefined) {
      complaint = '';
      const next = [...files, ...loaded.guards.flatMap(filesOf)];
      if (next.join() !== named.join()) seen = fingerprint(next);
      named = next;
      if (!stopped) events.onLoaded(loaded.guards);
      return;
    }
    const next = JSON.stringify(loaded.problems);
    if (next !== complaint && !stopped) events.onBroken(loaded.problems);
    complaint = next;
  }

  const looking = repeatedly(look, POLL_MS);
  return {
    stop() {
      stopped = true;
      looking.stop();
    },
  };
}

function filesOf({ document }: LoadedGuard): readonly string[] {
  const { tls, auth } = document.spec.members;
  return [tls?.caFile, tls?.certFile, tls?.keyFile, auth?.usernameFile, auth?.passwordFile].filter(
    (file) => file !== undefined,
  );
}

/** Changes with content, but not with access; a missing file has one too. */
async function fingerprint(files: readonly string[]): Promise<string> {
  const marks = await Promise.all(
    files.map((file) =>
      stat(file).then(
        ({ ino, size, mtimeMs }) => `${ino}:${size}:${mtimeMs}`,
        () => 'missing',
      ),
    ),
  );
  return marks.join(' ');
}
