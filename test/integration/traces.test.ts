import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { basename, join } from 'node:path';
import { json } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { z } from 'zod';
import packageJson from '../../package.json' with { type: 'json' };
import { startEtcdCluster, type EtcdCluster } from '../harness/etcd-cluster.ts';
import {
  deleteReview,
  evictionReview,
  guardFile,
  guardFor,
  startGuard,
  type GuardProcess,
} from '../harness/guard-process.ts';
import { temporaryDirectory } from '../harness/reaper.ts';
import { until } from '../harness/until.ts';

const value = z.union([
  z.object({ stringValue: z.string() }).transform(({ stringValue }) => stringValue),
  z.object({ intValue: z.number() }).transform(({ intValue }) => intValue),
  z.object({ boolValue: z.boolean() }).transform(({ boolValue }) => boolValue),
]);
const attributes = z
  .array(z.object({ key: z.string(), value }))
  .transform((all) => Object.fromEntries(all.map((one) => [one.key, one.value])));
const span = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().default(''),
  name: z.string(),
  kind: z.number(),
  startTimeUnixNano: z.string(),
  endTimeUnixNano: z.string(),
  attributes,
  status: z.object({ code: z.number().default(0) }),
});
const traces = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes }),
      scopeSpans: z.array(z.object({ spans: z.array(span) })),
    }),
  ),
});

const ran = z.object({ result: z.array(z.object({ url: z.string() })) });

type Span = z.infer<typeof span> & { readonly resource: Readonly<Record<string, unknown>> };

/** Takes what is posted to /v1/traces in the JSON of OTLP. */
class Receiver {
  readonly spans: Span[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<Receiver> {
    const server = createServer();
    const receiver = new Receiver(server);
    server.on('request', (request, response) => {
      const taken = json(request).then((body) => {
        if (request.url === '/v1/traces') receiver.#take(body);
        return response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      });
      taken.catch((error: unknown) => response.writeHead(400).end(String(error)));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return receiver;
  }

  get endpoint(): string {
    const address = this.#server.address();
    if (typeof address !== 'object' || address === null) throw new Error('not listening');
    return `http://127.0.0.1:${address.port}`;
  }

  #take(body: unknown): void {
    for (const { resource, scopeSpans } of traces.parse(body).resourceSpans) {
      const received = scopeSpans.flatMap(({ spans }) => spans);
      this.spans.push(...received.map((one) => ({ ...one, resource: resource.attributes })));
    }
  }

  /** The trace of the review with that uid, once all of it has come. */
  async traceOf(uid: unknown): Promise<{ readonly root: Span; readonly all: readonly Span[] }> {
    const root = await until(`the trace of ${String(uid)}`, () =>
      this.spans.find((one) => one.attributes['k8s.review.uid'] === uid),
    );
    return { root, all: this.spans.filter(({ traceId }) => traceId === root.traceId) };
  }

  childrenOf({ spanId }: Span): readonly Span[] {
    return this.spans.filter(({ parentSpanId }) => parentSpanId === spanId);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

const uidSchema = z.object({ request: z.object({ uid: z.string() }) });

function uidOf(review: unknown): string {
  return uidSchema.parse(review).request.uid;
}

describe('traces', () => {
  let cluster: EtcdCluster;
  let receiver: Receiver;
  let guard: GuardProcess | null = null;

  beforeAll(async () => {
    cluster = await startEtcdCluster();
    receiver = await Receiver.start();
  });

  afterEach(async () => {
    await guard?.stop();
    guard = null;
  });

  afterAll(async () => {
    await receiver?.stop();
    await cluster?.stop();
  });

  async function start(environment: Readonly<Record<string, string>>): Promise<GuardProcess> {
    guard = await startGuard({
      program: inject('program'),
      guards: guardFile(guardFor(cluster)),
      env: { ...process.env, OTEL_BSP_SCHEDULE_DELAY: '100', ...environment },
    });
    return guard;
  }

  it('show the rounds of a review and every request to a member', async () => {
    const running = await start({
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
      OTEL_SERVICE_NAME: 'guard-of-etcd',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
    });
    const [follower] = await cluster.followers();
    const review = deleteReview(follower?.name ?? '');
    expect((await running.review(review)).allowed).toBe(true);
    const { root, all } = await receiver.traceOf(uidOf(review));
    expect(root).toMatchObject({
      name: 'review delete',
      parentSpanId: '',
      kind: 2,
      attributes: {
        'k8s.namespace.name': 'default',
        'k8s.pod.name': follower?.name,
        'k8s.dry_run': 'false',
        'etcd_guard.decision': 'allow',
        'etcd_guard.reason': 'Spared',
        'etcd_guard.guard': 'default/etcd',
        'etcd_guard.member': follower?.id,
      },
      resource: {
        'service.name': 'guard-of-etcd',
        'service.version': packageJson.version,
        'deployment.environment.name': 'test',
      },
    });
    const rounds = receiver.childrenOf(root);
    expect(rounds.map(({ name }) => name)).toStrictEqual(['etcd ask', 'etcd prove']);
    const [ask, prove] = rounds;
    if (ask === undefined || prove === undefined) throw new Error('two rounds');
    expect(ask.attributes).toStrictEqual({ 'etcd.asked': 3, 'etcd.answered': 3 });
    expect(prove.attributes).toStrictEqual({ 'etcd.asked': 2, 'etcd.answered': 2 });
    const addresses = cluster.members.map(({ address }) => address);
    expect(requestsIn(receiver.childrenOf(ask))).toStrictEqual(
      addresses
        .flatMap((address) => [`etcd MemberList ${address}`, `etcd Status ${address}`])
        .sort(),
    );
    const others = addresses.filter((address) => address !== follower?.address);
    expect(requestsIn(receiver.childrenOf(prove))).toStrictEqual(
      others.flatMap((address) => [`etcd Range ${address}`, `etcd Status ${address}`]).sort(),
    );
    expect(all).toHaveLength(1 + 2 + 6 + 4);
    for (const one of all) expectWithin(one, root);
  });

  it('show a move of leadership, and which member did not answer', async () => {
    const running = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint });
    const leader = await cluster.leader();
    const review = evictionReview(leader.name);
    expect((await running.review(review)).allowed).toBe(true);
    const { root } = await receiver.traceOf(uidOf(review));
    expect(root.name).toBe('review eviction');
    const move = receiver.childrenOf(root).find(({ name }) => name === 'etcd move leader');
    expect(move?.attributes).toMatchObject({ 'etcd.from': leader.name });
    if (move === undefined) throw new Error('no move');
    expect(requestsIn(receiver.childrenOf(move))).toStrictEqual([
      `etcd MoveLeader ${leader.address}`,
    ]);
    const next = await cluster.leader();
    const silent = cluster.members.find(({ id }) => id !== next.id && id !== leader.id);
    silent?.process.pause();
    const second = deleteReview(silent?.name ?? '');
    await running.review(second, '?timeout=3s');
    silent?.process.resume();
    const trace = await receiver.traceOf(uidOf(second));
    const failed = trace.all.filter(({ status }) => status.code === 2);
    expect(failed.length).toBeGreaterThan(0);
    for (const { attributes: found } of failed) {
      expect(found).toMatchObject({
        'server.address': silent?.address,
        'etcd.outcome': 'timeout',
      });
    }
    await cluster.waitHealthy();
  });

  it('of reviews that share a round hang together each in itself', async () => {
    const running = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint });
    const { name } = await cluster.leader();
    const reviews = Array.from({ length: 20 }, () => deleteReview(name, { dryRun: true }));
    await Promise.all(reviews.map((review) => running.review(review)));
    const members = new Set<string>();
    for (const review of reviews) {
      const { root, all } = await receiver.traceOf(uidOf(review));
      const [ask] = receiver.childrenOf(root);
      expect(ask?.name).toBe('etcd ask');
      for (const { spanId, parentSpanId, name: what } of all) {
        if (!/^etcd (Status|MemberList)$/.test(what)) continue;
        // Below the round of the very review whose trace it is in.
        expect(parentSpanId).toBe(ask?.spanId);
        members.add(spanId);
      }
    }
    expect(members.size % 6).toBe(0);
    expect(members.size).toBeGreaterThan(0);
  });

  it.each<[string, Record<string, string>]>([
    ['without an endpoint', {}],
    ['switched off', { OTEL_EXPORTER_OTLP_ENDPOINT: 'ENDPOINT', OTEL_SDK_DISABLED: 'true' }],
    [
      'sampled away',
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'ENDPOINT', OTEL_TRACES_SAMPLER: 'always_off' },
    ],
  ])('%s are not sent', async (_, environment) => {
    const given = Object.fromEntries(
      Object.entries(environment).map(([name, text]) => [
        name,
        text.replace('ENDPOINT', receiver.endpoint),
      ]),
    );
    const running = await start(given);
    const before = receiver.spans.length;
    const review = deleteReview((await cluster.leader()).name);
    expect((await running.review(review)).allowed).toBe(false);
    // Whatever it would send, it sends before it ends.
    await expect(running.process.stop()).resolves.toStrictEqual({ code: 0, signal: null });
    expect(receiver.spans.length).toBe(before);
  });

  it.each<[string, Record<string, string>, boolean]>([
    ['unless they are wanted', {}, false],
    ['where they are', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' }, true],
  ])('are loaded only where they are wanted: %s', async (_, environment, loaded) => {
    const directory = await temporaryDirectory('loaded');
    // Node writes down at its end which files it has run.
    const running = await start({ NODE_V8_COVERAGE: directory.path, ...environment });
    await running.process.stop();
    const [file = ''] = await readdir(directory.path);
    const { result } = ran.parse(JSON.parse(await readFile(join(directory.path, file), 'utf8')));
    await directory.remove();
    const names = result.map(({ url }) => basename(url));
    expect(names).toContain('serve.js');
    expect(names.includes('open-telemetry.js')).toBe(loaded);
  });

  it('that nobody takes keep no review from being answered', async () => {
    const running = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' });
    const review = deleteReview((await cluster.leader()).name);
    expect((await running.review(review)).allowed).toBe(false);
    await expect(running.process.stop()).resolves.toStrictEqual({ code: 0, signal: null });
  });
});

function requestsIn(spans: readonly Span[]): readonly string[] {
  return spans.map((one) => `${one.name} ${String(one.attributes['server.address'])}`).sort();
}

/** Up to the millisecond that the wall clock is read to. */
function expectWithin(one: Span, root: Span): void {
  const slack = 2_000_000n;
  expect(BigInt(one.startTimeUnixNano)).toBeGreaterThanOrEqual(
    BigInt(root.startTimeUnixNano) - slack,
  );
  expect(BigInt(one.endTimeUnixNano)).toBeLessThanOrEqual(BigInt(root.endTimeUnixNano) + slack);
}
