import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, createServer, request as httpsRequest, type Server } from 'node:https';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { CertificateAuthority } from '../harness/certificates.ts';
import { freePort } from '../harness/loopback.ts';
import { now, type History, type Review } from './history.ts';
import type { Breakage } from './options.ts';
import type { Replicas } from './replicas.ts';

const metadataSchema = z.looseObject({ uid: z.string().default('') });
const reviewSchema = z.looseObject({
  apiVersion: z.string(),
  request: z.looseObject({
    uid: z.string(),
    operation: z.string(),
    subResource: z.string().default(''),
    name: z.string().default(''),
    dryRun: z.boolean().default(false),
    userInfo: z.looseObject({ username: z.string().default('') }),
    oldObject: z
      .looseObject({ metadata: metadataSchema.extend({ name: z.string() }) })
      .nullable()
      .default(null),
    object: z
      .looseObject({
        deleteOptions: z.looseObject({ dryRun: z.array(z.string()).default([]) }).optional(),
      })
      .nullable()
      .default(null),
  }),
});
const answerSchema = z.looseObject({
  response: z.looseObject({
    allowed: z.boolean(),
    status: z.looseObject({ message: z.string().default('') }).optional(),
    auditAnnotations: z.looseObject({ reason: z.string().default('') }).optional(),
  }),
});

type Request = z.infer<typeof reviewSchema>['request'];
type Answer = Pick<Review, 'outcome' | 'reason' | 'message'> & { readonly body: string };

/**
 * What the API server takes for the guard: passes each review on to the next replica that listens,
 * and records what was asked and answered, and when.
 */
export class Front {
  readonly port: number;
  /** PEM */
  readonly ca: string;
  readonly #history: History;
  readonly #replicas: Replicas;
  readonly #broken: Breakage | null;
  readonly #uidOf: (pod: string) => string;
  readonly #server: Server;
  readonly #agents = new Map<string, Agent>();
  #turn = 0;

  private constructor(
    init: FrontInit,
    listening: { readonly port: number; readonly ca: string; readonly server: Server },
  ) {
    this.#history = init.history;
    this.#replicas = init.replicas;
    this.#broken = init.broken;
    this.#uidOf = init.uidOf;
    this.port = listening.port;
    this.ca = listening.ca;
    this.#server = listening.server;
    this.#server.on('request', (request, response) => void this.#serve(request, response));
  }

  static async start(init: FrontInit): Promise<Front> {
    const authority = await CertificateAuthority.create('front');
    const names = ['127.0.0.1', 'localhost'];
    const { cert, key } = await authority.issue({ commonName: 'front', names });
    const port = await freePort();
    // Node's own 5 s would close connections that the API server still counts on.
    const server = createServer({ cert, key, keepAliveTimeout: 120_000 });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return new Front(init, { port, ca: authority.cert, server });
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
    for (const agent of this.#agents.values()) agent.destroy();
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const from = now();
    // Set when the API server goes before it has its answer.
    const left = new AbortController();
    response.on('close', () => left.abort());
    response.on('error', () => left.abort());
    try {
      const body = await text(incoming);
      const { request } = reviewSchema.parse(JSON.parse(body));
      const replica = this.#replicas.next((this.#turn += 1));
      const answer =
        this.#broken === null || this.#broken === 'forget'
          ? await this.#ask(replica, { url: incoming.url ?? '', body, signal: left.signal })
          : await brokenAnswer(this.#broken, body);
      this.#record(request, { from, replica, url: incoming.url ?? '', answer });
      if (answer.outcome === 'failed') response.writeHead(502).end();
      else response.writeHead(200, { 'content-type': 'application/json' }).end(answer.body);
    } catch (error) {
      this.#history.add({ kind: 'trouble', message: `front: ${String(error)}` });
      response.destroy();
    }
  }

  async #ask(
    replica: number,
    { url, body, signal }: { url: string; body: string; signal: AbortSignal },
  ): Promise<Answer> {
    const target = this.#replicas.at(replica);
    if (target === undefined) return failed('no replica listens');
    let agent = this.#agents.get(target.https);
    if (agent === undefined) {
      agent = new Agent({ ca: target.ca, keepAlive: true });
      this.#agents.set(target.https, agent);
    }
    try {
      const outgoing = httpsRequest(`https://${target.https}${url}`, {
        method: 'POST',
        agent,
        signal,
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
      });
      const answered: Promise<[IncomingMessage]> = new Promise((resolve, reject) => {
        outgoing.on('response', (message) => resolve([message])).on('error', reject);
      });
      outgoing.end(body);
      const [message] = await answered;
      return answerIn(await text(message));
    } catch (error) {
      if (signal.aborted) return { ...failed('the API server hung up'), outcome: 'abandoned' };
      return failed(String(error));
    }
  }

  #record(
    request: Request,
    asked: { from: number; replica: number; url: string; answer: Answer },
  ): void {
    const pod = request.oldObject?.metadata.name ?? request.name;
    const seconds = /timeout=(\d+)s/.exec(asked.url)?.[1] ?? '10';
    const { outcome, reason, message } = asked.answer;
    this.#history.add({
      kind: 'review',
      id: request.uid,
      from: asked.from,
      timeoutMs: Number(seconds) * 1_000,
      replica: asked.replica,
      operation: request.operation === 'DELETE' ? 'delete' : 'eviction',
      pod,
      uid: request.oldObject?.metadata.uid ?? this.#uidOf(pod),
      user: request.userInfo.username,
      dryRun: isDryRun(request),
      outcome,
      reason,
      message,
    });
  }
}

function isDryRun({ dryRun, object }: Request): boolean {
  return dryRun || (object?.deleteOptions?.dryRun.length ?? 0) > 0;
}

export interface FrontInit {
  readonly history: History;
  readonly replicas: Replicas;
  readonly broken: Breakage | null;
  /** Of the pod that has this name now; empty if none has. */
  readonly uidOf: (pod: string) => string;
}

function failed(message: string): Answer {
  return { outcome: 'failed', reason: '', message, body: '' };
}

function answerIn(body: string): Answer {
  const { response } = answerSchema.parse(JSON.parse(body));
  return {
    outcome: response.allowed ? 'allow' : 'deny',
    // Only what a guard has to do with is annotated: an eviction of a pod that is not there is not.
    reason: response.auditAnnotations?.reason ?? (response.allowed ? 'NotGuarded' : ''),
    message: response.allowed ? '' : (response.status?.message ?? ''),
    body,
  };
}

const SLOW_MS = 10_500;

/** What a guard would say that is broken in this way. */
async function brokenAnswer(broken: Breakage, review: string): Promise<Answer> {
  const { apiVersion, request } = reviewSchema.parse(JSON.parse(review));
  const metadata = z
    .looseObject({ deletionTimestamp: z.string().optional() })
    .optional()
    .parse(request.oldObject?.metadata);
  const going = metadata?.deletionTimestamp !== undefined;
  if (broken === 'slow' && !going) await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
  const allowed = going || broken !== 'deny-all';
  const status = { code: 403, reason: 'Forbidden', message: 'broken on purpose' };
  const response = { uid: request.uid, allowed, ...(allowed ? {} : { status }) };
  return {
    outcome: allowed ? 'allow' : 'deny',
    reason: going ? 'AlreadyGoing' : 'Broken',
    message: '',
    body: JSON.stringify({ apiVersion, kind: 'AdmissionReview', response }),
  };
}
