import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import { onAbort } from '../../sharing/abort.ts';
import {
  describeSubject,
  nonsense,
  oneLine,
  parseJson,
  refusal,
  saysNoSuchObject,
  statusOf,
  unreachable,
  type Answer,
  type Subject,
} from './api-failure.ts';
import {
  ApiError,
  type KubernetesApi,
  type KubernetesObject,
  type ListOptions,
  type Resource,
  type WatchEvents,
} from './api.ts';
import { CredentialSource } from './credentials.ts';
import { discover, type ResourceDiscovery, type ServedResource } from './discovery.ts';
import { dryRun, dryRunSubject, type DryRunAnswer, type DryRunRequest } from './dry-run.ts';
import type { ClusterAccess } from './kube-config.ts';
import { Deadline, readAnswer, Transport, type Call } from './transport.ts';
import {
  Expired,
  startWatch,
  WATCH_TIMING,
  type Listed,
  type WatchedEvent,
  type WatchTiming,
} from './watch.ts';

/** A connection to an API server, and what its configuration says besides. */
export interface KubernetesConnection extends KubernetesApi, ResourceDiscovery {
  /** Its URL, as messages name it. */
  readonly server: string;
  /** Where the configuration says we are; null where it doesn't. */
  readonly namespace: string | null;
  /** What a deletion or eviction would be answered now, by all of admission; nothing is deleted. */
  dryRun(request: DryRunRequest, withinMs: number): Promise<DryRunAnswer>;
}

/**
 * Reads the configuration, and connects on first use. Rejects with an ApiError if the configuration
 * can't be used. Loading this file loads client-node: import it only where a cluster is used.
 */
export async function connectKubernetes(
  access: ClusterAccess,
  timing: WatchTiming = WATCH_TIMING,
): Promise<KubernetesConnection> {
  const credentials = await CredentialSource.open(access);
  return new ClientNodeApi(new Transport(credentials), credentials.config.namespace, timing);
}

const PAGE = 500;
const METADATA_ONLY = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';
/** For the list that a watch begins with, all its pages together. */
const WATCH_LIST_MS = 60_000;
/** Until a watch's first byte: the API server sends the head at once. */
const WATCH_OPEN_MS = 30_000;

const metadataSchema = z.looseObject({
  name: z.string(),
  uid: z.string(),
  resourceVersion: z.string(),
});
const objectSchema = z.looseObject({ metadata: metadataSchema });
const listSchema = z.looseObject({
  apiVersion: z.string().optional(),
  kind: z.string().optional(),
  metadata: z.looseObject({
    resourceVersion: z.string().default(''),
    continue: z.string().optional(),
  }),
  items: z.array(z.unknown()).nullish(),
});
const eventSchema = z.object({ type: z.string(), object: z.unknown() });
const bookmarkSchema = z.looseObject({ metadata: z.looseObject({ resourceVersion: z.string() }) });

/** Raw JSON, since client-node's typed clients turn timestamps into Dates and drop unknown fields. */
class ClientNodeApi implements KubernetesConnection {
  readonly namespace: string | null;
  readonly #transport: Transport;
  readonly #timing: WatchTiming;
  readonly #watches = new Set<{ stop(): void }>();
  #closed = false;

  constructor(transport: Transport, namespace: string | null, timing: WatchTiming) {
    this.#transport = transport;
    this.namespace = namespace;
    this.#timing = timing;
  }

  get server(): string {
    return this.#transport.server;
  }

  async get(resource: Resource, name: string, withinMs: number): Promise<KubernetesObject | null> {
    const subject: Subject = { verb: 'get', resource, name };
    const call: Call = { subject, method: 'GET', path: pathOf(resource, name) };
    const answer = await this.#within(subject, withinMs, (deadline) =>
      this.#transport.exchange(call, deadline),
    );
    return saysNoSuchObject(answer, name) ? null : objectIn(subject, answer);
  }

  async list(
    resource: Resource,
    options: ListOptions,
    withinMs: number,
  ): Promise<readonly KubernetesObject[]> {
    const subject: Subject = { verb: 'list', resource };
    const { objects } = await this.#within(subject, withinMs, (deadline) =>
      this.#listAll(subject, options, deadline),
    );
    return objects;
  }

  create(resource: Resource, object: unknown, withinMs: number): Promise<KubernetesObject> {
    const call: Call = {
      subject: { verb: 'create', resource },
      method: 'POST',
      path: pathOf(resource),
      body: object,
    };
    return this.#write(call, withinMs);
  }

  replace(
    resource: Resource,
    object: KubernetesObject,
    { subresource, withinMs }: { readonly subresource?: 'status'; readonly withinMs: number },
  ): Promise<KubernetesObject> {
    const { name, namespace = null } = object.metadata;
    const place: Resource = { ...resource, namespace: resource.namespace ?? namespace };
    const part = subresource === undefined ? {} : { subresource };
    const call: Call = {
      subject: { verb: 'update', resource: place, name, ...part },
      method: 'PUT',
      path: `${pathOf(place, name)}${subresource === undefined ? '' : `/${subresource}`}`,
      body: object,
    };
    return this.#write(call, withinMs);
  }

  patch(
    resource: Resource,
    name: string,
    patch: unknown,
    withinMs: number,
  ): Promise<KubernetesObject> {
    const call: Call = {
      subject: { verb: 'patch', resource, name },
      method: 'PATCH',
      path: pathOf(resource, name),
      body: patch,
    };
    return this.#write(call, withinMs);
  }

  patchStatus(
    resource: Resource,
    name: string,
    patch: unknown,
    withinMs: number,
  ): Promise<KubernetesObject> {
    const call: Call = {
      subject: { verb: 'patch', resource, name, subresource: 'status' },
      method: 'PATCH',
      path: `${pathOf(resource, name)}/status`,
      body: patch,
      contentType: 'application/strategic-merge-patch+json',
    };
    return this.#write(call, withinMs);
  }

  dryRun(request: DryRunRequest, withinMs: number): Promise<DryRunAnswer> {
    return this.#within(dryRunSubject(request), withinMs, (deadline) =>
      dryRun(request, (call) => this.#once(call, deadline)),
    );
  }

  served(group: string, withinMs: number): Promise<ReadonlyMap<string, ServedResource> | null> {
    const prefix = group === '' ? '/api/v1' : `/apis/${group}`;
    const subject: Subject = { verb: 'get', resource: { prefix, plural: 'API', namespace: null } };
    return this.#within(subject, withinMs, (deadline) =>
      discover(group, async (path) => {
        const answer = await this.#transport.exchange({ subject, method: 'GET', path }, deadline);
        if (answer.status === 404) return null;
        if (answer.status >= 300) throw refusal(subject, answer);
        return answer;
      }),
    );
  }

  watch(resource: Resource, options: ListOptions, events: WatchEvents): { stop(): void } {
    if (this.#closed) return { stop: () => undefined };
    const subject: Subject = { verb: 'list', resource };
    const source = {
      list: (signal: AbortSignal) =>
        this.#within(
          subject,
          WATCH_LIST_MS,
          (deadline) => this.#listAll(subject, options, deadline),
          signal,
        ),
      follow: (from: Following, signal: AbortSignal) =>
        this.#follow(resource, { ...from, options }, signal),
    };
    const started = startWatch(source, events, this.#timing);
    const watch = {
      stop: () => {
        this.#watches.delete(watch);
        started.stop();
      },
    };
    this.#watches.add(watch);
    return watch;
  }

  close(): void {
    this.#closed = true;
    for (const watch of this.#watches) watch.stop();
    this.#transport.close();
  }

  async #write(call: Call, withinMs: number): Promise<KubernetesObject> {
    const { subject } = call;
    const answer = await this.#within(subject, withinMs, (deadline) =>
      this.#transport.exchange(call, deadline),
    );
    return objectIn(subject, answer);
  }

  /** Without the second try, which a refusal that says when to come back would get. */
  async #once(call: Call, deadline: Deadline): Promise<Answer> {
    try {
      return await readAnswer(await this.#transport.open(call, deadline.signal));
    } catch (error) {
      deadline.signal.throwIfAborted();
      throw error instanceof ApiError ? error : unreachable(call.subject, this.server, error);
    }
  }

  async #within<T>(
    subject: Subject,
    withinMs: number,
    work: (deadline: Deadline) => Promise<T>,
    stop?: AbortSignal,
  ): Promise<T> {
    const others = [this.#transport.closing, ...(stop === undefined ? [] : [stop])];
    const deadline = new Deadline(subject, withinMs, others);
    try {
      return await work(deadline);
    } finally {
      deadline.done();
    }
  }

  async #listAll(subject: Subject, options: ListOptions, deadline: Deadline): Promise<Listed> {
    const objects: KubernetesObject[] = [];
    const narrowed = narrowing(options);
    const accept = options.metadataOnly === true ? { accept: METADATA_ONLY } : {};
    let query: Query = { ...narrowed, limit: PAGE };
    for (;;) {
      const path = pathOf(subject.resource) + queryOf(query);
      const call: Call = { subject, method: 'GET', path, ...accept };
      const answer = await this.#transport.exchange(call, deadline);
      if (answer.status === 410 && query['continue'] !== undefined) {
        // The snapshot of the first page is gone. In one piece a list can't expire again.
        objects.length = 0;
        query = { ...narrowed };
        continue;
      }
      const page = listIn(subject, answer);
      for (const object of page.objects) objects.push(object);
      if (page.next === '') return { objects, resourceVersion: page.resourceVersion };
      query = { ...query, continue: page.next };
    }
  }

  async *#follow(
    resource: Resource,
    { resourceVersion, seconds, options }: Following & { readonly options: ListOptions },
    signal: AbortSignal,
  ): AsyncGenerator<WatchedEvent> {
    const subject: Subject = { verb: 'watch', resource };
    const query: Query = {
      ...narrowing(options),
      watch: true,
      allowWatchBookmarks: true,
      resourceVersion,
      timeoutSeconds: seconds,
    };
    const path = pathOf(resource) + queryOf(query);
    const response = await this.#within(
      subject,
      WATCH_OPEN_MS,
      (deadline) => this.#open({ subject, method: 'GET', path }, deadline),
      signal,
    );
    // The deadline of the opening is over, and with it what ended the request on these signals.
    const ends = [signal, this.#transport.closing];
    const forget = onAbort(ends, () => response.destroy());
    const throwIfEnded = (): void => ends.forEach((end) => end.throwIfAborted());
    try {
      for await (const line of linesOf(response)) {
        const event = eventIn(subject, line);
        if (event !== null) yield event;
      }
      throwIfEnded();
    } catch (error) {
      throwIfEnded();
      if (error instanceof ApiError || error instanceof Expired) throw error;
      throw unreachable(subject, this.server, error);
    } finally {
      forget();
      response.destroy();
    }
  }

  /** The head of a watch that the server accepts. */
  async #open(call: Call, deadline: Deadline): Promise<IncomingMessage> {
    const { subject } = call;
    let answer: Answer;
    try {
      const response = await this.#transport.open(call, deadline.signal);
      if (response.statusCode === 200) return response;
      answer = await readAnswer(response);
    } catch (error) {
      deadline.signal.throwIfAborted();
      throw error instanceof ApiError ? error : unreachable(subject, this.server, error);
    }
    if (answer.status === 410) throw new Expired(null);
    throw refusal(subject, answer);
  }
}

interface Following {
  readonly resourceVersion: string;
  readonly seconds: number;
}

type Query = Readonly<Record<string, string | number | boolean>>;

function pathOf({ prefix, plural, namespace }: Resource, name?: string): string {
  const place = namespace === null ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  const which = name === undefined ? '' : `/${encodeURIComponent(name)}`;
  return `${prefix}${place}/${plural}${which}`;
}

function narrowing({ labelSelector, fieldSelector }: ListOptions): Query {
  return {
    ...(labelSelector !== undefined && { labelSelector }),
    ...(fieldSelector !== undefined && { fieldSelector }),
  };
}

function queryOf(query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) parameters.set(name, String(value));
  return `?${parameters.toString()}`;
}

function objectIn(subject: Subject, answer: Answer): KubernetesObject {
  return toObject(subject, contentOf(subject, answer));
}

function contentOf(subject: Subject, answer: Answer): unknown {
  if (answer.status >= 300) throw refusal(subject, answer);
  const content = parseJson(answer.text);
  if (content === undefined) throw nonsense(subject, 'not JSON');
  return content;
}

/** Checked but not copied: the parsed JSON itself, with all that we don't know of. */
function toObject(subject: Subject, content: unknown): KubernetesObject {
  if (isObject(content)) return content;
  throw nonsense(subject, 'no object with name, uid and resourceVersion');
}

function isObject(content: unknown): content is KubernetesObject {
  return objectSchema.safeParse(content).success;
}

function listIn(
  subject: Subject,
  answer: Answer,
): Listed & {
  /** Empty on the last page. */
  readonly next: string;
} {
  const list = listSchema.safeParse(contentOf(subject, answer)).data;
  if (list === undefined) throw nonsense(subject, 'no list');
  const { apiVersion, kind = '', items, metadata } = list;
  // Items leave out what they are; said here, an object is the same from a list and from a get.
  const type = {
    ...(apiVersion === undefined ? {} : { apiVersion }),
    ...(kind.endsWith('List') ? { kind: kind.slice(0, -'List'.length) } : {}),
  };
  return {
    objects: (items ?? []).map((item) => ({ ...type, ...toObject(subject, item) })),
    resourceVersion: metadata.resourceVersion,
    next: metadata.continue ?? '',
  };
}

/** null: an event of a type that is not known here. */
function eventIn(subject: Subject, line: string): WatchedEvent | null {
  const event = eventSchema.safeParse(parseJson(line)).data;
  if (event === undefined) throw new Expired(nonsense(subject, 'no event'));
  const { type, object } = event;
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      if (!isObject(object)) throw new Expired(nonsense(subject, `${type} with no object`));
      return { type, object };
    case 'BOOKMARK':
      return bookmarkIn(object);
    case 'ERROR':
      throw expiry(subject, object);
    default:
      return null;
  }
}

function bookmarkIn(object: unknown): WatchedEvent | null {
  const { data } = bookmarkSchema.safeParse(object);
  return data === undefined
    ? null
    : { type: 'BOOKMARK', resourceVersion: data.metadata.resourceVersion };
}

/** The API server ends a watch that it can't go on with by an event that holds a Status. */
function expiry(subject: Subject, object: unknown): Expired {
  const status = statusOf(object);
  if (status?.code === 410 || status?.reason === 'Expired' || status?.reason === 'Gone') {
    return new Expired(null);
  }
  const said = oneLine(status?.message ?? 'no reason given');
  const message = `the API server ended a watch (${describeSubject(subject)}): ${said}`;
  return new Expired(new ApiError('refused', message));
}

/** Whole lines; what is cut off at the end was no event. */
async function* linesOf(response: IncomingMessage): AsyncGenerator<string> {
  let parts: string[] = [];
  for await (const chunk of response.setEncoding('utf8')) {
    const [head = '', ...more] = String(chunk).split('\n');
    parts.push(head);
    for (const next of more) {
      const line = parts.join('');
      parts = [next];
      if (line !== '') yield line;
    }
  }
}
