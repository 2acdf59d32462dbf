import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ConnectionSettings } from '../../../src/etcd/port.ts';
import { ApiError } from '../../../src/kubernetes/api/api.ts';
import { Connections } from '../../../src/kubernetes/guards/connections.ts';
import { decodeGuard, type EtcdGuard } from '../../../src/kubernetes/guards/guard-resource.ts';
import { FakeEtcd } from '../../fakes/etcd.ts';
import { FakeKubernetes } from '../../fakes/fake-kubernetes.ts';
import { guardObject, secretObject } from '../../fakes/kubernetes-objects.ts';
import { CertificateAuthority } from '../../harness/certificates.ts';

const TLS = { secretName: 'tls', serverName: '{pod}.etcd' };
const AUTH = { secretName: 'auth' };

let pem: Readonly<Record<'ca.crt' | 'tls.crt' | 'tls.key', string>>;
let otherKey: string;
let api: FakeKubernetes;
let connections: Connections;
let made: { readonly settings: ConnectionSettings; readonly etcd: FakeEtcd }[];

beforeAll(async () => {
  const authority = await CertificateAuthority.create();
  const [mine, other] = await Promise.all([
    authority.issue({ commonName: 'etcd-guard' }),
    authority.issue({ commonName: 'other' }),
  ]);
  pem = { 'ca.crt': authority.cert, 'tls.crt': mine.cert, 'tls.key': mine.key };
  otherKey = other.key;
});

beforeEach(() => {
  made = [];
  api = new FakeKubernetes(
    secretObject('tls', pem),
    secretObject('auth', { username: 'root\n', password: ' p w \r\n' }),
  );
  connections = new Connections(api, (settings) => {
    const etcd = new FakeEtcd(['etcd-0']);
    made.push({ settings, etcd });
    return etcd;
  });
});
afterEach(() => {
  connections.close();
  vi.useRealTimers();
});

function guard(members: Readonly<Record<string, unknown>>, uid = 'g'): EtcdGuard {
  const object = guardObject({ spec: { members } });
  const seed = { ...object, metadata: { ...object.metadata, uid } };
  const decoded = decodeGuard(new FakeKubernetes(seed).at('EtcdGuard', 'etcd'));
  if (decoded.guard === undefined) throw new Error('the guard is not valid');
  return decoded.guard;
}

async function faultOf(members: Readonly<Record<string, unknown>>): Promise<string | undefined> {
  return (await connections.to(guard(members), 1_000)).fault;
}

describe('what is connected with', () => {
  test('neither Secret, where the guard names none', async () => {
    expect((await connections.to(guard({}), 1_000)).etcd).toBe(made[0]?.etcd);
    expect(made.map(({ settings }) => settings)).toEqual([{ tls: null, auth: null }]);
    expect(api.calls).toEqual([]);
  });

  test('both, without the newlines at the end of user name and password', async () => {
    await connections.to(guard({ tls: TLS, auth: AUTH }), 1_000);
    expect(made[0]?.settings).toEqual({
      tls: {
        ca: Buffer.from(pem['ca.crt']),
        cert: Buffer.from(pem['tls.crt']),
        key: Buffer.from(pem['tls.key']),
        serverName: '{pod}.etcd',
      },
      auth: { username: 'root', password: ' p w ' },
    });
  });

  test('no certificate of our own, where the Secret has none', async () => {
    api.put(secretObject('tls', { 'ca.crt': pem['ca.crt'] }));
    await connections.to(guard({ tls: { secretName: 'tls' } }), 1_000);
    expect(made[0]?.settings.tls).toMatchObject({ cert: null, key: null, serverName: null });
  });
});

describe('a connection', () => {
  test('is kept while nothing changes, one for each guard', async () => {
    const one = await connections.to(guard({ tls: TLS }), 1_000);
    expect((await connections.to(guard({ tls: TLS }), 1_000)).etcd).toBe(one.etcd);
    await connections.to(guard({ tls: TLS }, 'another'), 1_000);
    expect(made.map(({ etcd }) => etcd.closed)).toEqual([0, 0]);
    connections.close();
    expect(made.map(({ etcd }) => etcd.closed)).toEqual([1, 1]);
  });

  test('is made anew for the very next request after a Secret was rotated', async () => {
    await connections.to(guard({ auth: AUTH }), 1_000);
    api.put(secretObject('auth', { username: 'root', password: 'new' }));
    await connections.to(guard({ auth: AUTH }), 1_000);
    expect(made.map(({ settings }) => settings.auth?.password)).toEqual([' p w ', 'new']);
    expect(made.map(({ etcd }) => etcd.closed)).toEqual([1, 0]);
  });

  test('and when the guard names another, or another server', async () => {
    for (const members of [{}, { tls: TLS }, { tls: { secretName: 'tls' } }, { auth: AUTH }]) {
      await connections.to(guard(members), 1_000);
    }
    expect(made.map(({ etcd }) => etcd.closed)).toEqual([1, 1, 1, 0]);
  });

  test('is forgotten when nobody has asked for long', async () => {
    vi.useFakeTimers();
    await connections.to(guard({}), 1_000);
    await vi.advanceTimersByTimeAsync(10 * 60_000);
    await connections.to(guard({}), 1_000);
    await vi.advanceTimersByTimeAsync(10 * 60_000);
    expect(made.map(({ etcd }) => etcd.closed)).toEqual([0]);
    await vi.advanceTimersByTimeAsync(5 * 60_000);
    expect(made.map(({ etcd }) => etcd.closed)).toEqual([1]);
  });
});

describe('a Secret that is of no use', () => {
  const title = 'Secret default/tls (spec.members.tls)';

  test('is missing', async () => {
    expect(await faultOf({ tls: { secretName: 'none' } })).toBe(
      'Secret default/none (spec.members.tls) does not exist; it is to have the keys ca.crt, tls.crt and tls.key',
    );
    expect(made).toEqual([]);
  });

  test('can’t be read', async () => {
    api.fault = () => new ApiError('forbidden', 'missing permission "get" on "secrets"');
    expect(await faultOf({ auth: AUTH })).toBe(
      'Secret default/auth (spec.members.auth) can\'t be read: no permission "get" on it (deploy/webhook/components/secrets gives it to etcd-guard)',
    );
  });

  test.each([
    [{ 'tls.crt': '' }, 'lacks tls.crt'],
    [{ 'tls.key': '' }, 'lacks tls.key'],
    [{ 'ca.crt': '' }, 'lacks ca.crt'],
    [{ 'ca.crt': 'no PEM' }, 'has an unusable ca.crt: it holds no certificate'],
  ])('has %j: %s', async (change, fault) => {
    api.put(secretObject('tls', { ...pem, ...change }));
    expect(await faultOf({ tls: TLS })).toBe(`${title} ${fault}`);
  });

  test('holds what OpenSSL can’t read, or a key of another certificate; nothing of it is repeated', async () => {
    const broken = pem['ca.crt'].replace(/\n[A-Za-z0-9+/]{8}/, '\nAAAAAAAA');
    for (const change of [
      { 'ca.crt': broken },
      { 'tls.crt': 'SECRET' },
      { 'tls.key': 'SECRET' },
      { 'tls.key': otherKey },
    ]) {
      api.put(secretObject('tls', { ...pem, ...change }));
      const fault = await faultOf({ tls: TLS });
      expect(fault).toContain(`${title} has an unusable `);
      expect(fault).not.toContain('SECRET');
    }
    expect(made).toEqual([]);
  });

  test.each([
    [{ username: 'root' }, 'lacks password'],
    [{ password: 'x' }, 'lacks username'],
    [{ username: '\n', password: 'x' }, 'has an empty username'],
  ])('has but %j: %s', async (data, fault) => {
    api.put(secretObject('auth', data));
    expect(await faultOf({ auth: AUTH })).toBe(`Secret default/auth (spec.members.auth) ${fault}`);
  });

  test('leaves the connection that was made before alone, for when it is mended', async () => {
    await connections.to(guard({ auth: AUTH }), 1_000);
    api.fault = () => new ApiError('timeout', 'slow');
    await faultOf({ auth: AUTH });
    api.fault = () => null;
    await connections.to(guard({ auth: AUTH }), 1_000);
    expect(made.map(({ etcd }) => etcd.closed)).toEqual([0]);
  });
});
