import { createServer as createTcpServer } from 'node:net';
import type { Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createObservabilityServer } from '../../src/server/observability-server.ts';
import { createReadiness, type Readiness } from '../../src/server/readiness.ts';
import { selfSignedCertificate } from '../../src/server/self-signed.ts';
import { WebhookServer } from '../../src/server/webhook-server.ts';
import { answerUnguarded, listen, send, startWebhook, type Answer } from './client.ts';

const NO_STORE = {
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
  connection: 'close',
};

describe('the plain HTTP side', () => {
  let server: Server;
  let port: number;
  let readiness: Readiness = { ready: true };
  let metrics: string | Error = 'up 1\n';
  const failures: unknown[] = [];

  beforeAll(async () => {
    server = createObservabilityServer({
      metrics: {
        async exposition(accept) {
          if (metrics instanceof Error) throw metrics;
          return { contentType: 'text/plain; version=0.0.4', body: `${metrics}# ${accept}` };
        },
      },
      readiness: async () => readiness,
      version: '1.2.3',
      onFailed: (error) => failures.push(error),
    });
    port = await listen(server);
  });
  afterAll(() => {
    server.close();
  });

  function get(path: string, method = 'GET'): Promise<Answer> {
    return send({ port, path, method, headers: {} }, 'http');
  }

  const TEXT = { ...NO_STORE, 'content-type': 'text/plain; charset=utf-8' };
  const JSON_TYPE = { ...NO_STORE, 'content-type': 'application/json; charset=utf-8' };

  it('is healthy while it lives', async () => {
    expect(await get('/healthz')).toEqual({ status: 200, headers: TEXT, body: 'ok\n' });
  });

  it('is ready, or says why not', async () => {
    expect(await get('/readyz')).toEqual({ status: 200, headers: TEXT, body: 'ok\n' });
    readiness = { ready: false, why: 'shutting down' };
    expect(await get('/readyz')).toEqual({
      status: 503,
      headers: TEXT,
      body: 'not ready: shutting down\n',
    });
    readiness = { ready: true };
  });

  it('gives the metrics as they were asked for', async () => {
    const headers = { ...NO_STORE, 'content-type': 'text/plain; version=0.0.4' };
    expect(await get('/metrics')).toEqual({ status: 200, headers, body: 'up 1\n# ' });
    const asked = { port, path: '/metrics', method: 'GET', headers: { accept: 'text/*;q=0.5' } };
    expect(await send(asked, 'http')).toEqual({
      status: 200,
      headers,
      body: 'up 1\n# text/*;q=0.5',
    });
  });

  it('hides what went wrong from the caller only', async () => {
    metrics = new Error('secret');
    const answer = await get('/metrics');
    metrics = '';
    expect(answer).toEqual({ status: 500, headers: JSON_TYPE, body: { error: 'internal error' } });
    expect(failures).toEqual([new Error('secret')]);
  });

  it('has a page without scripts that links to the rest', async () => {
    readiness = { ready: false, why: '<script>' };
    const { status, headers, body } = await get('/');
    readiness = { ready: true };
    expect(status).toBe(200);
    expect(headers['content-security-policy']).toMatch(
      /^default-src 'none'; style-src 'sha256-[^']+'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/,
    );
    for (const text of ['etcd-guard 1.2.3', 'metrics', 'readyz', 'healthz', '&#60;script&#62;']) {
      expect(body).toContain(text);
    }
    expect(body).not.toContain('<script');
  });

  it('has nothing else', async () => {
    expect(await get('/validate')).toEqual({
      status: 404,
      headers: JSON_TYPE,
      body: { error: 'not found' },
    });
    expect(await get('/metrics', 'POST')).toEqual({
      status: 405,
      headers: { ...JSON_TYPE, allow: 'GET, HEAD' },
      body: { error: 'only GET is allowed' },
    });
    expect((await get('/healthz', 'HEAD')).status).toBe(200);
  });
});

describe('readiness', () => {
  it('comes with a handshake that shows the current certificate, and goes with shutdown', async () => {
    const { webhook, close } = await startWebhook();
    let handshakes = 0;
    webhook.server.on('secureConnection', () => {
      handshakes += 1;
    });
    const readiness = createReadiness(webhook, 0);
    expect(await readiness()).toEqual({ ready: true });
    await expect.poll(() => handshakes).toBe(1);
    webhook.useCertificate(await selfSignedCertificate());
    expect(await readiness()).toEqual({ ready: true });
    const stale = await selfSignedCertificate();
    webhook.server.setSecureContext({ cert: stale.cert, key: stale.key });
    expect(await readiness()).toEqual({
      ready: false,
      why: 'the HTTPS port serves another certificate than the current one',
    });
    webhook.drain();
    expect(await readiness()).toEqual({ ready: false, why: 'shutting down' });
    await close();
  });

  it('asks its own port at most once a second, however many probes come', async () => {
    const { webhook, close } = await startWebhook();
    let connections = 0;
    webhook.server.on('connection', () => {
      connections += 1;
    });
    const readiness = createReadiness(webhook, 60_000);
    const answers = await Promise.all(Array.from({ length: 20 }, () => readiness()));
    expect(new Set(answers)).toEqual(new Set([{ ready: true }]));
    expect(connections).toBe(1);
    await close();
  });

  it('is not there before the port is, nor when something else answers on it', async () => {
    const certificate = await selfSignedCertificate();
    const webhook = new WebhookServer({ certificate, handle: answerUnguarded });
    const readiness = createReadiness(webhook, 0);
    expect(await readiness()).toEqual({ ready: false, why: 'not listening yet' });
    const impostor = createTcpServer((socket) => socket.destroy());
    const port = await listen(impostor);
    await listen(webhook.server);
    webhook.server.address = () => ({ address: '127.0.0.1', family: 'IPv4', port });
    expect(await readiness()).toMatchObject({
      ready: false,
      why: expect.stringMatching(/^no TLS handshake with the HTTPS port: /),
    });
    impostor.close();
    webhook.server.close();
  });
});
