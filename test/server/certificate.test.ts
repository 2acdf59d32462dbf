import { X509Certificate, generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  checkCertificate,
  loadCertificate,
  watchCertificate,
  type ServingCertificate,
} from '../../src/server/certificate.ts';
import type { ServerError } from '../../src/server/error.ts';
import type { FileWatch } from '../../src/server/follow-files.ts';
import { selfSignedCertificate } from '../../src/server/self-signed.ts';
import { REVIEW, send, startWebhook } from './client.ts';

const POLL_MS = 50;
let directory: string;
let files: { certFile: string; keyFile: string };

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'etcd-guard-'));
  files = { certFile: join(directory, 'tls.crt'), keyFile: join(directory, 'tls.key') };
});
afterEach(() => rm(directory, { recursive: true }));

async function write(certificate: { cert: string; key: string }): Promise<void> {
  await replace(files.certFile, certificate.cert);
  await replace(files.keyFile, certificate.key);
}

/** In one step, so that nobody reads half a file. */
async function replace(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
}

function servedBy(port: number): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
    socket.once('error', reject);
    socket.once('secureConnect', () => {
      resolve(socket.getPeerX509Certificate()?.fingerprint256);
      socket.end();
    });
  });
}

describe('loadCertificate', () => {
  it('tells the fingerprint and the expiry', async () => {
    const made = await selfSignedCertificate();
    await write(made);
    const leaf = new X509Certificate(made.cert);
    expect(await loadCertificate(files)).toEqual({
      cert: made.cert,
      key: made.key,
      fingerprint: leaf.fingerprint256,
      notAfter: leaf.validToDate,
    });
  });

  it('names the file at fault', async () => {
    const [one, other] = [await selfSignedCertificate(), await selfSignedCertificate()];
    await expect(loadCertificate(files)).rejects.toMatchObject({
      code: 'file-unreadable',
      message: expect.stringContaining('tls.'),
    });
    await write({ cert: 'no certificate', key: one.key });
    await expect(loadCertificate(files)).rejects.toMatchObject({
      code: 'certificate-invalid',
      message: expect.stringContaining(`${files.certFile} is not a PEM certificate`),
    });
    await write({ cert: one.cert, key: 'no key' });
    await expect(loadCertificate(files)).rejects.toMatchObject({
      code: 'certificate-invalid',
      message: expect.stringContaining(`${files.keyFile} is not an unencrypted PEM private key`),
    });
    await write({ cert: one.cert, key: other.key });
    await expect(loadCertificate(files)).rejects.toMatchObject({
      code: 'certificate-invalid',
      message: `the key in ${files.keyFile} does not belong to the certificate in ${files.certFile}`,
    });
  });

  it('refuses an encrypted key', async () => {
    const { cert } = await selfSignedCertificate();
    const { privateKey } = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' },
    });
    expect(() => checkCertificate(cert, privateKey)).toThrow(/not an unencrypted PEM private key/);
  });
});

describe('selfSignedCertificate', () => {
  it('is valid for a year, for the local names and the host', async () => {
    const now = new Date('2026-03-01T00:00:00Z');
    const { cert, notAfter } = await selfSignedCertificate('box', now);
    const leaf = new X509Certificate(cert);
    expect(notAfter).toEqual(new Date('2027-03-01T00:00:00Z'));
    expect(leaf.subjectAltName).toBe(
      'DNS:localhost, DNS:etcd-guard, DNS:box, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1',
    );
    expect(leaf.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
    expect(leaf.verify(leaf.publicKey)).toBe(true);
  });

  it('is trusted by whoever is given its PEM', async () => {
    const certificate = await selfSignedCertificate();
    const { port, close } = await startWebhook({ certificate });
    const authorized = await new Promise((resolve, reject) => {
      const socket = connect({
        host: '127.0.0.1',
        port,
        servername: 'localhost',
        ca: certificate.cert,
      });
      socket.once('error', reject);
      socket.once('secureConnect', () => {
        resolve([socket.authorized, socket.getProtocol()]);
        socket.end();
      });
    });
    expect(authorized).toEqual([true, 'TLSv1.3']);
    await expect(
      new Promise((resolve, reject) => {
        connect({ host: '127.0.0.1', port, ca: certificate.cert, maxVersion: 'TLSv1.1' })
          .once('error', reject)
          .once('secureConnect', resolve);
      }),
    ).rejects.toThrow(/protocol version|unsupported protocol|no protocols/i);
    await close();
  });
});

describe('watchCertificate', () => {
  const reloaded: ServingCertificate[] = [];
  const failed: ServerError[] = [];
  let watch: FileWatch | undefined;
  let first: ServingCertificate;

  beforeEach(async () => {
    reloaded.length = 0;
    failed.length = 0;
    first = await selfSignedCertificate();
    await write(first);
  });
  afterEach(() => watch?.stop());

  function follow(onReloaded: (certificate: ServingCertificate) => void = () => undefined): void {
    watch = watchCertificate(
      files,
      first,
      {
        onReloaded: (certificate) => {
          reloaded.push(certificate);
          onReloaded(certificate);
        },
        onReloadFailed: (error) => failed.push(error),
      },
      POLL_MS,
    );
  }

  it('serves a new certificate while requests run, and drops none of them', async () => {
    const { webhook, port, close } = await startWebhook({ certificate: first });
    follow((certificate) => {
      webhook.useCertificate(certificate);
    });
    const stop = new AbortController();
    const statuses = new Set<number | undefined>();
    const load = (async () => {
      while (!stop.signal.aborted) statuses.add((await send({ port, body: REVIEW })).status);
    })();
    for (let round = 0; round < 3; round += 1) {
      const next = await selfSignedCertificate();
      await write(next);
      await expect.poll(() => servedBy(port)).toBe(next.fingerprint);
      expect(webhook.certificate).toEqual(next);
    }
    stop.abort();
    await load;
    expect([...statuses]).toEqual([200]);
    await close();
  });

  it('keeps the old one when the new one is broken, and says so once for each version', async () => {
    const { webhook, port, close } = await startWebhook({ certificate: first });
    follow((certificate) => {
      webhook.useCertificate(certificate);
    });
    await replace(files.certFile, 'broken');
    await expect.poll(() => failed.length).toBe(1);
    await replace(files.certFile, 'broken differently');
    await expect.poll(() => failed.length).toBe(2);
    await rm(files.keyFile);
    await expect.poll(() => failed.length).toBe(3);
    expect(failed.map((error) => error.code)).toEqual([
      'certificate-invalid',
      'certificate-invalid',
      'file-unreadable',
    ]);
    expect(await servedBy(port)).toBe(first.fingerprint);
    const next = await selfSignedCertificate();
    await write(next);
    await expect.poll(() => servedBy(port)).toBe(next.fingerprint);
    expect([failed.length, reloaded.length]).toEqual([3, 1]);
    await close();
  });

  it('follows the swap of symbolic links with which Kubernetes updates a Secret', async () => {
    const next = await selfSignedCertificate();
    for (const [name, made] of Object.entries({ one: first, two: next })) {
      await writeFile(join(directory, `${name}.crt`), made.cert);
      await writeFile(join(directory, `${name}.key`), made.key);
    }
    await rm(files.certFile);
    await rm(files.keyFile);
    await symlink('one.crt', files.certFile);
    await symlink('one.key', files.keyFile);
    follow();
    for (const kind of ['crt', 'key']) {
      await symlink(`two.${kind}`, join(directory, `new.${kind}`));
      await rename(join(directory, `new.${kind}`), join(directory, `tls.${kind}`));
    }
    await expect.poll(() => reloaded).toEqual([next]);
  });
});
