import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { ApiError, type KubernetesObject, type Resource } from '../../src/kubernetes/api/api.ts';
import {
  connectKubernetes,
  type KubernetesConnection,
} from '../../src/kubernetes/api/client-node-api.ts';
import type { ClusterAccess } from '../../src/kubernetes/api/kube-config.ts';
import { boundAddress } from '../../src/server/listen.ts';
import { startKubeApiserver, type KubeApiserver } from '../harness/kube-apiserver.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../harness/reaper.ts';
import { until } from '../harness/until.ts';

const MAPS: Resource = { prefix: '/api/v1', plural: 'configmaps', namespace: 'default' };
const GUARDS: Resource = {
  prefix: '/apis/etcd-guard.io/v1alpha1',
  plural: 'etcdguards',
  namespace: 'default',
};
const MS = 10_000;

const tokenSchema = z.looseObject({ status: z.looseObject({ token: z.string() }) });

async function failureOf(promise: Promise<unknown>): Promise<ApiError> {
  const failure: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (failure instanceof ApiError) return failure;
  throw new Error('no ApiError', { cause: failure });
}

function configMap(name: string, data: Readonly<Record<string, string>> = {}): unknown {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels: { test: 'e2e' } }, data };
}

/** A port that leads to the API server, and counts connections. */
async function forwarder(server: string): Promise<{
  readonly port: number;
  connections(): number;
  close(): void;
}> {
  const { hostname, port } = new URL(server);
  const sockets = new Set<Socket>();
  let connections = 0;
  const listener = createServer((socket) => {
    connections += 1;
    const target = connect(Number(port), hostname);
    socket.pipe(target).pipe(socket);
    for (const side of [socket, target]) {
      sockets.add(side);
      side.on('error', () => undefined).on('close', () => side.destroy());
    }
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    port: boundAddress(listener).port,
    connections: () => connections,
    close: () => {
      listener.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

describe('a real API server', () => {
  let server: KubeApiserver;
  let directory: TemporaryDirectory;
  let api: KubernetesConnection;

  beforeAll(async () => {
    directory = await temporaryDirectory('kubernetes-api');
    server = await startKubeApiserver();
    api = await connectKubernetes({ kind: 'kubeconfig', files: [server.kubeconfig] });
    const crd: unknown = parse(await readFile('deploy/webhook/10-crd.yaml', 'utf8'));
    const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    await server.admin.create(definitions, crd);
    await until('the CRD is served', async () => (await api.list(GUARDS, {}, MS)).length === 0);
  });
  afterAll(async () => {
    api.close();
    await server.stop();
    await directory.remove();
  });
  beforeEach(async () => {
    const path = '/api/v1/namespaces/default/configmaps';
    await server.admin.delete(`${path}?labelSelector=test%3De2e`);
  });

  it('keeps what two writers do apart', async () => {
    const created = await api.create(MAPS, configMap('a', { by: 'nobody' }), MS);
    expect(await api.get(MAPS, 'a', MS)).toEqual(created);
    expect(await failureOf(api.create(MAPS, configMap('a'), MS))).toMatchObject({
      code: 'exists',
      message: 'can\'t create configmaps in namespace default: configmaps "a" already exists',
    });
    const first = await api.replace(MAPS, { ...created, data: { by: 'first' } }, { withinMs: MS });
    const second = api.replace(MAPS, { ...created, data: { by: 'second' } }, { withinMs: MS });
    expect((await failureOf(second)).code).toBe('conflict');
    expect(await api.get(MAPS, 'a', MS)).toEqual(first);
    const patched = await api.patch(MAPS, 'a', { data: { by: null, more: 'x' } }, MS);
    expect(patched).toMatchObject({ data: { more: 'x' } });
    // It rests on a version, and so on a life: another object of that name is none of its business.
    await server.admin.delete('/api/v1/namespaces/default/configmaps/a');
    expect(await api.get(MAPS, 'a', MS)).toBe(null);
    const gone = await failureOf(api.replace(MAPS, patched, { withinMs: MS }));
    expect(['conflict', 'not-found']).toContain(gone.code);
    await api.create(MAPS, configMap('a'), MS);
    expect((await failureOf(api.replace(MAPS, patched, { withinMs: MS }))).code).toBe('conflict');
  });

  it('swaps the status of a guard', async () => {
    const spec = { selector: { matchLabels: { app: 'etcd' } }, members: { port: 2379 } };
    const own = { apiVersion: 'etcd-guard.io/v1alpha1', kind: 'EtcdGuard' };
    const created = await api.create(GUARDS, { ...own, metadata: { name: 'etcd' }, spec }, MS);
    const swap = { subresource: 'status', withinMs: MS } as const;
    const next = { ...created, spec: {}, status: { leader: 'etcd-0' } };
    const swapped = await api.replace(GUARDS, next, swap);
    expect(swapped).toMatchObject({ spec, status: { leader: 'etcd-0' } });
    expect((await failureOf(api.replace(GUARDS, next, swap))).code).toBe('conflict');
    // From a list an object is as it is from a get, and can be written like it.
    expect(await api.list(GUARDS, {}, MS)).toEqual([swapped]);
  });

  it('says what is missing', async () => {
    const unserved = { ...GUARDS, plural: 'etcdlocks' };
    expect((await failureOf(api.get(unserved, 'a', MS))).message).toMatch(
      /does not serve etcdlocks at \/apis\/etcd-guard.io\/v1alpha1; is their CustomResourceDefinition/,
    );
    const nowhere = { ...MAPS, namespace: 'nowhere' };
    expect(await api.get(nowhere, 'a', MS)).toBe(null);
    expect(await failureOf(api.create(nowhere, configMap('a'), MS))).toMatchObject({
      code: 'not-found',
      message: 'can\'t create configmaps in namespace nowhere: namespaces "nowhere" not found',
    });
  });

  it('lists more than a page', async () => {
    const names = Array.from({ length: 505 }, (_, index) => `many-${1_000 + index}`);
    await Promise.all(names.map((name) => api.create(MAPS, configMap(name), MS)));
    const listed = await api.list(MAPS, { labelSelector: 'test=e2e' }, MS);
    expect(listed.map(({ metadata }) => metadata.name)).toEqual(names);
    expect(listed[0]).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap' });
  });

  it('keeps its connection', async () => {
    const way = await forwarder(server.server);
    const config = await readFile(server.kubeconfig, 'utf8');
    const kubeconfig = join(directory.path, 'forwarded.kubeconfig');
    await writeFile(kubeconfig, config.replace(server.server, `https://127.0.0.1:${way.port}`));
    const forwarded = await connectKubernetes({ kind: 'kubeconfig', files: [kubeconfig] });
    for (let turn = 0; turn < 100; turn += 1) await forwarded.get(MAPS, 'a', MS);
    expect(way.connections()).toBe(1);
    forwarded.close();
    way.close();
  });

  it('tells a user without rights which one is missing', async () => {
    const kubeconfig = await server.kubeconfigFor({ user: 'nobody' });
    const restricted = await connectKubernetes({ kind: 'kubeconfig', files: [kubeconfig] });
    const failures: string[] = [];
    const watch = restricted.watch(
      { ...GUARDS, namespace: null },
      {},
      {
        onListed: () => failures.push('listed'),
        onChanged: () => failures.push('changed'),
        onGone: () => failures.push('gone'),
        onFailed: ({ code, message }) => failures.push(`${code}: ${message}`),
      },
    );
    expect(await failureOf(restricted.get(MAPS, 'a', MS))).toMatchObject({
      code: 'forbidden',
      message:
        'missing permission "get" on "configmaps" in namespace default: configmaps "a" is forbidden: User "nobody" cannot get resource "configmaps" in API group "" in the namespace "default"',
    });
    const guard: KubernetesObject = {
      apiVersion: 'etcd-guard.io/v1alpha1',
      kind: 'EtcdGuard',
      metadata: { name: 'etcd', namespace: 'default', uid: '1', resourceVersion: '1' },
    };
    const update = restricted.replace(GUARDS, guard, { subresource: 'status', withinMs: MS });
    expect((await failureOf(update)).message).toMatch(
      /^missing permission "update" on "etcdguards\/status" of API group etcd-guard.io in namespace default: /,
    );
    const [failed] = await until('the watch fails', () => failures.length > 0 && failures);
    expect(failed).toMatch(
      /^forbidden: missing permission "list" on "etcdguards" of API group etcd-guard.io in all namespaces: /,
    );
    watch.stop();
    restricted.close();
  });

  it('lets a service account in, by a token that changes', async () => {
    const token = async (account: string): Promise<string> => {
      const accounts = '/api/v1/namespaces/default/serviceaccounts';
      await server.admin.create(accounts, { metadata: { name: account } });
      const request = await server.admin.text('POST', `${accounts}/${account}/token`, { spec: {} });
      return tokenSchema.parse(JSON.parse(request)).status.token;
    };
    await writeFile(join(directory.path, 'ca.crt'), server.ca);
    await writeFile(join(directory.path, 'token'), await token('one'));
    const access: ClusterAccess = {
      kind: 'service-account',
      server: server.server,
      directory: directory.path,
    };
    const inside = await connectKubernetes(access);
    const who = async (): Promise<string> =>
      /User "([^"]*)"/.exec((await failureOf(inside.get(MAPS, 'a', MS))).message)?.[1] ?? '';
    expect(await who()).toBe('system:serviceaccount:default:one');
    const second = await token('two');
    await writeFile(join(directory.path, 'token'), 'made up');
    await until('that is refused', async () => (await who()) === '');
    expect((await failureOf(inside.get(MAPS, 'a', MS))).message).toBe(
      'the API server does not accept our credentials (get configmaps a in namespace default: Unauthorized)',
    );
    await writeFile(join(directory.path, 'token'), second);
    expect(await who()).toBe('system:serviceaccount:default:two');
    inside.close();
  });

  it('keeps to its time, and is followed again, when it stands still and when it restarts', async () => {
    const seen = new Map<string, string>();
    const failures: ApiError[] = [];
    const note = ({ metadata }: KubernetesObject): void => {
      seen.set(metadata.name, metadata.resourceVersion);
    };
    const watch = api.watch(
      MAPS,
      { labelSelector: 'test=e2e' },
      {
        onListed: (objects) => {
          seen.clear();
          objects.forEach(note);
        },
        onChanged: note,
        onGone: ({ metadata }) => seen.delete(metadata.name),
        onFailed: (failure) => failures.push(failure),
      },
    );
    const seesAll = async (): Promise<boolean> => {
      const now = await server.admin.list('/api/v1/configmaps?labelSelector=test%3De2e');
      return (
        now.length === seen.size &&
        now.every(({ metadata }) => seen.get(metadata.name) === metadata.resourceVersion)
      );
    };
    await api.create(MAPS, configMap('a'), MS);
    await api.create(MAPS, configMap('b'), MS);
    await api.patch(MAPS, 'a', { data: { x: 'y' } }, MS);
    await until('it sees all', async () => seen.size === 2 && (await seesAll()));

    server.process.pause();
    const began = performance.now();
    expect(await failureOf(api.get(MAPS, 'a', 300))).toMatchObject({ code: 'timeout' });
    expect(performance.now() - began).toBeLessThan(1_500);
    server.process.resume();
    expect((await api.get(MAPS, 'a', MS))?.metadata.name).toBe('a');
    expect(failures).toEqual([]);

    const restarting = server.restart();
    await until('it is gone', async () => {
      return (await failureOf(api.get(MAPS, 'a', 1_000))).code === 'unreachable';
    });
    await restarting;
    expect(failures.map(({ code }) => code)).toContain('unreachable');
    await api.create(MAPS, configMap('c'), MS);
    await server.admin.delete('/api/v1/namespaces/default/configmaps/a');
    await until('it sees all', async () => seen.size === 2 && (await seesAll()), {
      timeoutMs: 30_000,
    });
    watch.stop();
    const { length } = failures;
    await api.create(MAPS, configMap('d'), MS);
    expect([...seen.keys()].sort()).toEqual(['b', 'c']);
    expect(failures).toHaveLength(length);
  });
});
