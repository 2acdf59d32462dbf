import type { IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { Certificate } from './certificates.ts';
import { changesTo } from './changes.ts';

/** A Kubernetes object, with as much of its shape as tests rely on. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly deletionTimestamp?: string;
    readonly deletionGracePeriodSeconds?: number;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
}

const metadataSchema = z.looseObject({
  name: z.string().default(''),
  namespace: z.string().optional(),
  uid: z.string().optional(),
  resourceVersion: z.string().optional(),
  deletionTimestamp: z.string().optional(),
  deletionGracePeriodSeconds: z.number().optional(),
  labels: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
});
const objectSchema = z.looseObject({
  apiVersion: z.string().optional(),
  kind: z.string().optional(),
  metadata: metadataSchema,
  spec: z.record(z.string(), z.unknown()).optional(),
  status: z.record(z.string(), z.unknown()).optional(),
});
const listSchema = z.object({
  metadata: z.object({ resourceVersion: z.string() }),
  // Items of a list leave it out where it is empty.
  items: z.array(objectSchema).nullable(),
});
const resourcesSchema = z.object({
  resources: z.array(z.object({ name: z.string(), kind: z.string(), namespaced: z.boolean() })),
});
const objectFieldsSchema = z.record(z.string(), z.unknown());
const identitySchema = z.object({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.object({ name: z.string(), namespace: z.string().default('default') }),
});
const watchEventSchema = z.object({
  type: z.enum(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR']),
  object: z.unknown(),
});

/** An answer of 400 or above: its HTTP code, and the Status object's reason and message. */
export class KubeError extends Error {
  readonly code: number;
  readonly reason: string;

  constructor(code: number, body: string) {
    const status = parseStatus(body);
    super(status.message ?? body);
    this.name = 'KubeError';
    this.code = code;
    this.reason = status.reason ?? '';
  }
}

function parseStatus(body: string): { message?: string | undefined; reason?: string | undefined } {
  try {
    return z
      .object({ message: z.string().optional(), reason: z.string().optional() })
      .parse(JSON.parse(body));
  } catch {
    return {};
  }
}

export interface WatchHandlers {
  /** All there is, first and again after each gap in the watch. */
  readonly synced: (objects: readonly KubeObject[]) => void;
  readonly changed: (object: KubeObject) => void;
  readonly deleted: (object: KubeObject) => void;
}

interface Content {
  readonly body?: unknown;
  readonly contentType?: string;
}

export interface KubeClientOptions {
  readonly server: string;
  /** PEM */
  readonly ca: string;
  readonly identity: Certificate;
}

/** Plain HTTPS to an API server, as the identity of a client certificate. */
export class KubeClient {
  readonly #server: URL;
  readonly #agent: Agent;
  /** Collections by `apiVersion kind`, with the namespace left open. */
  readonly #collections = new Map<string, string>();
  /** What was applied last, by the object's path. */
  readonly #applied = new Map<string, Readonly<Record<string, unknown>>>();

  constructor({ server, ca, identity }: KubeClientOptions) {
    this.#server = new URL(server);
    this.#agent = new Agent({ ca, cert: identity.cert, key: identity.key, keepAlive: true });
  }

  get(path: string): Promise<KubeObject> {
    return this.request('GET', path);
  }

  create(path: string, object: unknown): Promise<KubeObject> {
    return this.request('POST', path, object);
  }

  /** A merge patch. */
  patch(path: string, patch: unknown): Promise<KubeObject> {
    return this.request('PATCH', path, patch);
  }

  /** A strategic merge patch: conditions and the like are merged by their types. */
  async merge(path: string, patch: unknown): Promise<void> {
    const contentType = 'application/strategic-merge-patch+json';
    await this.#text('PATCH', path, { body: patch, contentType });
  }

  /** As kubectl, but knows only what it has itself applied before. */
  async apply(object: unknown): Promise<void> {
    const said = objectFieldsSchema.parse(object);
    const { apiVersion, kind, metadata } = identitySchema.parse(object);
    const collection = await this.#collection(apiVersion, kind);
    const path = collection.replace('{namespace}', metadata.namespace);
    const itself = `${path}/${metadata.name}`;
    const live = await this.#find(itself);
    if (live === undefined) {
      await this.text('POST', path, said);
    } else {
      const changes = changesTo(live, said, this.#applied.get(itself));
      if (changes !== undefined) await this.#send(itself, apiVersion, changes);
    }
    this.#applied.set(itself, said);
  }

  /** With DeleteOptions as the body. The answer may be a Status and not an object. */
  async delete(path: string, options: unknown = {}): Promise<void> {
    await this.text('DELETE', path, options);
  }

  async list(path: string): Promise<readonly KubeObject[]> {
    const { items } = listSchema.parse(JSON.parse(await this.text('GET', path)));
    return (items ?? []).map(toObject);
  }

  /** The object in the answer; throws a KubeError for a code of 400 or above. */
  async request(method: string, path: string, body?: unknown): Promise<KubeObject> {
    return toObject(objectSchema.parse(JSON.parse(await this.text(method, path, body))));
  }

  text(method: string, path: string, body?: unknown): Promise<string> {
    return this.#text(method, path, { body });
  }

  async #find(path: string): Promise<Readonly<Record<string, unknown>> | undefined> {
    try {
      return objectFieldsSchema.parse(JSON.parse(await this.text('GET', path)));
    } catch (error) {
      if (error instanceof KubeError && error.code === 404) return undefined;
      throw error;
    }
  }

  /** Only of its own kinds does the API server know how lists are merged. */
  async #send(path: string, apiVersion: string, changes: unknown): Promise<void> {
    const isItsOwn = /^[^./]*(\/|$)|^[^/]*\.k8s\.io\//.test(apiVersion);
    await (isItsOwn ? this.merge(path, changes) : this.patch(path, changes));
  }

  async #collection(apiVersion: string, kind: string): Promise<string> {
    const key = `${apiVersion} ${kind}`;
    const known = this.#collections.get(key);
    if (known !== undefined) return known;
    const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const { resources } = resourcesSchema.parse(JSON.parse(await this.text('GET', root)));
    const resource = resources.find((one) => one.kind === kind && !one.name.includes('/'));
    if (resource === undefined) throw new Error(`the API server has no ${key}`);
    const path = `${root}/${resource.namespaced ? 'namespaces/{namespace}/' : ''}${resource.name}`;
    this.#collections.set(key, path);
    return path;
  }

  async #text(method: string, path: string, content: Content): Promise<string> {
    const response = await this.#open(method, path, content);
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) text += String(chunk);
    const code = response.statusCode ?? 0;
    if (code >= 400) throw new KubeError(code, text);
    return text;
  }

  /**
   * Lists and watches a collection until the signal; begins anew whenever the watch ends,
   * which the API server does every few minutes.
   */
  async watch(path: string, handlers: WatchHandlers, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const list = listSchema.parse(JSON.parse(await this.text('GET', path)));
      handlers.synced((list.items ?? []).map(toObject));
      await this.#watchOnce(path, list.metadata.resourceVersion, { handlers, signal });
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #watchOnce(
    path: string,
    resourceVersion: string,
    { handlers, signal }: { handlers: WatchHandlers; signal: AbortSignal },
  ): Promise<void> {
    const separator = path.includes('?') ? '&' : '?';
    const query = `watch=true&resourceVersion=${resourceVersion}`;
    const response = await this.#open('GET', `${path}${separator}${query}`, { signal });
    if (response.statusCode !== 200) {
      response.resume();
      return;
    }
    try {
      for await (const line of createInterface({ input: response })) {
        const event = watchEventSchema.parse(JSON.parse(line));
        if (event.type === 'ERROR') return;
        const object = toObject(objectSchema.parse(event.object));
        if (event.type === 'DELETED') handlers.deleted(object);
        else if (event.type !== 'BOOKMARK') handlers.changed(object);
      }
    } finally {
      response.destroy();
    }
  }

  #open(
    method: string,
    path: string,
    { body, contentType, signal }: Content & { readonly signal?: AbortSignal },
  ): Promise<IncomingMessage> {
    const data = body === undefined ? undefined : JSON.stringify(body);
    const usual = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const type = contentType ?? usual;
    return new Promise((resolve, reject) => {
      const request = httpsRequest(
        new URL(path, this.#server),
        {
          method,
          agent: this.#agent,
          headers: {
            accept: 'application/json',
            ...(data === undefined
              ? {}
              : { 'content-type': type, 'content-length': Buffer.byteLength(data) }),
          },
          ...(signal === undefined ? {} : { signal }),
        },
        resolve,
      );
      request.on('error', reject);
      request.end(data);
    });
  }
}

/** Drops what is undefined, as exactOptionalPropertyTypes asks for. */
function toObject(parsed: z.infer<typeof objectSchema>): KubeObject {
  const object: KubeObject = JSON.parse(JSON.stringify(parsed));
  return object;
}
