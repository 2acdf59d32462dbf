import { once } from 'node:events';
import { createServer, type Http2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { memberId } from '../../src/decision/member-id.ts';
import { connectEtcd } from '../../src/etcd/connect.ts';
import { Observations } from './asking.ts';

let server: Http2Server;

afterEach(async () => {
  server.close();
  await once(server, 'close');
});

async function moved(words: string): Promise<unknown> {
  server = createServer().on('stream', (stream) => {
    const failed = { 'grpc-status': '14', 'grpc-message': `etcdserver: ${words}` };
    stream.respond({ 'content-type': 'application/grpc', ...failed }, { endStream: true });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const { port } = server.address() as AddressInfo;
  const etcd = connectEtcd({ tls: null, auth: null }, new Observations());
  try {
    const leader = { pod: 'etcd-0', address: `127.0.0.1:${port}` };
    return await etcd.moveLeader(leader, memberId('2'), 5_000).catch((error: unknown) => error);
  } finally {
    etcd.close();
  }
}

it('is out of time when the leader says so first', async () => {
  const result = await moved('request timed out, leader transfer took too long');
  expect(result).toMatchObject({
    code: 'timeout',
    message: 'MoveLeader at etcd-0: no answer within 5.0 s',
  });
});

it('is refused in the words of the leader for any other reason', async () => {
  expect(await moved('not leader')).toMatchObject({
    code: 'refused',
    message: 'MoveLeader at etcd-0: not leader',
  });
});
