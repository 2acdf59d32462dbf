import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { Agent } from 'node:https';
import { describe, expect, it } from 'vitest';
import type { Reply } from '../../src/admission/response.ts';
import { startServers, type RunningServers } from '../../src/server/lifecycle.ts';
import { createObservabilityServer } from '../../src/server/observability-server.ts';
import { createReadiness } from '../../src/server/readiness.ts';
import { selfSignedCertificate } from '../../src/server/self-signed.ts';
import { WebhookServer } from '../../src/server/webhook-server.ts';
import { RawConnection, send, type Answer } from './client.ts';

const ANY = { host: '127.0.0.1', port: 0 };
const OK: Reply = { status: 200, body: { answered: true } };

interface Started {
  readonly running: RunningServers;
  readonly webhook: WebhookServer;
  readonly port: number;
  readonly httpPort: number;
}

async function start(handle: () => Promise<Reply> = async () => OK): Promise<Started> {
  const webhook = new WebhookServer({ certificate: await selfSignedCertificate(), handle });
  const observability = createObservabilityServer({
    metrics: { exposition: async () => ({ contentType: 'text/plain', body: '' }) },
    readiness: createReadiness(webhook, 0),
    version: '0',
  });
  const running = await startServers({ webhook, observability, listen: ANY, metricsListen: ANY });
  const port = portOf(running.https);
  return { running, webhook, port, httpPort: portOf(running.http) };
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}

function readyz({ httpPort }: Started): Promise<Answer> {
  return send({ port: httpPort, path: '/readyz', method: 'GET', headers: {} }, 'http');
}

function track(promise: Promise<void>): { promise: Promise<void>; done: () => boolean } {
  let done = false;
  async function follow(): Promise<void> {
    await promise;
    done = true;
  }
  return { promise: follow(), done: () => done };
}

/** A handler that tells when it was entered and answers when it is let go. */
function gate(): { handle: () => Promise<Reply>; entered: () => number; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  let entered = 0;
  return {
    handle: async () => {
      entered += 1;
      await promise;
      return OK;
    },
    entered: () => entered,
    open: () => {
      resolve();
    },
  };
}

describe('startServers', () => {
  it('tells both addresses and is ready', async () => {
    const started = await start();
    expect(started.running.https).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(started.running.http).toMatch(/^127\.0\.0\.1:\d+$/);
    expect((await readyz(started)).status).toBe(200);
    await started.running.shutdown(0);
  });

  it('leaves nothing bound when the second address is taken', async () => {
    const taken = await start();
    const webhook = new WebhookServer({
      certificate: await selfSignedCertificate(),
      handle: async () => OK,
    });
    const observability = createObservabilityServer({
      metrics: { exposition: async () => ({ contentType: 'text/plain', body: '' }) },
      readiness: createReadiness(webhook),
      version: '0',
    });
    const metricsListen = { host: '127.0.0.1', port: taken.httpPort };
    await expect(
      startServers({ webhook, observability, listen: ANY, metricsListen }),
    ).rejects.toMatchObject({
      code: 'address-in-use',
      message: `127.0.0.1:${taken.httpPort} is already in use by another process`,
    });
    expect(webhook.server.listening).toBe(false);
    await taken.running.shutdown(0);
  });
});

describe('shutdown', () => {
  it('turns unready first and goes on serving for the delay, closing each connection', async () => {
    const started = await start();
    const agent = new Agent({ keepAlive: true });
    const before = await send({ port: started.port, body: '{}', agent });
    const stopping = track(started.running.shutdown(1_000));
    expect(await readyz(started)).toMatchObject({
      status: 503,
      body: 'not ready: shutting down\n',
    });
    const during = await send({ port: started.port, body: '{}', agent });
    const fresh = await send({ port: started.port, body: '{}' });
    expect(stopping.done()).toBe(false);
    await stopping.promise;
    expect(before.headers.connection).toBe('keep-alive');
    const closed = {
      status: 200,
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: OK.body,
    };
    expect([during, fresh]).toEqual([closed, closed]);
    await expect(send({ port: started.port, body: '{}' })).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
    await expect(readyz(started)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('waits for the requests in flight, not for connections without one', async () => {
    const { handle, entered, open } = gate();
    const started = await start(handle);
    const unused = await RawConnection.open(started.port);
    const halfOpen = connectTcp(started.port, '127.0.0.1');
    halfOpen.on('error', () => undefined).resume();
    const answer = send({ port: started.port, body: '{}', agent: new Agent({ keepAlive: true }) });
    await expect.poll(entered).toBe(1);
    const stopping = track(started.running.shutdown(0));
    await expect.poll(() => unused.closed, { timeout: 3_000 }).toBe(true);
    await expect.poll(() => halfOpen.closed, { timeout: 3_000 }).toBe(true);
    expect(stopping.done()).toBe(false);
    open();
    expect(await answer).toEqual({
      status: 200,
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: OK.body,
    });
    await stopping.promise;
  });

  it('does not wait for a handshake on the metrics port', async () => {
    const certificate = await selfSignedCertificate();
    const webhook = new WebhookServer({ certificate, handle: async () => OK });
    const observability = createObservabilityServer({
      metrics: { exposition: async () => ({ contentType: 'text/plain', body: '' }) },
      readiness: createReadiness(webhook),
      version: '0',
      certificate,
    });
    const running = await startServers({ webhook, observability, listen: ANY, metricsListen: ANY });
    const accepted = once(observability, 'connection');
    const silent = connectTcp(portOf(running.http), '127.0.0.1');
    silent.on('error', () => undefined).resume();
    await accepted;
    await running.shutdown(0);
    await expect.poll(() => silent.closed, { timeout: 3_000 }).toBe(true);
  }, 5_000);

  it('ends idle connections at once', async () => {
    const started = await start();
    const agent = new Agent({ keepAlive: true });
    await send({ port: started.port, body: '{}', agent });
    await started.running.shutdown(0);
    await expect.poll(() => Object.values(agent.freeSockets).flat()).toEqual([]);
  });

  it('cuts off what is still open at the deadline, and can be asked for twice', async () => {
    const { handle, entered } = gate();
    const started = await start(handle);
    const answer = send({ port: started.port, body: '{}' });
    const failure = answer.catch((error: unknown) => error);
    await expect.poll(entered).toBe(1);
    await Promise.all([started.running.shutdown(0, 100), started.running.shutdown(0, 100)]);
    expect(await failure).toMatchObject({ code: 'ECONNRESET' });
  });
});
