import { execa } from 'execa';
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import packageJson from '../../package.json' with { type: 'json' };
import { CertificateAuthority } from '../harness/certificates.ts';
import { startEtcdCluster, type CommandResult, type EtcdCluster } from '../harness/etcd-cluster.ts';
import { guardFile, guardFor } from '../harness/guard-process.ts';
import { freePort, silentListener } from '../harness/loopback.ts';
import { ManagedProcess } from '../harness/managed-process.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../harness/reaper.ts';
import { until } from '../harness/until.ts';

async function etcdGuard(...args: readonly string[]): Promise<CommandResult> {
  const result = await execa(process.execPath, [inject('program'), ...args], {
    reject: false,
    timeout: 30_000,
    stripFinalNewline: false,
  });
  return { exitCode: result.exitCode ?? -1, stdout: result.stdout, stderr: result.stderr };
}

let directory: TemporaryDirectory;

beforeAll(async () => {
  directory = await temporaryDirectory('command-line-test');
});

afterAll(() => directory.remove());

async function written(name: string, content: string): Promise<string> {
  const path = join(directory.path, name);
  await writeFile(path, content);
  return path;
}

const itemsSchema = z.object({
  items: z.tuple([
    z.object({
      status: z.object({
        healthyVoters: z.number(),
        members: z.array(z.looseObject({ pod: z.string() })),
      }),
    }),
  ]),
});

/** A guard of pods that nobody answers for. */
const NOBODY = {
  apiVersion: 'etcd-guard.io/v1alpha1',
  kind: 'EtcdGuard',
  metadata: { name: 'nobody', namespace: 'default' },
  spec: { members: { addresses: { 'etcd-0': '127.0.0.1:1', 'etcd-1': '127.0.0.1:1' } } },
};

it.each(['20.20.2', '26.10.0'])('says which Node it needs when run by %s', async (version) => {
  const pretend = `Object.defineProperty(process, 'versions', {
    value: { ...process.versions, node: '${version}' } });`;
  const loader = `data:text/javascript,${encodeURIComponent(pretend)}`;
  const args = ['--import', loader, inject('program'), 'status', '--guards', 'none'];
  const { exitCode, stderr } = await execa(process.execPath, args, { reject: false });
  expect(stderr).toMatch(/^etcd-guard: needs Node 24, this is v/);
  expect(exitCode).toBe(2);
});

describe('usage', () => {
  it('tells its version', async () => {
    expect(await etcdGuard('--version')).toStrictEqual({
      exitCode: 0,
      stdout: `etcd-guard ${packageJson.version}\n`,
      stderr: '',
    });
  });

  it.each([
    '',
    '--help',
    'help serve',
    'check --help',
    'status -h',
    'wait -h',
    'handoff --help',
    'help explain',
    'completion --help',
  ])('helps: etcd-guard %s', async (line) => {
    const args = line.split(' ').filter((word) => word !== '');
    const { exitCode, stdout, stderr } = await etcdGuard(...args);
    expect({ exitCode, stderr }).toStrictEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toMatch(/^(etcd-guard keeps|Usage: etcd-guard)/);
  });

  it.each<[string, string[], string]>([
    [
      'an unknown command',
      ['restart'],
      "etcd-guard: unknown command 'restart'; the commands are serve, status, check, wait, handoff, explain, completion\nTry: etcd-guard --help\n",
    ],
    [
      'several problems at once',
      ['serve', '--listen=nowhere', '--tls-cert=a', '--log-level=loud', '--frobnicate', 'word'],
      [
        "etcd-guard: unknown option '--frobnicate'",
        "etcd-guard: unexpected argument 'word'",
        "etcd-guard: --listen must be HOST:PORT (found 'nowhere')",
        'etcd-guard: --tls-cert and --tls-key go together',
        "etcd-guard: --log-level must be one of debug, info, warn, error (found 'loud')",
        'Try: etcd-guard serve --help\n',
      ].join('\n'),
    ],
    [
      'names that no object can have',
      ['serve', '--kubeconfig=none', '--service=svc/guard', '--certificate-secret=A', '-n', '-'],
      [
        "etcd-guard: --certificate-secret must be the name of an object (found 'A')",
        "etcd-guard: --service must be the name of an object (found 'svc/guard')",
        "etcd-guard: --namespace must be the name of an object (found '-')",
        'Try: etcd-guard serve --help\n',
      ].join('\n'),
    ],
    [
      'guards from files and from a cluster',
      ['serve', '--guards=guards.yaml', '--kubeconfig=none'],
      'etcd-guard: --guards and --kubeconfig exclude each other\nTry: etcd-guard serve --help\n',
    ],
    [
      'labels on pods that files name',
      ['serve', '--guards=guards.yaml', '--role-labels'],
      'etcd-guard: --guards and --role-labels exclude each other\nTry: etcd-guard serve --help\n',
    ],
    [
      'files for the pods of a cluster',
      ['serve', '--guards=guards.yaml', '--injection'],
      'etcd-guard: --guards and --injection exclude each other\nTry: etcd-guard serve --help\n',
    ],
    [
      'a check by files and by a cluster',
      ['check', 'etcd-0', '--guards=guards.yaml', '--context=prod', '--via=webhook'],
      [
        'etcd-guard: --guards and --context exclude each other',
        'etcd-guard: --guards and --via exclude each other',
        'Try: etcd-guard check --help\n',
      ].join('\n'),
    ],
    [
      'an unknown way to ask',
      ['status', '--via=phone'],
      "etcd-guard: --via must be one of auto, direct, webhook (found 'phone')\nTry: etcd-guard status --help\n",
    ],
    [
      'a check of what is not the name of a pod',
      ['check', 'pod/etcd-0', '--guards=guards.yaml'],
      "etcd-guard: 'pod/etcd-0' is not the name of a pod: write etcd-0, not pod/etcd-0\nTry: etcd-guard check --help\n",
    ],
    [
      'a check of what no pod can be called',
      ['check', 'Etcd_0', '--guards=guards.yaml'],
      "etcd-guard: 'Etcd_0' is not the name of a pod: it takes lower-case letters, digits, - and .\nTry: etcd-guard check --help\n",
    ],
    [
      'a wait that no timer can make',
      ['wait', 'etcd-0', '--for=healthy', '--guards=guards.yaml', '--timeout=1000h'],
      "etcd-guard: --timeout can be at most 596h (found '1000h')\nTry: etcd-guard wait --help\n",
    ],
    [
      'a hand-off that may be made anew meanwhile',
      ['handoff', 'etcd-0', '--guards=guards.yaml', '--timeout=31s'],
      'etcd-guard: --timeout of a hand-off can be at most 30s: by then the guard would make it anew\nTry: etcd-guard handoff --help\n',
    ],
    [
      'help on what there is not',
      ['help', 'frob'],
      "etcd-guard: no help on 'frob'; the commands are serve, status, check, wait, handoff, explain, completion\nTry: etcd-guard --help\n",
    ],
    [
      'a wait for nothing',
      ['wait', 'etcd-0', '--guards=guards.yaml', '--timeout=soon'],
      [
        'etcd-guard: --for is missing: deletable or healthy',
        "etcd-guard: --timeout must be a duration such as 5s (found 'soon')",
        'Try: etcd-guard wait --help\n',
      ].join('\n'),
    ],
    [
      'a hand-off to whoever leads',
      ['handoff', 'etcd-0', '--to=etcd-0', '--guards=guards.yaml'],
      "etcd-guard: leadership can't be moved from etcd-0 to itself\nTry: etcd-guard handoff --help\n",
    ],
    [
      'completion for nobody',
      ['completion'],
      'etcd-guard: the name of a shell is missing: bash, zsh or fish\nTry: etcd-guard completion --help\n',
    ],
    [
      'completion for a shell that it does not know',
      ['completion', 'tcsh'],
      "etcd-guard: no completion for 'tcsh'; the shells are bash, zsh, fish\nTry: etcd-guard completion --help\n",
    ],
    [
      'a check without a pod',
      ['check', '--guards=guards.yaml'],
      'etcd-guard: the name of a pod is missing\nTry: etcd-guard check --help\n',
    ],
    [
      'two namespaces',
      ['status', '--guards=guards.yaml', '-A', '-n', 'kube-system'],
      'etcd-guard: --namespace and --all-namespaces exclude each other\nTry: etcd-guard status --help\n',
    ],
  ])('refuses %s with exit code 2', async (_, args, stderr) => {
    expect(await etcdGuard(...args)).toStrictEqual({ exitCode: 2, stdout: '', stderr });
  });
});

describe('guard files', () => {
  const WRONG = `
apiVersion: etcd-guard.io/v1alpha1
kind: EtcdGuard
metadata: {name: Etcd_1, namespace: default}
spec:
  members:
    port: 70000
    addresses: {etcd-0: "not an address"}
    tls: {certFile: client.crt}
  policy: {quorum: Maybe, leeway: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: pod}
spec: {}
`;

  it.each(['serve', 'status', 'check'])('%s names every problem with its path', async (command) => {
    const file = await written('wrong.yaml', WRONG);
    const absent = join(directory.path, 'absent.yaml');
    const words = command === 'check' ? ['etcd-0'] : [];
    const result = await etcdGuard(command, ...words, `--guards=${file}`, `--guards=${absent}`);
    expect(result).toMatchObject({ exitCode: 2, stdout: '' });
    expect(result.stderr.trimEnd().split('\n')).toStrictEqual([
      `etcd-guard: ${file}: document 1: metadata.name: must be a DNS subdomain: lower-case letters, digits, - and . (found "Etcd_1")`,
      `etcd-guard: ${file}: document 1: spec.members.port: must be at most 65535 (found 70000)`,
      `etcd-guard: ${file}: document 1: spec.members.tls: certFile and keyFile go together`,
      `etcd-guard: ${file}: document 1: spec.members.addresses.etcd-0: must be host:port or host, IPv6 in brackets (found "not an address")`,
      `etcd-guard: ${file}: document 1: spec.policy.quorum: must be Enforce or Warn (found "Maybe")`,
      `etcd-guard: ${file}: document 1: spec.policy.leeway: unknown field`,
      `etcd-guard: ${file}: document 2: apiVersion: must be etcd-guard.io/v1alpha1 (found "v1")`,
      `etcd-guard: ${file}: document 2: kind: must be EtcdGuard (found "Pod")`,
      `etcd-guard: ${file}: document 2: spec.members: is missing (object)`,
      `etcd-guard: ${absent}: can't be read (ENOENT)`,
    ]);
  });

  it('a guard may not stand in two files', async () => {
    const first = await written('first.yaml', guardFile(NOBODY));
    const second = await written('second.yaml', guardFile(NOBODY));
    expect(await etcdGuard('status', `--guards=${first}`, `--guards=${second}`)).toStrictEqual({
      exitCode: 2,
      stdout: '',
      stderr: `etcd-guard: ${second}: document 1: metadata.name: default/nobody is defined already, in ${first} document 1\n`,
    });
  });

  it('a certificate, key or password that they name is read with them, and never printed', async () => {
    const canary = 'CANARY-of-a-key';
    const broken = await written(
      'broken.key',
      `-----BEGIN PRIVATE KEY-----\n${canary}\n-----END PRIVATE KEY-----\n`,
    );
    const guard = {
      ...NOBODY,
      spec: {
        members: {
          ...NOBODY.spec.members,
          tls: { caFile: broken, certFile: broken, keyFile: broken },
          auth: { usernameFile: broken, passwordFile: '/nowhere/password' },
        },
      },
    };
    const file = await written('secrets.yaml', guardFile(guard));
    const unreadable = await etcdGuard('status', `--guards=${file}`);
    expect(unreadable).toStrictEqual({
      exitCode: 2,
      stdout: '',
      stderr: `etcd-guard: ${file}: document 1: spec.members.auth.passwordFile: can't read /nowhere/password (ENOENT)\n`,
    });
    const { auth: _, ...members } = guard.spec.members;
    const unusable = await etcdGuard(
      'status',
      `--guards=${await written('secrets.yaml', guardFile({ ...guard, spec: { members } }))}`,
    );
    expect(unusable).toMatchObject({ exitCode: 2, stdout: '' });
    expect(unusable.stderr).toContain(
      'document 1: spec.members.tls: unusable certificate or key: ',
    );
    expect(unusable.stderr).not.toContain(canary);
  });
});

describe('serve', () => {
  it('goes on when nobody reads its log any more, and ends when it is asked to', async () => {
    const file = await written('unread.yaml', guardFile(NOBODY));
    const certificate = await (
      await CertificateAuthority.create('unread')
    ).issueFiles(directory.path, 'unread', { commonName: 'etcd-guard', names: ['127.0.0.1'] });
    const options = [
      `--guards=${file}`,
      '--listen=127.0.0.1:0',
      '--metrics-listen=127.0.0.1:0',
      '--shutdown-delay=0s',
      // So that all that it logs is read before nobody reads.
      `--tls-cert=${certificate.certFile}`,
      `--tls-key=${certificate.keyFile}`,
    ];
    const serving = spawn(process.execPath, [inject('program'), 'serve', ...options], {
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 30_000,
      killSignal: 'SIGKILL',
    });
    const ended = once(serving, 'exit');
    const http = await until('it listens', async () => {
      for await (const line of createInterface({ input: serving.stdout })) {
        const at = /"http":"([^"]+)","msg":"listening"/.exec(line)?.[1];
        if (at !== undefined) return at;
      }
      return undefined;
    });
    serving.stdout.destroy();
    expect((await fetch(`http://${http}/healthz`)).status).toBe(200);
    serving.kill('SIGTERM');
    expect(await ended).toStrictEqual([0, null]);
  });

  it('exits with 1 when its port is taken, and names it', async () => {
    const server = createServer().listen(await freePort(), '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    const guards = await written('nobody.yaml', guardFile(NOBODY));
    const args = ['serve', `--guards=${guards}`, `--listen=127.0.0.1:${port}`];
    const { exitCode, stderr } = await etcdGuard(...args, '--metrics-listen=127.0.0.1:0');
    expect({ exitCode, stderr }).toStrictEqual({
      exitCode: 1,
      stderr: `etcd-guard: 127.0.0.1:${port} is already in use by another process\n`,
    });
    server.close();
  });

  it('exits with 1 without its certificate', async () => {
    const guards = await written('nobody.yaml', guardFile(NOBODY));
    const absent = join(directory.path, 'absent');
    const result = await etcdGuard(
      'serve',
      `--guards=${guards}`,
      `--tls-cert=${absent}.crt`,
      `--tls-key=${absent}.key`,
      '--listen=127.0.0.1:0',
      '--metrics-listen=127.0.0.1:0',
    );
    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(result.stderr).toMatch(
      new RegExp(`^etcd-guard: ${absent}\\.(crt|key) can't be read: .*ENOENT.*\n$`),
    );
  });
});

describe('of a real cluster', () => {
  let cluster: EtcdCluster;
  let guards: string;

  beforeAll(async () => {
    cluster = await startEtcdCluster();
    // Two documents here, and more in another file.
    const other = { ...NOBODY, metadata: { name: 'other', namespace: 'elsewhere' } };
    guards = await written('guards.yaml', guardFile(guardFor(cluster), other));
  });

  afterAll(() => cluster.stop());

  async function roles() {
    const leader = await cluster.leader();
    const followers = await cluster.followers();
    const { term } = (await cluster.status(leader.name)) ?? {};
    return { leader, followers, term: Number(term) };
  }

  describe('check', () => {
    it('prints what a delete of the leader would get, and exits with 1', async () => {
      const { leader, followers, term } = await roles();
      const result = await etcdGuard('check', leader.name, `--guards=${guards}`, '-o', 'json');
      const yaml = await etcdGuard('check', leader.name, `--guards=${guards}`, '-o', 'yaml');
      expect(yaml).toMatchObject({ exitCode: 1, stderr: '' });
      expect(parse(yaml.stdout)).toStrictEqual(JSON.parse(result.stdout));
      expect(result).toMatchObject({ exitCode: 1, stderr: '' });
      expect(JSON.parse(result.stdout)).toStrictEqual({
        pod: leader.name,
        namespace: 'default',
        guard: 'etcd',
        operation: 'delete',
        decision: 'deny',
        reason: 'LeaderProtected',
        message: expect.stringMatching(
          new RegExp(
            `^${leader.name} leads etcd cluster default/etcd \\(member ${leader.id}, term ${term}; 3/3 voters healthy, quorum 2\\)\\. ` +
              `Move leadership first: etcdctl move-leader (${followers.map(({ id }) => id).join('|')}) --endpoints=${leader.address}, ` +
              `or delete a follower: ${followers.map(({ name }) => name).join(', ')}\\.$`,
          ),
        ),
        warnings: [],
        leader: leader.id,
        term,
        healthy: 3,
        voters: 3,
        quorum: 2,
      });
    });

    it('allows a follower, as often as it is asked', async () => {
      const { leader, followers, term } = await roles();
      for (const { name, id } of followers) {
        const result = await etcdGuard('check', name, `--guards=${guards}`, '-o', 'json');
        expect(result).toMatchObject({ exitCode: 0, stderr: '' });
        expect(JSON.parse(result.stdout)).toStrictEqual({
          pod: name,
          namespace: 'default',
          guard: 'etcd',
          operation: 'delete',
          decision: 'allow',
          reason: 'Spared',
          message: `${name} follows in etcd cluster default/etcd, and 2 healthy voters would be left without it (member ${id}, term ${term}; 3/3 voters healthy, quorum 2).`,
          warnings: [
            `etcd cluster default/etcd can lose no further member after ${name}: 2 healthy voters would be left, which is its quorum.`,
          ],
          leader: leader.id,
          term,
          healthy: 3,
          voters: 3,
          quorum: 2,
        });
      }
    });

    it('says that an eviction of the leader would move leadership, and does not', async () => {
      const { leader, followers } = await roles();
      const args = ['check', leader.name, '--eviction', `--guards=${guards}`];
      const result = await etcdGuard(...args, '-o', 'json');
      expect(result).toMatchObject({ exitCode: 0, stderr: '' });
      const names = followers.map(({ name }) => name).join('|');
      expect(JSON.parse(result.stdout)).toMatchObject({
        operation: 'eviction',
        decision: 'allow',
        reason: 'Spared',
        warnings: expect.arrayContaining([
          expect.stringMatching(
            new RegExp(
              `^Leadership of etcd cluster default/etcd would be moved from ${leader.name} to (${names}) first\\.$`,
            ),
          ),
        ]),
      });
      const text = (await etcdGuard(...args)).stdout;
      expect(text).toMatch(/^allow \(Spared\): .*\n {2}leader: .*\n( {2}.*\n)+Warning: /);
      expect((await cluster.leader()).id).toBe(leader.id);
    });

    it('shows its arithmetic to people', async () => {
      const { leader } = await roles();
      const { stdout } = await etcdGuard('check', leader.name, `--guards=${guards}`);
      const [sentence, ...lines] = stdout.split('\n');
      expect(sentence).toMatch(/^deny \(LeaderProtected\): /);
      expect(lines).toStrictEqual([
        `  leader: ${leader.name}, named by a quorum`,
        '  voters: 3, so the quorum is 2',
        `  healthy now: 3 (etcd-0, etcd-1, etcd-2)`,
        `  without ${leader.name}: 2 >= 2, so the quorum stays`,
        '',
      ]);
    });

    it('keeps its exit code where nobody reads', async () => {
      const { leader } = await roles();
      const command = `"$0" "$1" check "$2" "--guards=$3" | true; echo "\${PIPESTATUS[0]}"`;
      const words = [process.execPath, inject('program'), leader.name, guards];
      const result = await execa('bash', ['-c', command, ...words], { reject: false });
      expect({ stdout: result.stdout, stderr: result.stderr }).toStrictEqual({
        stdout: '1',
        stderr: '',
      });
    });

    it('knows no guard of other pods', async () => {
      const args = ['check', 'web-0', '-n', 'shop', `--guards=${guards}`, '-o', 'json'];
      const result = await etcdGuard(...args);
      expect(result).toMatchObject({ exitCode: 0, stderr: '' });
      expect(JSON.parse(result.stdout)).toStrictEqual({
        pod: 'web-0',
        namespace: 'shop',
        guard: null,
        operation: 'delete',
        decision: 'allow',
        reason: 'NotGuarded',
        message: expect.stringMatching(
          /^No guard names a pod web-0 in namespace shop, so no guard would keep it\. Pods that are named: .*etcd-0/,
        ),
        warnings: [],
        leader: null,
        term: null,
        healthy: null,
        voters: null,
        quorum: null,
      });
    });

    it.each(['Deny', 'Allow'])(
      'exits with 3 where etcd can’t be judged, whatever the policy (unknown: %s)',
      async (unknown) => {
        const guard = { ...NOBODY, spec: { ...NOBODY.spec, policy: { unknown } } };
        const file = await written('unknown.yaml', guardFile(guard));
        const result = await etcdGuard('check', 'etcd-0', `--guards=${file}`, '-o', 'json');
        expect(result).toMatchObject({ exitCode: 3, stderr: '' });
        expect(JSON.parse(result.stdout)).toMatchObject({
          decision: unknown.toLowerCase(),
          reason: 'Unverifiable',
          leader: null,
          voters: null,
        });
      },
    );
  });

  describe('status', () => {
    const CONDITION_TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/) as unknown;

    it('prints the cluster, and what each pod would get, as JSON', async () => {
      const { leader } = await roles();
      const result = await etcdGuard('status', `--guards=${guards}`, '-o', 'json');
      expect(result).toMatchObject({ exitCode: 0, stderr: '' });
      expect(JSON.parse(result.stdout)).toStrictEqual({
        items: [
          {
            apiVersion: 'etcd-guard.io/v1alpha1',
            kind: 'EtcdGuard',
            metadata: { name: 'etcd', namespace: 'default' },
            spec: {
              members: {
                port: cluster.members[0]?.port,
                addresses: Object.fromEntries(
                  cluster.members.map(({ name, address }) => [name, address]),
                ),
              },
              policy: {
                leader: 'Deny',
                handOff: ['Evictions', 'Controllers'],
                quorum: 'Enforce',
                unknown: 'Deny',
                maxRaftLag: 1000,
              },
            },
            status: {
              leader: leader.name,
              voters: 3,
              healthyVoters: 3,
              health: '3/3',
              quorum: 2,
              disruptionsAllowed: 1,
              reason: null,
              members: expect.toSatisfy(
                (members: readonly { readonly pod: string }[]) => members.length === 3,
              ),
              conditions: [
                {
                  type: 'Reachable',
                  status: 'True',
                  reason: 'QuorumAnswers',
                  message: 'a quorum of voters gives one member list',
                  lastTransitionTime: CONDITION_TIME,
                },
                {
                  type: 'Healthy',
                  status: 'True',
                  reason: 'AllVotersHealthy',
                  message: 'a leader is confirmed and all voters are healthy',
                  lastTransitionTime: CONDITION_TIME,
                },
                {
                  type: 'Accepted',
                  status: 'True',
                  reason: 'Accepted',
                  message: 'guards 3 pods',
                  lastTransitionTime: CONDITION_TIME,
                },
              ],
            },
            pods: cluster.members.map(({ name }) => ({
              pod: name,
              decision: name === leader.name ? 'deny' : 'allow',
              reason: name === leader.name ? 'LeaderProtected' : 'Spared',
              message: expect.stringContaining(name),
            })),
          },
        ],
      });
      const [{ status }] = itemsSchema.parse(JSON.parse(result.stdout)).items;
      const { members } = status;
      expect(members.toSorted((a, b) => a.pod.localeCompare(b.pod))).toStrictEqual(
        cluster.members.map(({ name, id }) => ({
          pod: name,
          name,
          id,
          role: id === leader.id ? 'Leader' : 'Follower',
          health: 'Healthy',
          lag: 0,
        })),
      );
    });

    it('prints tables for people', async () => {
      const { leader } = await roles();
      const result = await etcdGuard('status', 'etcd', `--guards=${guards}`);
      expect(result).toMatchObject({ exitCode: 0, stderr: '' });
      const rows = cluster.members.map(({ name }) =>
        name === leader.name
          ? `${name}  Leader    Healthy  0    deny (LeaderProtected)`
          : `${name}  Follower  Healthy  0    allow (Spared)`,
      );
      expect(result.stdout).toBe(
        [
          'GUARD         LEADER  HEALTHY  QUORUM  DISRUPTIONS ALLOWED',
          `default/etcd  ${leader.name}  3/3      2       1`,
          '',
          'POD     ROLE      HEALTH   LAG  DELETE NOW',
          ...rows,
          '',
        ].join('\n'),
      );
    });

    it('names the other guard of the same pods, and then allows no disruption', async () => {
      const second = guardFor(cluster, { name: 'second' });
      const file = await written('both.yaml', guardFile(guardFor(cluster), second));
      const result = await etcdGuard('status', 'etcd', `--guards=${file}`);
      expect(result).toMatchObject({ exitCode: 0, stderr: '' });
      expect(result.stdout).toMatch(/^default\/etcd +etcd-\d +3\/3 +2 +0$/m);
      expect(result.stdout).toContain('deny (AmbiguousGuard)');
      expect(result.stdout).toContain(
        '\ndefault/etcd: EtcdGuard second has some of its pods too, so that their deletion is refused: let one guard alone have each pod.\n',
      );
    });

    it('exits with 3 if one of several can’t be judged, and with 4 if there is no such guard', async () => {
      const all = await etcdGuard('status', '-A', `--guards=${guards}`);
      expect(all).toMatchObject({ exitCode: 3, stderr: '' });
      expect(all.stdout).toContain('default/etcd');
      expect(all.stdout).toMatch(/elsewhere\/other +\? +\? +\? +0\n/);
      expect(await etcdGuard('status', 'none', `--guards=${guards}`)).toStrictEqual({
        exitCode: 4,
        stdout: '',
        stderr: "etcd-guard: no EtcdGuard 'none' in namespace default (-A for all)\n",
      });
    });

    it('is not kept by a member that never answers', async () => {
      const silent = await silentListener();
      const [first] = cluster.members;
      const addresses = { [first?.name ?? '']: silent.address };
      const file = await written('silent.yaml', guardFile(guardFor(cluster, { addresses })));
      const result = await etcdGuard('status', `--guards=${file}`, '-o', 'json');
      expect(result.stderr).toBe('');
      const [{ status }] = itemsSchema.parse(JSON.parse(result.stdout)).items;
      expect(status.healthyVoters).toBe(2);
      await silent.close();
    });

    it('-o name prints what kubectl takes', async () => {
      expect(await etcdGuard('status', `--guards=${guards}`, '-o', 'name')).toStrictEqual({
        exitCode: 0,
        stdout: 'etcdguard.etcd-guard.io/etcd\n',
        stderr: '',
      });
    });

    it.each([
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const)(
      '--watch goes on until %s, and tells changes line by line',
      async (signal, code) => {
        const { leader, followers } = await roles();
        const watching = await ManagedProcess.start(process.execPath, [
          inject('program'),
          'status',
          '--watch',
          `--guards=${guards}`,
        ]);
        await watching.waitForOutput(/DELETE NOW/);
        const [next] = followers;
        await cluster.moveLeader(next?.name ?? '');
        const change = `default/etcd: leader ${next?.name} (was ${leader.name})`;
        await watching.orExplain(change, 15_000, () =>
          watching.output.includes(change) ? true : undefined,
        );
        // No terminal: nothing that would clear one, and no table again.
        expect(watching.output).not.toContain('\u001B');
        expect(watching.output.split('DELETE NOW')).toHaveLength(2);
        await expect(watching.kill(signal)).resolves.toStrictEqual({ code, signal: null });
      },
    );

    it('--watch -o json prints a document for each change', async () => {
      const { followers } = await roles();
      const args = ['status', '--watch', '-o', 'json', `--guards=${guards}`];
      const watching = await ManagedProcess.start(process.execPath, [inject('program'), ...args]);
      await watching.waitForOutput(/\n}\n/);
      const name = followers[0]?.name ?? '';
      await cluster.moveLeader(name);
      const next = new RegExp(`\n}\n{[^]*"leader": "${name}"[^]*\n}\n`);
      await expect(watching.waitForOutput(next)).resolves.not.toBeNull();
      await watching.kill();
    });

    it('ends quietly when whoever reads it has had enough', async () => {
      const command = `"$0" "$1" status --watch "--guards=$2" | head -n 1; echo "\${PIPESTATUS[0]}"`;
      const result = await execa(
        'bash',
        ['-c', command, process.execPath, inject('program'), guards],
        { reject: false, timeout: 30_000 },
      );
      expect(result.stdout.split('\n')).toStrictEqual([expect.stringMatching(/^GUARD /), '0']);
      expect(result.stderr).toBe('');
    });
  });
});
