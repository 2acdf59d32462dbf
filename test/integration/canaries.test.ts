import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { stringify } from 'yaml';
import { CertificateAuthority } from '../harness/certificates.ts';
import { deleteReview, guardFile, startGuard } from '../harness/guard-process.ts';
import { silentListener, type Listener } from '../harness/loopback.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../harness/reaper.ts';
import { until } from '../harness/until.ts';
import { Random } from '../fuzz/random.ts';
import { RogueMember } from '../fuzz/rogue-member.ts';

/** Stands in every place that holds a secret, and nowhere else; each place has its own. */
const CANARY = /CANARY[A-Za-z0-9]*/g;

let directory: TemporaryDirectory;
let key: string;
let cert: string;
/** The part of a private key that nothing may show: its longest line. */
let keyLine: string;
let silent: Listener;
let rogue: RogueMember;

beforeAll(async () => {
  directory = await temporaryDirectory('canaries');
  const authority = await CertificateAuthority.create('canaries');
  ({ cert, key } = await authority.issue({ commonName: 'client' }));
  keyLine = key.split('\n')[1] ?? '';
  silent = await silentListener();
  rogue = await RogueMember.start();
});
afterAll(async () => {
  await silent.close();
  await rogue.close();
  await directory.remove();
});

async function secret(name: string, content: string): Promise<string> {
  const path = join(directory.path, name);
  await writeFile(path, content);
  return path;
}

/** Every secret that stands in one of these texts. */
function leaks(...texts: readonly string[]): readonly string[] {
  const all = texts.join('\n');
  const whole = all.includes(keyLine) ? ['a private key'] : [];
  return [...new Set(all.match(CANARY) ?? []), ...whole];
}

async function cli(...args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await execa(process.execPath, [inject('program'), ...args], {
    reject: false,
    timeout: 60_000,
    env: { HOME: directory.path, KUBECONFIG: '' },
  });
  return `${stdout}\n${stderr}`;
}

test('the detector detects', () => {
  expect(leaks(`a CANARYpassword b ${key}`)).toEqual(['CANARYpassword', 'a private key']);
  expect(keyLine.length).toBeGreaterThan(40);
});

test('nothing that serve says, logs, counts or answers shows a secret, whatever fails', async () => {
  const members = {
    addresses: { 'etcd-0': rogue.address, 'etcd-1': silent.address, 'etcd-2': '127.0.0.1:1' },
    auth: {
      usernameFile: await secret('username', 'root\n'),
      passwordFile: await secret('password', 'CANARYpassword\n'),
    },
  };
  const tls = {
    caFile: await secret('ca.crt', cert),
    certFile: await secret('client.crt', cert),
    keyFile: await secret('client.key', key),
  };
  const document = (name: string, more: object) => ({
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'EtcdGuard',
    metadata: { name, namespace: name },
    spec: { members: { ...members, ...more } },
  });
  const token = await secret('token', 'CANARYmetricstoken\n');
  const guard = await startGuard({
    program: inject('program'),
    guards: guardFile(document('plain', {}), document('secured', { tls })),
    args: ['--log-level=debug', `--metrics-token-file=${token}`],
    env: { CANARY: 'CANARYenvironment', ETCDCTL_PASSWORD: 'CANARYetcdctl' },
  });
  const said: string[] = [];
  try {
    rogue.play(
      {
        id: 1n,
        leader: 1n,
        members: [{ id: 1n, name: 'etcd-0', address: rogue.address }],
        since36: true,
      },
      new Random(7),
      2,
    );
    for (let round = 0; round < 12; round += 1) {
      for (const namespace of ['plain', 'secured']) {
        const review = deleteReview(`etcd-${round % 3}`, { namespace });
        said.push(JSON.stringify(await guard.post(review, '?timeout=1s')));
      }
    }
    // Files that hold what belongs elsewhere, or are broken.
    for (const [name, content] of [
      ['client.key', `${key.slice(0, 90)}CANARYbrokenkey`],
      ['password', ''],
      ['token', 'CANARY with blanks in it'],
      ['client.crt', key],
    ] as const) {
      await secret(name, content);
      await touch(guard.guardsFile);
      await until('the broken file is noticed', () =>
        guard.log.some(({ msg }) => String(msg).includes('unusable')),
      );
    }
    await writeFile(
      guard.guardsFile,
      stringify(document('plain', { auth: { password: 'CANARYinline' }, tls: { keyFile: key } })),
    );
    await until('the wrong guards are noticed', () =>
      guard.process.output.includes('spec.members.auth'),
    );
    for (const path of ['/metrics', '/', '/readyz', '/nothing', '/events', '/status.json']) {
      for (const headers of [{}, { authorization: 'Bearer CANARYmetricstoken' }]) {
        const controller = new AbortController();
        const response = await fetch(`${guard.url}${path}`, { headers, signal: controller.signal });
        const reader = response.body?.getReader();
        const first = await reader?.read();
        said.push(
          JSON.stringify([...response.headers]),
          Buffer.from(first?.value ?? []).toString(),
        );
        controller.abort();
      }
    }
    said.push(guard.process.output);
  } finally {
    await guard.stop();
  }
  expect(said.join('').length).toBeGreaterThan(10_000);
  expect(leaks(...said)).toEqual([]);
}, 240_000);

/** A change that is noticed although nothing has changed in it. */
async function touch(file: string): Promise<void> {
  await writeFile(file, `${(await readFile(file, 'utf8')).trimEnd()}\n# ${performance.now()}\n`);
}

test('nothing that the commands say shows a secret of a kubeconfig or a file', async () => {
  const kubeconfig = (user: object, server = `https://${silent.address}`) => ({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'c',
        cluster: { server, 'certificate-authority-data': Buffer.from(cert).toString('base64') },
      },
    ],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  });
  const users: readonly object[] = [
    { token: 'CANARYtoken' },
    { token: 'CANARY\nbroken' },
    { username: 'u', password: 'CANARYbasic' },
    {
      'client-certificate-data': Buffer.from(cert).toString('base64'),
      'client-key-data': Buffer.from(`${key}CANARYkey`).toString('base64'),
    },
    {
      'client-certificate-data': Buffer.from('CANARYcert').toString('base64'),
      'client-key-data': 'CANARYnotbase64',
    },
    { tokenFile: await secret('tokenfile', 'CANARYtokenfile') },
    {
      exec: {
        apiVersion: 'client.authentication.k8s.io/v1',
        command: '/bin/sh',
        args: [
          '-c',
          'echo CANARYexecerr >/dev/null; echo \'{"status":{"token":"CANARYexec"}}\'; exit 3',
        ],
        env: [{ name: 'T', value: 'CANARYenv' }],
      },
    },
    { token: { CANARYkeyofmap: 1 } },
  ];
  const said: string[] = [];
  for (const [nth, user] of users.entries()) {
    const server = `https://${nth % 2 === 0 ? 'user:CANARYurl@' : ''}127.0.0.1:1`;
    const file = await secret(`kubeconfig-${nth}`, stringify(kubeconfig(user, server)));
    said.push(await cli('status', `--kubeconfig=${file}`, '--via=direct'));
  }
  const broken = await secret(
    'broken-kubeconfig',
    `users: [CANARYbroken\n  - {token: "CANARYline\n`,
  );
  said.push(await cli('check', 'etcd-0', `--kubeconfig=${broken}`));
  const guards = await secret(
    'guards-with-secrets.yaml',
    `spec: {members: {auth: {passwordFile: "CANARY\\nfile"}}}\n`,
  );
  said.push(await cli('status', `--guards=${guards}`));
  const good = await secret(
    'good-guards.json',
    JSON.stringify({
      apiVersion: 'etcd-guard.io/v1alpha1',
      kind: 'EtcdGuard',
      metadata: { name: 'etcd' },
      spec: { members: { addresses: { 'etcd-0': '127.0.0.1:1' } } },
    }),
  );
  for (const options of [
    [`--metrics-token-file=${await secret('blanks', 'CANARY with blanks')}`],
    [`--client-ca=${await secret('no-authority', key)}`],
    [`--metrics-tls-cert=${await secret('no-certificate', key)}`, `--metrics-tls-key=${good}`],
  ]) {
    said.push(await cli('serve', `--guards=${good}`, ...options));
  }
  expect(said.filter((text) => !text.includes('etcd-guard: '))).toEqual([]);
  expect(leaks(...said)).toEqual([]);
}, 240_000);
