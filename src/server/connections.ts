import type { EventEmitter } from 'node:events';
import type { Server as PlainServer } from 'node:http';
import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/** The open connections of a server that Node's own lists leave out or can't tell apart. */
export interface Connections {
  /** Closes those that have been open for `ageMs` and never carried an application byte. */
  closeUnused(ageMs: number): void;
  /** Closes those that are idle; whoever is busy is asked to close after its answer. */
  retire(): void;
  /** It was open when `retire` was called. */
  isRetired(socket: Socket): boolean;
  closeAll(): void;
}

interface Connection {
  readonly socket: Socket;
  readonly sinceMs: number;
}

/**
 * Follows connections from TCP accept through the TLS handshake to use. Node counts a connection
 * that never sent anything as busy, so closing the idle ones would wait for it. Of more than `most`
 * the one goes that has been open longest without use, or else the newest.
 */
export function trackConnections(server: Server | PlainServer, most = Infinity): Connections {
  const open = new Map<string, Connection>();
  const retired = new WeakSet<Socket>();
  function track(socket: Socket): void {
    // The TLS socket replaces the raw one: there is no public link between the two.
    const peer = `${socket.remoteAddress}|${socket.remotePort}`;
    const connection = { socket, sinceMs: performance.now() };
    // Set anew, it would keep the place of the raw socket.
    open.delete(peer);
    open.set(peer, connection);
    socket.once('close', () => {
      if (open.get(peer) === connection) open.delete(peer);
    });
    if (open.size > most) makeRoom(socket);
  }
  function makeRoom(newest: Socket): void {
    // In the order in which they came; one whose handshake has ended since then is behind it.
    for (const [peer, { socket }] of open) {
      if (socket !== newest && !isUnused(socket)) continue;
      open.delete(peer);
      socket.destroy();
      return;
    }
  }
  function closeUnused(ageMs: number): void {
    const before = performance.now() - ageMs;
    for (const { socket, sinceMs } of open.values()) {
      if (sinceMs <= before && isUnused(socket)) socket.destroy();
    }
  }
  const emitter: EventEmitter = server;
  emitter.on('connection', track);
  emitter.on('secureConnection', track);
  return {
    closeUnused,
    retire() {
      for (const { socket } of open.values()) retired.add(socket);
      server.closeIdleConnections();
      closeUnused(0);
    },
    isRetired: (socket) => retired.has(socket),
    closeAll() {
      server.closeAllConnections();
      for (const { socket } of open.values()) socket.destroy();
    },
  };
}

/** A raw socket is one whose handshake has not ended; a TLS socket counts what was decrypted. */
export function isUnused(socket: Socket): boolean {
  return !(socket instanceof TLSSocket) || socket.bytesRead === 0;
}
