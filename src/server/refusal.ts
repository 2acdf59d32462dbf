import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Why a request was turned away before its review was looked at; a closed set, fit for a label. */
export type BadRequestKind =
  | 'BadHttp'
  | 'Forbidden'
  | 'HeadersTooLarge'
  | 'MethodNotAllowed'
  | 'NotFound'
  | 'NotJson'
  | 'TooBusy'
  | 'TooLarge'
  | 'TooSlow'
  | 'Unauthenticated'
  | 'UnsupportedMediaType';

/** An HTTP status and the sentence that goes with it. */
export interface Refusal {
  readonly kind: BadRequestKind;
  readonly status: number;
  readonly error: string;
  readonly allow?: string;
}

/** How long a connection that is to be closed may go on sending, so that it can read our answer. */
const LINGER_MS = 1_000;

/** Sends a body as JSON; `close` asks the caller not to use the connection again. */
export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  close: boolean,
): void {
  // A string goes out with the headers in one write, a Buffer in a second one: a tenth of our rate.
  const text = JSON.stringify(body);
  response.writeHead(status, headersFor(text, close));
  response.end(text);
}

/**
 * Answers without having read the body. Closing at once would reset a connection that still
 * sends, and the caller might lose the answer: the rest is discarded, but not for ever.
 */
export function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  refusal: Refusal,
  draining: boolean,
): void {
  if (refusal.allow !== undefined) response.setHeader('Allow', refusal.allow);
  const body = { error: refusal.error };
  if (request.complete || !announcesBody(request)) {
    sendJson(response, refusal.status, body, draining);
    return;
  }
  const text = JSON.stringify(body);
  response.writeHead(refusal.status, headersFor(text, true));
  response.write(text);
  function end(): void {
    clearTimeout(timer);
    response.end();
  }
  const timer = setTimeout(end, LINGER_MS);
  request.once('end', end).once('error', end).once('close', end).resume();
}

/** What a connection gets on which HTTP itself went wrong, by the code of the parser's error. */
export function refusalOf(code: string): Refusal {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return { kind: 'TooSlow', status: 408, error: 'the request took too long to arrive' };
  }
  if (code === 'HPE_HEADER_OVERFLOW') {
    return { kind: 'HeadersTooLarge', status: 431, error: 'the request headers are too large' };
  }
  return { kind: 'BadHttp', status: 400, error: 'the request is not valid HTTP' };
}

/** Answers on a connection that has no response object (any more), and closes it. */
export function refuseRaw(socket: Socket, refusal: Refusal): void {
  const body = JSON.stringify({ error: refusal.error });
  const head = [
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status] ?? ''}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  // A sender who was too slow must not complete its request after all and have it judged.
  const lingerMs = refusal.kind === 'TooSlow' ? 0 : LINGER_MS;
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => {
    setTimeout(() => socket.destroy(), lingerMs).unref();
  });
  // One that reads nothing would never let the answer out.
  setTimeout(() => socket.destroy(), 2 * LINGER_MS).unref();
}

function headersFor(text: string, close: boolean): Record<string, string | number> {
  const headers = {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(text),
  };
  return close ? { ...headers, Connection: 'close' } : headers;
}

function announcesBody(request: IncomingMessage): boolean {
  const { headers } = request;
  return (
    headers['transfer-encoding'] !== undefined ||
    (headers['content-length'] !== undefined && headers['content-length'] !== '0')
  );
}
