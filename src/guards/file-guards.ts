import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { ConnectionSettings } from '../etcd/port.ts';
import { errorCode, readConnection } from './connection-files.ts';
import { parseGuards, type GuardDocument, type Problem } from './document.ts';

/** A guard from a file, with everything that it names read in. */
export interface LoadedGuard {
  readonly document: GuardDocument;
  readonly settings: ConnectionSettings;
  /** Changes whenever the connections have to be made anew. */
  readonly settingsKey: string;
}

/** All guards of all files, or everything that is wrong with them. */
export type Loaded =
  | { readonly guards: readonly LoadedGuard[]; readonly problems?: never }
  | { readonly problems: readonly Problem[]; readonly guards?: never };

/** The name that people and metrics use for a guard. */
export function guardKey({ namespace, name }: { namespace: string; name: string }): string {
  return `${namespace}/${name}`;
}

/** Reads and checks all files together: a guard may not appear twice, in whichever files. */
export async function loadGuardFiles(files: readonly string[]): Promise<Loaded> {
  const problems: Problem[] = [];
  const guards: LoadedGuard[] = [];
  const seen = new Map<string, string>();
  for (const file of files) {
    const parsed = await parseFile(file);
    if (parsed.problems !== undefined) {
      problems.push(...parsed.problems);
      continue;
    }
    for (const { guard: document, number } of parsed.guards) {
      const at = { file, document: number };
      const key = guardKey(document.metadata);
      const twin = seen.get(key);
      if (twin !== undefined) {
        const message = `${key} is defined already, in ${twin}`;
        problems.push({ ...at, path: 'metadata.name', message });
      }
      seen.set(key, `${file} document ${at.document}`);
      const connection = await readConnection(document.spec.members, at);
      if ('problems' in connection) problems.push(...connection.problems);
      else guards.push(loaded(document, connection.settings));
    }
  }
  return problems.length > 0 ? { problems } : { guards };
}

async function parseFile(file: string): Promise<ReturnType<typeof parseGuards>> {
  try {
    return parseGuards(file, await readFile(file, 'utf8'));
  } catch (error) {
    const message = `can't be read (${errorCode(error)})`;
    return { problems: [{ file, document: null, path: '', message }] };
  }
}

function loaded(document: GuardDocument, settings: ConnectionSettings): LoadedGuard {
  const { tls, auth } = settings;
  const hash = createHash('sha256');
  for (const part of [
    tls?.ca,
    tls?.cert,
    tls?.key,
    tls?.serverName,
    auth?.username,
    auth?.password,
  ]) {
    hash.update(part ?? '').update('\0');
  }
  return { document, settings, settingsKey: `${tls !== null}${hash.digest('hex')}` };
}
