import { KubeConfig } from '@kubernetes/client-node';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import type { RequestOptions } from 'node:https';
import { oneLine } from './api-failure.ts';
import { ApiError } from './api.ts';
import { readClusterAccess, type ClusterAccess, type ResolvedConfig } from './kube-config.ts';

/** What a request needs to be let in; the same object until something of it changes. */
export interface Credentials {
  /** Holds the open connections. */
  readonly agent: Agent;
  readonly headers: Readonly<Record<string, string>>;
}

interface Loaded {
  readonly resolved: ResolvedConfig;
  /** Runs credential plugins, and remembers what they gave until it expires. */
  readonly config: KubeConfig;
}

interface Derived extends Credentials {
  readonly tlsKey: string;
  readonly key: string;
}

/** How long files of certificates and tokens go unread. */
const FRESH_MS = 1_000;
/** A credential plugin that takes longer is asked anew by the next request. */
const PLUGIN_MS = 30_000;
/** Between two reloads, with a new run of the plugin, because the API server accepts us no more. */
const RELOAD_MS = 10_000;
/** Below the 90 s after which the API server closes idle connections, and the 60 s of load balancers. */
const IDLE_MS = 50_000;

/**
 * Credentials by client-node's rules: certificates, tokens, credential plugins, proxies. Its own
 * clients make a TLS agent for each request, so its agents are taken over and kept, one as long as
 * certificates and keys stay the same.
 */
export class CredentialSource {
  readonly #access: ClusterAccess;
  #loaded: Loaded;
  #derived: Derived | null = null;
  #derivedAt = -Infinity;
  #deriving: { readonly promise: Promise<Derived>; readonly since: number } | null = null;
  #reload = false;
  #reloadedAt = -Infinity;
  /** Of former certificates; watches may go on with them. */
  readonly #retired = new Set<Agent>();
  #closed = false;

  private constructor(access: ClusterAccess, loaded: Loaded) {
    this.#access = access;
    this.#loaded = loaded;
  }

  /** Reads the configuration; connects to nothing and runs no plugin yet. */
  static async open(access: ClusterAccess): Promise<CredentialSource> {
    return new CredentialSource(access, await load(access));
  }

  get config(): ResolvedConfig {
    return this.#loaded.resolved;
  }

  /** May run a credential plugin, so it may take long; rejects with an ApiError. */
  async current(): Promise<Credentials> {
    const now = performance.now();
    if (this.#derived !== null && now - this.#derivedAt < FRESH_MS) return this.#derived;
    if (this.#deriving === null || now - this.#deriving.since > PLUGIN_MS) {
      const promise = this.#derive();
      const deriving = { promise, since: now };
      this.#deriving = deriving;
      const settled = (): void => {
        if (this.#deriving === deriving) this.#deriving = null;
      };
      promise.then(settled, settled);
    }
    return this.#deriving.promise;
  }

  /** After a 401: other credentials than those, if there are any. */
  async insteadOf(refused: Credentials): Promise<Credentials | null> {
    if (this.#derived === refused) {
      const now = performance.now();
      this.#derivedAt = -Infinity;
      if (now - this.#reloadedAt >= RELOAD_MS) {
        this.#reloadedAt = now;
        this.#reload = true;
      }
    }
    const next = await this.current();
    return next === refused ? null : next;
  }

  /** Closes the idle connections: when one of them was found dead, the others may be too. */
  dropIdle(): void {
    if (this.#derived !== null) closeIdle(this.#derived.agent);
  }

  close(): void {
    this.#closed = true;
    this.#derived?.agent.destroy();
    for (const agent of this.#retired) agent.destroy();
  }

  async #derive(): Promise<Derived> {
    const reload = this.#reload;
    this.#reload = false;
    try {
      if (reload) this.#loaded = await load(this.#access);
      return this.#take(await derive(this.#loaded, this.#derived));
    } catch (error) {
      // A file may be missing while it is replaced: what was good a second ago still is.
      if (this.#derived !== null && !reload) return this.#derived;
      throw asApiError(error);
    }
  }

  #take(next: Derived): Derived {
    this.#derivedAt = performance.now();
    const before = this.#derived;
    if (before?.key === next.key) return before;
    this.#derived = next;
    if (before !== null && before.agent !== next.agent) this.#retire(before.agent);
    if (this.#closed) next.agent.destroy();
    return next;
  }

  #retire(agent: Agent): void {
    for (const old of this.#retired) {
      if (Object.keys(old.sockets).length === 0) this.#retired.delete(old);
    }
    // Requests under way end on their connections, which then close.
    setKeepAlive(agent, false);
    closeIdle(agent);
    this.#retired.add(agent);
  }
}

async function load(access: ClusterAccess): Promise<Loaded> {
  const resolved = await readClusterAccess(access);
  const config = new KubeConfig();
  try {
    config.loadFromString(JSON.stringify(resolved.kubeconfig));
  } catch (error) {
    throw asApiError(error);
  }
  return { resolved, config };
}

async function derive({ resolved, config }: Loaded, before: Derived | null): Promise<Derived> {
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const headers = headersOf(options);
  if (resolved.tokenFile !== null) {
    // client-node knows no tokenFile of a kubeconfig, and keeps line breaks and old tokens for 60 s.
    const token = await readFile(resolved.tokenFile, 'utf8');
    headers['authorization'] = `Bearer ${token.trim()}`;
  }
  const tlsKey = digest([text(options.ca), text(options.cert), text(options.key)]);
  const key = digest([tlsKey, JSON.stringify(headers)]);
  const agent = before?.tlsKey === tlsKey ? before.agent : await agentFor(config, options);
  return { agent, headers, tlsKey, key };
}

function headersOf({ headers = {}, auth }: RequestOptions): Record<string, string> {
  const taken: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) taken[name.toLowerCase()] = String(value);
  if (auth) taken['authorization'] = `Basic ${Buffer.from(auth).toString('base64')}`;
  return taken;
}

/**
 * client-node's agent for these certificates, with its choice of proxy. From a configuration of its
 * own, since a configuration keeps the first agent that it made, whatever changes later.
 */
async function agentFor(config: KubeConfig, { ca, cert, key }: RequestOptions): Promise<Agent> {
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new Error('no cluster');
  const { caFile: _caFile, caData: _caData, ...rest } = cluster;
  const own = new KubeConfig();
  own.loadFromClusterAndUser(
    { ...rest, ...(ca === undefined ? {} : { caData: base64(ca) }) },
    {
      name: 'user',
      ...(cert === undefined ? {} : { certData: base64(cert) }),
      ...(key === undefined ? {} : { keyData: base64(key) }),
    },
  );
  // The timeout closes connections that are idle, no others.
  const options: RequestOptions = { timeout: IDLE_MS };
  await own.applyToHTTPSOptions(options);
  if (!(options.agent instanceof Agent)) throw new Error('client-node made no agent');
  setKeepAlive(options.agent, true);
  return options.agent;
}

/** client-node does not pass on this option of the agents that it makes. */
function setKeepAlive(agent: Agent, keepAlive: boolean): void {
  Object.assign(agent, { keepAlive });
}

function closeIdle(agent: Agent): void {
  for (const sockets of Object.values(agent.freeSockets)) {
    for (const socket of sockets ?? []) socket.destroy();
  }
}

function text(pem: unknown): string {
  return Buffer.isBuffer(pem) || typeof pem === 'string' ? pem.toString() : '';
}

function base64(pem: unknown): string {
  return Buffer.from(text(pem)).toString('base64');
}

function digest(parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\0')).digest('base64');
}

function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const why = error instanceof Error ? oneLine(error.message) : 'unknown error';
  return new ApiError('unreachable', `no credentials for the API server: ${why}`, error);
}
