import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { Server as TlsServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BearerToken } from '../../src/server/bearer-token.ts';
import { secureContextOf } from '../../src/server/certificate.ts';
import { createObservabilityServer } from '../../src/server/observability-server.ts';
import { selfSignedCertificate } from '../../src/server/self-signed.ts';
import { listen, send, type Answer } from './client.ts';

const TOKEN = 'correct-horse-battery';
let directory: string;
let file: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'etcd-guard-'));
  file = join(directory, 'token');
});
afterAll(() => rm(directory, { recursive: true }));

describe('the token of the metrics port', () => {
  it.each([
    [`Bearer ${TOKEN}`, true],
    [`bearer  ${TOKEN} `, true],
    [`Bearer ${TOKEN}x`, false],
    [`Bearer ${TOKEN.slice(1)}`, false],
    [`Basic ${TOKEN}`, false],
    [TOKEN, false],
    ['Bearer ', false],
    ['', false],
    [undefined, false],
  ])('%j: %j', async (header, admitted) => {
    await writeFile(file, `${TOKEN}\n`);
    const token = await BearerToken.load(file);
    expect(token.admits(header)).toBe(admitted);
  });

  it.each(['', '\n', 'short', 'with blank inside', 'line\nline-two', 'x'.repeat(5_000)])(
    'is no %j, and is not repeated in what is said of it',
    async (content) => {
      await writeFile(file, content);
      const error: unknown = await BearerToken.load(file).catch((caught: unknown) => caught);
      expect(String(error)).toBe(
        `ServerError: ${file} holds no bearer token: one line of at least 8 letters, digits and -._~+/ is wanted`,
      );
    },
  );

  it('is followed; a broken new one keeps the old one', async () => {
    await writeFile(file, TOKEN);
    const token = await BearerToken.load(file);
    const failed: string[] = [];
    let reloaded = 0;
    const watch = token.follow(
      {
        onReloaded: () => (reloaded += 1),
        onReloadFailed: ({ code }) => failed.push(code),
      },
      20,
    );
    await writeFile(file, '');
    await expect.poll(() => failed).toEqual(['token-invalid']);
    expect(token.admits(`Bearer ${TOKEN}`)).toBe(true);
    await writeFile(file, 'another-token');
    await expect.poll(() => reloaded).toBe(1);
    expect([token.admits(`Bearer ${TOKEN}`), token.admits('Bearer another-token')]).toEqual([
      false,
      true,
    ]);
    watch.stop();
  });
});

describe.each(['http', 'https'] as const)('the metrics port over %s with a token', (protocol) => {
  let server: Server | TlsServer;
  let port: number;

  beforeAll(async () => {
    await writeFile(file, TOKEN);
    const token = await BearerToken.load(file);
    server = createObservabilityServer({
      metrics: { exposition: async () => ({ contentType: 'text/plain', body: 'up 1\n' }) },
      readiness: async () => ({ ready: true }),
      version: '1',
      admits: (given) => token.admits(given),
      ...(protocol === 'https' && { certificate: await selfSignedCertificate() }),
    });
    port = await listen(server);
  });
  afterAll(() => {
    server.close();
  });

  function get(path: string, authorization?: string): Promise<Answer> {
    const headers = { ...(authorization && { authorization }) };
    return send({ port, path, method: 'GET', headers }, protocol);
  }

  it.each(['/healthz', '/readyz'])('lets probes in at %s', async (path) => {
    expect(await get(path)).toMatchObject({ status: 200, body: 'ok\n' });
  });

  it.each([
    '/metrics',
    '/',
    '/metrics/',
    '/Metrics',
    '/anything',
    '/healthz/../metrics',
    '//metrics',
  ])('tells nothing at %s without it', async (path) => {
    const refused = {
      status: 401,
      headers: { 'www-authenticate': 'Bearer realm="etcd-guard"' },
      body: { error: 'a bearer token is needed here (--metrics-token-file)' },
    };
    expect(await get(path)).toMatchObject(refused);
    expect(await get(path, 'Bearer wrong-token')).toMatchObject(refused);
  });

  it('answers whoever has it', async () => {
    expect(await get('/metrics', `Bearer ${TOKEN}`)).toMatchObject({ status: 200, body: 'up 1\n' });
    expect((await get('/', `Bearer ${TOKEN}`)).status).toBe(200);
  });

  it('takes another certificate while it runs', async () => {
    if (!(server instanceof TlsServer)) return;
    server.setSecureContext(secureContextOf(await selfSignedCertificate()));
    expect((await get('/healthz')).status).toBe(200);
  });
});
