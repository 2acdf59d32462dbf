import type { ServerResponse } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Resource, WatchEvents } from '../../../src/kubernetes/api/api.ts';
import {
  connectKubernetes,
  type KubernetesConnection,
} from '../../../src/kubernetes/api/client-node-api.ts';
import { WATCH_TIMING, type WatchTiming } from '../../../src/kubernetes/api/watch.ts';
import { until } from '../../harness/until.ts';
import {
  answer,
  answers,
  FakeApiServer,
  listOf,
  object,
  silent,
  status,
  type Handler,
  type Received,
} from './fake-api-server.ts';

const MAPS: Resource = { prefix: '/api/v1', plural: 'configmaps', namespace: null };
const QUICK: WatchTiming = { ...WATCH_TIMING, backoffMs: [1, 20] };

let directory: string;
let server: FakeApiServer;
let api: KubernetesConnection;
/** What was told, in order: `listed a@5`, `changed a@6`, `gone a@7`, `failed CODE`. */
let told: string[];
/** The watch that the server has open. */
let stream: ServerResponse | null;
/** What a list gives. */
let listed: unknown;
let stopWatch: () => void;

const events: WatchEvents = {
  onListed: (objects) => told.push(['listed', ...objects.map(text)].join(' ')),
  onChanged: (changed) => told.push(`changed ${text(changed)}`),
  onGone: (gone) => told.push(`gone ${text(gone)}`),
  onFailed: ({ code, message }) => told.push(`failed ${code}: ${message}`),
};

function text({ metadata }: { metadata: { name: string; resourceVersion: string } }): string {
  return `${metadata.name}@${metadata.resourceVersion}`;
}

const opens: Handler = (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
  stream = response;
};

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'etcd-guard-'));
  server = await FakeApiServer.start();
  told = [];
  stream = null;
  listed = listOf(10, object('a', 5));
  server.handle = (request, response) => {
    if (request.query['watch'] === undefined) answer(response, 200, listed);
    else opens(request, response);
  };
});
afterEach(async () => {
  api.close();
  await server.stop();
  await rm(directory, { recursive: true });
});

async function start(timing: WatchTiming = QUICK, own: Partial<WatchEvents> = {}): Promise<void> {
  api = await connectKubernetes(await server.access(directory), timing);
  const watch = api.watch(MAPS, { labelSelector: 'app=x' }, { ...events, ...own });
  stopWatch = () => watch.stop();
}

function watches(): readonly Received[] {
  return server.requests.filter(({ query }) => query['watch'] !== undefined);
}

function lists(): number {
  return server.requests.length - watches().length;
}

async function opened(count: number): Promise<ServerResponse> {
  return until(`${count} watches`, () =>
    watches().length === count && stream !== null ? stream : undefined,
  );
}

function line(type: string, content: unknown): string {
  return `${JSON.stringify({ type, object: content })}\n`;
}

/** All that was told, once it is that much. */
async function heard(count: number): Promise<readonly string[]> {
  await until('it is told', () => told.length >= count).catch(() => undefined);
  return told;
}

const failing = (): never => {
  throw new Error('listener');
};

describe('a watch', () => {
  it('lists, and follows from there', async () => {
    await start();
    const first = await opened(1);
    first.write(line('ADDED', object('b', 11)) + line('MODIFIED', object('a', 12)));
    first.write(line('UNHEARD_OF', {}) + line('DELETED', object('a', 13)));
    expect(await heard(4)).toEqual(['listed a@5', 'changed b@11', 'changed a@12', 'gone a@13']);
    expect(lists()).toBe(1);
    const [request] = watches();
    const { timeoutSeconds, ...query } = request?.query ?? {};
    expect(query).toEqual({
      watch: 'true',
      allowWatchBookmarks: 'true',
      labelSelector: 'app=x',
      resourceVersion: '10',
    });
    expect(Number(timeoutSeconds)).toBeGreaterThanOrEqual(240);
    expect(Number(timeoutSeconds)).toBeLessThanOrEqual(300);
    expect(server.requests[0]?.query).toEqual({ labelSelector: 'app=x', limit: '500' });
  });

  it('goes on after the last event or bookmark when the server ends it', async () => {
    await start();
    (await opened(1)).end(line('MODIFIED', object('a', 12)));
    (await opened(2)).end(line('BOOKMARK', { metadata: { resourceVersion: '20' } }));
    // From a cache that lags.
    (await opened(3)).end(line('BOOKMARK', { metadata: { resourceVersion: '15' } }));
    await opened(4);
    expect(watches().map(({ query }) => query['resourceVersion'])).toEqual([
      '10',
      '12',
      '20',
      '20',
    ]);
    expect(lists()).toBe(1);
    expect(await heard(2)).toEqual(['listed a@5', 'changed a@12']);
  });

  it('goes on when the connection breaks in the middle of an event', async () => {
    await start();
    const first = await opened(1);
    const event = line('MODIFIED', { ...object('a', 12), data: 'é' });
    const bytes = Buffer.from(event + event.slice(0, 30));
    // Also in the middle of a character.
    const cut = bytes.indexOf('é') + 1;
    first.write(bytes.subarray(0, cut));
    await new Promise((resolve) => first.write(bytes.subarray(cut), resolve));
    expect(await heard(2)).toEqual(['listed a@5', 'changed a@12']);
    first.socket?.resetAndDestroy();
    (await opened(2)).write(line('MODIFIED', object('a', 13)));
    expect(await heard(4)).toEqual([
      'listed a@5',
      'changed a@12',
      `failed unreachable: can't reach the API server at ${server.url} (watch configmaps): aborted (ECONNRESET)`,
      'changed a@13',
    ]);
    expect(watches()[1]?.query['resourceVersion']).toBe('12');
  });

  it.each<[string, (response: ServerResponse) => void]>([
    ['an event', (response) => response.end(line('ERROR', status(410, 'Expired')))],
    [
      'another event',
      (response) => response.end(line('ERROR', { kind: 'Status', reason: 'Gone' })),
    ],
    ['the code', (response) => answer(response, 410, status(410, 'Expired'))],
  ])('lists again when its version is too old, said by %s', async (_how, end) => {
    let first = true;
    server.handle = (request, response) => {
      if (request.query['watch'] === undefined) return answer(response, 200, listed);
      if (!first) return opens(request, response);
      first = false;
      listed = listOf(30, object('b', 25));
      end(response);
    };
    await start();
    await opened(2);
    expect(await heard(2)).toEqual(['listed a@5', 'listed b@25']);
    expect(watches()[1]?.query['resourceVersion']).toBe('30');
  });

  it.each<[string, string, string]>([
    [
      'another error',
      line('ERROR', status(500, 'InternalError')),
      'the API server ended a watch (watch configmaps): InternalError',
    ],
    [
      'an event that is none',
      '{"type":\n',
      "the API server's answer to watch configmaps is no event",
    ],
    [
      'an event without an object',
      line('ADDED', { metadata: {} }),
      "the API server's answer to watch configmaps is ADDED with no object",
    ],
  ])('lists again after %s, and says so', async (_what, sent, message) => {
    await start();
    (await opened(1)).write(sent);
    await opened(2);
    expect(await heard(3)).toEqual(['listed a@5', `failed refused: ${message}`, 'listed a@5']);
  });

  it('does not bring back what is deleted', async () => {
    await start();
    const first = await opened(1);
    first.write(line('MODIFIED', object('a', 12)) + line('DELETED', object('a', 13)));
    first.write(line('MODIFIED', object('a', 12)) + line('ADDED', object('a', 13)));
    // It only left the selector, and is in it again.
    first.write(line('ADDED', object('a', 14)));
    expect(await heard(4)).toEqual(['listed a@5', 'changed a@12', 'gone a@13', 'changed a@14']);
  });

  it('notices a watch that stands still', async () => {
    await start({ ...QUICK, watchSeconds: [1, 1], overdueMs: 50 });
    await opened(2);
    expect(await heard(2)).toEqual([
      'listed a@5',
      'failed timeout: the API server neither went on with a watch nor ended it within 2 s',
    ]);
    expect(watches()[0]?.query['timeoutSeconds']).toBe('1');
    await until('the dead one is closed', () => server.openConnections === 1);
  });

  it('lists again from time to time', async () => {
    server.handle = (request, response) => {
      if (request.query['watch'] === undefined) return answer(response, 200, listed);
      opens(request, response);
      setTimeout(() => response.end(), Number(request.query['timeoutSeconds']) * 1_000);
    };
    await start({ ...QUICK, relistMs: [100, 200] });
    await opened(1);
    listed = listOf(30);
    expect(await heard(2)).toEqual(['listed a@5', 'listed']);
  });

  it('follows on while it can not be listed', async () => {
    server.handle = (request, response) => {
      if (request.query['watch'] !== undefined) return opens(request, response);
      if (lists() > 1) return answer(response, 429, status(429, 'TooManyRequests'));
      answer(response, 200, listed);
    };
    await start({ ...QUICK, relistMs: [0, 0], backoffMs: [1, 1_000] });
    (await opened(1)).end();
    (await opened(2)).write(line('MODIFIED', object('a', 12)));
    expect(await heard(3)).toEqual([
      'listed a@5',
      'failed refused: the API server refused to list configmaps with HTTP 429: TooManyRequests',
      'changed a@12',
    ]);
  });

  it('waits longer each time while it fails', async () => {
    const waits: number[] = [];
    let last = 0;
    server.handle = (_request, response) => {
      const now = performance.now();
      if (last !== 0) waits.push(now - last);
      last = now;
      answer(response, 403, status(403, 'Forbidden', { message: 'x cannot list resource' }));
    };
    await start({ ...QUICK, backoffMs: [20, 160] });
    await until('some attempts', () => waits.length >= 6);
    stopWatch();
    expect(waits[0]).toBeLessThan(200);
    for (const [index, least] of [10, 20, 40, 80, 80].entries()) {
      // A timer may fire a little early.
      expect(waits[index]).toBeGreaterThan(least - 2);
    }
    expect(new Set(told)).toEqual(
      new Set([
        'failed forbidden: missing permission "list" on "configmaps" in all namespaces: x cannot list resource',
      ]),
    );
  });

  it('outlives an API server that goes away', async () => {
    await start();
    await opened(1);
    await server.stop();
    await until('it fails', () => told.length > 3);
    stream = null;
    await server.listen();
    await until('it follows again', () => stream !== null);
    told = [];
    (await until('a watch', () => stream ?? undefined)).write(line('MODIFIED', object('a', 12)));
    expect(await heard(1)).toEqual(['changed a@12']);
    expect(lists()).toBe(1);
  });

  it('outlives its listeners', async () => {
    await start(QUICK, { onChanged: failing });
    const first = await opened(1);
    first.write(line('MODIFIED', object('a', 12)) + line('DELETED', object('a', 13)));
    expect(await heard(3)).toEqual([
      'listed a@5',
      'failed refused: an event of a watch could not be used',
      'gone a@13',
    ]);
    expect(watches()).toHaveLength(1);
  });
});

describe('a watch that is stopped', () => {
  it('says nothing more and closes its connection', async () => {
    await start();
    const first = await opened(1);
    stopWatch();
    stopWatch();
    first.write(line('MODIFIED', object('a', 12)));
    await until('the connection is closed', () => server.openConnections === 0);
    expect(told).toEqual(['listed a@5']);
  });

  it('by a listener ends at once', async () => {
    await start(QUICK, {
      onChanged: (changed) => {
        events.onChanged(changed);
        stopWatch();
      },
    });
    const first = await opened(1);
    first.write(line('MODIFIED', object('a', 12)) + line('MODIFIED', object('a', 13)));
    await until('the connection is closed', () => server.openConnections === 0);
    expect(told).toEqual(['listed a@5', 'changed a@12']);
  });

  it('ends while it lists', async () => {
    server.handle = silent;
    await start();
    await until('it lists', () => server.requests.length === 1);
    stopWatch();
    await until('the connection is closed', () => server.openConnections === 0);
    expect(told).toEqual([]);
  });

  it('ends with the connection, and can not be started after it', async () => {
    server.handle = answers(500, 'no');
    await start({ ...QUICK, backoffMs: [10_000, 10_000] });
    await until('it waits', () => told.length === 1);
    api.close();
    stopWatch();
    const { length } = server.requests;
    api.watch(MAPS, {}, events).stop();
    await until('the connections are closed', () => server.openConnections === 0);
    expect(server.requests).toHaveLength(length);
    expect(told).toHaveLength(1);
  });
});
