import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import {
  findClusterAccess,
  readClusterAccess,
  type ResolvedConfig,
} from '../../../src/kubernetes/api/kube-config.ts';

describe('where the configuration comes from', () => {
  const environment = {
    KUBECONFIG: 'one::two',
    KUBERNETES_SERVICE_HOST: '10.0.0.1',
    KUBERNETES_SERVICE_PORT: '443',
    HOME: '/home/me',
  };

  it('is what was given, then KUBECONFIG, the pod, the home directory', () => {
    expect(findClusterAccess('given', environment)).toEqual({
      kind: 'kubeconfig',
      files: ['given'],
    });
    expect(findClusterAccess(null, environment)).toEqual({
      kind: 'kubeconfig',
      files: ['one', 'two'],
    });
    expect(findClusterAccess(null, { ...environment, KUBECONFIG: '' })).toEqual({
      kind: 'service-account',
      server: 'https://10.0.0.1:443',
      directory: '/var/run/secrets/kubernetes.io/serviceaccount',
    });
    expect(findClusterAccess(null, { HOME: '/home/me' })).toEqual({
      kind: 'kubeconfig',
      files: ['/home/me/.kube/config'],
    });
    expect(findClusterAccess(null, {})).toBe(null);
  });

  it('may be an IPv6 service', () => {
    const pod = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
    expect(findClusterAccess(null, pod)).toMatchObject({ server: 'https://[fd00::1]:443' });
  });
});

describe('a kubeconfig', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'etcd-guard-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  const WHOLE = {
    clusters: [
      { name: 'c', cluster: { server: 'https://one/', 'certificate-authority': 'ca.crt' } },
    ],
    users: [{ name: 'u', user: { tokenFile: 'token', 'client-key': '/abs/key' } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace: 'here' } }],
    'current-context': 'x',
  };

  async function read(...contents: readonly unknown[]): Promise<ResolvedConfig> {
    const files = contents.map((_, index) => join(directory, `config-${index}`));
    for (const [index, content] of contents.entries()) {
      const text = typeof content === 'string' ? content : stringify(content);
      if (content !== null) await writeFile(files[index] ?? '', text);
    }
    return readClusterAccess({ kind: 'kubeconfig', files });
  }

  it('has its paths beside it', async () => {
    expect(await read(WHOLE)).toEqual({
      server: 'https://one',
      namespace: 'here',
      tokenFile: join(directory, 'token'),
      kubeconfig: {
        clusters: [
          {
            name: 'cluster',
            cluster: {
              server: 'https://one/',
              'certificate-authority': join(directory, 'ca.crt'),
            },
          },
        ],
        users: [{ name: 'user', user: { 'client-certificate': null, 'client-key': '/abs/key' } }],
        contexts: [{ name: 'context', context: { cluster: 'cluster', user: 'user' } }],
        'current-context': 'context',
      },
    });
  });

  it('is merged from several files, of which the first that has an entry counts', async () => {
    const first = {
      clusters: null,
      contexts: [{ name: 'y', context: { cluster: 'c' } }],
      'current-context': 'y',
    };
    const third = { clusters: [{ name: 'c', cluster: { server: 'https://three' } }] };
    expect(await read(first, WHOLE, third, null)).toMatchObject({
      server: 'https://one',
      namespace: null,
      tokenFile: null,
    });
  });

  it('may be told which of its contexts is meant', async () => {
    const file = join(directory, 'config');
    const other = { name: 'z', context: { cluster: 'c', user: 'u', namespace: 'there' } };
    await writeFile(file, stringify({ ...WHOLE, contexts: [...WHOLE.contexts, other] }));
    const access = { kind: 'kubeconfig', files: [file] } as const;
    expect(await readClusterAccess(access)).toMatchObject({ namespace: 'here' });
    const chosen = await readClusterAccess({ ...access, context: 'z' });
    expect(chosen).toMatchObject({ namespace: 'there' });
    await expect(readClusterAccess({ ...access, context: 'none' })).rejects.toThrow(
      `can't use the kubeconfig ${file}: it has no context 'none'; its contexts are x, z`,
    );
  });

  const BROKEN: readonly (readonly [string, unknown, string])[] = [
    [
      'no file',
      null,
      'there is no such file; give --kubeconfig FILE, set KUBECONFIG, or use --guards FILE',
    ],
    ['no YAML', 'token: {s3cret', 'it is not YAML'],
    ['another thing', 's3cret', 'it is no kubeconfig'],
    [
      'a malformed entry',
      { ...WHOLE, users: [{ user: 's3cret' }] },
      'users.0.name is missing or malformed',
    ],
    [
      'no current context',
      { ...WHOLE, 'current-context': '' },
      'it has no current-context; its contexts are x. kubectl config use-context NAME sets one, and status and check take --context NAME',
    ],
    [
      'a missing context',
      { ...WHOLE, contexts: [] },
      "it has no context 'x', which its current-context names; it has no contexts at all",
    ],
    [
      'a missing cluster',
      { ...WHOLE, clusters: [] },
      "it has no cluster 'c', which its context names",
    ],
    ['a missing user', { ...WHOLE, users: null }, "it has no user 'u', which its context names"],
    [
      'a malformed server',
      { ...WHOLE, clusters: [{ name: 'c', cluster: { server: 'one' } }] },
      'its server is not a URL',
    ],
  ];
  it('is missed where none of several files is there', async () => {
    const files = ['one', 'two'].map((name) => join(directory, name));
    await expect(readClusterAccess({ kind: 'kubeconfig', files })).rejects.toThrow(
      `can't use the kubeconfig ${files.join(':')}: none of these files is there; give --kubeconfig FILE`,
    );
  });

  it('names no more than twenty contexts', async () => {
    const context = { cluster: 'c' };
    const contexts = Array.from({ length: 30 }, (_, at) => ({ name: `context-${at}`, context }));
    await expect(read({ ...WHOLE, contexts })).rejects.toThrow(/context-26 and 10 more$/);
  });

  it.each(BROKEN)('with %s is refused in words', async (_what, content, why) => {
    await expect(read(content)).rejects.toMatchObject({
      name: 'ApiError',
      code: 'unreachable',
      message: `can't use the kubeconfig ${directory}/config-0: ${why}`,
    });
  });
});
