import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { connectEtcd } from '../../src/etcd/connect.ts';
import type { TlsSettings } from '../../src/etcd/port.ts';
import { endpointsOf, kindsOf, Observations, statusOf } from '../etcd/asking.ts';
import { startEtcdCluster } from '../harness/etcd-cluster.ts';
import type { EtcdCluster } from '../harness/etcd-cluster.ts';

let cluster: EtcdCluster;
let settings: TlsSettings;

beforeAll(async () => {
  cluster = await startEtcdCluster({ clientCertAuth: true });
  const files = cluster.certificates;
  if (files === undefined) throw new Error('no certificates');
  settings = {
    ca: await readFile(files.caFile),
    cert: await readFile(files.certFile),
    key: await readFile(files.keyFile),
    serverName: null,
  };
});

afterAll(() => cluster.stop());

async function asked(tls: TlsSettings | null): Promise<Readonly<Record<string, string>>> {
  const etcd = connectEtcd({ tls, auth: null }, new Observations());
  try {
    return kindsOf(await etcd.ask(endpointsOf(cluster.members), 5000));
  } finally {
    etcd.close();
  }
}

const ALL_ANSWER = { 'etcd-0': 'status', 'etcd-1': 'status', 'etcd-2': 'status' };

function all(kind: unknown): Readonly<Record<string, unknown>> {
  return { 'etcd-0': kind, 'etcd-1': kind, 'etcd-2': kind };
}

describe('TLS with client certificates', () => {
  it('checks certificates against the address', async () => {
    expect(await asked(settings)).toEqual(ALL_ANSWER);
  });

  it('checks them against the name that the template gives each pod', async () => {
    const serverName = '{pod}.etcd.default.svc';
    expect(await asked({ ...settings, serverName })).toEqual(ALL_ANSWER);
    const wrong = await asked({ ...settings, serverName: 'etcd-1.etcd.default.svc' });
    expect(wrong).toMatchObject({
      'etcd-0': expect.stringMatching(/^refused: TLS: Hostname\/IP does not match/),
      'etcd-1': 'status',
    });
  });

  it('proves and keeps working over TLS', async () => {
    const etcd = connectEtcd({ tls: settings, auth: null }, new Observations());
    const endpoints = endpointsOf(cluster.members);
    const leader = await cluster.leader();
    const proof = await etcd.prove(endpoints, 5000);
    expect([...proof.values()].map(({ after }) => after?.leader)).toEqual([
      leader.id,
      leader.id,
      leader.id,
    ]);
    await cluster.killMember('etcd-1');
    expect(kindsOf(await etcd.ask(endpoints, 5000))['etcd-1']).toBe('silent: connection refused');
    await cluster.restartMember('etcd-1');
    await cluster.waitHealthy();
    const answers = await etcd.ask(endpoints, 5000);
    expect(statusOf(answers, 'etcd-1').id).toBe(cluster.member('etcd-1').id);
    etcd.close();
  });

  it('is refused, not silent, without a client certificate', async () => {
    expect(await asked({ ...settings, cert: null, key: null })).toEqual(
      all(expect.stringMatching(/^refused: TLS: it refuses our side \(.*certificate/)),
    );
  });

  it('is refused, not silent, by an authority that is not trusted', async () => {
    expect(await asked({ ...settings, ca: null })).toEqual(
      all(expect.stringMatching(/^refused: TLS: .*certificate/)),
    );
  });

  it('is refused, not silent, without TLS', async () => {
    expect(await asked(null)).toEqual(all(expect.stringMatching(/^refused: .*TLS/)));
  });

  it('says what is wrong with settings that are no certificates', async () => {
    expect(await asked({ ...settings, key: Buffer.from('nonsense') })).toEqual(
      all(expect.stringMatching(/^refused: TLS settings that cannot be used: /)),
    );
  });
});
