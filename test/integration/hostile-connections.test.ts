import { readFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import {
  deleteReview,
  guardFile,
  startGuard,
  type GuardProcess,
} from '../harness/guard-process.ts';
import { until } from '../harness/until.ts';

/** What the container may take (deploy/webhook/40-deployment.yaml). */
const MEMORY_LIMIT_KIB = 256 * 1024;
/** The webhook's timeoutSeconds. The attackers take their share of the processor here as well. */
const HONEST_MS = 10_000;
const IDLE = 1_800;
/** src/server/webhook-server.ts */
const MOST_CONNECTIONS = 1_500;

const GUARDS = guardFile({
  apiVersion: 'etcd-guard.io/v1alpha1',
  kind: 'EtcdGuard',
  metadata: { name: 'etcd', namespace: 'default' },
  spec: { members: { addresses: { 'etcd-0': '127.0.0.1:1' } } },
});
const REVIEW = JSON.stringify(deleteReview('web-0'));
const HEAD = 'POST /validate HTTP/1.1\r\nHost: guard\r\nContent-Type: application/json\r\n';

/** As in the container: with less, and with more, other things would go wrong. */
const ENVIRONMENT = Object.fromEntries(
  readFileSync(join(import.meta.dirname, '../../deploy/webhook/node.env'), 'utf8')
    .split('\n')
    .filter((line) => /^\w+=/.test(line))
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
);

let guard: GuardProcess;
const open = new Set<Socket>();

beforeAll(async () => {
  guard = await startGuard({ program: inject('program'), guards: GUARDS, env: ENVIRONMENT });
});
afterEach(async () => {
  for (const socket of open) socket.destroy();
  open.clear();
  // Nothing that a test leaves behind may be the next one's.
  await honest();
});
afterAll(() => guard.stop());

function port(): number {
  return Number(guard.https.split(':')[1]);
}

function kept<T extends Socket>(socket: T): T {
  open.add(socket);
  return socket.on('error', () => undefined).on('close', () => open.delete(socket));
}

function tcp(): Socket {
  return kept(connectTcp(port(), '127.0.0.1'));
}

function tls(options: ConnectionOptions = {}): TLSSocket {
  return kept(connectTls({ host: '127.0.0.1', port: port(), ca: guard.ca, ...options }));
}

function established(socket: TLSSocket): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    socket
      .once('secureConnect', () => resolve(socket))
      .once('close', () => reject(new Error('closed')));
  });
}

/** A review of an honest caller, on a connection of its own, while whatever else goes on. */
async function honest(): Promise<number> {
  const begunMs = performance.now();
  const text = await spoken(
    `${HEAD}Connection: close\r\nContent-Length: ${REVIEW.length}\r\n\r\n${REVIEW}`,
  );
  expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*"allowed":true/);
  const tookMs = performance.now() - begunMs;
  expect(tookMs).toBeLessThan(HONEST_MS);
  return tookMs;
}

/** All that comes back for this, until the connection is closed or nothing more comes for a while. */
async function spoken(said: string | Buffer, quietMs = 700): Promise<string> {
  const socket = await established(tls());
  let text = '';
  let heardMs = performance.now();
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    heardMs = performance.now();
  });
  socket.write(said);
  await until(
    'an answer, and then silence',
    () => socket.closed || (text !== '' && performance.now() - heardMs > quietMs),
    { intervalMs: 20 },
  );
  socket.destroy();
  return text;
}

/** The status codes of all answers in it. */
function statuses(text: string): readonly number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, code]) => Number(code));
}

function memoryKib(field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${guard.process.pid}/status`, 'utf8');
  return Number(new RegExp(String.raw`${field}:\s+(\d+) kB`).exec(status)?.[1]);
}

/** Runs an attack, tells what it gave and what it took, and gives the most KiB that there ever were. */
async function peakAfter(
  what: string,
  attack: () => Promise<Readonly<Record<string, number>>>,
): Promise<number> {
  const before = memoryKib('VmRSS');
  const seen = await attack();
  const after = memoryKib('VmRSS');
  const peak = memoryKib('VmHWM');
  told(what, { ...seen, 'KiB before': before, after, peak });
  return peak;
}

function told(what: string, numbers: Readonly<Record<string, number>>): void {
  const listed = Object.entries(numbers).map(([name, value]) => `${name} ${Math.round(value)}`);
  process.stdout.write(`hostile: ${what}: ${listed.join(', ')}\n`);
}

const BODY = `Content-Length: ${REVIEW.length}\r\n\r\n${REVIEW}`;
const CHUNKED = `Transfer-Encoding: chunked\r\n\r\n${REVIEW.length.toString(16)}\r\n${REVIEW}\r\n0\r\n\r\n`;

describe('requests that two readers could take for different ones', () => {
  test.each([
    ['both lengths', `${HEAD}Content-Length: 5\r\n${CHUNKED}`, [400]],
    ['both, the other way round', `${HEAD}Transfer-Encoding: chunked\r\n${BODY}`, [400]],
    ['two lengths', `${HEAD}Content-Length: 3\r\n${BODY}`, [400]],
    ['a length with a sign', `${HEAD}Content-Length: +5\r\n\r\n{}   `, [400]],
    ['a negative length', `${HEAD}Content-Length: -5\r\n\r\n{}   `, [400]],
    ['a hexadecimal length', `${HEAD}Content-Length: 0x5\r\n\r\n{}   `, [400]],
    ['an endless length', `${HEAD}Content-Length: ${'9'.repeat(30)}\r\n\r\n{}`, [400]],
    ['a length too long for us', `${HEAD}Content-Length: 999999999\r\n\r\n{}`, [413]],
    [
      'chunked, but not at last',
      `${HEAD}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
      [400],
    ],
    ['almost chunked', `${HEAD}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`, [400]],
    ['chunked twice', `${HEAD}Transfer-Encoding: chunked\r\n${CHUNKED}`, [400]],
    [
      'a chunk that is longer',
      `${HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\n${REVIEW}\r\n0\r\n\r\n`,
      [400],
    ],
    [
      'an endless chunk',
      `${HEAD}Transfer-Encoding: chunked\r\n\r\n${'f'.repeat(20)}\r\n{}\r\n`,
      [400],
    ],
    ['a chunk without size', `${HEAD}Transfer-Encoding: chunked\r\n\r\n\r\n{}\r\n0\r\n\r\n`, [400]],
    ['a blank before the colon', `${HEAD}Content-Length : 2\r\n\r\n{}`, [400]],
    ['a header without name', `${HEAD}: x\r\n\r\n`, [400]],
    ['a null in a header', `${HEAD}X: a\0b\r\n${BODY}`, [400]],
    ['a bare line feed between headers', `${HEAD}X: a\nY: b\r\n${BODY}`, [400]],
    ['a bare carriage return', `${HEAD}X: a\rY: b\r\n${BODY}`, [400]],
    ['no host', `POST /validate HTTP/1.1\r\nContent-Type: application/json\r\n${BODY}`, [400]],
    ['a longer body than said', `${HEAD}${BODY}GARBAGE\r\n\r\n`, [400]],
    ['another version', `${HEAD.replace('1.1', '9.9')}${BODY}`, [400]],
    ['a blank line more', `\r\n\r\n${HEAD}${BODY}`, [200]],
    ['an absolute URL', `${HEAD.replace('/validate', 'https://guard/validate')}${BODY}`, [200]],
    ['an asterisk', 'OPTIONS * HTTP/1.1\r\nHost: guard\r\n\r\n', [404]],
  ])('%s', async (_what, said, codes) => {
    expect(statuses(await spoken(said))).toEqual(codes);
  });
});

describe('protocols and their versions', () => {
  test('HTTP/1.0 is answered, and its connection closed', async () => {
    const text = await spoken(`${HEAD.replace('1.1', '1.0')}${BODY}`);
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*Connection: close\r\n[^]*"allowed":true/);
  });

  test('requests that do not wait for answers get them in order', async () => {
    const wrong = `${HEAD}Content-Length: 4\r\n\r\n"no"`;
    const text = await spoken(
      `${HEAD}${BODY}${wrong}${HEAD}${CHUNKED}GET / HTTP/1.1\r\nHost: x\r\n\r\n`,
    );
    expect(statuses(text)).toEqual([200, 400, 200, 404]);
  });

  test('HTTP/2 is not agreed on, and not spoken without', async () => {
    await expect(established(tls({ ALPNProtocols: ['h2'] }))).rejects.toThrow('closed');
    const preface = await spoken('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
    expect(statuses(preface)).toEqual([400]);
    const upgrade = `${HEAD}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n${BODY}`;
    expect(statuses(await spoken(upgrade))).toEqual([200]);
  });

  test('no tunnel is opened, and nothing but a continuation is expected of us', async () => {
    expect(statuses(await spoken('CONNECT etcd-0:2379 HTTP/1.1\r\nHost: x\r\n\r\n', 300))).toEqual(
      [],
    );
    expect(statuses(await spoken(`${HEAD}Expect: 100-continue\r\n${BODY}`))).toEqual([100, 200]);
    expect(statuses(await spoken(`${HEAD}Expect: a-miracle\r\n${BODY}`))).toEqual([417]);
  });

  test.each(['TLSv1', 'TLSv1.1'] as const)('%s is refused', async (version) => {
    const old = {
      minVersion: version,
      maxVersion: version,
      ciphers: 'DEFAULT@SECLEVEL=0',
    } as const;
    await expect(established(tls(old))).rejects.toThrow('closed');
  });

  test('TLS 1.2 is taken, and weak ciphers and a second handshake are not', async () => {
    const twelve = { maxVersion: 'TLSv1.2' } as const;
    const socket = await established(tls(twelve));
    expect(socket.getProtocol()).toBe('TLSv1.2');
    const again = new Promise((resolve) => {
      socket.once('close', () => resolve('closed'));
      socket.renegotiate({}, (error) => resolve(error === null ? 'done' : 'refused'));
    });
    expect(await again).not.toBe('done');
    for (const ciphers of ['NULL', 'ECDHE-ECDSA-NULL-SHA', 'AES128-SHA', 'DES-CBC3-SHA']) {
      const weak = { ...twelve, ciphers: `${ciphers}:@SECLEVEL=0` };
      const attempt = async (): Promise<TLSSocket> => established(tls(weak));
      await expect(attempt()).rejects.toThrow(/closed|no cipher match/);
    }
  });

  test('what is too large, compressed or endless is refused', async () => {
    expect(statuses(await spoken(`${HEAD}X: ${'x'.repeat(40_000)}\r\n${BODY}`))).toEqual([431]);
    const zipped = gzipSync(REVIEW);
    const head = `${HEAD}Content-Encoding: gzip\r\nContent-Length: ${zipped.length}\r\n\r\n`;
    expect(statuses(await spoken(Buffer.concat([Buffer.from(head), zipped])))).toEqual([415]);
    const many = Array.from({ length: 5_000 }, (_, nth) => `x${nth}:1\r\n`).join('');
    expect(statuses(await spoken(`${HEAD}${many}${BODY}`))).toEqual([431]);
  });
});

describe('while they go on, honest callers are served and memory is bounded', () => {
  test(`${IDLE} idle connections, of which some have not even begun their handshake`, async () => {
    const peak = await peakAfter('idle connections', async () => {
      for (let nth = 0; nth < IDLE; nth += 100) {
        const sockets = Array.from({ length: 100 }, (_, one) => (one % 2 === 0 ? tls() : tcp()));
        await until(
          'a hundred more connections',
          () => sockets.every((socket) => socket.closed || isSettled(socket)),
          { timeoutMs: 30_000, intervalMs: 20 },
        );
      }
      const honestMs = await honest();
      // More than fit are let go, those that never asked anything first.
      await until('no more than fit', () => open.size <= MOST_CONNECTIONS, { timeoutMs: 30_000 });
      // Those that never begin a handshake go after 10 s.
      expect(open.size).toBeGreaterThan(IDLE / 2 - 1);
      return { open: open.size, 'honest ms': honestMs };
    });
    expect(peak).toBeLessThan(MEMORY_LIMIT_KIB);
  }, 180_000);

  test('slow senders of headers and of bodies get 408, and all others their answers', async () => {
    const peak = await peakAfter('slow senders', async () => {
      const answers: string[] = [];
      for (let nth = 0; nth < 200; nth += 1) {
        const socket = tls();
        let text = '';
        socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
        socket.on('close', () => answers.push(text.slice(0, 12)));
        socket.write(nth % 2 === 0 ? HEAD : `${HEAD}Content-Length: 1000\r\n\r\n{`);
        const drip = setInterval(
          () => socket.write(nth % 2 === 0 ? `X${performance.now()}: y\r\n` : ' '),
          500,
        );
        socket.on('close', () => clearInterval(drip));
      }
      const honestMs = await honest();
      await until('all have been answered', () => answers.length === 200, { timeoutMs: 60_000 });
      expect(new Set(answers)).toEqual(new Set(['HTTP/1.1 408']));
      return { answered: answers.length, 'honest ms': honestMs };
    });
    expect(peak).toBeLessThan(MEMORY_LIMIT_KIB);
  }, 180_000);

  test('large bodies that do not end, all at once', async () => {
    const peak = await peakAfter('large bodies', async () => {
      const part = Buffer.alloc(6 * 1024 * 1024, 0x20);
      const answers: string[] = [];
      for (let nth = 0; nth < 16; nth += 1) {
        const socket = tls();
        socket.on('data', (chunk: Buffer) => answers.push(chunk.toString().slice(0, 12)));
        socket.write(`${HEAD}Content-Length: ${8 * 1024 * 1024}\r\n\r\n`);
        socket.write(part);
      }
      const times = [await honest(), await honest()];
      await until('most have been turned away', () => answers.length >= 10, {
        timeoutMs: 90_000,
      });
      times.push(await honest());
      expect(answers).toContain('HTTP/1.1 503');
      return { turnedAway: answers.length, 'honest ms': Math.max(...times) };
    });
    expect(peak).toBeLessThan(MEMORY_LIMIT_KIB);
  }, 180_000);

  test('bodies in chunks of one byte', async () => {
    const peak = await peakAfter('tiny chunks', async () => {
      const bytes = '1\r\n \r\n'.repeat(200_000);
      const sockets = await Promise.all(Array.from({ length: 3 }, () => established(tls())));
      const written = sockets.map(
        (socket) =>
          new Promise((resolve) => {
            socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`);
            socket.write(bytes, resolve);
            socket.once('close', resolve);
          }),
      );
      const honestMs = await honest();
      await Promise.all(written);
      return { 'honest ms': honestMs };
    });
    expect(peak).toBeLessThan(MEMORY_LIMIT_KIB);
  }, 180_000);

  test('and the same process goes on', async () => {
    expect(guard.process.output).not.toMatch(/uncaught|unhandled|heap out of memory/i);
    told('in the end', { KiB: memoryKib('VmRSS'), peak: memoryKib('VmHWM') });
    expect(memoryKib('VmHWM')).toBeLessThan(MEMORY_LIMIT_KIB);
    const response = await fetch(`${guard.url}/healthz`);
    expect(await response.text()).toBe('ok\n');
  });
});

function isSettled(socket: Socket): boolean {
  return 'getProtocol' in socket ? !socket.connecting && hasShaken(socket) : !socket.connecting;
}

function hasShaken(socket: Socket & { getProtocol?: unknown }): boolean {
  return typeof socket.getProtocol === 'function' && socket.getProtocol() !== null;
}
