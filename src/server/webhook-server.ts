import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { TLSSocket, type SecureContextOptions } from 'node:tls';
import type express from 'express';
import type { Reply } from '../admission/response.ts';
import type { ReviewContext } from '../admission/review.ts';
import { bareApp } from './bare-app.ts';
import { BodyRoom, MAX_VALUES, isTooDense, parseJson, readBody, type Body } from './body.ts';
import { secureContextOf, type ServingCertificate } from './certificate.ts';
import { ClientGate, type ClientAuthority } from './client-authority.ts';
import { isUnused, trackConnections, type Connections } from './connections.ts';
import { refusalOf, refuse, refuseRaw, sendJson } from './refusal.ts';
import type { BadRequestKind, Refusal } from './refusal.ts';
import { timeoutOf } from './request-timeout.ts';

/** Answers one parsed body, whatever JSON it is; what it throws becomes HTTP 500. */
export type ReviewHandler = (review: unknown, context: ReviewContext) => Reply | Promise<Reply>;

/** Told what never reaches the handler, and what the handler threw. */
export interface WebhookEvents {
  readonly onBadRequest?: (kind: BadRequestKind) => void;
  readonly onHandlerFailed?: (error: unknown) => void;
}

/** Limits on what a caller may cost us. */
export interface WebhookLimits {
  readonly bodyBytes: number;
  /** Of all bodies that are being received at one time. */
  readonly bodiesBytes: number;
  readonly connections: number;
  /** From a request's first byte to its last. */
  readonly senderMs: number;
  /** How long a connection may stay open without a request, used before or not. */
  readonly idleMs: number;
}

/** Who may ask: whoever has a certificate of this authority, and one of these names if there are any. */
export interface AllowedClients {
  readonly authority: ClientAuthority;
  readonly names: readonly string[];
}

/** What a webhook server is made from. */
export interface WebhookOptions {
  /** null: handshakes fail until there is one to use. */
  readonly certificate: ServingCertificate | null;
  /** null: whoever reaches us may ask. */
  readonly clients?: AllowedClients | null;
  /** At `/validate`. */
  readonly handle: ReviewHandler;
  /** Whatever else can be asked, by path; a path that is not here is not found. */
  readonly others?: ReadonlyMap<string, ReviewHandler>;
  readonly events?: WebhookEvents;
  readonly limits?: Partial<WebhookLimits>;
}

const MIB = 1024 * 1024;

const DEFAULT_LIMITS: WebhookLimits = {
  // The API server takes request bodies of up to 3 MiB (twice etcd's 1.5 MiB an object, since JSON
  // is longer than protobuf); a review may hold two, object and oldObject: 6 MiB. The rest is room
  // for options, user groups and the escaping of what arrived as protobuf.
  bodyBytes: 8 * MIB,
  // Four of the largest; reviews are a few KiB.
  bodiesBytes: 32 * MIB,
  // An API server holds one for each review under way, and with its default limits can't have more
  // than 600 of those; idle ones take some 50 KB each.
  connections: 1_500,
  senderMs: 10_000,
  // The API server keeps idle connections for 90 s and must be the one that closes them.
  idleMs: 120_000,
};

/** Twice what an API server with long bearer tokens or proxies in front of it sends. */
const MAX_HEADER_BYTES = 32 * 1024;
const HANDSHAKE_MS = 10_000;

/** Where the pods of etcd are asked about. */
const REVIEWS = '/validate';
const JSON_TYPE = /^application\/json\s*(?:;|$)/i;
const NOT_FOUND: Refusal = { kind: 'NotFound', status: 404, error: 'not found' };
const NOT_ALLOWED: Refusal = {
  kind: 'MethodNotAllowed',
  status: 405,
  error: 'only POST is allowed here',
  allow: 'POST',
};
const TOO_DENSE: Refusal = {
  kind: 'TooLarge',
  status: 413,
  error: `the body holds more than ${MAX_VALUES} values`,
};
const NO_ROOM: Refusal = {
  kind: 'TooBusy',
  status: 503,
  error: 'too much is being received at once, and this was the largest; try again',
};
const NOT_JSON: Refusal = { kind: 'NotJson', status: 400, error: 'the body is not valid JSON' };

/** `gone`: nobody is there to be answered. */
type Outcome = Reply | Refusal | 'gone';

/** The HTTPS side of the webhook: `POST /validate`, the paths of what is installed beside it, nothing else. */
export class WebhookServer {
  readonly server: Server;
  readonly connections: Connections;
  readonly #handle: ReviewHandler;
  readonly #others: ReadonlyMap<string, ReviewHandler>;
  readonly #events: WebhookEvents;
  readonly #limits: WebhookLimits;
  readonly #tooLarge: Refusal;
  readonly #room: BodyRoom;
  /** null: whoever reaches us may ask. */
  readonly #gate: ClientGate | null;
  #clientAuthority: ClientAuthority | null;
  #certificate: ServingCertificate | null;
  #draining = false;

  constructor(options: WebhookOptions) {
    this.#handle = options.handle;
    this.#others = options.others ?? new Map();
    this.#events = options.events ?? {};
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#tooLarge = {
      kind: 'TooLarge',
      status: 413,
      error: `the body is larger than ${this.#limits.bodyBytes} bytes`,
    };
    this.#room = new BodyRoom(this.#limits.bodiesBytes);
    this.#gate = options.clients ? new ClientGate(options.clients.names) : null;
    this.#clientAuthority = options.clients?.authority ?? null;
    this.#certificate = options.certificate;
    this.server = this.#createServer();
    this.connections = trackConnections(this.server, this.#limits.connections);
  }

  /** The certificate that new connections get; null: none yet, and so no connection. */
  get certificate(): ServingCertificate | null {
    return this.#certificate;
  }

  /** True once responses ask for their connection to be closed. */
  get draining(): boolean {
    return this.#draining;
  }

  /** Serves another certificate to new connections; those that are open keep theirs. */
  useCertificate(certificate: ServingCertificate): void {
    this.#certificate = certificate;
    this.server.setSecureContext(this.#secureContext());
  }

  /**
   * Asks for certificates of another authority. Whoever was let in by the one before has its
   * connection closed, at once or after its answer, and no session of theirs can be resumed.
   */
  useClientAuthority(authority: ClientAuthority): void {
    this.#clientAuthority = authority;
    this.server.setSecureContext(this.#secureContext());
    this.connections.retire();
  }

  /** From now on every response closes its connection; requests are still served. */
  drain(): void {
    this.#draining = true;
  }

  #createServer(): Server {
    const { senderMs, idleMs } = this.#limits;
    // Node looks for slow senders at intervals; one interval less, so that none stays longer.
    const checkMs = Math.max(10, Math.floor(senderMs / 40));
    const server = createServer(
      {
        ...this.#secureContext(),
        // What is wrong with a certificate is said in an answer; see ClientGate.
        requestCert: this.#gate !== null,
        rejectUnauthorized: false,
        handshakeTimeout: HANDSHAKE_MS,
        maxHeaderSize: MAX_HEADER_BYTES,
        requestTimeout: senderMs - checkMs,
        headersTimeout: senderMs - checkMs,
        connectionsCheckingInterval: checkMs,
        keepAliveTimeout: idleMs,
      },
      this.#dispatch(this.#createApp()),
    );
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      this.#onClientError(error, socket);
    });
    return server;
  }

  #secureContext(): SecureContextOptions {
    const authority = this.#clientAuthority;
    return { ...secureContextOf(this.#certificate), ...(authority && { ca: authority.ca }) };
  }

  /**
   * Reviews go past the router: it costs a tenth of the rate that an unguarded review can reach,
   * and the API server's URL never needs it. Whatever is spelt otherwise is express' business.
   */
  #dispatch(app: express.Express): (request: IncomingMessage, response: ServerResponse) => void {
    return (request, response) => {
      const stranger = this.#gate?.strangerAt(request.socket) ?? null;
      if (stranger !== null) {
        this.#turnAway(request, response, stranger);
      } else {
        const handle = request.method === 'POST' ? this.#handlerAt(request.url ?? '') : null;
        if (handle === null) app(request, response);
        else this.#answer(request, response, handle);
      }
    };
  }

  #handlerAt(url: string): ReviewHandler | null {
    if (isReviewUrl(url)) return this.#handle;
    if (this.#others.size === 0) return null;
    const query = url.indexOf('?');
    return this.#others.get(query < 0 ? url : url.slice(0, query)) ?? null;
  }

  #createApp(): express.Express {
    const app = bareApp();
    for (const [path, handle] of [[REVIEWS, this.#handle] as const, ...this.#others]) {
      app.post(path, (request, response) => {
        this.#answer(request, response, handle);
      });
      app.all(path, (request, response) => {
        this.#refuse(request, response, NOT_ALLOWED);
      });
    }
    app.use((request, response) => {
      this.#refuse(request, response, NOT_FOUND);
    });
    // Express knows an error handler by its four parameters.
    app.use(
      (
        error: unknown,
        request: express.Request,
        response: express.Response,
        _next: express.NextFunction,
      ) => {
        // The router says so of a path that can't be decoded.
        if (statusOf(error) === 400) this.#refuse(request, response, refusalOf(''));
        else this.#fail(error, response);
      },
    );
    return app;
  }

  #answer(request: IncomingMessage, response: ServerResponse, handle: ReviewHandler): void {
    const arrivedAtMs = performance.now();
    const wrong = contentProblem(request);
    if (wrong !== null) {
      this.#refuse(request, response, wrong);
      return;
    }
    // Nothing that waits for the handler may hold the body: what is in flight when the young
    // generation fills up is copied and kept, at 60 KB a review.
    readBody(request, this.#limits.bodyBytes, this.#room, (body) => {
      const context = { timeoutMs: timeoutOf(request.url ?? ''), arrivedAtMs };
      try {
        const outcome = this.#judge(body, context, handle);
        if (outcome instanceof Promise) void this.#sendLater(request, response, outcome);
        else this.#send(request, response, outcome);
      } catch (error) {
        this.#fail(error, response);
      }
    });
  }

  async #sendLater(
    request: IncomingMessage,
    response: ServerResponse,
    reply: Promise<Reply>,
  ): Promise<void> {
    try {
      this.#send(request, response, await reply);
    } catch (error) {
      this.#fail(error, response);
    }
  }

  #send(request: IncomingMessage, response: ServerResponse, outcome: Outcome): void {
    if (outcome === 'gone') return;
    if ('error' in outcome) this.#refuse(request, response, outcome);
    else sendJson(response, outcome.status, outcome.body, this.#closes(request));
  }

  #judge(body: Body, context: ReviewContext, handle: ReviewHandler): Outcome | Promise<Reply> {
    if (body.kind === 'gone') return 'gone';
    if (body.kind === 'too-large') return this.#tooLarge;
    if (body.kind === 'no-room') return NO_ROOM;
    if (isTooDense(body.bytes)) return TOO_DENSE;
    const review = parseJson(body.bytes);
    return review === undefined ? NOT_JSON : handle(review, context);
  }

  #fail(error: unknown, response: ServerResponse): void {
    this.#events.onHandlerFailed?.(error);
    if (response.headersSent) response.destroy();
    else sendJson(response, 500, { error: 'internal error' }, this.#draining);
  }

  #refuse(request: IncomingMessage, response: ServerResponse, refusal: Refusal): void {
    this.#events.onBadRequest?.(refusal.kind);
    refuse(request, response, refusal, this.#closes(request));
  }

  /** Whoever may not ask may not hold a connection either. */
  #turnAway(request: IncomingMessage, response: ServerResponse, refusal: Refusal): void {
    this.#events.onBadRequest?.(refusal.kind);
    refuse(request, response, refusal, true);
  }

  #closes({ socket }: IncomingMessage): boolean {
    return this.#draining || this.connections.isRetired(socket);
  }

  #onClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
    const code = error.code ?? '';
    // Nobody to answer: a failed handshake, a sender who left, or who was answered already.
    if (!isAnswerable(code) || !(socket instanceof TLSSocket) || !socket.writable) {
      socket.destroy();
      return;
    }
    if (code === 'ERR_HTTP_REQUEST_TIMEOUT' && isUnused(socket)) {
      // Go may open a connection and keep it for later: a 408 now would answer its next request.
      socket.setTimeout(this.#limits.idleMs);
      return;
    }
    const refusal = refusalOf(code);
    this.#events.onBadRequest?.(refusal.kind);
    refuseRaw(socket, refusal);
  }
}

/** An end of stream in the middle of a request is a caller who gave up. */
function isAnswerable(code: string): boolean {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return true;
  return code.startsWith('HPE_') && code !== 'HPE_INVALID_EOF_STATE';
}

function isReviewUrl(url: string): boolean {
  const { length } = REVIEWS;
  return url.startsWith(REVIEWS) && (url.length === length || url[length] === '?');
}

function contentProblem(request: IncomingMessage): Refusal | null {
  const { headers } = request;
  const type = headers['content-type'];
  if (type !== 'application/json' && !JSON_TYPE.test(type ?? '')) {
    return mediaProblem('the content type has to be application/json');
  }
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding.toLowerCase() !== 'identity') {
    return mediaProblem('a compressed body is not accepted');
  }
  return null;
}

function mediaProblem(error: string): Refusal {
  return { kind: 'UnsupportedMediaType', status: 415, error };
}

function statusOf(error: unknown): unknown {
  return error instanceof Error && 'status' in error ? error.status : undefined;
}
