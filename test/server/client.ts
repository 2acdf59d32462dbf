import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { type Agent, request as httpsRequest } from 'node:https';
import type { Server } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { decodeReview } from '../../src/admission/review.ts';
import { allowed, malformedReply, unusable, type Reply } from '../../src/admission/response.ts';
import { boundAddress } from '../../src/server/listen.ts';
import { selfSignedCertificate } from '../../src/server/self-signed.ts';
import { WebhookServer, type WebhookOptions } from '../../src/server/webhook-server.ts';

export interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
}

export interface Call {
  readonly port: number;
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer | Iterable<Buffer>;
  readonly agent?: Agent;
}

/** The handler that the webhook has, without a guard behind it. */
export async function answerUnguarded(review: unknown): Promise<Reply> {
  const decoded = decodeReview(review);
  if (decoded.kind === 'malformed') return malformedReply(decoded.error);
  const { apiVersion } = decoded;
  return decoded.kind === 'unusable'
    ? { status: 200, body: unusable({ apiVersion, uid: decoded.uid }, decoded.error) }
    : { status: 200, body: allowed({ apiVersion, uid: decoded.request.uid }) };
}

export async function startWebhook(over: Partial<WebhookOptions> = {}): Promise<{
  webhook: WebhookServer;
  port: number;
  close: () => Promise<void>;
}> {
  const certificate = await selfSignedCertificate();
  const webhook = new WebhookServer({ certificate, handle: answerUnguarded, ...over });
  const port = await listen(webhook.server);
  return {
    webhook,
    port,
    close: () =>
      new Promise((resolve) => {
        webhook.server.close(() => {
          resolve();
        });
        webhook.connections.closeAll();
      }),
  };
}

export function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      resolve(boundAddress(server).port);
    });
  });
}

/** Sends one request; the headers that vary are left out of the answer. */
export function send(call: Call, protocol: 'https' | 'http' = 'https'): Promise<Answer> {
  const { body } = call;
  const options = {
    host: '127.0.0.1',
    port: call.port,
    method: call.method ?? 'POST',
    path: call.path ?? '/validate',
    headers: call.headers ?? { 'content-type': 'application/json' },
  };
  return new Promise((resolve, reject) => {
    const request =
      protocol === 'http'
        ? httpRequest({ ...options, agent: false })
        : httpsRequest({ ...options, rejectUnauthorized: false, agent: call.agent ?? false });
    let answered = false;
    request.on('response', (response) => {
      answered = true;
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const isJson = response.headers['content-type']?.startsWith('application/json');
        const headers = { ...response.headers };
        for (const varying of ['date', 'content-length', 'keep-alive']) delete headers[varying];
        resolve({
          status: response.statusCode,
          headers,
          body: isJson ? (JSON.parse(text) as unknown) : text,
        });
      });
    });
    request.on('error', (error) => {
      // The answer may come before everything is sent; what follows it is not the test's matter.
      if (!answered) reject(error);
    });
    if (body === undefined || typeof body === 'string' || Buffer.isBuffer(body)) {
      request.end(body);
      return;
    }
    for (const chunk of body) request.write(chunk);
    request.end();
  });
}

/** A TLS connection to write on by hand; `text` is all that came back. */
export class RawConnection {
  readonly socket: TLSSocket;
  text = '';
  closed = false;

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.text += chunk.toString();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.closed = true;
    });
  }

  static open(port: number): Promise<RawConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
      socket.once('error', reject);
      socket.once('secureConnect', () => {
        resolve(new RawConnection(socket));
      });
    });
  }
}

export const REVIEW = JSON.stringify({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: {
    uid: 'u1',
    operation: 'DELETE',
    resource: { group: '', version: 'v1', resource: 'pods' },
    namespace: 'default',
    oldObject: { metadata: { name: 'web-0', namespace: 'default' } },
  },
});

export const ALLOWED = {
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  response: { uid: 'u1', allowed: true },
};
