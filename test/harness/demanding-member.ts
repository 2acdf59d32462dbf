import { once } from 'node:events';
import { createServer, type Http2Server, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** gRPC's INVALID_ARGUMENT, which etcd has for both. */
const REFUSED = { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '3' } as const;

/**
 * Speaks as a member that answers nobody without a token, as those of etcd 3.6 do, while those of 3.4
 * answer most things; and it takes no password, but keeps what it was sent.
 */
export class DemandingMember {
  readonly #server: Http2Server = createServer();
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #sent: Buffer[] = [];

  private constructor() {
    this.#server.on('session', (session) => {
      this.#sessions.add(session);
      session.on('close', () => this.#sessions.delete(session)).on('error', () => undefined);
    });
    this.#server.on('stream', (stream, headers) => {
      const asked = String(headers[':path']).endsWith('/Authenticate');
      stream.on('error', () => undefined);
      if (asked)
        buffer(stream).then(
          (body) => this.#sent.push(body),
          () => undefined,
        );
      else stream.resume();
      const words = asked
        ? 'authentication failed, invalid user ID or password'
        : 'user name is empty';
      stream.respond({ ...REFUSED, 'grpc-message': `etcdserver: ${words}` }, { endStream: true });
    });
  }

  static async start(): Promise<DemandingMember> {
    const member = new DemandingMember();
    member.#server.listen(0, '127.0.0.1');
    await once(member.#server, 'listening');
    return member;
  }

  /** host:port */
  get address(): string {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on a port
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Whether it was sent this in a request to authenticate. */
  wasSent(password: string): boolean {
    return this.#sent.some((body) => body.includes(password));
  }

  async close(): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
