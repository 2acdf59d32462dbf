import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { problemText } from '../../src/guards/document.ts';
import { loadGuardFiles } from '../../src/guards/file-guards.ts';
import { CertificateAuthority, type Certificate } from '../harness/certificates.ts';

let folder: string;
let authority: CertificateAuthority;
let client: Certificate;
let other: Certificate;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'etcd-guard-files-'));
  authority = await CertificateAuthority.create();
  client = await authority.issue({ commonName: 'client' });
  other = await authority.issue({ commonName: 'other' });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function file(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

function guard(name: string, members: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'EtcdGuard',
    metadata: { name },
    spec: { members: { addresses: { 'etcd-0': 'h' }, ...members } },
  });
}

async function problemsOf(...files: readonly string[]): Promise<readonly string[]> {
  const { problems = [] } = await loadGuardFiles(files);
  return problems.map(problemText).map((text) => text.replaceAll(`${folder}/`, ''));
}

async function loadOne(path: string) {
  const { guards = [], problems } = await loadGuardFiles([path]);
  const [first] = guards;
  if (first === undefined) throw new Error(JSON.stringify(problems));
  return first;
}

describe('guard files', () => {
  it('are read together, in their order', async () => {
    const one = await file('one.yaml', `${guard('a')}\n---\n${guard('b')}`);
    const two = await file('two.yaml', guard('c'));
    const { guards = [] } = await loadGuardFiles([one, two]);
    expect(guards.map(({ document }) => document.metadata.name)).toEqual(['a', 'b', 'c']);
    expect(guards[0]?.settings).toEqual({ tls: null, auth: null });
  });

  it('may not define a guard twice, in one file or in two', async () => {
    const one = await file('one.yaml', `---\n---\n${guard('a')}\n---\n${guard('a')}`);
    const two = await file('two.yaml', guard('a'));
    expect(await problemsOf(one, two)).toEqual([
      'one.yaml: document 3: metadata.name: default/a is defined already, in one.yaml document 2',
      'two.yaml: document 1: metadata.name: default/a is defined already, in one.yaml document 3',
    ]);
  });

  it('report a missing file beside the problems of the others', async () => {
    const broken = await file('broken.yaml', 'kind: [');
    const missing = join(folder, 'missing.yaml');
    expect(await problemsOf(missing, folder, broken)).toEqual([
      "missing.yaml: can't be read (ENOENT)",
      `${folder}: can't be read (EISDIR)`,
      expect.stringMatching(/^broken\.yaml: document 1: line 1, column/),
    ]);
  });
});

describe('files that a guard names', () => {
  it('are read in, without the newline at the end of a name or password', async () => {
    const path = await file(
      'auth.yaml',
      guard('a', {
        auth: {
          usernameFile: await file('username', 'root\n'),
          passwordFile: await file('password', ' hunter2 \r\n'),
        },
        tls: {
          caFile: await file('ca.crt', authority.cert),
          certFile: await file('tls.crt', client.cert),
          keyFile: await file('tls.key', client.key),
          serverName: '{pod}.etcd',
        },
      }),
    );
    expect((await loadOne(path)).settings).toEqual({
      auth: { username: 'root', password: ' hunter2 ' },
      tls: {
        ca: Buffer.from(authority.cert),
        cert: Buffer.from(client.cert),
        key: Buffer.from(client.key),
        serverName: '{pod}.etcd',
      },
    });
  });

  it('are each named if they can’t be read', async () => {
    const path = await file(
      'gone.yaml',
      `---\n---\n${guard('a', {
        auth: { usernameFile: join(folder, 'nobody'), passwordFile: folder },
        tls: { caFile: join(folder, 'no-ca') },
      })}`,
    );
    expect([...(await problemsOf(path))].sort()).toEqual([
      `gone.yaml: document 2: spec.members.auth.passwordFile: can't read ${folder} (EISDIR)`,
      "gone.yaml: document 2: spec.members.auth.usernameFile: can't read nobody (ENOENT)",
      "gone.yaml: document 2: spec.members.tls.caFile: can't read no-ca (ENOENT)",
    ]);
  });

  it.each([
    ['a key of another certificate', () => ({ cert: client.cert, key: other.key })],
    ['a broken key', () => ({ cert: client.cert, key: 'hunter2' })],
    ['a broken certificate', () => ({ cert: 'hunter2', key: client.key })],
    [
      'a truncated key',
      () => ({ cert: client.cert, key: client.key.slice(0, client.key.length / 2) }),
    ],
    ['an empty key', () => ({ cert: client.cert, key: '' })],
    ['a broken authority', () => ({ ca: 'hunter2', ...client })],
    ['an empty authority', () => ({ ca: '', ...client })],
  ])('are refused with %s, and no content is repeated', async (_, made) => {
    const { ca = authority.cert, cert, key }: { ca?: string; cert: string; key: string } = made();
    const tls = {
      caFile: await file('ca.crt', ca),
      certFile: await file('tls.crt', cert),
      keyFile: await file('tls.key', key),
    };
    const problems = await problemsOf(await file('tls.yaml', guard('a', { tls })));
    expect(problems).toEqual([
      expect.stringMatching(/^tls\.yaml: document 1: spec\.members\.tls: unusable/),
    ]);
    const secret = client.key.split('\n')[1] ?? 'hunter2';
    expect(problems.join()).not.toContain('hunter2');
    expect(problems.join()).not.toContain(secret);
  });
});

describe('the key of the connection settings', () => {
  it('changes with what is in the files, and with nothing else', async () => {
    const path = await file('key.yaml', guard('a', { tls: { caFile: join(folder, 'key-ca') } }));
    await file('key-ca', authority.cert);
    const first = await loadOne(path);
    await file('key.yaml', guard('a', { tls: { caFile: join(folder, 'key-ca') }, port: 1 }));
    expect((await loadOne(path)).settingsKey).toBe(first.settingsKey);
    await file('key-ca', (await CertificateAuthority.create()).cert);
    expect((await loadOne(path)).settingsKey).not.toBe(first.settingsKey);
  });

  it('tells TLS without any file from none', async () => {
    const plain = await loadOne(await file('plain.yaml', guard('a')));
    const tls = await loadOne(await file('tls-only.yaml', guard('a', { tls: {} })));
    expect(tls.settingsKey).not.toBe(plain.settingsKey);
  });
});
