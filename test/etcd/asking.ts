import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';

import type { Answer, StatusAnswer } from '../../src/decision/situation.ts';
import type { EtcdMethod, EtcdRequestObserver, MemberEndpoint } from '../../src/etcd/port.ts';

/** Remembers what it is told. */
export class Observations implements EtcdRequestObserver {
  readonly requests: { method: EtcdMethod; outcome: string; seconds: number }[] = [];

  etcdRequest(method: EtcdMethod, outcome: 'ok' | 'error' | 'timeout', seconds: number): void {
    this.requests.push({ method, outcome, seconds });
  }

  /** As `Status ok`, sorted. */
  get summary(): readonly string[] {
    return this.requests.map(({ method, outcome }) => `${method} ${outcome}`).sort();
  }
}

/** Members as endpoints, each a pod of its own name. */
export function endpointsOf(
  members: readonly { readonly name: string; readonly address: string }[],
): readonly MemberEndpoint[] {
  return members.map(({ name, address }) => ({ pod: name, address }));
}

/** The answer of a pod's member; throws unless it is a Status. */
export function statusOf(answers: ReadonlyMap<string, Answer>, pod: string): StatusAnswer {
  const answer = answers.get(pod);
  if (answer?.kind !== 'status') throw new Error(`${pod}: ${JSON.stringify(answer)}`);
  return answer;
}

/** `status`, or the kind with its cause, by pod. */
export function kindsOf(answers: ReadonlyMap<string, Answer>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    [...answers].map(([pod, answer]) => [
      pod,
      answer.kind === 'status' ? 'status' : `${answer.kind}: ${answer.cause}`,
    ]),
  );
}

/** How long something took, beside what it gave. */
export async function timed<T>(work: () => Promise<T>): Promise<{ result: T; ms: number }> {
  const startMs = performance.now();
  const result = await work();
  return { result, ms: performance.now() - startMs };
}

/** Passes connections on to an address, and can count, break and hold them up. */
export class Forwarder {
  readonly #open = new Set<Socket>();
  readonly #server = createServer((socket) => this.#forward(socket));
  readonly #to: string;
  accepted = 0;

  private constructor(to: string) {
    this.#to = to;
  }

  static async to(address: string): Promise<Forwarder> {
    const forwarder = new Forwarder(address);
    forwarder.#server.listen(0, '127.0.0.1');
    await once(forwarder.#server, 'listening');
    return forwarder;
  }

  get address(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('not listening');
    return `127.0.0.1:${address.port}`;
  }

  get open(): number {
    return this.#open.size;
  }

  /** Closes all connections, in order or by a reset. */
  break(how: 'end' | 'reset'): void {
    for (const socket of this.#open) {
      if (how === 'end') socket.end();
      else socket.resetAndDestroy();
    }
  }

  async close(): Promise<void> {
    this.break('reset');
    this.#server.close();
    await once(this.#server, 'close');
  }

  #forward(socket: Socket): void {
    this.accepted += 1;
    this.#open.add(socket);
    const [host, port] = this.#to.split(':');
    const target = connect(Number(port), host);
    socket.pipe(target).pipe(socket);
    socket
      .on('error', () => target.destroy())
      .on('close', () => {
        this.#open.delete(socket);
        target.destroy();
      });
    target.on('error', () => socket.destroy()).on('close', () => socket.destroy());
  }
}
