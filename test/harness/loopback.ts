import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import getPort from 'get-port';

/**
 * Below the range that the kernel takes outgoing ports from: clients dial a stopped
 * server's port over and over, and from a port in that range one of them would sooner or
 * later connect to itself and keep the port.
 */
const FIRST_PORT = 15_000;
const LAST_PORT = 32_000;

/** A port that nothing listens on; not handed out twice by this process. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  const candidates = Array.from(
    { length: 50 },
    () => FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT)),
  );
  return getPort({ port: candidates, host });
}

export interface Listener {
  /** host:port */
  readonly address: string;
  readonly host: string;
  readonly port: number;
  /** How many connections were accepted so far. */
  connections(): number;
  close(): Promise<void>;
}

/** Accepts connections, reads what is sent, and never answers. */
export async function silentListener(host = '127.0.0.1'): Promise<Listener> {
  return listen(host, (socket) => socket.resume());
}

/** Accepts connections and resets them at once. */
export async function resettingListener(host = '127.0.0.1'): Promise<Listener> {
  return listen(host, (socket) => socket.resetAndDestroy());
}

/** Passes each connection on to the next of these addresses (host:port), whatever is said on it. */
export async function roundRobin(targets: readonly string[]): Promise<Listener> {
  let turn = 0;
  return listen('127.0.0.1', (socket) => {
    const [host, port] = (targets[turn % targets.length] ?? '').split(':');
    turn += 1;
    passOn(socket, connect(Number(port), host));
  });
}

/** A door to this address (host:port): once it is shut, only who is inside goes on. */
export interface Door extends Listener {
  shut(): void;
}

/** Passes connections on until it is shut; those that are open then stay open. */
export async function door(target: string): Promise<Door> {
  let open = true;
  const [host, port] = target.split(':');
  const listener = await listen('127.0.0.1', (socket) => {
    if (open) passOn(socket, connect(Number(port), host));
    else socket.resetAndDestroy();
  });
  return {
    ...listener,
    shut() {
      open = false;
    },
  };
}

function passOn(socket: Socket, onward: Socket): void {
  socket.pipe(onward).pipe(socket);
  socket.on('close', () => onward.destroy());
  onward.on('close', () => socket.destroy());
  onward.on('error', () => {});
}

async function listen(host: string, serve: (socket: Socket) => void): Promise<Listener> {
  const open = new Set<Socket>();
  let connections = 0;
  const server: Server = createServer((socket) => {
    connections += 1;
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => {});
    serve(socket);
  });
  const port = await freePort(host);
  server.listen(port, host);
  await once(server, 'listening');
  return {
    address: `${host}:${port}`,
    host,
    port,
    connections: () => connections,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}
