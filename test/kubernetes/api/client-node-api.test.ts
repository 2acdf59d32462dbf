import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ApiError, type Resource } from '../../../src/kubernetes/api/api.ts';
import {
  connectKubernetes,
  type KubernetesConnection,
} from '../../../src/kubernetes/api/client-node-api.ts';
import type { ClusterAccess } from '../../../src/kubernetes/api/kube-config.ts';
import { boundAddress } from '../../../src/server/listen.ts';
import { CertificateAuthority, writeCertificate } from '../../harness/certificates.ts';
import { silentListener } from '../../harness/loopback.ts';
import { until } from '../../harness/until.ts';
import {
  answer,
  answers,
  breaksOff,
  FakeApiServer,
  listOf,
  object,
  silent,
  status,
} from './fake-api-server.ts';

const MAPS: Resource = { prefix: '/api/v1', plural: 'configmaps', namespace: 'default' };
const GUARDS: Resource = {
  prefix: '/apis/etcd-guard.io/v1alpha1',
  plural: 'etcdguards',
  namespace: 'default',
};
const MS = 5_000;

let directory: string;
let server: FakeApiServer;
const opened: KubernetesConnection[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'etcd-guard-'));
  server = await FakeApiServer.start();
});
afterEach(async () => {
  for (const api of opened.splice(0)) api.close();
  await server.stop();
  await rm(directory, { recursive: true });
});

async function open(access?: ClusterAccess): Promise<KubernetesConnection> {
  const api = await connectKubernetes(access ?? (await server.access(directory)));
  opened.push(api);
  return api;
}

async function failureOf(promise: Promise<unknown>): Promise<ApiError> {
  const failure: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (failure instanceof ApiError) return failure;
  throw new Error('no ApiError', { cause: failure });
}

function asked(): readonly string[] {
  return server.requests.map(({ method, path }) => `${method} ${path}`);
}

describe('requests', () => {
  it('gets an object as it is, live', async () => {
    const sent = { ...object('a', 5), data: { at: '2024-01-01T00:00:00Z' }, unheardOf: [1] };
    server.next(answers(200, sent));
    const api = await open();
    expect(await api.get(MAPS, 'a', MS)).toEqual(sent);
    expect(server.requests).toMatchObject([
      { method: 'GET', path: '/api/v1/namespaces/default/configmaps/a', query: {} },
    ]);
    expect(api).toMatchObject({ namespace: 'here', server: server.url });
  });

  it('tells a missing object from a missing kind', async () => {
    server.next(
      answers(404, status(404, 'NotFound', { name: 'a' })),
      answers(404, '404 page not found'),
    );
    const api = await open();
    expect(await api.get(GUARDS, 'a', MS)).toBe(null);
    expect(await failureOf(api.get(GUARDS, 'a', MS))).toMatchObject({
      code: 'not-found',
      message:
        "can't get etcdguards.etcd-guard.io a in namespace default: the API server does not serve etcdguards at /apis/etcd-guard.io/v1alpha1; is their CustomResourceDefinition installed? (404 page not found)",
    });
  });

  it('lists in pages, and says what the items are', async () => {
    const first = { ...Object(listOf(9, object('a', 5))) };
    server.next(
      answers(200, { ...first, metadata: { resourceVersion: '9', continue: 'more' } }),
      answers(200, listOf(9, object('b', 6))),
    );
    const api = await open();
    const everywhere = { ...MAPS, namespace: null };
    expect(await api.list(everywhere, { labelSelector: 'app in (x, y)' }, MS)).toEqual([
      { apiVersion: 'v1', kind: 'ConfigMap', ...object('a', 5) },
      { apiVersion: 'v1', kind: 'ConfigMap', ...object('b', 6) },
    ]);
    const selected = { labelSelector: 'app in (x, y)', limit: '500' };
    expect(server.requests).toMatchObject([
      { path: '/api/v1/configmaps', query: selected },
      { path: '/api/v1/configmaps', query: { ...selected, continue: 'more' } },
    ]);
    expect(server.requests[0]?.query).toEqual(selected);
  });

  it('begins a list anew, in one piece, when its snapshot has expired', async () => {
    server.next(
      answers(200, {
        metadata: { resourceVersion: '9', continue: 'more' },
        items: [object('a', 5)],
      }),
      answers(410, status(410, 'Expired')),
      answers(200, listOf(12, object('b', 10))),
    );
    const api = await open();
    const found = await api.list(MAPS, {}, MS);
    expect(found.map(({ metadata }) => metadata.name)).toEqual(['b']);
    expect(server.requests.map(({ query }) => query)).toEqual([
      { limit: '500' },
      { limit: '500', continue: 'more' },
      {},
    ]);
  });

  it('takes a list without items for an empty one', async () => {
    server.next(answers(200, { metadata: { resourceVersion: '9' }, items: null }));
    expect(await (await open()).list(MAPS, {}, MS)).toEqual([]);
  });

  it('writes', async () => {
    server.handle = (request, response) => {
      answer(response, request.method === 'POST' ? 201 : 200, object('a', 8));
    };
    const api = await open();
    const wanted = { ...object('a', 7), data: {} };
    await api.create(MAPS, wanted, MS);
    await api.replace(MAPS, wanted, { withinMs: MS });
    const everywhere = { ...GUARDS, namespace: null };
    await api.replace(everywhere, wanted, { subresource: 'status', withinMs: MS });
    expect(await api.patch(MAPS, 'a', { data: null }, MS)).toEqual(object('a', 8));
    expect(await api.patchStatus(MAPS, 'a', { status: {} }, MS)).toEqual(object('a', 8));
    const type = 'application/json';
    const namespaced = '/api/v1/namespaces/default/configmaps';
    const guards = '/apis/etcd-guard.io/v1alpha1/namespaces/default/etcdguards';
    expect(
      server.requests.map(({ method, path, body, headers }) => ({
        method,
        path,
        body,
        type: headers['content-type'],
      })),
    ).toEqual([
      { method: 'POST', path: namespaced, body: wanted, type },
      { method: 'PUT', path: `${namespaced}/a`, body: wanted, type },
      { method: 'PUT', path: `${guards}/a/status`, body: wanted, type },
      {
        method: 'PATCH',
        path: `${namespaced}/a`,
        body: { data: null },
        type: 'application/merge-patch+json',
      },
      {
        method: 'PATCH',
        path: `${namespaced}/a/status`,
        body: { status: {} },
        type: 'application/strategic-merge-patch+json',
      },
    ]);
  });

  it("keeps to the path of the server's URL", async () => {
    server.handle = answers(200, object('a', 1));
    const at = { server: `${server.url}/k8s/clusters/c-1/` };
    const api = await open(await server.access(directory, {}, at));
    await api.get(MAPS, 'a', MS);
    expect(asked()).toEqual(['GET /k8s/clusters/c-1/api/v1/namespaces/default/configmaps/a']);
  });
});

describe('a dry run', () => {
  it('brings its options along, and leaves the connection fit for the next one', async () => {
    const api = await open();
    server.handle = answers(404, status(404, 'NotFound', { name: 'etcd-0' }));
    const pod = { namespace: 'default', name: 'etcd-0', uid: 'u-1', operation: 'delete' } as const;
    expect(await api.dryRun(pod, MS)).toEqual({ kind: 'gone' });
    expect(await api.dryRun(pod, MS)).toEqual({ kind: 'gone' });
    const body = { dryRun: ['All'], preconditions: { uid: 'u-1' } };
    expect(server.requests).toMatchObject([
      { method: 'DELETE', query: { dryRun: 'All' }, body },
      { method: 'DELETE', query: { dryRun: 'All' }, body },
    ]);
    expect(server.connections).toBe(1);
  });
});

describe('refusals', () => {
  const cases: readonly {
    readonly says: readonly [number, unknown];
    readonly code: ApiError['code'];
    readonly message: string;
  }[] = [
    {
      says: [409, status(409, 'Conflict', { message: 'the object has been modified' })],
      code: 'conflict',
      message:
        "can't update etcdguards.etcd-guard.io a (status) in namespace default: the object has been modified",
    },
    {
      says: [409, status(409, 'AlreadyExists', { message: 'configmaps "a" already exists' })],
      code: 'exists',
      message:
        'can\'t update etcdguards.etcd-guard.io a (status) in namespace default: configmaps "a" already exists',
    },
    {
      says: [404, status(404, 'NotFound', { name: 'a', message: 'etcdguards "a" not found' })],
      code: 'not-found',
      message:
        'can\'t update etcdguards.etcd-guard.io a (status) in namespace default: etcdguards "a" not found',
    },
    {
      says: [401, status(401, 'Unauthorized')],
      code: 'forbidden',
      message:
        'the API server does not accept our credentials (update etcdguards.etcd-guard.io a (status) in namespace default: Unauthorized)',
    },
    {
      says: [
        403,
        status(403, 'Forbidden', {
          message: 'User "x" cannot update resource "etcdguards/status"',
        }),
      ],
      code: 'forbidden',
      message:
        'missing permission "update" on "etcdguards/status" of API group etcd-guard.io in namespace default: User "x" cannot update resource "etcdguards/status"',
    },
    {
      says: [403, status(403, 'Forbidden', { message: 'exceeded quota: small' })],
      code: 'forbidden',
      message:
        'may not update etcdguards.etcd-guard.io a (status) in namespace default: exceeded quota: small',
    },
    {
      says: [429, status(429, 'TooManyRequests', { message: 'too many\n  requests' })],
      code: 'refused',
      message:
        'the API server refused to update etcdguards.etcd-guard.io a (status) in namespace default with HTTP 429: too many requests',
    },
    {
      says: [500, 'etcdserver: no leader, bearer s3cret-token, eyJhbGciOi.J9.x'],
      code: 'refused',
      message:
        'the API server refused to update etcdguards.etcd-guard.io a (status) in namespace default with HTTP 500: etcdserver: no leader, bearer …, …',
    },
    {
      says: [302, ''],
      code: 'refused',
      message:
        'the API server refused to update etcdguards.etcd-guard.io a (status) in namespace default with HTTP 302: HTTP 302',
    },
    {
      says: [200, '<html>'],
      code: 'refused',
      message:
        "the API server's answer to update etcdguards.etcd-guard.io a (status) in namespace default is not JSON",
    },
    {
      says: [200, { kind: 'Status' }],
      code: 'refused',
      message:
        "the API server's answer to update etcdguards.etcd-guard.io a (status) in namespace default is no object with name, uid and resourceVersion",
    },
  ];
  it.each(cases)('$says.0 $message', async ({ says: [code, body], ...expected }) => {
    server.handle = answers(code, body);
    const api = await open();
    const wanted = object('a', 7);
    const options = { subresource: 'status', withinMs: MS } as const;
    const failure = await failureOf(api.replace(GUARDS, wanted, options));
    expect({ code: failure.code, message: failure.message }).toEqual(expected);
  });

  it('names all namespaces where there is no one', async () => {
    server.handle = answers(403, status(403, 'Forbidden', { message: 'x cannot list resource' }));
    const api = await open();
    expect(await failureOf(api.list({ ...MAPS, namespace: null }, {}, MS))).toMatchObject({
      code: 'forbidden',
      message:
        'missing permission "list" on "configmaps" in all namespaces: x cannot list resource',
    });
  });
});

describe('a second attempt', () => {
  it('comes when a busy server says so, for writes too', async () => {
    server.next(
      answers(429, status(429, 'TooManyRequests'), { 'retry-after': '0' }),
      answers(201, object('a', 1)),
    );
    expect(await (await open()).create(MAPS, {}, MS)).toEqual(object('a', 1));
  });

  it('does not come when the server asks for more time than there is', async () => {
    server.handle = answers(429, status(429, 'TooManyRequests'), { 'retry-after': '6' });
    expect(await failureOf((await open()).get(MAPS, 'a', MS))).toMatchObject({ code: 'refused' });
    expect(asked()).toHaveLength(1);
  });

  it('comes once after a fault of the server, for reads only', async () => {
    server.handle = answers(503, status(503, 'ServiceUnavailable'));
    const api = await open();
    expect(await failureOf(api.get(MAPS, 'a', MS))).toMatchObject({ code: 'refused' });
    expect(await failureOf(api.create(MAPS, {}, MS))).toMatchObject({ code: 'refused' });
    expect(asked().map((line) => line.split(' ')[0])).toEqual(['GET', 'GET', 'POST']);
  });

  it('comes when a connection breaks in the middle of an answer, for reads only', async () => {
    server.next(breaksOff, answers(200, object('a', 1)));
    const api = await open();
    expect(await api.get(MAPS, 'a', MS)).toEqual(object('a', 1));
    server.handle = breaksOff;
    expect((await failureOf(api.get(MAPS, 'a', MS))).code).toBe('unreachable');
    expect((await failureOf(api.patch(MAPS, 'a', {}, MS))).code).toBe('unreachable');
    expect(asked().filter((line) => line.startsWith('PATCH'))).toHaveLength(1);
  });
});

describe('time', () => {
  const HALF_OPEN_MS = 150;

  const TIMED_OUT = {
    code: 'timeout',
    message: 'no answer from the API server within 150 ms (get configmaps a in namespace default)',
    late: false,
  };

  async function outcome(access: ClusterAccess): Promise<unknown> {
    const api = await open(access);
    const began = performance.now();
    const { code, message } = await failureOf(api.get(MAPS, 'a', HALF_OPEN_MS));
    return { code, message, late: performance.now() - began > HALF_OPEN_MS + 1_000 };
  }

  it('runs out when the server never answers', async () => {
    server.handle = silent;
    expect(await outcome(await server.access(directory))).toEqual(TIMED_OUT);
    await until('the request is given up', () => server.openConnections === 0);
  });

  it('runs out when the body never ends', async () => {
    server.handle = (_request, response) => {
      response.writeHead(200).write('{');
    };
    expect(await outcome(await server.access(directory))).toEqual(TIMED_OUT);
  });

  it('runs out when the TLS handshake hangs', async () => {
    const listener = await silentListener();
    expect(
      await outcome(await server.access(directory, {}, { server: `https://${listener.address}` })),
    ).toEqual(TIMED_OUT);
    await listener.close();
  });

  it('runs out when a proxy hangs', async () => {
    const listener = await silentListener();
    const proxied = { server: 'https://192.0.2.1', 'proxy-url': `http://${listener.address}` };
    expect(await outcome(await server.access(directory, {}, proxied))).toEqual(TIMED_OUT);
    await listener.close();
  });

  it('runs out when a credential plugin hangs', async () => {
    const plugin = { apiVersion: 'client.authentication.k8s.io/v1', command: 'sleep', args: ['2'] };
    expect(await outcome(await server.access(directory, { exec: plugin }))).toEqual(TIMED_OUT);
  });

  it('is not extended by pages', async () => {
    server.handle = answers(200, {
      metadata: { resourceVersion: '1', continue: 'more' },
      items: [],
    });
    const api = await open();
    expect(await failureOf(api.list(MAPS, {}, HALF_OPEN_MS))).toMatchObject({ code: 'timeout' });
  });

  it('may have run out before', async () => {
    const api = await open();
    expect(await failureOf(api.get(MAPS, 'a', -1))).toMatchObject({ code: 'timeout' });
  });
});

describe('connections', () => {
  it('are kept', async () => {
    server.handle = answers(200, object('a', 1));
    const api = await open();
    for (let turn = 0; turn < 100; turn += 1) await api.get(MAPS, 'a', MS);
    expect(server.connections).toBe(1);
  });

  it('are no more than fit, in a storm', async () => {
    server.handle = answers(200, object('a', 1));
    const api = await open();
    await Promise.all(Array.from({ length: 500 }, () => api.get(MAPS, 'a', MS)));
    expect(server.connections).toBeLessThanOrEqual(32);
  });

  it('that hang do not keep others from their time, nor those that come after', async () => {
    server.handle = silent;
    const api = await open();
    const hanging = Array.from({ length: 40 }, () => failureOf(api.get(MAPS, 'a', 150)));
    const codes = await Promise.all(hanging);
    expect(codes.map(({ code }) => code)).toEqual(Array.from(codes, () => 'timeout'));
    expect(server.requests.length).toBeLessThanOrEqual(32);
    server.handle = answers(200, object('a', 1));
    await Promise.all(Array.from({ length: 64 }, () => api.get(MAPS, 'a', MS)));
  });

  it('are made anew when the server has ended them', async () => {
    server.handle = answers(200, object('a', 1));
    const api = await open();
    await api.get(MAPS, 'a', MS);
    await server.stop();
    expect(await failureOf(api.get(MAPS, 'a', MS))).toMatchObject({
      code: 'unreachable',
      message: `can't reach the API server at ${server.url} (get configmaps a in namespace default): connect ECONNREFUSED ${server.url.slice('http://'.length)}`,
    });
    await server.listen();
    expect(await api.get(MAPS, 'a', MS)).toEqual(object('a', 1));
  });

  it('end on close, and requests with them', async () => {
    server.handle = silent;
    const api = await open();
    const pending = failureOf(api.get(MAPS, 'a', MS));
    await until('it is asked', () => server.requests.length === 1);
    api.close();
    api.close();
    expect(await pending).toMatchObject({
      code: 'unreachable',
      message: 'the connection to the API server was closed',
    });
    await until('the connection is closed', () => server.openConnections === 0);
    expect(await failureOf(api.get(MAPS, 'a', MS))).toMatchObject({ code: 'unreachable' });
    expect(server.connections).toBe(1);
  });
});

/** In one step, so that nobody reads half a file. */
async function replaceFile(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
}

function accept(...tokens: readonly string[]): void {
  const accepted = new Set<string | undefined>(tokens.map((token) => `Bearer ${token}`));
  server.handle = ({ headers }, response) => {
    if (accepted.has(headers.authorization)) answer(response, 200, object('a', 1));
    else answer(response, 401, status(401, 'Unauthorized'));
  };
}

describe('credentials', () => {
  it('follow the token of a service account', async () => {
    const token = join(directory, 'token');
    await writeFile(token, 'first\n');
    await writeFile(join(directory, 'namespace'), 'etcd-guard');
    const authority = await CertificateAuthority.create();
    await authority.writeTo(directory);
    const api = await open({ kind: 'service-account', server: server.url, directory });
    expect(api.namespace).toBe('etcd-guard');
    accept('first');
    expect(await api.get(MAPS, 'a', MS)).toEqual(object('a', 1));
    // Both are good for a while: the new one is taken up without a refusal.
    accept('first', 'second');
    await replaceFile(token, 'second');
    await until('the new token is used', async () => {
      await api.get(MAPS, 'a', MS);
      return server.requests.at(-1)?.headers.authorization === 'Bearer second';
    });
    // And at once when the old one is refused, each time.
    for (const next of ['third', 'fourth']) {
      accept(next);
      await replaceFile(token, next);
      expect(await api.get(MAPS, 'a', MS)).toEqual(object('a', 1));
    }
  });

  it('outlive a moment without the file', async () => {
    const tokenFile = join(directory, 'token');
    await writeFile(tokenFile, 'first');
    accept('first');
    const api = await open(await server.access(directory, { tokenFile: 'token' }));
    await api.get(MAPS, 'a', MS);
    await rm(tokenFile);
    const end = performance.now() + 1_200;
    await until('the file was looked for', async () => {
      expect(await api.get(MAPS, 'a', MS)).toEqual(object('a', 1));
      return performance.now() > end;
    });
  });

  it('are said to be missing when they are', async () => {
    const api = await open(await server.access(directory, { tokenFile: 'token' }));
    expect(await failureOf(api.get(MAPS, 'a', MS))).toMatchObject({
      code: 'unreachable',
      message: `no credentials for the API server: ENOENT: no such file or directory, open '${directory}/token'`,
    });
  });

  it('come from a plugin, which is asked again when they are refused', async () => {
    const plugin = join(directory, 'plugin');
    const text = `#!/bin/sh
echo run >> ${directory}/runs
token=$(cat ${directory}/token)
test -n "$KUBERNETES_EXEC_INFO" || exit 1
echo '{"kind":"ExecCredential","status":{"token":"'$token'"}}'
`;
    await writeFile(plugin, text);
    await chmod(plugin, 0o700);
    await writeFile(join(directory, 'token'), 'first');
    accept('first');
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: './plugin' };
    const api = await open(await server.access(directory, { exec }));
    await Promise.all([api.get(MAPS, 'a', MS), api.get(MAPS, 'a', MS)]);
    const runs = async (): Promise<string> => readFile(join(directory, 'runs'), 'utf8');
    expect(await runs()).toBe('run\n');
    await writeFile(join(directory, 'token'), 'second');
    accept('second');
    expect(await api.get(MAPS, 'a', MS)).toEqual(object('a', 1));
    expect(await runs()).toBe('run\nrun\n');
    // Refused for good, it is not asked again and again.
    accept('third');
    for (let turn = 0; turn < 3; turn += 1) {
      expect((await failureOf(api.get(MAPS, 'a', MS))).code).toBe('forbidden');
    }
    expect(await runs()).toBe('run\nrun\n');
  });

  it('that a plugin fails to give are said to be missing in its own words', async () => {
    const script = 'echo "log in first (bearer s3cret-s3cret)" >&2; exit 1';
    const plugin = { apiVersion: 'v1', command: 'sh', args: ['-c', script] };
    const api = await open(await server.access(directory, { exec: plugin }));
    expect(await failureOf(api.get(MAPS, 'a', MS))).toMatchObject({
      code: 'unreachable',
      message: 'no credentials for the API server: log in first (bearer …)',
    });
    expect(server.connections).toBe(0);
  });

  it('are those of a user without secrets, or with a password', async () => {
    server.handle = answers(200, object('a', 1));
    const user = { username: 'me', password: 'pass' };
    await (await open(await server.access(directory, user))).get(MAPS, 'a', MS);
    await (await open(await server.access(directory))).get(MAPS, 'a', MS);
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual([
      `Basic ${btoa('me:pass')}`,
      undefined,
    ]);
  });
});

describe('TLS', () => {
  let authority: CertificateAuthority;
  let secure: FakeApiServer;
  beforeAll(async () => {
    authority = await CertificateAuthority.create();
    secure = await FakeApiServer.start(authority);
    secure.handle = answers(200, object('a', 1));
  });
  afterAll(() => secure.stop());

  it('presents a client certificate, and the new one once the file has changed', async () => {
    const write = async (commonName: string): Promise<void> => {
      await writeCertificate(directory, 'client', await authority.issue({ commonName }));
    };
    await write('first');
    const user = { 'client-certificate': 'client.crt', 'client-key': 'client.key' };
    const api = await open(await secure.access(directory, user));
    const before = secure.connections;
    for (let turn = 0; turn < 20; turn += 1) await api.get(MAPS, 'a', MS);
    expect(secure.connections).toBe(before + 1);
    expect(secure.requests.at(-1)?.user).toBe('first');
    await write('second');
    await until('the new certificate is used', async () => {
      await api.get(MAPS, 'a', MS);
      return secure.requests.at(-1)?.user === 'second';
    });
    await until('the old connection is closed', () => secure.openConnections === 1);
  });

  it('accepts no other authority', async () => {
    const other = await CertificateAuthority.create('other');
    const cluster = { 'certificate-authority-data': btoa(other.cert) };
    const api = await open(await secure.access(directory, {}, cluster));
    const failure = await failureOf(api.get(MAPS, 'a', MS));
    expect(failure.code).toBe('unreachable');
    expect(failure.message).toMatch(/certificate.*\((UNABLE|SELF_SIGNED)\w+\)$/);
  });

  it('goes through a proxy, over kept connections', async () => {
    let tunnels = 0;
    const proxy = createServer().on('connect', (request, socket) => {
      tunnels += 1;
      const [host = '', port = ''] = (request.url ?? '').split(':');
      const target = connect(Number(port), host, () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        target.pipe(socket).pipe(target);
      });
      const end = (): void => {
        target.destroy();
        socket.destroy();
      };
      for (const side of [target, socket]) side.on('error', end).on('close', end);
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const { port } = boundAddress(proxy);
    const cluster = { 'proxy-url': `http://127.0.0.1:${port}` };
    const api = await open(await secure.access(directory, {}, cluster));
    for (let turn = 0; turn < 10; turn += 1) await api.get(MAPS, 'a', MS);
    expect(tunnels).toBe(1);
    api.close();
    proxy.close();
  });
});
