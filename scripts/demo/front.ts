import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { freePort } from '../../test/harness/loopback.ts';

/** One address for all replicas, as a Service is: each connection goes to the next of them. */
export class Front {
  /** host:port */
  readonly address: string;
  readonly #targets: readonly string[];
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  #turn = 0;

  private constructor(targets: readonly string[], port: number) {
    this.address = `127.0.0.1:${port}`;
    this.#targets = targets;
    this.#server = createServer((socket) => this.#passOn(socket));
  }

  /** `targets` are host:port. */
  static async start(targets: readonly string[]): Promise<Front> {
    const port = await freePort();
    const front = new Front(targets, port);
    front.#server.listen(port, '127.0.0.1');
    await once(front.#server, 'listening');
    return front;
  }

  /** The API server would go on using the connection that it has: now it has to make another. */
  turnTo(target: number): void {
    this.#turn = target;
    for (const socket of this.#open) socket.destroy();
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#open) socket.destroy();
    await closed;
  }

  #passOn(socket: Socket): void {
    const [host, port] = (this.#targets[this.#turn % this.#targets.length] ?? '').split(':');
    this.#turn += 1;
    const onward = connect(Number(port), host);
    this.#open.add(socket);
    socket.pipe(onward).pipe(socket);
    socket.on('error', () => {}).on('close', () => onward.destroy());
    socket.on('close', () => this.#open.delete(socket));
    onward.on('error', () => {}).on('close', () => socket.destroy());
  }
}
