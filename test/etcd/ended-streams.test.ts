import { once } from 'node:events';
import { connect, createServer, type ClientHttp2Session, type Http2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
// Whoever asks etcd has it done by loading this.
// oxlint-disable-next-line import/no-unassigned-import
import '../../src/etcd/session.ts';

let server: Http2Server;
let session: ClientHttp2Session;

beforeAll(async () => {
  server = createServer((request, response) => {
    if (request.url === '/reset') response.stream.close(2);
    else response.end('answer');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const { port } = server.address() as AddressInfo;
  session = connect(`http://127.0.0.1:${port}`);
});

afterAll(async () => {
  session.close();
  server.close();
  await once(server, 'close');
});

test('a request that has ended holds nobody who listened', async () => {
  const heard: string[] = [];
  const stream = session.request({ ':path': '/' });
  for (const event of ['response', 'data', 'end', 'close']) {
    stream.on(event, () => void heard.push(event));
  }
  await once(stream, 'close');
  expect(heard).toEqual(['response', 'data', 'end', 'close']);
  expect(stream.eventNames()).toEqual(['error']);
});

test('a request that failed told of it first, and fails nobody afterwards', async () => {
  const heard: string[] = [];
  const stream = session.request({ ':path': '/reset' });
  stream.on('error', () => void heard.push('error'));
  stream.on('close', () => void heard.push('close'));
  await new Promise((resolve) => void stream.on('close', resolve));
  expect(heard).toEqual(['error', 'close']);
  expect(stream.eventNames()).toEqual(['error']);
  expect(() => stream.emit('error', new Error('late'))).not.toThrow();
});
