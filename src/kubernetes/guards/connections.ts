import { createSecureContext } from 'node:tls';
import type { ConnectionSettings, EtcdCluster, TlsSettings } from '../../etcd/port.ts';
import { checkAuthorities, lineIn } from '../../guards/credentials.ts';
import { ApiError, mayPass, type KubernetesApi, type KubernetesObject } from '../api/api.ts';
import type { EtcdGuard } from './guard-resource.ts';

/** How to reach a guard's cluster now, or the words that say why that can't be told. */
export type Connection =
  | { readonly etcd: EtcdCluster; readonly fault?: never }
  | { readonly fault: string; readonly passes: boolean; readonly etcd?: never };

interface Kept {
  readonly key: string;
  readonly etcd: EtcdCluster;
  readonly timer: NodeJS.Timeout;
}

/** A Secret that a guard names, as it was just read. */
interface SecretRead {
  /** `Secret default/etcd-client-tls (spec.members.tls)` */
  readonly title: string;
  readonly object: KubernetesObject;
}

/** How long connections to a guard that nobody asks about are remembered. */
const FORGET_AFTER_MS = 15 * 60_000;

/**
 * One connection a guard, by uid. Its Secrets are read at every call, so that a rotated one is used
 * for the very next request; the connection is kept for as long as they stay the same.
 */
export class Connections {
  readonly #api: Pick<KubernetesApi, 'get'>;
  readonly #connect: (settings: ConnectionSettings) => EtcdCluster;
  readonly #kept = new Map<string, Kept>();

  constructor(
    api: Pick<KubernetesApi, 'get'>,
    connect: (settings: ConnectionSettings) => EtcdCluster,
  ) {
    this.#api = api;
    this.#connect = connect;
  }

  /** A Secret that is missing, wrong or can't be read is a fault; never rejects because of one. */
  async to(guard: EtcdGuard, withinMs: number): Promise<Connection> {
    try {
      const [tls, auth] = await Promise.all([
        this.#secret(guard, 'tls', withinMs),
        this.#secret(guard, 'auth', withinMs),
      ]);
      return { etcd: this.#connection(guard, tls, auth) };
    } catch (error) {
      if (error instanceof Unusable) return { fault: error.message, passes: error.passes };
      throw error;
    }
  }

  close(): void {
    for (const uid of this.#kept.keys()) this.#forget(uid);
  }

  #connection(guard: EtcdGuard, tls: SecretRead | null, auth: SecretRead | null): EtcdCluster {
    const serverName = guard.spec.members.tls?.serverName ?? null;
    const key = JSON.stringify([serverName, versionOf(tls), versionOf(auth)]);
    const kept = this.#kept.get(guard.uid);
    if (kept?.key === key) {
      kept.timer.refresh();
      return kept.etcd;
    }
    const settings: ConnectionSettings = {
      tls: tls === null ? null : tlsIn(tls, serverName),
      auth:
        auth === null
          ? null
          : { username: line(auth, 'username'), password: line(auth, 'password') },
    };
    this.#forget(guard.uid);
    const etcd = this.#connect(settings);
    const timer = setTimeout(() => this.#forget(guard.uid), FORGET_AFTER_MS).unref();
    this.#kept.set(guard.uid, { key, etcd, timer });
    return etcd;
  }

  #forget(uid: string): void {
    const kept = this.#kept.get(uid);
    this.#kept.delete(uid);
    clearTimeout(kept?.timer);
    kept?.etcd.close();
  }

  /** null: the guard names none. Rejects with an Unusable if there is none, or it can't be read. */
  async #secret(
    { namespace, spec }: EtcdGuard,
    field: 'tls' | 'auth',
    withinMs: number,
  ): Promise<SecretRead | null> {
    const name = spec.members[field]?.secretName;
    if (name === undefined) return null;
    const title = `Secret ${namespace}/${name} (spec.members.${field})`;
    const secrets = { prefix: '/api/v1', plural: 'secrets', namespace };
    try {
      const object = await this.#api.get(secrets, name, withinMs);
      if (object !== null) return { title, object };
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      throw new Unusable(`${title} can't be read: ${whyNot(error)}`, mayPass(error));
    }
    throw new Unusable(`${title} does not exist; it is to have the keys ${KEYS[field]}`);
  }
}

const KEYS = { tls: 'ca.crt, tls.crt and tls.key', auth: 'username and password' };

/** The right is named by what it is to; the API server's own words only repeat that. */
function whyNot({ code, message }: ApiError): string {
  if (code !== 'forbidden') return message;
  return 'no permission "get" on it (deploy/webhook/components/secrets gives it to etcd-guard)';
}

/** Says why there are no settings, in words that a refusal can repeat. */
class Unusable extends Error {
  override readonly name = 'Unusable';
  /** Nobody has to mend it. */
  readonly passes: boolean;

  constructor(message: string, passes = false) {
    super(message);
    this.passes = passes;
  }
}

function versionOf(secret: SecretRead | null): readonly string[] | null {
  if (secret === null) return null;
  const { uid, resourceVersion } = secret.object.metadata;
  return [uid, resourceVersion];
}

function tlsIn(secret: SecretRead, serverName: string | null): TlsSettings {
  const ca = required(secret, 'ca.crt');
  const cert = dataOf(secret, 'tls.crt');
  const key = dataOf(secret, 'tls.key');
  if ((cert === null) !== (key === null)) {
    throw new Unusable(`${secret.title} lacks ${cert === null ? 'tls.crt' : 'tls.key'}`);
  }
  attempt(secret, 'ca.crt', () => checkAuthorities(ca.toString('latin1')));
  attempt(secret, 'tls.crt or tls.key', () =>
    createSecureContext({ ca, ...(cert && { cert }), ...(key && { key }) }),
  );
  return { ca, cert, key, serverName };
}

/** What OpenSSL says against it, which repeats nothing of the content. */
function attempt({ title }: SecretRead, key: string, work: () => unknown): void {
  try {
    work();
  } catch (error) {
    const why = error instanceof Error ? error.message : 'unknown';
    throw new Unusable(`${title} has an unusable ${key}: ${why}`);
  }
}

function line(secret: SecretRead, key: string): string {
  const text = lineIn(required(secret, key));
  if (text === '') throw new Unusable(`${secret.title} has an empty ${key}`);
  return text;
}

function required(secret: SecretRead, key: string): Buffer {
  const data = dataOf(secret, key);
  if (data === null) throw new Unusable(`${secret.title} lacks ${key}`);
  return data;
}

function dataOf({ object: { data } }: SecretRead, key: string): Buffer | null {
  if (typeof data !== 'object' || data === null || !Object.hasOwn(data, key)) return null;
  const value: unknown = Reflect.get(data, key);
  return typeof value === 'string' && value !== '' ? Buffer.from(value, 'base64') : null;
}
