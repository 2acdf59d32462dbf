import type { Server } from 'node:net';
import { ServerError, reasonOf } from './error.ts';

/** Where to listen; `host` null is every address, IPv6 and IPv4. */
export interface ListenAddress {
  readonly host: string | null;
  readonly port: number;
}

const ADDRESS =
  /^(?:\[(?<ipv6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?<host>[^\s:[\]]*)):(?<port>\d{1,5})$/;
const MAX_PORT = 65_535;

/** Reads `HOST:PORT`, `[IPV6]:PORT` or `:PORT`; null when it is none of them. */
export function parseListenAddress(text: string): ListenAddress | null {
  const groups = ADDRESS.exec(text)?.groups;
  if (groups === undefined) return null;
  const port = Number(groups['port']);
  if (port > MAX_PORT) return null;
  return { host: groups['ipv6'] ?? (groups['host'] || null), port };
}

/** Prints an address as `HOST:PORT`, an IPv6 host in brackets. */
export function formatAddress(address: { readonly host: string; readonly port: number }): string {
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`;
}

/** Starts listening and tells what was bound; throws a ServerError that names the address. */
export async function listenOn(
  server: Server,
  address: ListenAddress,
): Promise<{ host: string; port: number }> {
  const { port } = address;
  await new Promise<void>((resolve, reject) => {
    function failed(error: NodeJS.ErrnoException): void {
      reject(listenError(address, error));
    }
    server.once('error', failed);
    server.listen({ port, ...(address.host !== null && { host: address.host }) }, () => {
      server.off('error', failed);
      resolve();
    });
  });
  return boundAddress(server);
}

/** The address a listening server is bound to. */
export function boundAddress(server: Server): { host: string; port: number } {
  const bound = server.address();
  if (bound === null || typeof bound === 'string') {
    throw new ServerError('address-unusable', 'the server does not listen on a TCP port');
  }
  return { host: bound.address, port: bound.port };
}

function listenError(address: ListenAddress, error: NodeJS.ErrnoException): ServerError {
  const where = formatAddress({ host: address.host ?? '', port: address.port });
  return error.code === 'EADDRINUSE'
    ? new ServerError('address-in-use', `${where} is already in use by another process`, error)
    : new ServerError('address-unusable', `can't listen on ${where}: ${reasonOf(error)}`, error);
}
