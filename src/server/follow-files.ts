import { readFile } from 'node:fs/promises';
import { repeatedly, type Repeating } from '../sharing/repeat.ts';
import { ServerError, reasonOf } from './error.ts';

/** What is made of files, and who is told of new versions; a broken one is reported once. */
export interface FollowedFiles<T> {
  readonly files: readonly string[];
  /** Throws a ServerError on contents that can't be used. */
  readonly check: (contents: readonly string[]) => T;
  readonly onChanged: (value: T) => void;
  readonly onBroken: (error: ServerError) => void;
}

/** Handle of files that are followed. */
export type FileWatch = Repeating;

const POLL_MS = 1_000;

/** All contents, in order; throws a ServerError that names the file which can't be read. */
export function readFiles(files: readonly string[]): Promise<readonly string[]> {
  return Promise.all(files.map(read));
}

/**
 * Follows the files, last read with these contents, by reading them every second: watching the
 * directory misses the symbolic links that Kubernetes swaps when a Secret changes, and 4 KiB a second
 * cost nothing.
 */
export function followFiles<T>(
  followed: FollowedFiles<T>,
  contents: readonly string[],
  pollMs: number = POLL_MS,
): FileWatch {
  return repeatedly(looker(followed, contents), pollMs);
}

function looker<T>(
  { files, check, onChanged, onBroken }: FollowedFiles<T>,
  contents: readonly string[],
): () => Promise<void> {
  let used = contents.join('\0');
  // null: nothing; an empty file is something.
  let suspect: string | null = null;
  let reported: string | null = null;

  /** A pair half replaced is broken for a moment: only what is still broken at the next look counts. */
  function broken(seen: string, error: unknown): void {
    if (seen === suspect && seen !== reported) {
      reported = seen;
      onBroken(asServerError(error));
    }
    suspect = seen;
  }

  return async () => {
    let seen = 'unreadable';
    try {
      const now = await readFiles(files);
      seen = now.join('\0');
      if (seen !== used) {
        const value = check(now);
        // Only what has been taken over is in use: else the next look would call it fine.
        onChanged(value);
        used = seen;
      }
      suspect = null;
      reported = null;
    } catch (error) {
      broken(seen, error);
    }
  };
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new ServerError('file-unreadable', `${file} can't be read: ${reasonOf(error)}`, error);
  }
}

function asServerError(error: unknown): ServerError {
  return error instanceof ServerError
    ? error
    : new ServerError('certificate-invalid', reasonOf(error), error);
}
