import { execa } from 'execa';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { PROTECTED, webhookConfiguration } from '../harness/admission-webhook.ts';
import { CertificateAuthority, type Certificate } from '../harness/certificates.ts';
import { DemandingMember } from '../harness/demanding-member.ts';
import { startEtcdCluster, type EtcdCluster } from '../harness/etcd-cluster.ts';
import { deleteReview, startGuard, type GuardProcess } from '../harness/guard-process.ts';
import { GUARD_USER, install } from '../harness/guarded-cluster.ts';
import { startKubeApiserver, type KubeApiserver } from '../harness/kube-apiserver.ts';
import { freePort, silentListener, type Listener } from '../harness/loopback.ts';
import { leaksIn, plantedKey, type Planted } from '../harness/leaks.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../harness/reaper.ts';
import { until } from '../harness/until.ts';

const NAMESPACE = 'default';
const SECRETS = `/api/v1/namespaces/${NAMESPACE}/secrets`;
const OWN_SECRET = '/api/v1/namespaces/etcd-guard/secrets/etcd-guard-tls';
/** Of what a process has said only this much is kept. */
const OUTPUT_LIMIT = 128 * 1024;

/** Each has characters that JSON, HTML, URLs and base64 write in different ways. */
const canary = (name: string): Planted => ({ name, value: `CANARY-${name}/p@ss+w%rd=<1>"&` });

const RIGHT = canary('right-password');
const WRONG = canary('wrong-password');
const REFUSED = canary('password-for-a-refused-connection');
const SILENT = canary('password-for-a-silent-member');
const UNREADABLE = canary('unreadable-password');
const MISNAMED = canary('misnamed-password');
const GARBAGE_KEY = canary('garbage-key');
const GARBAGE_CA = canary('garbage-authority');
const ROTATED = canary('password-to-rotate');
const NEXT = canary('rotated-password');
const SERVING = canary('garbage-serving-key');
const METRICS = { name: 'metrics token', value: 'CANARY-metrics.token~with+all/of-them==' };
const GUESSED = { name: 'guessed token', value: 'CANARY-guessed.token~with+all/of-them==' };
const API_TOKEN = { name: 'API token', value: 'CANARY-api.token~with+all/of-them' };

const CANARIES: readonly Planted[] = [
  RIGHT,
  WRONG,
  REFUSED,
  SILENT,
  UNREADABLE,
  MISNAMED,
  GARBAGE_KEY,
  GARBAGE_CA,
  ROTATED,
  NEXT,
  SERVING,
  METRICS,
  GUESSED,
  API_TOKEN,
];

const userWith = ({ value: password }: Planted) => ({ username: 'root', password });

interface Trap {
  /** Of the EtcdGuard, and the beginning of its pods' names and those of its Secrets. */
  readonly name: string;
  /** By ordinal of its pods. */
  readonly addresses: readonly string[];
  readonly auth?: Readonly<Record<string, string>>;
  readonly tls?: Readonly<Record<string, string>>;
  /** The guard may not read its Secrets. */
  readonly forbidden?: boolean;
  /** What the refusal of one of its pods says: so that it is known to have failed, and in which way. */
  readonly says: RegExp;
}

const kubeconfigSchema = z.looseObject({
  users: z.tuple([z.object({ user: z.object({ 'client-key-data': z.string() }) })]),
});
const secretSchema = z.object({ data: z.record(z.string(), z.string()) });

describe('guards from a cluster, whatever fails', () => {
  let api: KubeApiserver;
  let directory: TemporaryDirectory;
  let etcd: EtcdCluster;
  let silent: Listener;
  let demanding: DemandingMember;
  let guard: GuardProcess;
  let client: Certificate;
  let authority: CertificateAuthority;
  let traps: readonly Trap[];
  const planted: Planted[] = [];
  /** All that anybody was told, by whom. */
  const said = new Map<string, string>();

  beforeAll(async () => {
    directory = await temporaryDirectory('canaries');
    authority = await CertificateAuthority.create('etcd authority');
    [api, silent, demanding, client] = await Promise.all([
      startKubeApiserver(),
      silentListener(),
      DemandingMember.start(),
      authority.issue({ commonName: 'client' }),
    ]);
    etcd = await startEtcdCluster({
      auth: { username: 'root', password: RIGHT.value },
    });
    planted.push(...CANARIES, ...plantedKey('client key', client.key));
    traps = trapsAt(etcd.members.map(({ address }) => address));
    await api.admin.patch('/api/v1/namespaces/default', { metadata: { labels: PROTECTED } });
    await install(api, []);
    await setTraps();
    const port = await freePort();
    await api.apply(webhookConfiguration(port, ''));
    const kubeconfig = await api.kubeconfigFor({ user: GUARD_USER });
    planted.push(...plantedKey('key of the kubeconfig', await keyIn(kubeconfig)));
    const token = join(directory.path, 'token');
    await writeFile(token, `${METRICS.value}\n`);
    guard = await startGuard({
      program: inject('program'),
      guards: null,
      // Its own certificate, whose key is in a Secret.
      selfSigned: true,
      port,
      args: [
        `--kubeconfig=${kubeconfig}`,
        '--log-level=debug',
        `--metrics-token-file=${token}`,
        '--role-labels',
      ],
    });
    for (const [name, value] of Object.entries(await ownSecret())) {
      if (value.includes('PRIVATE KEY')) planted.push(...plantedKey(`own ${name}`, value));
    }
  });

  afterAll(async () => {
    await guard?.stop();
    await silent?.close();
    await demanding?.close();
    await etcd?.stop();
    await api?.stop();
    await directory?.remove();
  });

  function trapsAt(members: readonly string[]): readonly Trap[] {
    const tls = { 'ca.crt': authority.cert, 'tls.crt': client.cert, 'tls.key': client.key };
    const addresses = members;
    const three = (address: string) => members.map(() => address);
    return [
      {
        name: 'right',
        addresses,
        auth: userWith(RIGHT),
        says: /leads etcd cluster default\/right/,
      },
      {
        name: 'rotated',
        addresses: three(demanding.address),
        auth: userWith(ROTATED),
        says: /authentication as 'root' failed: authentication failed/,
      },
      {
        name: 'wrong',
        addresses: three(demanding.address),
        auth: userWith(WRONG),
        says: /authentication as 'root' failed: authentication failed/,
      },
      {
        name: 'refused',
        addresses: three('127.0.0.1:1'),
        auth: userWith(REFUSED),
        tls,
        says: /connection refused/,
      },
      {
        name: 'silent',
        addresses: three(silent.address),
        auth: userWith(SILENT),
        tls,
        says: /no answer within \d/,
      },
      {
        name: 'plain',
        addresses,
        auth: userWith(RIGHT),
        tls,
        says: /TLS: it (answers without TLS|closed the connection during the handshake)/,
      },
      {
        name: 'unreadable',
        addresses,
        auth: userWith(UNREADABLE),
        forbidden: true,
        says: /no permission "get" on it/,
      },
      {
        name: 'misnamed',
        addresses,
        auth: { username: 'root', passwort: MISNAMED.value },
        says: /lacks password/,
      },
      {
        name: 'garbage-key',
        addresses,
        tls: { ...tls, 'tls.key': `${client.key.slice(0, 90)}${GARBAGE_KEY.value}` },
        says: /unusable tls\.crt or tls\.key/,
      },
      {
        name: 'garbage-ca',
        addresses,
        tls: { ...tls, 'ca.crt': `${client.key}\n${GARBAGE_CA.value}` },
        says: /unusable ca\.crt/,
      },
    ];
  }

  /** An EtcdGuard, a pod and Secrets for each, and the right to read those that may be read. */
  async function setTraps(): Promise<void> {
    const readable: string[] = [];
    for (const { name, addresses, auth, tls, forbidden = false } of traps) {
      const secrets = Object.entries({ auth, tls }).flatMap(([kind, content]) =>
        content === undefined ? [] : [{ kind, secretName: `${name}-${kind}`, content }],
      );
      if (!forbidden) readable.push(...secrets.map(({ secretName }) => secretName));
      const fields = secrets.map(({ kind, secretName }) => [kind, { secretName }]);
      for (const { secretName, content } of secrets) {
        await api.admin.request('POST', SECRETS, {
          metadata: { name: secretName },
          stringData: content,
        });
      }
      await api.apply(
        {
          apiVersion: 'etcd-guard.io/v1alpha1',
          kind: 'EtcdGuard',
          metadata: { name, namespace: NAMESPACE },
          spec: {
            selector: { matchLabels: { app: name } },
            members: {
              addresses: Object.fromEntries(addresses.map((one, nth) => [`${name}-${nth}`, one])),
              ...Object.fromEntries(fields),
            },
          },
        },
        ...addresses.map((_, nth) => ({
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: `${name}-${nth}`, namespace: NAMESPACE, labels: { app: name } },
          spec: { nodeName: 'nowhere', containers: [{ name: 'etcd', image: 'none' }] },
        })),
      );
      const running = { status: { phase: 'Running', podIP: '127.0.0.1' } };
      for (const nth of addresses.keys()) {
        const pod = `/api/v1/namespaces/${NAMESPACE}/pods/${name}-${nth}`;
        await api.admin.patch(`${pod}/status`, running);
      }
    }
    await api.apply(
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'Role',
        metadata: { name: 'secrets', namespace: NAMESPACE },
        rules: [
          { apiGroups: [''], resources: ['secrets'], resourceNames: readable, verbs: ['get'] },
        ],
      },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'RoleBinding',
        metadata: { name: 'secrets', namespace: NAMESPACE },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'secrets' },
        subjects: [{ kind: 'User', name: GUARD_USER, apiGroup: 'rbac.authorization.k8s.io' }],
      },
    );
  }

  async function ownSecret(): Promise<Readonly<Record<string, string>>> {
    const { data } = secretSchema.parse(JSON.parse(await api.admin.text('GET', OWN_SECRET)));
    return Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
    );
  }

  /** What each of its pods gets; the first that the quorum can spare may go. */
  async function removed(name: string): Promise<string> {
    const all = await Promise.all(
      [0, 1, 2].map((nth) => api.kubectl('delete', 'pod', `${name}-${nth}`, '--wait=false')),
    );
    return all.map(({ stdout, stderr }) => `${stdout}\n${stderr}`).join('\n');
  }

  async function cli(...args: readonly string[]): Promise<string> {
    const { stdout, stderr } = await execa(process.execPath, [inject('program'), ...args], {
      reject: false,
      timeout: 60_000,
      env: { HOME: directory.path, KUBECONFIG: api.kubeconfig },
    });
    return `${stdout}\n${stderr}`;
  }

  /** With the token, with another, and with none; of what never ends, the beginning. */
  async function onMetricsPort(path: string): Promise<string> {
    const answers = [METRICS.value, GUESSED.value, null].map(async (token) => {
      const controller = new AbortController();
      const response = await fetch(`${guard.url}${path}`, {
        headers: token === null ? {} : { authorization: `Bearer ${token}` },
        signal: controller.signal,
      });
      const streams = response.headers.get('content-type')?.startsWith('text/event-stream');
      const first = await (streams ? response.body?.getReader().read() : response.bytes());
      const bytes = first === undefined || first instanceof Uint8Array ? first : first.value;
      controller.abort();
      return `${response.status} ${JSON.stringify([...response.headers])}\n${Buffer.from(bytes ?? []).toString()}`;
    });
    return (await Promise.all(answers)).join('\n');
  }

  /** What the API server has of all that the guard writes; Secrets are not among it. */
  async function written(): Promise<void> {
    for (const path of [
      '/api/v1/events',
      '/api/v1/pods',
      '/apis/etcd-guard.io/v1alpha1/etcdguards',
      '/apis/coordination.k8s.io/v1/leases',
      '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations',
    ]) {
      said.set(path, await api.admin.text('GET', path));
    }
  }

  function leaks(): readonly string[] {
    return [...said].flatMap(([where, text]) =>
      leaksIn(text, planted).map((what) => `${where}: ${what}`),
    );
  }

  it('each fails in its own way, and the refusal says so', async () => {
    for (const { name, says } of traps) {
      const refusal = await until(`${name} is refused`, async () => {
        const text = await removed(name);
        return text.includes('denied the request') ? text : undefined;
      });
      said.set(`refusal of ${name}`, refusal);
      expect.soft(refusal, name).toMatch(says);
    }
    expect(demanding.wasSent(WRONG.value)).toBe(true);
    expect(leaks()).toEqual([]);
  });

  it('Secrets that change to something worse fail as well', async () => {
    const password = `${NEXT.value}\nand a second line`;
    await api.admin.patch(`${SECRETS}/rotated-auth`, {
      data: { password: Buffer.from(password).toString('base64') },
    });
    const refusal = await removed('rotated');
    said.set('refusal after the rotation', refusal);
    expect(refusal).toMatch(/authentication as 'root' failed/);
    expect(demanding.wasSent(password)).toBe(true);
    const broken = Buffer.from(`${SERVING.value}\n`).toString('base64');
    await api.admin.patch(OWN_SECRET, { data: { 'tls.key': broken } });
    said.set('what is said of the own Secret', JSON.stringify(await mended()));
    expect(leaks()).toEqual([]);
  });

  /** What is logged of the Secret that somebody else has written to. */
  function mended() {
    return until('the broken Secret is noticed', () =>
      guard.log.find(({ msg }) =>
        /the certificate needs attention|back into the Secret/.test(String(msg)),
      ),
    );
  }

  it('the status, Events, metrics and the status page tell of it', async () => {
    await until('each guard has a status', async () => {
      const text = await api.admin.text('GET', '/apis/etcd-guard.io/v1alpha1/etcdguards');
      return text.split('"conditions"').length > traps.length;
    });
    await until('each refusal has an Event', async () => {
      const text = await api.admin.text('GET', '/api/v1/events');
      return traps.every(({ name }) => text.includes(`Delete of ${name}-`));
    });
    await written();
    for (const path of ['/metrics', '/', '/api/status', '/events', '/readyz', '/nothing']) {
      said.set(path, await onMetricsPort(path));
    }
    expect(said.get('/api/status')).toContain('no permission');
    expect(said.get('/metrics')).toContain('etcdguard_denials_total{');
    expect(leaks()).toEqual([]);
  });

  it('and so do the commands, which read the Secrets themselves', async () => {
    for (const output of ['table', 'json', 'yaml']) {
      said.set(
        `status -o ${output}`,
        await cli('status', '-A', '--via=direct', `--output=${output}`),
      );
    }
    for (const { name } of traps) {
      said.set(`check ${name}`, await cli('check', `${name}-0`, '--via=direct', '--output=yaml'));
    }
    expect(said.get('check wrong')).toContain('authentication failed');
    expect(said.get('check garbage-key')).toContain('unusable tls.crt or tls.key');
    expect(leaks()).toEqual([]);
  });

  it('a token that the API server does not take shows nowhere', async () => {
    const kubeconfig = join(directory.path, 'token.kubeconfig');
    const text: unknown = parse(await readFile(api.kubeconfig, 'utf8'));
    const users = [{ name: 'test', user: { token: API_TOKEN.value } }];
    await writeFile(kubeconfig, stringify({ ...Object(text), users }));
    const other = await startGuard({
      program: inject('program'),
      guards: null,
      args: [`--kubeconfig=${kubeconfig}`, '--log-level=debug'],
    });
    try {
      said.set('answer', JSON.stringify(await other.post(deleteReview('wrong-0'), '?timeout=5s')));
      await other.logged("can't follow the EtcdGuards");
      said.set('metrics of the other', await other.metrics());
    } finally {
      await other.stop();
    }
    // Or else its beginning would not be looked at.
    expect(other.process.output.length).toBeLessThan(OUTPUT_LIMIT);
    said.set('log of the other', other.process.output);
    expect(said.get('log of the other')).toMatch(/[Uu]nauthorized/);
    said.set('status by a token', await cli('status', '-A', `--kubeconfig=${kubeconfig}`));
    expect(leaks()).toEqual([]);
  });

  it('nothing that was logged shows a secret', async () => {
    await guard.process.stop();
    const { output } = guard.process;
    // Or else its beginning would not have been looked at.
    expect(output.length).toBeLessThan(OUTPUT_LIMIT);
    expect(guard.log.filter(({ msg }) => msg === 'decided').length).toBeGreaterThan(traps.length);
    said.set('log', output);
    await written();
    expect(planted.length).toBeGreaterThan(20);
    expect(leaks()).toEqual([]);
  });
});

async function keyIn(kubeconfig: string): Promise<string> {
  const { users } = kubeconfigSchema.parse(parse(await readFile(kubeconfig, 'utf8')));
  return Buffer.from(users[0].user['client-key-data'], 'base64').toString();
}
