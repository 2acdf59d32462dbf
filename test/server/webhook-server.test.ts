import { once } from 'node:events';
import { gzipSync } from 'node:zlib';
import { Agent } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Reply } from '../../src/admission/response.ts';
import type { ReviewContext } from '../../src/admission/review.ts';
import type { BadRequestKind } from '../../src/server/refusal.ts';
import type { ReviewHandler } from '../../src/server/webhook-server.ts';
import { ALLOWED, RawConnection, REVIEW, send, startWebhook } from './client.ts';

type Started = Awaited<ReturnType<typeof startWebhook>>;

const MIB = 1024 * 1024;
const JSON_HEADERS = { 'content-type': 'application/json' };
const HEAD = 'POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';

function review(request: unknown): string {
  return JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request });
}

function* megabytes(count: number): Generator<Buffer> {
  for (let sent = 0; sent < count; sent += 1) yield Buffer.alloc(MIB, 0x20);
}

describe('the webhook server', () => {
  const bad: BadRequestKind[] = [];
  let started: Started;

  beforeAll(async () => {
    started = await startWebhook({ events: { onBadRequest: (kind) => bad.push(kind) } });
  });
  afterEach(() => {
    bad.length = 0;
  });
  afterAll(() => started.close());

  async function live(): Promise<void> {
    await expect(send({ port: started.port, body: REVIEW })).resolves.toEqual({
      status: 200,
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: ALLOWED,
    });
  }

  it('answers a review', live);

  it.each([
    ['a charset', { 'content-type': 'application/json; charset=utf-8' }, '/validate?timeout=5s'],
    ['another spelling', { 'content-type': 'Application/JSON' }, '/validate/'],
    ['identity as encoding', { ...JSON_HEADERS, 'content-encoding': 'identity' }, '/validate?'],
  ])('takes %s', async (_what, headers, path) => {
    const answer = await send({ port: started.port, headers, path, body: REVIEW });
    expect(answer).toMatchObject({ status: 200, body: ALLOWED });
  });

  const notAnObject = 'the body is not a JSON object';
  it.each([
    ['null', 'null', notAnObject],
    ['an array', `[${REVIEW}]`, notAnObject],
    ['a string', '"review"', notAnObject],
    ['100,000 levels', '['.repeat(100_000) + ']'.repeat(100_000), notAnObject],
    ['no request', review(undefined), 'the review has no request'],
    ['only a prototype', `{"__proto__":${REVIEW}}`, 'the review has no request'],
    ['a uid that is a number', review({ uid: 5 }), 'request.uid is not a string'],
    ['an empty uid', review({ uid: '' }), 'request.uid is empty'],
  ])('leaves JSON of any shape to the handler: %s', async (_what, body, error) => {
    const answer = await send({ port: started.port, body });
    expect(answer).toMatchObject({ status: 400, body: { error } });
    expect(bad).toEqual([]);
    await live();
  });

  it.each([
    ['an unknown operation', { uid: 'u1', operation: 'EXPLODE' }],
    ['an unknown subresource', { uid: 'u1', operation: 'CREATE', subResource: 'nothing' }],
  ])('lets %s through', async (_what, request) => {
    const answer = await send({ port: started.port, body: review(request) });
    expect(answer).toMatchObject({ status: 200, body: ALLOWED });
  });

  it('echoes the uid of a DELETE without usable pod', async () => {
    const resource = { group: '', version: 'v1', resource: 'pods' };
    const body = review({ uid: 'u9', operation: 'DELETE', resource, oldObject: {} });
    const answer = await send({ port: started.port, body });
    expect(answer).toMatchObject({
      status: 200,
      body: { response: { uid: 'u9', allowed: false, status: { code: 400 } } },
    });
  });

  it.each([
    ['not JSON', '{"apiVersion":'],
    ['no body', ''],
    ['text', 'hello'],
  ])('refuses %s', async (_what, body) => {
    await expect(send({ port: started.port, body })).resolves.toEqual({
      status: 400,
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: { error: 'the body is not valid JSON' },
    });
    expect(bad).toEqual(['NotJson']);
    await live();
  });

  const wrongType = 'the content type has to be application/json';
  const compressed = 'a compressed body is not accepted';
  it.each([
    ['text', { 'content-type': 'text/plain' }, REVIEW, wrongType],
    ['a longer type', { 'content-type': 'application/json-patch+json' }, REVIEW, wrongType],
    ['no type', {}, REVIEW, wrongType],
    ['gzip', { ...JSON_HEADERS, 'content-encoding': 'gzip' }, gzipSync(REVIEW), compressed],
  ])('answers 415 to %s', async (_what, headers, body, error) => {
    await expect(send({ port: started.port, headers, body })).resolves.toEqual({
      status: 415,
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: { error },
    });
    expect(bad).toEqual(['UnsupportedMediaType']);
    await live();
  });

  it.each([
    ['with Content-Length', Buffer.alloc(9 * MIB, 0x20)],
    ['in chunks', megabytes(9)],
  ])('answers 413 to 9 MiB %s', async (_what, body) => {
    await expect(send({ port: started.port, body })).resolves.toEqual({
      status: 413,
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: { error: `the body is larger than ${8 * MIB} bytes` },
    });
    expect(bad).toEqual(['TooLarge']);
    await live();
  });

  it.each([
    ['brackets', '['.repeat(MIB)],
    ['keys', `{${Array.from({ length: 300_000 }, (_, index) => `"k${index}":1`).join(',')}}`],
  ])('answers 413 to %s that would exhaust memory', async (_what, body) => {
    await expect(send({ port: started.port, body })).resolves.toEqual({
      status: 413,
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: { error: 'the body holds more than 500000 values' },
    });
    expect(bad).toEqual(['TooLarge']);
    await live();
  });

  it('does not take what a string holds for values', async () => {
    const note = '\\",:[{'.repeat(MIB / 8);
    const body = REVIEW.replace('{', `{"note":${JSON.stringify(note)},`);
    const answer = await send({ port: started.port, body });
    expect(answer).toMatchObject({ status: 200, body: ALLOWED });
  });

  it('does not wait for a large body that is only announced, nor read on for ever', async () => {
    const connection = await RawConnection.open(started.port);
    connection.socket.write(`${HEAD}Content-Length: ${9 * MIB}\r\n\r\n`);
    await expect.poll(() => connection.text).toContain('HTTP/1.1 413 ');
    await expect.poll(() => connection.closed, { timeout: 3_000 }).toBe(true);
  });

  it('takes a body of exactly 8 MiB', async () => {
    const body = REVIEW.padEnd(8 * MIB, ' ');
    const answer = await send({ port: started.port, body });
    expect(answer).toMatchObject({ status: 200, body: ALLOWED });
  });

  it.each(['GET', 'PUT', 'DELETE', 'OPTIONS'])('answers 405 to %s', async (method) => {
    await expect(send({ port: started.port, method, headers: {} })).resolves.toEqual({
      status: 405,
      headers: { 'content-type': 'application/json', connection: 'close', allow: 'POST' },
      body: { error: 'only POST is allowed here' },
    });
    expect(bad).toEqual(['MethodNotAllowed']);
  });

  it.each(['/', '/validated', '/validate/x', '/metrics'])('answers 404 to %s', async (path) => {
    await expect(send({ port: started.port, path, body: REVIEW })).resolves.toEqual({
      status: 404,
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: { error: 'not found' },
    });
    expect(bad).toEqual(['NotFound']);
  });

  it('answers a path that cannot be decoded without a stack', async () => {
    const answer = await send({ port: started.port, path: '/%', body: REVIEW });
    expect(JSON.stringify(answer)).not.toMatch(/ at |node_modules/);
    expect([400, 404]).toContain(answer.status);
  });

  it('survives a request that is cut off half way', async () => {
    const connection = await RawConnection.open(started.port);
    connection.socket.write(`${HEAD}Content-Length: 1000\r\n\r\n{"api`);
    connection.socket.destroy();
    await live();
    expect(bad).toEqual([]);
  });

  it.each([
    ['what is not HTTP', 'hello\r\n\r\n', '400 Bad Request', 'the request is not valid HTTP'],
    [
      'headers without end',
      `GET / HTTP/1.1\r\nX: ${'x'.repeat(64 * 1024)}`,
      '431 Request Header Fields Too Large',
      'the request headers are too large',
    ],
  ])('answers %s', async (_what, text, status, error) => {
    const connection = await RawConnection.open(started.port);
    connection.socket.write(text);
    const body = JSON.stringify({ error });
    await expect
      .poll(() => connection.text)
      .toBe(
        `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
      );
    await expect.poll(() => connection.closed, { timeout: 3_000 }).toBe(true);
    await live();
  });

  it('survives plain HTTP on the TLS port', async () => {
    const socket = connectTcp(started.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\n\r\n');
    socket.resume();
    await expect.poll(() => socket.closed).toBe(true);
    await live();
  });

  it('keeps a connection for the next review, longer than an API server does', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const first = await send({ port: started.port, body: REVIEW, agent });
    const second = await send({ port: started.port, body: 'no json', agent });
    const third = await send({ port: started.port, body: REVIEW, agent });
    expect([first.headers.connection, second.status, third.status]).toEqual([
      'keep-alive',
      400,
      200,
    ]);
    expect(Object.values(agent.freeSockets).flat()).toHaveLength(1);
    expect(started.webhook.server.keepAliveTimeout).toBeGreaterThan(90_000);
    agent.destroy();
  });
});

function answerTo(body: unknown): () => Promise<Reply> {
  return () => Promise.resolve({ status: 200, body });
}

describe('what is answered beside /validate', () => {
  let started: Started;

  beforeAll(async () => {
    const others = new Map([
      ['/first', answerTo('first')],
      ['/second', answerTo('second')],
    ]);
    started = await startWebhook({ handle: answerTo('reviews'), others });
  });
  afterAll(() => started.close());

  it.each([
    ['/validate?timeout=10s', 200, 'reviews'],
    ['/first', 200, 'first'],
    ['/first?timeout=10s', 200, 'first'],
    ['/second/', 200, 'second'],
    ['/firsts', 404, { error: 'not found' }],
    ['/first/x', 404, { error: 'not found' }],
    ['/__proto__', 404, { error: 'not found' }],
  ])('has its own path: %s', async (path, status, body) => {
    await expect(send({ port: started.port, path, body: '{}' })).resolves.toMatchObject({
      status,
      body,
    });
  });

  it('takes what /validate takes, and nothing else', async () => {
    const { port } = started;
    const path = '/first';
    await expect(send({ port, path, body: 'no json' })).resolves.toMatchObject({ status: 400 });
    await expect(send({ port, path, headers: {}, body: '{}' })).resolves.toMatchObject({
      status: 415,
    });
    await expect(send({ port, path, method: 'GET' })).resolves.toMatchObject({
      status: 405,
      headers: { allow: 'POST' },
    });
  });
});

describe('the time allowed and own failures', () => {
  it('reach and leave the handler', async () => {
    const contexts: ReviewContext[] = [];
    const handle = async (_review: unknown, context: ReviewContext): Promise<Reply> => {
      contexts.push(context);
      return { status: 200, body: {} };
    };
    const { port, close } = await startWebhook({ handle });
    const before = performance.now();
    await send({ port, body: '{}', path: '/validate?timeout=5s' });
    await send({ port, body: '{}', path: '/validate?timeout=soon' });
    expect(contexts.map((context) => context.timeoutMs)).toEqual([5_000, 10_000]);
    for (const { arrivedAtMs } of contexts) {
      expect(arrivedAtMs).toBeGreaterThan(before);
      expect(arrivedAtMs).toBeLessThan(performance.now());
    }
    await close();
  });

  it.each<[string, ReviewHandler]>([
    ['rejects', () => Promise.reject(Object.assign(new Error('secret'), { status: 400 }))],
    ['answers nothing', async () => ({ status: 200, body: undefined })],
    [
      'throws',
      () => {
        throw Object.assign(new Error('secret'), { status: 400 });
      },
    ],
    ['answers nothing at once', () => ({ status: 200, body: undefined })],
  ])('become HTTP 500 without a word about them when the handler %s', async (_what, handle) => {
    const failures: unknown[] = [];
    const { port, close } = await startWebhook({
      handle,
      events: { onHandlerFailed: (error) => failures.push(error) },
    });
    await expect(send({ port, body: '{}' })).resolves.toEqual({
      status: 500,
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: { error: 'internal error' },
    });
    expect(failures).toHaveLength(1);
    await close();
  });
});

describe('a slow sender', () => {
  const TIMED_OUT = 'HTTP/1.1 408 Request Timeout\r\n';
  const kinds: BadRequestKind[] = [];
  let handled = 0;
  let started: Started;

  beforeAll(async () => {
    started = await startWebhook({
      handle: async () => {
        handled += 1;
        return { status: 200, body: {} };
      },
      limits: { senderMs: 200 },
      events: { onBadRequest: (kind) => kinds.push(kind) },
    });
  });
  afterAll(() => started.close());

  it.each([
    ['in the headers', 'POST /val'],
    ['in the body', `${HEAD}Content-Length: 100\r\n\r\n{`],
    ['in the chunks', `${HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n`],
    ['before the first line', '\r\n'],
  ])('gets 408 %s and is cut off', async (_where, text) => {
    const connection = await RawConnection.open(started.port);
    connection.socket.write(text);
    await expect.poll(() => connection.closed, { timeout: 3_000 }).toBe(true);
    expect(connection.text.startsWith(TIMED_OUT)).toBe(true);
    expect(connection.text.endsWith('{"error":"the request took too long to arrive"}')).toBe(true);
    expect(kinds.splice(0)).toEqual(['TooSlow']);
    expect(handled).toBe(0);
  });

  it('is no connection that was opened ahead of its use', async () => {
    let expired = 0;
    started.webhook.server.on('clientError', () => {
      expired += 1;
    });
    const connection = await RawConnection.open(started.port);
    await expect.poll(() => expired, { timeout: 3_000 }).toBe(1);
    expect([connection.text, connection.closed]).toEqual(['', false]);
    connection.socket.write(`${HEAD}Content-Length: 2\r\n\r\n{}`);
    await expect.poll(() => connection.text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    connection.text = '';
    connection.socket.write('POST /validate HTTP/1.1\r\n');
    await expect.poll(() => connection.text, { timeout: 3_000 }).toContain(TIMED_OUT);
  });

  it('is no connection that waits between two reviews', async () => {
    const connection = await RawConnection.open(started.port);
    connection.socket.write(`${HEAD}Content-Length: 2\r\n\r\n{}`);
    await expect.poll(() => connection.text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    const other = await RawConnection.open(started.port);
    other.socket.write('POST');
    await expect.poll(() => other.text, { timeout: 3_000 }).toContain(TIMED_OUT);
    connection.text = '';
    connection.socket.write(`${HEAD}Content-Length: 2\r\n\r\n{}`);
    await expect.poll(() => connection.text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    connection.socket.destroy();
  });

  it('closes one whose handshake has not ended before one that is ready, whichever came first', async () => {
    const small = await startWebhook({ limits: { connections: 2 } });
    const { server } = small.webhook;
    async function open() {
      const accepted = once(server, 'connection');
      const socket = connectTcp(small.port, '127.0.0.1').on('error', () => undefined);
      await accepted;
      return socket;
    }
    const early = await open();
    const silent = (await open()).resume();
    const secured = once(server, 'secureConnection');
    const ready = connectTls({ socket: early, rejectUnauthorized: false }).resume();
    await secured;
    const last = await open();
    await expect.poll(() => silent.closed, { timeout: 3_000 }).toBe(true);
    expect(ready.closed).toBe(false);
    last.destroy();
    await small.close();
  });

  it('leaves unused connections to the idle time', async () => {
    const impatient = await startWebhook({ limits: { senderMs: 40, idleMs: 100 } });
    const connection = await RawConnection.open(impatient.port);
    await expect.poll(() => connection.closed, { timeout: 3_000 }).toBe(true);
    expect(connection.text).toBe('');
    await impatient.close();
  });
});
