import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { TLSSocket } from 'node:tls';
import { stringify } from 'yaml';
import type { KubernetesObject } from '../../../src/kubernetes/api/api.ts';
import type { ClusterAccess } from '../../../src/kubernetes/api/kube-config.ts';
import type { CertificateAuthority } from '../../harness/certificates.ts';
import { freePort } from '../../harness/loopback.ts';

export interface Received {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
  /** Of the client's certificate. */
  readonly user: string | undefined;
}

export type Handler = (request: Received, response: ServerResponse) => void;

/** An API server that says what the test tells it to, on loopback; plain HTTP without `authority`. */
export class FakeApiServer {
  readonly url: string;
  readonly requests: Received[] = [];
  connections = 0;
  /** Answers what `next` has nothing for. */
  handle: Handler = (_request, response) => answer(response, 404, status(404, 'NotFound'));
  readonly #next: Handler[] = [];
  readonly #open = new Set<Socket>();
  readonly #server: Server;
  readonly #port: number;
  readonly #authority: CertificateAuthority | null;

  private constructor(server: Server, port: number, authority: CertificateAuthority | null) {
    this.#server = server;
    this.#port = port;
    this.#authority = authority;
    this.url = `${authority === null ? 'http' : 'https'}://127.0.0.1:${port}`;
    server.on(authority === null ? 'connection' : 'secureConnection', (socket: Socket) => {
      this.connections += 1;
      this.#open.add(socket);
      socket.on('close', () => this.#open.delete(socket));
      socket.on('error', () => undefined);
    });
    server.on('request', (request, response) => void this.#serve(request, response));
  }

  static async start(authority: CertificateAuthority | null = null): Promise<FakeApiServer> {
    const server = authority === null ? createServer() : await tlsServer(authority);
    const fake = new FakeApiServer(server, await freePort(), authority);
    await fake.listen();
    return fake;
  }

  /** Again, after `stop`, at the same port. */
  async listen(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  get openConnections(): number {
    return this.#open.size;
  }

  /** Answers the next requests, one each, in this order. */
  next(...handlers: readonly Handler[]): void {
    this.#next.push(...handlers);
  }

  /** Ends all connections and accepts no more. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#open) socket.destroy();
    await closed;
  }

  /** A kubeconfig for it in this directory, with this user and these additions to the cluster. */
  async access(
    directory: string,
    user: unknown = {},
    cluster: unknown = {},
  ): Promise<ClusterAccess> {
    const file = join(directory, 'kubeconfig');
    const ca = this.#authority?.cert;
    const own = {
      server: this.url,
      ...(ca === undefined
        ? {}
        : { 'certificate-authority-data': Buffer.from(ca).toString('base64') }),
    };
    const text = stringify({
      clusters: [{ name: 'fake', cluster: Object.assign(own, cluster) }],
      users: [{ name: 'me', user }],
      contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'me', namespace: 'here' } }],
      'current-context': 'fake',
    });
    await writeFile(file, text);
    return { kind: 'kubeconfig', files: [file] };
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const chunk of request.setEncoding('utf8')) text += String(chunk);
    const { pathname, searchParams } = new URL(request.url ?? '', this.url);
    const { socket } = request;
    const subject = socket instanceof TLSSocket ? socket.getPeerCertificate().subject : undefined;
    const received: Received = {
      method: request.method ?? '',
      path: pathname,
      query: Object.fromEntries(searchParams),
      headers: request.headers,
      body: text === '' ? undefined : JSON.parse(text),
      user: subject === undefined ? undefined : String(subject.CN),
    };
    this.requests.push(received);
    (this.#next.shift() ?? this.handle)(received, response);
  }
}

async function tlsServer(authority: CertificateAuthority): Promise<Server> {
  const { cert, key } = await authority.issue({ commonName: 'fake', names: ['127.0.0.1'] });
  return createTlsServer({
    cert,
    key,
    ca: authority.cert,
    requestCert: true,
    rejectUnauthorized: false,
  });
}

export function answer(
  response: ServerResponse,
  code: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(code, { 'content-type': 'application/json', ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

/** A handler that gives this answer. */
export function answers(
  code: number,
  body: unknown,
  headers?: Readonly<Record<string, string>>,
): Handler {
  return (_request, response) => answer(response, code, body, headers);
}

/** Reads the request and says nothing. */
export const silent: Handler = () => undefined;

/** Resets the connection in the middle of the body. */
export const breaksOff: Handler = (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
  response.write('{"metadata":{"name":', () => response.socket?.resetAndDestroy());
};

export function status(
  code: number,
  reason: string,
  more: { readonly message?: string; readonly name?: string } = {},
): Record<string, unknown> {
  const { message = reason, name } = more;
  const details = name === undefined ? {} : { details: { name } };
  return { kind: 'Status', status: 'Failure', code, reason, message, ...details };
}

export function object(name: string, version: number | string): KubernetesObject {
  return {
    metadata: { name, uid: `uid-${name}`, namespace: 'default', resourceVersion: String(version) },
  };
}

export function listOf(version: number | string, ...items: readonly unknown[]): unknown {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMapList',
    metadata: { resourceVersion: String(version) },
    items,
  };
}
