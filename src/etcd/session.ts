import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe } from 'node:diagnostics_channel';
import { Socket } from 'node:net';

import { Etcd3 } from 'etcd3';
import type { IOptions } from 'etcd3';

import type { Clock } from '../sharing/clock.ts';
import { releaseEndedStreams } from './ended-streams.ts';

releaseEndedStreams();

interface Sockets {
  readonly open: Set<Socket>;
  /** Nothing is to stay open any more. */
  over: boolean;
}

/** The sockets of the session on whose behalf the current code runs. */
const socketsOfCurrent = new AsyncLocalStorage<Sockets>();

subscribe('net.client.socket', (message) => {
  const sockets = socketsOfCurrent.getStore();
  if (sockets === undefined) return;
  if (typeof message !== 'object' || message === null || !('socket' in message)) return;
  const { socket } = message;
  if (!(socket instanceof Socket)) return;
  sockets.open.add(socket);
  socket.once('close', () => sockets.open.delete(socket));
  // A client that is slow to connect may do so after it was closed. Not at once: the socket is told
  // to connect only after this, and that would bring it back to life.
  if (sockets.over) process.nextTick(() => socket.destroy());
});

// Long enough to say goodbye to a member that listens.
const GRACE_MS = 1000;

/**
 * A client of one member with the sockets it opened. grpc-js forgets a socket whose peer has
 * accepted the connection but is frozen: nothing but the peer would ever close it.
 */
export class Session {
  readonly openedAtMs: number;
  readonly #client: Etcd3;
  readonly #clock: Clock;
  readonly #sockets: Sockets = { open: new Set(), over: false };
  #requests = 0;
  #retired = false;

  /** Throws on TLS settings that cannot be used. */
  constructor(options: IOptions, clock: Clock) {
    this.#client = new Etcd3(options);
    this.#clock = clock;
    this.openedAtMs = clock.now();
  }

  get retired(): boolean {
    return this.#retired;
  }

  async run<T>(send: (client: Etcd3) => Promise<T>): Promise<T> {
    this.#requests += 1;
    try {
      return await socketsOfCurrent.run(this.#sockets, send, this.#client);
    } finally {
      this.#requests -= 1;
      if (this.#retired && this.#requests === 0) this.#close();
    }
  }

  /** Closes it once its requests have ended: some may be allowed longer than the one that failed. */
  retire(): void {
    if (this.#retired) return;
    this.#retired = true;
    if (this.#requests === 0) this.#close();
  }

  #close(): void {
    this.#client.close();
    this.#clock.afterIdle(GRACE_MS, () => {
      this.#sockets.over = true;
      for (const socket of this.#sockets.open) socket.destroy();
    });
  }
}
