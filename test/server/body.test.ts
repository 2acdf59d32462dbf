import { once } from 'node:events';
import {
  createServer,
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BodyRoom, readBody, type Body } from '../../src/server/body.ts';
import { listen } from './client.ts';

const KIB = 1024;
const ROOM = 64 * KIB;
const LIMIT = 48 * KIB;

function told(body: Body): string {
  return body.kind === 'complete' ? `complete ${body.bytes.length}` : body.kind;
}

describe('bodies that are received at the same time', () => {
  const room = new BodyRoom(ROOM);
  const outcomes = new Map<string, string>();
  const ends = new Map<string, number>();
  function take(request: IncomingMessage, response: ServerResponse): void {
    const { url = '' } = request;
    readBody(request, LIMIT, room, (body) => {
      outcomes.set(url, told(body));
      ends.set(url, (ends.get(url) ?? 0) + 1);
      response.end();
    });
  }
  const server = createServer(take);
  let port = 0;

  beforeAll(async () => {
    port = await listen(server);
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  async function begin(path: string, bytes: number): Promise<ClientRequest> {
    const sending = httpRequest({ port, host: '127.0.0.1', path, method: 'POST' });
    sending.on('error', () => undefined);
    await new Promise((resolve) => sending.write(Buffer.alloc(bytes, path), resolve));
    return sending;
  }

  it('turn the largest away when there is no more room, and leave the others be', async () => {
    const small = await begin('/small', 4 * KIB);
    const large = await begin('/large', 40 * KIB);
    const second = await begin('/second', 30 * KIB);
    await expect.poll(() => outcomes.get('/large')).toBe('no-room');
    small.end(Buffer.alloc(KIB));
    second.end();
    await expect.poll(() => outcomes.get('/small')).toBe(`complete ${5 * KIB}`);
    await expect.poll(() => outcomes.get('/second')).toBe(`complete ${30 * KIB}`);
    large.destroy();
  });

  it('give their room back, however they end', async () => {
    for (let nth = 0; nth < 20; nth += 1) {
      const cut = await begin(`/cut${nth}`, 30 * KIB);
      cut.destroy();
      await expect.poll(() => outcomes.get(`/cut${nth}`)).toMatch(/gone|complete|no-room/);
      const over = await begin(`/over${nth}`, LIMIT + 1);
      await expect.poll(() => outcomes.get(`/over${nth}`)).toBe('too-large');
      over.destroy();
    }
    const whole = await begin('/whole', 45 * KIB);
    whole.end();
    await expect.poll(() => outcomes.get('/whole')).toBe(`complete ${45 * KIB}`);
    expect([...ends.values()].every((times) => times === 1)).toBe(true);
  });

  it('are put together as they were sent, however small their pieces', async () => {
    const pieces = Array.from({ length: 3_000 }, (_, nth) => String.fromCharCode(97 + (nth % 26)));
    const received = createServer((request, response) => {
      readBody(request, LIMIT, room, (body) => {
        response.end(body.kind === 'complete' ? body.bytes : body.kind);
      });
    });
    const at = await listen(received);
    const sending = httpRequest({ port: at, host: '127.0.0.1', method: 'POST' });
    for (const piece of pieces) sending.write(piece);
    sending.end();
    const [response] = await once(sending, 'response');
    let text = '';
    for await (const chunk of response) text += String(chunk);
    expect(text).toBe(pieces.join(''));
    received.close();
  });
});
