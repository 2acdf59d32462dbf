import { createSecureContext } from 'node:tls';
import { readFile } from 'node:fs/promises';
import type { ConnectionSettings } from '../etcd/port.ts';
import { checkAuthorities, lineIn } from './credentials.ts';
import type { GuardDocument, Problem } from './document.ts';

type Members = GuardDocument['spec']['members'];

/** Reads one file of a guard; rejects like `fs.readFile`. */
export type ReadFile = (path: string) => Promise<Buffer>;

/** Certificates and credentials that a guard names, read and checked, or what is wrong with them. */
export async function readConnection(
  { tls, auth }: Members,
  at: { readonly file: string; readonly document: number },
  read: ReadFile = readFile,
): Promise<{ settings: ConnectionSettings } | { problems: readonly Problem[] }> {
  const problems: Problem[] = [];
  const readAt = async (field: string, path = ''): Promise<Buffer | null> => {
    try {
      return path === '' ? null : await read(path);
    } catch (error) {
      const message = `can't read ${path} (${errorCode(error)})`;
      problems.push({ ...at, path: `spec.members.${field}`, message });
      return null;
    }
  };
  const files = { ...tls, ...auth };
  const [ca, cert, key, username, password] = await Promise.all([
    readAt('tls.caFile', files.caFile),
    readAt('tls.certFile', files.certFile),
    readAt('tls.keyFile', files.keyFile),
    readAt('auth.usernameFile', files.usernameFile),
    readAt('auth.passwordFile', files.passwordFile),
  ]);
  if (problems.length > 0) {
    return { problems: problems.sort((a, b) => (a.path < b.path ? -1 : 1)) };
  }
  if (username !== null && password !== null) {
    const empty = emptyCredential({ username, password });
    if (empty !== null) return { problems: [{ ...at, ...empty }] };
  }
  const pem = { ca, cert, key };
  const broken = tls === undefined ? null : brokenTls(pem);
  if (broken !== null) return { problems: [{ ...at, path: 'spec.members.tls', message: broken }] };
  return {
    settings: {
      tls: tls === undefined ? null : { ...pem, serverName: tls.serverName ?? null },
      auth: credentials(username, password),
    },
  };
}

function credentials(username: Buffer | null, password: Buffer | null): ConnectionSettings['auth'] {
  if (username === null || password === null) return null;
  return { username: lineIn(username), password: lineIn(password) };
}

/** Such a file is about to be written, or was written by a command that failed. */
function emptyCredential(files: Record<'username' | 'password', Buffer>) {
  for (const name of ['username', 'password'] as const) {
    if (lineIn(files[name]) !== '') continue;
    return { path: `spec.members.auth.${name}File`, message: 'the file is empty' };
  }
  return null;
}

/** What OpenSSL says against certificate and key, without their content. */
function brokenTls(pem: Record<'ca' | 'cert' | 'key', Buffer | null>): string | null {
  try {
    if (pem.ca !== null) checkAuthorities(pem.ca.toString('latin1'));
    createSecureContext({
      ...(pem.ca && { ca: pem.ca }),
      ...(pem.cert && { cert: pem.cert }),
      ...(pem.key && { key: pem.key }),
    });
    return null;
  } catch (error) {
    return `unusable certificate or key: ${error instanceof Error ? error.message : 'unknown'}`;
  }
}

/** ENOENT and the like: enough to act on, without the error's own words. */
export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
}
