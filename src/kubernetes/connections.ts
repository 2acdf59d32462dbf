import { createSecureContext } from 'node:tls';
import type { ConnectionSettings, EtcdCluster } from '../etcd/port.ts';
import type { KubernetesApi, KubernetesObject } from './api.ts';
import { ApiError } from './api.ts';
import type { EtcdGuard } from './guard-resource.ts';

/** How to reach a guard's cluster now, or the sentence that says why that can't be told. */
export type Connection =
  | { readonly etcd: EtcdCluster; readonly fault?: never }
  | { readonly fault: string; readonly etcd?: never };

interface Kept {
  readonly key: string;
  readonly etcd: EtcdCluster;
}

/** How long connections to a guard that nobody asks about are remembered. */
const FORGET_AFTER_MS = 15 * 60_000;

/**
 * One connection a guard, by uid. Its Secrets are read at every call, so that a rotated one is used
 * for the very next request; the connection is kept for as long as they stay the same.
 */
export class Connections {
  readonly #api: KubernetesApi;
  readonly #connect: (settings: ConnectionSettings) => EtcdCluster;
  readonly #kept = new Map<string, Kept & { timer: NodeJS.Timeout }>();

  constructor(api: KubernetesApi, connect: (settings: ConnectionSettings) => EtcdCluster) {
    this.#api = api;
    this.#connect = connect;
  }

  /** Rejects with an ApiError if a Secret can't be read; one that is missing or wrong is a fault. */
  async to(guard: EtcdGuard, withinMs: number): Promise<Connection> {
    const { tls, auth } = guard.spec.members;
    const [tlsSecret, authSecret] = await Promise.all([
      this.#secret(guard, tls?.secretName, withinMs),
      this.#secret(guard, auth?.secretName, withinMs),
    ]);
    const fault = faultOf(guard, tlsSecret, authSecret);
    if (fault !== null) return { fault };
    const key = [tls?.serverName, mark(tlsSecret), mark(authSecret), tls !== undefined].join(' ');
    const kept = this.#kept.get(guard.uid);
    if (kept?.key === key) {
      kept.timer.refresh();
      return { etcd: kept.etcd };
    }
    const settings = settingsOf(guard, tlsSecret, authSecret);
    const broken = brokenTls(settings);
    if (broken !== null) return { fault: `Secret ${tls?.secretName ?? ''}: ${broken}` };
    this.#forget(guard.uid);
    const etcd = this.#connect(settings);
    const timer = setTimeout(() => this.#forget(guard.uid), FORGET_AFTER_MS).unref();
    this.#kept.set(guard.uid, { key, etcd, timer });
    return { etcd };
  }

  close(): void {
    for (const uid of this.#kept.keys()) this.#forget(uid);
  }

  #forget(uid: string): void {
    const kept = this.#kept.get(uid);
    this.#kept.delete(uid);
    clearTimeout(kept?.timer);
    kept?.etcd.close();
  }

  async #secret(
    { namespace }: EtcdGuard,
    name: string | undefined,
    withinMs: number,
  ): Promise<KubernetesObject | null> {
    if (name === undefined) return null;
    return this.#api.get({ prefix: '/api/v1', plural: 'secrets', namespace }, name, withinMs);
  }
}

function mark(secret: KubernetesObject | null): string {
  return secret === null ? '-' : `${secret.metadata.uid}/${secret.metadata.resourceVersion}`;
}

function faultOf(
  { namespace, spec: { members } }: EtcdGuard,
  tls: KubernetesObject | null,
  auth: KubernetesObject | null,
): string | null {
  if (members.tls !== undefined && tls === null) {
    return `there is no Secret ${namespace}/${members.tls.secretName} (spec.members.tls)`;
  }
  if (members.auth !== undefined && auth === null) {
    return `there is no Secret ${namespace}/${members.auth.secretName} (spec.members.auth)`;
  }
  const missing = ['username', 'password'].filter(
    (key) => auth !== null && dataOf(auth, key) === null,
  );
  if (missing.length === 0) return null;
  return `Secret ${namespace}/${members.auth?.secretName ?? ''} lacks ${missing.join(' and ')}`;
}

function settingsOf(
  { spec: { members } }: EtcdGuard,
  tls: KubernetesObject | null,
  auth: KubernetesObject | null,
): ConnectionSettings {
  return {
    tls:
      tls === null
        ? null
        : {
            ca: dataOf(tls, 'ca.crt'),
            cert: dataOf(tls, 'tls.crt'),
            key: dataOf(tls, 'tls.key'),
            serverName: members.tls?.serverName ?? null,
          },
    auth:
      auth === null
        ? null
        : { username: lineOf(auth, 'username'), password: lineOf(auth, 'password') },
  };
}

function dataOf(secret: KubernetesObject, key: string): Buffer | null {
  const { data } = secret;
  if (typeof data !== 'object' || data === null || !Object.hasOwn(data, key)) return null;
  const value: unknown = Reflect.get(data, key);
  return typeof value === 'string' && value !== '' ? Buffer.from(value, 'base64') : null;
}

/** `kubectl create secret --from-file` keeps a file's last newline, which is no part of a password. */
function lineOf(secret: KubernetesObject, key: string): string {
  return (dataOf(secret, key) ?? Buffer.alloc(0)).toString('utf8').replace(/\r?\n$/, '');
}

/** What OpenSSL says against certificate and key, without their content. */
function brokenTls({ tls }: ConnectionSettings): string | null {
  if (tls === null) return null;
  if ((tls.cert === null) !== (tls.key === null)) return 'tls.crt and tls.key go together';
  try {
    createSecureContext({
      ...(tls.ca && { ca: tls.ca }),
      ...(tls.cert && { cert: tls.cert }),
      ...(tls.key && { key: tls.key }),
    });
    return null;
  } catch (error) {
    return `unusable certificate or key: ${error instanceof Error ? error.message : 'unknown'}`;
  }
}

/** Words for an error of the API, without its type. */
export function causeOf(error: unknown): string {
  return error instanceof ApiError || error instanceof Error ? error.message : 'unknown';
}
