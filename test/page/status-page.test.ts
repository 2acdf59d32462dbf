import { get as httpGet, type IncomingMessage, type Server } from 'node:http';
import { z } from 'zod';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DecisionLog } from '../../src/page/decision-log.ts';
import type { Update } from '../../src/page/event-streams.ts';
import { keyOf, type GuardLook, type GuardName, type KnownGuard } from '../../src/page/port.ts';
import { standingOf } from '../../src/page/rows.ts';
import { StatusPage } from '../../src/page/status-page.ts';
import { createObservabilityServer } from '../../src/server/observability-server.ts';
import { until } from '../harness/until.ts';
import { listen, send, type Answer } from '../server/client.ts';
import { guardLook } from './guard-look.ts';

let guards: Map<string, GuardLook>;
let looked: string[];
let decisions: DecisionLog;
let page: StatusPage;
let server: Server;
let port: number;

function put(look: GuardLook): void {
  guards.set(keyOf(look.guard), look);
}

beforeEach(async () => {
  guards = new Map();
  looked = [];
  decisions = new DecisionLog(() => Date.UTC(2026, 0, 15, 12));
  page = new StatusPage({
    source: {
      known: (): readonly KnownGuard[] =>
        [...guards.values()].map(({ guard, view }) => ({
          namespace: guard.namespace,
          name: guard.name,
          standing: standingOf(view),
        })),
      async look(guard: GuardName) {
        looked.push(keyOf(guard));
        return guards.get(keyOf(guard)) ?? null;
      },
    },
    decisions,
    version: '1.2.3',
    replica: 'etcd-guard-x',
    unready: async () => null,
    looksPerSecond: 20,
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
  });
  server = createObservabilityServer({
    metrics: { exposition: async () => ({ contentType: 'text/plain', body: '' }) },
    readiness: async () => ({ ready: true }),
    version: '1.2.3',
    page,
  });
  port = await listen(server);
});

afterEach(() => {
  page.stop();
  server.close();
  server.closeAllConnections();
});

function ask(path: string, method = 'GET'): Promise<Answer> {
  return send({ port, path, method, headers: {} }, 'http');
}

describe('the page', () => {
  it('is answered with headers that let nothing in', async () => {
    const { status, headers } = await ask('/');
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
    });
    expect(headers['content-security-policy']).toMatch(
      /^default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'$/,
    );
  });

  it('needs nothing from anywhere else', async () => {
    const { body } = await ask('/');
    const references = String(body).match(/(?:src|href|action)="[^"]*"/g) ?? [];
    expect(references.filter((one) => /="(?:[a-z]+:|\/)/.test(one))).toEqual([]);
  });

  it('says that there are no guards, or that none is called so', async () => {
    expect((await ask('/')).body).toContain('There are no guards yet');
    put(guardLook());
    await until('the order is a second old', async () =>
      String((await ask('/?q=nothing')).body).includes('No guard is called “nothing”.'),
    );
  });

  it('asks only about what it shows, once for all who look', async () => {
    for (let n = 0; n < 60; n += 1) put(guardLook({ name: `etcd-${n}` }));
    await Promise.all([ask('/'), ask('/'), ask('/')]);
    expect(looked).toHaveLength(20);
    expect(new Set(looked).size).toBe(20);
  });

  it('takes GET and HEAD', async () => {
    expect(await ask('/', 'HEAD')).toMatchObject({ status: 200, body: '' });
    expect(await ask('/icon.svg', 'HEAD')).toMatchObject({ status: 200, body: '' });
    expect(await ask('/events', 'HEAD')).toMatchObject({ status: 200, body: '' });
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      expect((await ask('/', method)).status).toBe(405);
    }
    expect((await ask('//elsewhere/')).status).toBe(404);
  });

  it('shows what others have chosen as text', async () => {
    decisions.add({
      operation: 'delete',
      namespace: 'default',
      pod: '<img src=x onerror=alert(1)>',
      guard: { namespace: 'default', name: '"><script>alert(2)</script>' },
      decision: 'deny',
      reason: 'LeaderProtected',
      message: '</td><script>alert(3)</script>',
      dryRun: true,
    });
    const body = String((await ask('/?q=%22%3E%3Cscript%3E')).body);
    expect(body.match(/<script/g)).toHaveLength(1);
    expect(body).not.toContain('<img');
    expect(body).toContain('value="&#34;&#62;&#60;script&#62;"');
    expect(body).toContain('&#60;/td&#62;&#60;script&#62;alert(3)');
  });

  it('keeps what the other form has chosen', async () => {
    const body = String((await ask('/?q=etcd&decision=deny&reason=Spared')).body);
    expect(body).toContain('<input type="hidden" name="q" value="etcd"');
    expect(body).toContain('<input type="hidden" name="decision" value="deny"');
    expect(body).toContain('<option selected>Spared</option>');
    expect(body).toContain('href="api/status?q=etcd&#38;decision=deny&#38;reason=Spared"');
  });
});

describe('/api/status', () => {
  it.each([
    ['decision=foo', 400, 'decision is one of allow, deny, error'],
    ['reason=foo', 400, 'reason is one of NotGuarded, '],
    ['dryRun=1', 400, 'dryRun is one of yes, no'],
    ['page=abc', 400, 'page is a number from 1'],
    ['page=0', 400, 'page is a number from 1'],
    ['guard=nope', 400, 'guard is NAMESPACE/NAME'],
    ['guard=default/nope', 404, 'no guard default/nope'],
  ])('refuses %s', async (query, status, error) => {
    put(guardLook());
    const answer = await ask(`/api/status?${query}`);
    expect(answer.status).toBe(status);
    expect(answer.body).toEqual({ error: expect.stringContaining(error) });
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
    expect((await ask(`/?${query}`)).status).toBe(200);
  });

  it('has the same as the page', async () => {
    put(guardLook());
    decisions.add({
      operation: 'eviction',
      namespace: 'default',
      pod: 'etcd-0',
      guard: { namespace: 'default', name: 'etcd' },
      decision: 'deny',
      reason: 'LeaderProtected',
      message: 'no',
      dryRun: false,
    });
    const { headers, body } = await ask('/api/status?guard=default%2Fetcd');
    expect(headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
    });
    expect(body).toEqual({
      version: '1.2.3',
      replica: 'etcd-guard-x',
      time: expect.any(String),
      counts: { trouble: 0, unknown: 0, fine: 1 },
      matching: 1,
      page: 1,
      pages: 1,
      perPage: 20,
      items: [
        {
          apiVersion: 'etcd-guard.io/v1alpha1',
          kind: 'EtcdGuard',
          metadata: { namespace: 'default', name: 'etcd' },
          spec: { selector: { matchLabels: { app: 'etcd' } } },
          status: expect.objectContaining({
            leader: 'etcd-0',
            voters: 3,
            healthyVoters: 3,
            quorum: 2,
            disruptionsAllowed: 1,
          }),
          pods: [
            {
              pod: 'etcd-0',
              decision: 'deny',
              reason: 'LeaderProtected',
              message: 'etcd-0: LeaderProtected.',
            },
            { pod: 'etcd-1', decision: 'allow', reason: 'Spared', message: 'etcd-1: Spared.' },
            { pod: 'etcd-2', decision: 'allow', reason: 'Spared', message: 'etcd-2: Spared.' },
          ],
          seen: expect.any(String),
          failure: null,
        },
      ],
      decisions: [
        {
          time: '2026-01-15T12:00:00.000Z',
          guard: 'default/etcd',
          operation: 'eviction',
          namespace: 'default',
          pod: 'etcd-0',
          decision: 'deny',
          reason: 'LeaderProtected',
          message: 'no',
          dryRun: false,
        },
      ],
    });
  });
});

const updateSchema = z.strictObject({
  parts: z.record(z.string(), z.string()),
  order: z.array(z.string()).nullable(),
  seen: z.record(z.string(), z.string()),
  say: z.array(z.string()),
}) satisfies z.ZodType<Update>;

/** A browser that follows. */
class Follower {
  readonly updates: Update[] = [];
  readonly #response: IncomingMessage;

  private constructor(response: IncomingMessage) {
    this.#response = response;
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      const messages = text.split('\n\n');
      text = messages.pop() ?? '';
      for (const message of messages) {
        if (message.startsWith('data: ')) {
          this.updates.push(updateSchema.parse(JSON.parse(message.slice(6))));
        }
      }
    });
    response.on('error', () => undefined);
  }

  static async open(path = '/events'): Promise<Follower> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    httpGet({ host: '127.0.0.1', port, path, agent: false }, resolve).once('error', reject);
    const response = await promise;
    if (response.headers['content-type'] !== 'text/event-stream; charset=utf-8') {
      throw new Error(`${path} is no event stream`);
    }
    return new Follower(response);
  }

  async hears(what: (update: Update) => boolean): Promise<Update> {
    return until('an update', () => this.updates.find(what));
  }

  close(): void {
    this.#response.destroy();
  }
}

function add(pod: string, decision: 'allow' | 'deny'): void {
  decisions.add({
    operation: 'delete',
    namespace: 'default',
    pod,
    guard: { namespace: 'default', name: 'etcd' },
    decision,
    reason: 'LeaderProtected',
    message: 'no',
    dryRun: false,
  });
}

describe('/events', () => {
  it('sends all at first, then what has changed, and a sign of life every second', async () => {
    put(guardLook());
    const follower = await Follower.open();
    const first = await follower.hears(({ order }) => order !== null);
    expect(first.order).toEqual(['guard-default/etcd']);
    expect(Object.keys(first.parts)).toEqual(['summary', 'decisions', 'guard-default/etcd']);
    await follower.hears(({ parts }) => /etcd-0 leads/.test(parts['guard-default/etcd'] ?? ''));
    put(guardLook({ silent: [2] }));
    const news = await follower.hears(({ parts }) =>
      /2 of 3 voters/.test(parts['guard-default/etcd'] ?? ''),
    );
    expect(news.say).toEqual([
      expect.stringMatching(/^default\/etcd: etcd-0 leads\. 2 of 3 voters/),
    ]);
    const count = follower.updates.length;
    const [quiet] = await until('two more', () => {
      const more = follower.updates
        .slice(count)
        .filter(({ parts }) => Object.keys(parts).length === 0);
      return more.length >= 2 && more;
    });
    expect(quiet).toMatchObject({ parts: {}, order: null, say: [] });
    follower.close();
  });

  it('tells of a decision at once', async () => {
    const follower = await Follower.open('/events?decision=deny');
    await follower.hears(({ order }) => order === null);
    add('etcd-8', 'allow');
    add('etcd-9', 'deny');
    const { parts, say } = await follower.hears((update) =>
      /etcd-9/.test(update.parts['decisions'] ?? ''),
    );
    expect(parts['decisions']).not.toContain('etcd-8');
    expect(say).toEqual(['Delete of etcd-9: deny, LeaderProtected.']);
    follower.close();
  });

  it('asks nobody, and has no clock, once nobody watches', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      put(guardLook());
      const follower = await Follower.open();
      await until('a look', () => looked.length === 1);
      expect(vi.getTimerCount()).toBe(1);
      follower.close();
      await until('no clock', () => vi.getTimerCount() === 0);
    } finally {
      vi.useRealTimers();
    }
    expect(looked).toHaveLength(1);
  });

  it('is for so many at once', async () => {
    const followers = await Promise.all(Array.from({ length: 50 }, () => Follower.open()));
    expect(await ask('/events')).toMatchObject({
      status: 503,
      body: { error: 'too many watch this page live; it can still be loaded' },
    });
    followers[0]?.close();
    await until('there is room', async () => (await ask('/events', 'HEAD')).status === 200);
    for (const follower of followers) follower.close();
  });
});
