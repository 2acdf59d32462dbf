import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { onAbort, unlessAborted } from '../../sharing/abort.ts';
import { Slots } from '../../sharing/slots.ts';
import { noAnswer, unreachable, type Answer, type Subject } from './api-failure.ts';
import { ApiError } from './api.ts';
import type { Credentials, CredentialSource } from './credentials.ts';

/** One request; `path` is below the server's own, with its query. */
export interface Call {
  readonly subject: Subject;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
  /** Of the body; else JSON, and for a PATCH a JSON merge patch. */
  readonly contentType?: string;
  /** Instead of plain JSON. */
  readonly accept?: string;
}

/** The time that a method was given, over all that it does. */
export class Deadline {
  readonly signal: AbortSignal;
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #end: number;
  readonly #forget: () => void;

  /** Its signal aborts with an ApiError when time runs out, and with any of these others. */
  constructor(subject: Subject, withinMs: number, others: readonly AbortSignal[]) {
    const ms = Math.max(0, Math.round(withinMs));
    this.#end = performance.now() + ms;
    this.signal = this.#controller.signal;
    this.#forget = onAbort(others, (reason) => this.#controller.abort(reason));
    this.#timer = setTimeout(() => {
      this.#controller.abort(noAnswer(subject, ms));
    }, ms);
    // A server nearby can answer before a timer of no time at all.
    if (ms === 0) this.#controller.abort(noAnswer(subject, ms));
  }

  get remainingMs(): number {
    return this.#end - performance.now();
  }

  done(): void {
    clearTimeout(this.#timer);
    this.#forget();
  }
}

/** How a connection ends that was good before. */
const BROKEN = new Set(['ECONNRESET', 'EPIPE']);
const RETRY_MS = 100;

/** In a storm a TLS handshake for each request would cost more than waiting for a connection. */
const MOST_AT_ONCE = 32;

/** Requests over kept connections. It rejects with ApiErrors; refusals are answers to it. */
export class Transport {
  /** Without credentials, for messages. */
  readonly server: string;
  readonly #credentials: CredentialSource;
  readonly #url: URL;
  readonly #closed = new AbortController();
  readonly #slots = new Slots(MOST_AT_ONCE);

  constructor(credentials: CredentialSource) {
    this.#credentials = credentials;
    this.#url = new URL(credentials.config.server);
    this.server = `${this.#url.origin}${this.#url.pathname}`.replace(/\/+$/, '');
  }

  /** Aborts on `close`, with an ApiError as its reason. */
  get closing(): AbortSignal {
    return this.#closed.signal;
  }

  /**
   * The answer, read to its end. Tried once more where that is harmless and may help: a busy server
   * says when to come back, a GET met a passing fault, or the credentials were out of date.
   */
  async exchange(call: Call, deadline: Deadline): Promise<Answer> {
    const first = await this.#attempt(call, deadline).catch((error: unknown) => {
      if (!brokeHarmlessly(call, error)) throw error;
      this.#credentials.dropIdle();
      return null;
    });
    if (first !== null) {
      const waitMs = retryAfterMs(call, first);
      if (waitMs === null || waitMs >= deadline.remainingMs) return first;
      const { signal } = deadline;
      await delay(waitMs, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
    return this.#attempt(call, deadline);
  }

  /** The answer's head; its body is the caller's to read or destroy. */
  async open(call: Call, signal: AbortSignal): Promise<IncomingMessage> {
    const credentials = await unlessAborted(this.#credentials.current(), signal);
    const response = await this.#send(call, credentials, signal);
    if (response.statusCode !== 401) return response;
    let others: Credentials | null = credentials;
    try {
      others = await unlessAborted(this.#credentials.insteadOf(credentials), signal);
    } finally {
      if (others !== null) response.destroy();
    }
    return others === null ? response : this.#send(call, others, signal);
  }

  close(): void {
    this.#closed.abort(new ApiError('unreachable', 'the connection to the API server was closed'));
    this.#credentials.close();
  }

  async #attempt(call: Call, deadline: Deadline): Promise<Answer> {
    await this.#slots.take(deadline.signal);
    try {
      return await readAnswer(await this.open(call, deadline.signal));
    } catch (error) {
      if (deadline.signal.aborted) this.#credentials.dropIdle();
      deadline.signal.throwIfAborted();
      throw error instanceof ApiError ? error : unreachable(call.subject, this.server, error);
    } finally {
      this.#slots.release();
    }
  }

  #send(call: Call, credentials: Credentials, signal: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const text = call.body === undefined ? null : JSON.stringify(call.body);
      const request = this.#request(call, text, credentials);
      // Not the request's own `signal`: it says nothing while a proxy's agent still connects.
      const forget = onAbort([signal], (reason) => {
        reject(reason);
        request.destroy();
      });
      request.on('error', reject);
      request.on('close', forget);
      request.on('response', (response) => {
        // Without a listener an error would end the process before a reader is there.
        response.on('error', () => undefined);
        resolve(response);
      });
      request.end(text ?? undefined);
    });
  }

  #request(
    { method, path, contentType, accept = 'application/json' }: Call,
    body: string | null,
    { agent, headers }: Credentials,
  ): ClientRequest {
    const { protocol, port, pathname } = this.#url;
    const usual = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const make = protocol === 'http:' ? httpRequest : httpsRequest;
    return make({
      protocol,
      // An IPv6 address without its brackets.
      hostname: this.#url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port,
      agent,
      method,
      path: `${pathname.replace(/\/+$/, '')}${path}`,
      headers: {
        ...headers,
        accept,
        'user-agent': 'etcd-guard',
        // Of a DELETE Node would send no length, and the server would take its body for a request.
        ...(body !== null && {
          'content-type': contentType ?? usual,
          'content-length': Buffer.byteLength(body),
        }),
      },
    });
  }
}

/** A server may close a kept connection just when a request goes out on it. */
function brokeHarmlessly({ method }: Call, error: unknown): boolean {
  if (method !== 'GET' || !(error instanceof ApiError)) return false;
  const { cause } = error;
  return cause instanceof Error && 'code' in cause && BROKEN.has(String(cause.code));
}

/** Reads the body to its end. */
export async function readAnswer(response: IncomingMessage): Promise<Answer> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += String(chunk);
  return { status: response.statusCode ?? 0, headers: response.headers, text };
}

/** null: the answer stands. */
function retryAfterMs({ method }: Call, { status, headers }: Answer): number | null {
  const seconds = Number(headers['retry-after'] ?? Number.NaN);
  // A 429 comes before anything was done, whatever the method.
  if (status === 429) return seconds >= 0 ? seconds * 1_000 : null;
  if (status < 500 || method !== 'GET') return null;
  return seconds >= 0 ? seconds * 1_000 : RETRY_MS * (1 + Math.random());
}
