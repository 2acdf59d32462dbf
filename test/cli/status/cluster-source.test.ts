import { mkdtemp, rm } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { StatusSource } from '../../../src/cli/status/shown.ts';
import { clusterStatus } from '../../../src/cli/status/cluster-source.ts';
import type { Via } from '../../../src/config.ts';
import { guardObject, podObject } from '../../fakes/kubernetes-objects.ts';
import { until } from '../../harness/until.ts';
import {
  answer,
  FakeApiServer,
  listOf,
  status,
  type Received,
} from '../../kubernetes/api/fake-api-server.ts';

let directory: string;
let server: FakeApiServer;
let source: StatusSource;
/** What waits for its answer, of the requests that a test is about. */
let held: (() => void)[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'etcd-guard-'));
  server = await FakeApiServer.start();
  await server.access(directory);
  held = [];
});
afterEach(async () => {
  source.close();
  await server.stop();
  await rm(directory, { recursive: true });
});

async function open(via: Via): Promise<void> {
  const kubeconfig = join(directory, 'kubeconfig');
  source = await clusterStatus(
    { kind: 'cluster', kubeconfig, context: null },
    {
      command: 'status',
      guards: { kind: 'cluster', kubeconfig, context: null },
      name: null,
      namespace: null,
      allNamespaces: true,
      via,
      output: 'table',
      watch: false,
    },
    {},
  );
}

function stored(object: object): object {
  const { metadata = {} } = Object(object);
  return {
    ...object,
    metadata: { uid: `uid-of-${metadata.name}`, ...metadata, resourceVersion: '1' },
  };
}

function serve(
  lists: Readonly<Record<string, readonly object[]>>,
  holds: (request: Received) => boolean,
): void {
  server.handle = (request, response: ServerResponse) => {
    const { path } = request;
    const found = lists[path];
    const send = (): void =>
      answer(
        response,
        found === undefined ? 404 : 200,
        found === undefined
          ? status(404, 'NotFound', { name: path.split('/').at(-1) ?? '' })
          : listOf(1, ...found.map(stored)),
      );
    if (holds(request)) held.push(send);
    else send();
  };
}

/** Lets those that wait be answered, a few at a time, until there are so many; gives how many waited each time. */
async function answeredIn(count: number): Promise<readonly number[]> {
  const rounds: number[] = [];
  for (let left = count; left > 0;) {
    await until('some wait', () => held.length === Math.min(8, left));
    // Whatever else would come is there by the time that another request has come and gone.
    await fetch(`${server.url}/another`);
    await fetch(`${server.url}/another`);
    const now = held.splice(0);
    rounds.push(now.length);
    for (const send of now) send();
    left -= now.length;
  }
  return rounds;
}

describe('the status of many guards', () => {
  test('is looked at eight guards at a time', async () => {
    const names = Array.from({ length: 20 }, (_, at) => `team-${at}`);
    const guards = names.map((namespace) => {
      const guard = guardObject();
      return { ...guard, metadata: { ...guard.metadata, namespace } };
    });
    const pods = names.map((namespace) => [`/api/v1/namespaces/${namespace}/pods`, []]);
    const lists = {
      '/apis/etcd-guard.io/v1alpha1/etcdguards': guards,
      ...Object.fromEntries(pods),
    };
    serve(lists, ({ path }) => path.endsWith('/pods'));
    await open('direct');
    const looking = source.look();
    expect(await answeredIn(20)).toEqual([8, 8, 4]);
    expect(await looking).toHaveLength(20);
  });

  test('asks the API server about eight pods at a time', async () => {
    const pods = Array.from({ length: 20 }, (_, at) => podObject(`etcd-${at}`));
    const lists = {
      '/apis/etcd-guard.io/v1alpha1/etcdguards': [guardObject()],
      '/api/v1/namespaces/default/pods': pods,
    };
    serve(lists, ({ method }) => method === 'DELETE');
    await open('webhook');
    const looking = source.look();
    expect(await answeredIn(20)).toEqual([8, 8, 4]);
    const [shown] = await looking;
    const gone = { decision: null, message: expect.stringContaining('has just gone') };
    expect(shown?.item.pods).toEqual(pods.map(() => expect.objectContaining(gone)));
  });
});
