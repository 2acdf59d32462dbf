import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  ClientGate,
  loadClientAuthority,
  watchClientAuthority,
  type ClientAuthority,
} from '../../src/server/client-authority.ts';
import type { ServerError } from '../../src/server/error.ts';
import type { BadRequestKind } from '../../src/server/refusal.ts';
import { createReadiness } from '../../src/server/readiness.ts';
import { selfSignedCertificate } from '../../src/server/self-signed.ts';
import { CertificateAuthority, type Certificate } from '../harness/certificates.ts';
import { ALLOWED, listen, REVIEW, send, startWebhook, type Answer } from './client.ts';

const NO_CERTIFICATE =
  'no client certificate was presented, and this server wants one (--client-ca)';
const EXPIRED =
  'the client certificate is not accepted (CERT_HAS_EXPIRED); --client-ca names who issues them';
const WRONG_NAME = 'the client certificate has none of the names that are let in (--client-name)';

let authority: CertificateAuthority;
let other: CertificateAuthority;
let apiserver: Certificate;
let started: Awaited<ReturnType<typeof startWebhook>> | undefined;

beforeAll(async () => {
  [authority, other] = await Promise.all([
    CertificateAuthority.create('callers'),
    CertificateAuthority.create('callers'),
  ]);
  apiserver = await authority.issue({
    commonName: 'system:kube-apiserver',
    names: ['api.example'],
  });
});
afterEach(async () => {
  vi.useRealTimers();
  await started?.close();
  started = undefined;
});

async function webhook(names: readonly string[] = [], bad: BadRequestKind[] = []) {
  started = await startWebhook({
    clients: { authority: { ca: authority.cert }, names },
    events: { onBadRequest: (kind) => bad.push(kind) },
  });
  return started;
}

function review(port: number, certificate?: Certificate, path = '/validate'): Promise<Answer> {
  const agent = new Agent({ ...certificate, rejectUnauthorized: false, maxCachedSessions: 0 });
  return send({ port, body: REVIEW, agent, path });
}

describe('a webhook with an authority for clients', () => {
  it('answers whoever has a certificate of it', async () => {
    const { port } = await webhook();
    expect(await review(port, apiserver)).toMatchObject({ status: 200, body: ALLOWED });
  });

  it.each(['/validate', '/nothing', '/%'])(
    'says at %s what is missing, and closes',
    async (path) => {
      const bad: BadRequestKind[] = [];
      const { port } = await webhook([], bad);
      const headers = { connection: 'close', 'content-type': 'application/json' };
      expect(await review(port, undefined, path)).toEqual({
        status: 401,
        headers,
        body: { error: NO_CERTIFICATE },
      });
      expect(bad).toEqual(['Unauthenticated']);
    },
  );

  it('turns away certificates of others, of its own name too, and such as have expired', async () => {
    const { port } = await webhook();
    const foreign = await review(port, await other.issue({ commonName: 'system:kube-apiserver' }));
    expect(foreign).toMatchObject({
      status: 401,
      body: { error: expect.stringContaining('the client certificate is not accepted (') },
    });
    const expired = await authority.issue({
      commonName: 'system:kube-apiserver',
      notBefore: new Date('2020-01-01'),
      notAfter: new Date('2021-01-01'),
    });
    expect((await review(port, expired)).body).toEqual({ error: EXPIRED });
  });

  it.each([
    ['its common name', ['system:kube-apiserver']],
    ['a DNS name', ['nobody', 'api.example']],
  ])('lets in by %s', async (_what, names) => {
    const { port } = await webhook(names);
    expect((await review(port, apiserver)).status).toBe(200);
  });

  it.each([
    ['a part of one', { commonName: 'xsystem:kube-apiserver' }],
    ['an organization', { commonName: 'x', organizations: ['system:kube-apiserver'] }],
    ['lines in a name', { commonName: 'x\nCN=system:kube-apiserver' }],
    ['what looks like two names', { commonName: 'x', names: ['a, DNS:system:kube-apiserver, b'] }],
    ['another case', { commonName: 'System:kube-apiserver' }],
  ])('but not by %s', async (_what, request) => {
    const { port } = await webhook(['system:kube-apiserver']);
    const answer = await review(port, await authority.issue(request));
    expect(answer).toMatchObject({ status: 403, body: { error: WRONG_NAME } });
  });

  it('turns away whose certificate has expired since it came: on its connection, and who resumes', async () => {
    const { port } = await webhook();
    const agent = new Agent({
      ...apiserver,
      keepAlive: true,
      maxSockets: 1,
      rejectUnauthorized: false,
    });
    const sockets = new Set<unknown>();
    agent.on('free', (socket) => sockets.add(socket));
    expect((await send({ port, body: REVIEW, agent })).status).toBe(200);
    await expect.poll(() => agent.freeSockets).not.toEqual({});
    const [kept] = Object.values(agent.freeSockets).flat();
    const session = await sessionOf(port);
    const { validToDate } = new X509Certificate(apiserver.cert);
    vi.useFakeTimers({ toFake: ['Date'], now: validToDate.getTime() - 1 });
    expect((await send({ port, body: REVIEW, agent })).status).toBe(200);
    vi.setSystemTime(validToDate);
    expect(await send({ port, body: REVIEW, agent })).toMatchObject({
      status: 401,
      headers: { connection: 'close' },
      body: { error: EXPIRED },
    });
    expect([...sockets]).toEqual([kept]);
    expect(await resumed(port, session)).toEqual({ reused: true, status: 401 });
    agent.destroy();
  });

  it('is ready without a certificate of its own', async () => {
    const { webhook: server } = await webhook();
    expect(await createReadiness(server)()).toEqual({ ready: true });
  });

  it('lets nobody resume a session that another authority let in, nor keep a connection', async () => {
    const { webhook: server, port } = await webhook();
    const kept = new Agent({
      ...apiserver,
      keepAlive: true,
      maxSockets: 1,
      rejectUnauthorized: false,
    });
    expect((await send({ port, body: REVIEW, agent: kept })).status).toBe(200);
    const session = await sessionOf(port);
    expect(await resumed(port, session)).toEqual({ reused: true, status: 200 });
    server.useClientAuthority({ ca: other.cert });
    expect(await resumed(port, session)).toEqual({ reused: false, status: 401 });
    expect((await send({ port, body: REVIEW, agent: kept })).status).toBe(401);
    kept.destroy();
    const next = await other.issue({ commonName: 'system:kube-apiserver' });
    expect((await review(port, next)).status).toBe(200);
  });

  it('has who is being answered close its connection when the authority changes', async () => {
    const { promise: busy, resolve: answer } = Promise.withResolvers<void>();
    let asked = 0;
    started = await startWebhook({
      clients: { authority: { ca: authority.cert }, names: [] },
      handle: async () => {
        asked += 1;
        await busy;
        return { status: 200, body: {} };
      },
    });
    const agent = new Agent({ ...apiserver, keepAlive: true, rejectUnauthorized: false });
    const answered = send({ port: started.port, body: REVIEW, agent });
    await expect.poll(() => asked).toBe(1);
    started.webhook.useClientAuthority({ ca: other.cert });
    answer();
    expect(await answered).toMatchObject({ status: 200, headers: { connection: 'close' } });
    agent.destroy();
  });
});

function open(port: number, session?: Buffer): TLSSocket {
  const options = { host: '127.0.0.1', port, rejectUnauthorized: false, ...apiserver };
  return connect({ ...options, ...(session && { session }) });
}

const REQUEST = `POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${REVIEW.length}\r\n\r\n${REVIEW}`;

/** A session as TLS 1.3 gives it: once something has been read. */
function sessionOf(port: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = open(port).on('error', reject);
    socket.once('session', (session) => {
      resolve(session);
      socket.destroy();
    });
    socket.write(REQUEST);
    socket.resume();
  });
}

function resumed(port: number, session: Buffer): Promise<{ reused: boolean; status: number }> {
  return new Promise((resolve, reject) => {
    const socket = open(port, session).on('error', reject);
    socket.write(REQUEST);
    socket.once('data', (chunk: Buffer) => {
      const status = Number(chunk.toString().slice('HTTP/1.1 '.length, 12));
      resolve({ reused: socket.isSessionReused(), status });
      socket.destroy();
    });
  });
}

/** The server's side of a connection that presents this certificate. */
async function connected(presented?: Certificate): Promise<readonly [TLSSocket, () => void]> {
  const { cert, key } = await selfSignedCertificate();
  const server = createServer({
    cert,
    key,
    ca: authority.cert,
    requestCert: true,
    rejectUnauthorized: false,
  });
  const port = await listen(server);
  const { promise, resolve } = Promise.withResolvers<TLSSocket>();
  server.once('secureConnection', resolve);
  const client = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...presented });
  client.on('error', () => undefined);
  const socket = await promise;
  return [
    socket,
    () => {
      client.destroy();
      socket.destroy();
      server.close();
    },
  ];
}

describe('the gate', () => {
  it.each([
    ['lets in', ['api.example'], null],
    ['turns away', ['nobody'], 'Forbidden'],
  ])(
    '%s each request of a connection by one look at its certificate',
    async (_what, names, kind) => {
      const [socket, close] = await connected(apiserver);
      const looks = vi.spyOn(socket, 'getPeerX509Certificate');
      const gate = new ClientGate(names);
      const found = [1, 2, 3].map(() => gate.strangerAt(socket)?.kind ?? null);
      expect(found).toEqual([kind, kind, kind]);
      expect(looks).toHaveBeenCalledTimes(1);
      close();
    },
  );

  it('mistakes no connection for another, and no other thing for one', async () => {
    const [good, closeGood] = await connected(apiserver);
    const [bare, closeBare] = await connected();
    const gate = new ClientGate([]);
    const kinds = [good, bare, good, {}, null].map((one) => gate.strangerAt(one)?.kind ?? null);
    expect(kinds).toEqual([null, 'Unauthenticated', null, 'Unauthenticated', 'Unauthenticated']);
    closeGood();
    closeBare();
  });

  it('says of one who was never let in what is wrong first, expired since or not', async () => {
    const [socket, close] = await connected(
      await other.issue({ commonName: 'system:kube-apiserver' }),
    );
    let nowMs = Date.now();
    const gate = new ClientGate([], () => nowMs);
    const before = gate.strangerAt(socket);
    nowMs = Number.MAX_SAFE_INTEGER;
    expect(gate.strangerAt(socket)).toEqual(before);
    expect(before?.error).not.toContain('EXPIRED');
    close();
  });
});

describe('the file with the authority', () => {
  let directory: string;
  let file: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'etcd-guard-'));
    file = join(directory, 'ca.crt');
  });
  afterAll(() => rm(directory, { recursive: true }));

  it.each([
    ['nothing', '', /it holds no certificate/],
    ['a key', apiserverKey, /it holds no certificate/],
    [
      'a broken one beside a good one',
      () => `${authority.cert}\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
      /can't be used as an authority for clients/,
    ],
  ])('has to hold certificates, not %s', async (_what, content, message) => {
    await writeFile(file, typeof content === 'string' ? content : content());
    const error: unknown = await loadClientAuthority(file).catch((caught: unknown) => caught);
    expect(String(error)).toMatch(message);
    expect(String(error)).not.toContain('PRIVATE KEY');
  });

  it('is followed; a broken new version keeps the old one and is told once', async () => {
    await writeFile(file, authority.cert);
    const reloaded: ClientAuthority[] = [];
    const failed: ServerError[] = [];
    const watch = watchClientAuthority(
      file,
      await loadClientAuthority(file),
      { onReloaded: (next) => reloaded.push(next), onReloadFailed: (error) => failed.push(error) },
      20,
    );
    await writeFile(file, 'broken');
    await expect.poll(() => failed.length).toBe(1);
    const both = `${authority.cert}\n${other.cert}\n`;
    await writeFile(file, both);
    await expect.poll(() => reloaded.at(-1)).toEqual({ ca: both });
    watch.stop();
    expect(failed.map(({ code }) => code)).toEqual(['certificate-invalid']);
  });
});

function apiserverKey(): string {
  return apiserver.key;
}
