import { createServer } from 'node:http';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { connectEtcd } from '../../src/etcd/connect.ts';
import type { ConnectOptions } from '../../src/etcd/connect.ts';
import type { EtcdCluster as EtcdPort } from '../../src/etcd/port.ts';
import { endpointsOf, Forwarder, kindsOf, Observations, timed } from '../etcd/asking.ts';
import { startEtcdCluster } from '../harness/etcd-cluster.ts';
import type { EtcdCluster } from '../harness/etcd-cluster.ts';
import { resettingListener, silentListener } from '../harness/loopback.ts';
import { until } from '../harness/until.ts';

const WITHIN_MS = 800;
const SILENT = `silent: no answer within 0.8 s`;

let cluster: EtcdCluster;

beforeAll(async () => {
  cluster = await startEtcdCluster();
});

afterAll(() => cluster.stop());

async function connected(
  work: (etcd: EtcdPort) => Promise<void>,
  options: ConnectOptions = {},
): Promise<void> {
  const etcd = connectEtcd({ tls: null, auth: null }, new Observations(), options);
  try {
    await work(etcd);
  } finally {
    etcd.close();
  }
}

/** Two members that answer, and one that does whatever is at this address. */
function besides(address: string | null) {
  return [...endpointsOf(cluster.members.slice(0, 2)), { pod: 'odd', address }];
}

function others(odd: unknown): Readonly<Record<string, unknown>> {
  return { 'etcd-0': 'status', 'etcd-1': 'status', odd };
}

async function ask(
  etcd: EtcdPort,
  address: string | null,
): Promise<Readonly<Record<string, string>>> {
  return kindsOf(await etcd.ask(besides(address), WITHIN_MS));
}

/** What a few rounds over the same client bring. */
async function askRepeatedly(
  address: string | null,
  options: ConnectOptions = {},
): Promise<readonly unknown[]> {
  const answers: unknown[] = [];
  await connected(async (etcd) => {
    for (let round = 0; round < 3; round += 1) answers.push(await ask(etcd, address));
  }, options);
  return answers;
}

function thrice(value: unknown): readonly unknown[] {
  return [value, value, value];
}

describe('one member', () => {
  it('that accepts and never answers is silent at the deadline, and is tried anew each round', async () => {
    const listener = await silentListener();
    const { result, ms } = await timed(() => askRepeatedly(listener.address));
    expect(result).toEqual(thrice(others(SILENT)));
    expect(ms).toBeGreaterThan(3 * (WITHIN_MS - 50));
    expect(listener.connections()).toBe(3);
    await listener.close();
  });

  it('that accepts and never answers is left no connection', async () => {
    const listener = await silentListener();
    const forwarder = await Forwarder.to(listener.address);
    expect(await askRepeatedly(forwarder.address)).toEqual(thrice(others(SILENT)));
    expect(forwarder.accepted).toBe(3);
    await until('all connections closed', () => forwarder.open === 0);
    await forwarder.close();
    await listener.close();
  });

  it('that never answers does not hold up the proof of the others', async () => {
    const listener = await silentListener();
    await connected(async (etcd) => {
      const proof = await etcd.prove(besides(listener.address), WITHIN_MS);
      expect([...proof.values()].map(({ served }) => served)).toEqual([true, true, false]);
    });
    await listener.close();
  });

  it('that hangs does not make those who come later wait for its round', async () => {
    const listener = await silentListener();
    await connected(async (etcd) => {
      const both = [ask(etcd, listener.address), ask(etcd, listener.address)];
      expect(await Promise.all(both)).toEqual([others(SILENT), others(SILENT)]);
    });
    await listener.close();
  });

  it('that resets connections is silent', async () => {
    const listener = await resettingListener();
    const expected = thrice(others('silent: connection reset'));
    expect(await askRepeatedly(listener.address)).toEqual(expected);
    await listener.close();
  });

  it('that nothing listens for is silent', async () => {
    const expected = thrice(others('silent: connection refused'));
    expect(await askRepeatedly('127.0.0.1:1')).toEqual(expected);
  });

  it('without an address is silent', async () => {
    expect(await askRepeatedly(null)).toEqual(thrice(others('silent: no address yet')));
    await connected(async (etcd) => {
      expect((await etcd.prove(besides(null), WITHIN_MS)).get('odd')).toEqual({
        served: false,
        after: null,
        cause: 'no address yet',
      });
    });
  });

  it('whose name does not resolve is silent', async () => {
    const silent = expect.stringMatching(/^silent: name does not resolve/);
    const answers = await askRepeatedly('no-such-member.invalid:2379');
    expect(answers).toEqual(thrice(others(silent)));
  });

  it('whose name hangs is silent at the deadline, and is looked up once', async () => {
    let lookUps = 0;
    const lookup = (): Promise<never> => {
      lookUps += 1;
      return Promise.withResolvers<never>().promise;
    };
    const answers = await askRepeatedly('hangs.example:2379', { lookup });
    const silent = 'silent: name did not resolve: no answer within 0.8 s';
    expect(answers).toEqual(thrice(others(silent)));
    expect(lookUps).toBe(1);
  });

  it('by name answers', async () => {
    const { port } = cluster.member('etcd-2');
    expect(await askRepeatedly(`localhost:${port}`)).toEqual(thrice(others('status')));
  });

  it('at an address that is none is not silent', async () => {
    const expected = thrice(others("refused: 'etcd-2' is not host:port"));
    expect(await askRepeatedly('etcd-2')).toEqual(expected);
  });

  it('that is no etcd is not silent', async () => {
    const server = createServer((_request, response) => response.end('hello'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const expected = thrice(others('refused: it does not speak gRPC'));
    expect(await askRepeatedly(`127.0.0.1:${port}`)).toEqual(expected);
    server.closeAllConnections();
    server.close();
  });

  it('is asked directly, whatever proxy the environment names', async () => {
    const listener = await resettingListener();
    vi.stubEnv('http_proxy', `http://${listener.address}`);
    const answers = await askRepeatedly(cluster.member('etcd-2').address);
    vi.unstubAllEnvs();
    expect(answers).toEqual(thrice(others('status')));
    expect(listener.connections()).toBe(0);
    await listener.close();
  });
});
