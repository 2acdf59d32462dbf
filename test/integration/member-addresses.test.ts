import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { IncomingMessage } from 'node:http';
import { get } from 'node:https';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startEtcdCluster, type EtcdCluster } from '../harness/etcd-cluster.ts';
import { requirePlatform } from '../harness/platform.ts';

let cluster: EtcdCluster | undefined;

// Other systems have only 127.0.0.1.
beforeAll(() => {
  requirePlatform('linux');
});

afterAll(() => cluster?.stop());

async function fetchHealth(
  port: number,
  host: string,
  tls: { readonly ca: string; readonly servername: string },
): Promise<unknown> {
  const [response]: unknown[] = await once(
    get({ host, port, path: '/health', ...tls }),
    'response',
  );
  if (!(response instanceof IncomingMessage)) throw new Error('no response');
  return json(response);
}

it('an etcd cluster gives each member an address of its own', async () => {
  cluster = await startEtcdCluster({
    hosts: ['127.0.13.1', '127.0.13.2', '127.0.13.3'],
    clientPort: 23_791,
    tls: true,
  });
  expect(cluster.members.map(({ address }) => address)).toStrictEqual([
    '127.0.13.1:23791',
    '127.0.13.2:23791',
    '127.0.13.3:23791',
  ]);
  const [member] = cluster.members;
  const health = await fetchHealth(member?.port ?? 0, member?.host ?? '', {
    ca: await readFile(cluster.certificates?.caFile ?? '', 'utf8'),
    servername: 'etcd-0.etcd.default.svc',
  });
  expect(health).toMatchObject({ health: 'true' });
});
