import { execa } from 'execa';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { z } from 'zod';
import { issueServing, newAuthority } from '../../src/certificates/issue.ts';
import { PROTECTED, webhookConfiguration } from '../harness/admission-webhook.ts';
import { CertificateAuthority } from '../harness/certificates.ts';
import { deleteReview, startGuard, type GuardProcess } from '../harness/guard-process.ts';
import { startKubeApiserver, type KubeApiserver } from '../harness/kube-apiserver.ts';
import { freePort, roundRobin, type Listener } from '../harness/loopback.ts';
import { ManagedProcess } from '../harness/managed-process.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../harness/reaper.ts';
import { requireBinary } from '../harness/require-binary.ts';
import { until } from '../harness/until.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** Whom the shipped bindings name. */
const GUARD_USER = 'system:serviceaccount:etcd-guard:etcd-guard';
const SECRET = '/api/v1/namespaces/etcd-guard/secrets/etcd-guard-tls';
const CONFIGURATIONS = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';
const CONFIGURATION = `${CONFIGURATIONS}/etcd-guard`;
const HOUR_MS = 3_600_000;
const PATIENT = { timeoutMs: 60_000 };

const secretSchema = z.object({ data: z.record(z.string(), z.string()).default({}) });
const configurationSchema = z.object({
  webhooks: z.array(z.object({ clientConfig: z.object({ caBundle: z.string().default('') }) })),
});

describe('a certificate that looks after itself, two replicas with the rights that are shipped', () => {
  let api: KubeApiserver;
  let directory: TemporaryDirectory;
  let ports: readonly [number, number];
  let replicas: [GuardProcess, GuardProcess];
  let balancer: Listener;

  beforeAll(async () => {
    directory = await temporaryDirectory('certificates');
    api = await startKubeApiserver();
    await api.admin.patch('/api/v1/namespaces/default', { metadata: { labels: PROTECTED } });
    await kubectl('apply', '--validate=false', '-f', `${ROOT}deploy/webhook/10-crd.yaml`);
    await kubectl('apply', '-f', `${ROOT}deploy/webhook/20-rbac.yaml`);
    ports = [await freePort(), await freePort()];
    balancer = await roundRobin(ports.map((port) => `127.0.0.1:${port}`));
    await api.apply(webhookConfiguration(balancer.port, ''), {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web', namespace: 'default' },
      spec: { nodeName: 'nowhere', containers: [{ name: 'main', image: 'none' }] },
    });
    replicas = await Promise.all([startReplica(ports[0]), startReplica(ports[1])]);
  });

  afterAll(async () => {
    await balancer?.close();
    await Promise.all((replicas ?? []).map((replica) => replica.stop()));
    await api?.stop();
    await directory?.remove();
  });

  async function startReplica(port: number): Promise<GuardProcess> {
    const kubeconfig = await api.kubeconfigFor({ user: GUARD_USER });
    return startGuard({
      program: inject('program'),
      guards: null,
      selfSigned: true,
      port,
      args: [`--kubeconfig=${kubeconfig}`],
    });
  }

  async function kubectl(...args: readonly string[]): Promise<void> {
    const { exitCode, stderr } = await api.kubectl(...args);
    if (exitCode !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
  }

  /** The texts in the Secret. */
  async function stored(): Promise<Readonly<Record<string, string>>> {
    const { data } = secretSchema.parse(JSON.parse(await api.admin.text('GET', SECRET)));
    return Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
    );
  }

  /** null removes a key. */
  async function store(data: Readonly<Record<string, string | null>>): Promise<void> {
    const encoded = Object.entries(data).map(([key, value]) => [
      key,
      value === null ? null : Buffer.from(value).toString('base64'),
    ]);
    await api.admin.patch(SECRET, { data: Object.fromEntries(encoded) });
  }

  async function caBundle(): Promise<string> {
    const { webhooks } = configurationSchema.parse(
      JSON.parse(await api.admin.text('GET', CONFIGURATION)),
    );
    return Buffer.from(webhooks[0]?.clientConfig.caBundle ?? '', 'base64').toString();
  }

  /** A request that goes through the webhook and changes nothing. */
  async function review(): Promise<void> {
    // Beside a body the API server ignores the query.
    await api.admin.text('DELETE', '/api/v1/namespaces/default/pods/web', { dryRun: ['All'] });
  }

  /** Reviews that the replicas have answered. */
  async function answered(): Promise<number> {
    const counts = await Promise.all(
      replicas.map((replica) => replica.samples('etcdguard_admission_requests_total{')),
    );
    return counts.flatMap((one) => Object.values(one)).reduce((sum, count) => sum + count, 0);
  }

  /** The API server follows its configurations with a delay: a request may also pass unseen. */
  async function isTrusted(): Promise<void> {
    await until(
      'the API server reaches the guard',
      async () => {
        const before = await answered();
        await review();
        return (await answered()) > before;
      },
      PATIENT,
    );
  }

  /** Both replicas serve what the Secret holds, and nothing is under way any more. */
  async function isSettled(condition: (leaf: X509Certificate) => boolean): Promise<void> {
    await until(
      'both replicas serve the certificate of the Secret',
      async () => {
        const { 'tls.crt': cert = '', 'ca.crt': ca = '' } = await stored();
        const leaf = new X509Certificate(cert);
        const served = await Promise.all(ports.map((port) => servedBy(port)));
        return (
          condition(leaf) &&
          served.every((one) => one === leaf.fingerprint256) &&
          (await caBundle()) === ca
        );
      },
      { timeoutMs: 100_000, intervalMs: 200 },
    );
  }

  function run(script: string, ...args: readonly string[]) {
    return execa(join(ROOT, 'scripts', script), args, {
      reject: false,
      env: {
        KUBECTL: `${join(api.binaries, 'kubectl')} --kubeconfig=${api.kubeconfig}`,
        HOME: directory.path,
      },
    });
  }

  function path(name: string): string {
    return join(directory.path, name);
  }

  /** Of the configuration that is not the guard's. */
  async function bundles(): Promise<readonly string[]> {
    const { webhooks } = configurationSchema.parse(
      JSON.parse(await api.admin.text('GET', `${CONFIGURATIONS}/by-hand`)),
    );
    return webhooks.map(({ clientConfig: { caBundle: one } }) =>
      Buffer.from(one, 'base64').toString(),
    );
  }

  it('is one for replicas that start at the same instant, and the API server trusts it', async () => {
    const { 'tls.crt': cert = '', 'ca.crt': ca = '' } = await stored();
    const leaf = new X509Certificate(cert);
    expect(await Promise.all(ports.map((port) => servedBy(port)))).toStrictEqual([
      leaf.fingerprint256,
      leaf.fingerprint256,
    ]);
    expect(leaf.checkIP('127.0.0.1')).toBe('127.0.0.1');
    expect(leaf.checkHost('etcd-guard.etcd-guard.svc')).toBe('etcd-guard.etcd-guard.svc');
    await isTrusted();
    expect(await caBundle()).toBe(ca);
    for (const replica of replicas) {
      expect(await (await fetch(`${replica.url}/readyz`)).text()).toBe('ok\n');
      expect(await replica.samples('etcdguard_certificate_expiry')).toStrictEqual({
        etcdguard_certificate_expiry_timestamp_seconds: leaf.validToDate.getTime() / 1000,
      });
      expect(replica.log.filter(({ level }) => level === 'error')).toStrictEqual([]);
    }
    const made = replicas
      .flatMap(({ log }) => log)
      .filter(({ msg }) => msg === 'made a new authority');
    expect(made).toHaveLength(1);
  });

  it('is trusted again when somebody wipes the caBundle', async () => {
    const before = await caBundle();
    await kubectl(
      'patch',
      'validatingwebhookconfiguration/etcd-guard',
      '--type=json',
      '--patch=[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]',
    );
    await until('the caBundle is back', async () => (await caBundle()) !== '');
    expect(await caBundle()).toBe(before);
    await isTrusted();
  });

  it('is trusted again when the webhook configuration is deleted and created anew', async () => {
    await api.admin.delete(CONFIGURATION);
    await until('both miss it', () =>
      replicas.every(({ log }) =>
        log.some(({ why }) => String(why).startsWith('there is no ValidatingWebhookConfiguration')),
      ),
    );
    await api.admin.create(CONFIGURATIONS, webhookConfiguration(balancer.port, ''));
    // For a moment the API server goes on with the configuration that is gone.
    const isWritten = async (): Promise<boolean> => (await caBundle()).includes('BEGIN');
    await until('the caBundle is written', isWritten, PATIENT);
    await isTrusted();
    expect(await caBundle()).toBe((await stored())['ca.crt']);
  });

  it('comes back as it was when the Secret is deleted', async () => {
    const before = await stored();
    await api.admin.delete(SECRET);
    await until('the Secret is back', stored);
    expect(await stored()).toStrictEqual(before);
    await isTrusted();
  });

  it('comes back with one replica left, and with none it is made anew, and nothing trusts the old', async () => {
    const before = await stored();
    await replicas[1].stop();
    await api.admin.delete(SECRET);
    await until('the Secret is back', stored);
    expect(await stored()).toStrictEqual(before);

    // What docs/certificates.md says to do about a key that has leaked.
    await api.admin.delete(CONFIGURATION);
    await replicas[0].stop();
    await api.admin.delete(SECRET);
    await api.admin.create(CONFIGURATIONS, webhookConfiguration(balancer.port, ''));
    replicas = await Promise.all([startReplica(ports[0]), startReplica(ports[1])]);
    await isSettled((leaf) => leaf.fingerprint256 !== fingerprint(before['tls.crt']));
    await isTrusted();
    const after = await stored();
    const old = new X509Certificate(before['ca.crt'] ?? '');
    expect(new X509Certificate(after['tls.crt'] ?? '').verify(old.publicKey)).toBe(false);
    expect(after['ca.crt']).not.toContain(before['ca.crt']?.trim());
    expect(after['ca.key']).not.toBe(before['ca.key']);
    expect(await caBundle()).toBe(after['ca.crt']);
  });

  it('is renewed under continuous requests, and its authority too, with no failed review', async () => {
    await isTrusted();
    const load = new Load(ports, caBundle, review);
    const before = await answered();
    const running = load.run();
    const first = await stored();

    // An hour before its end: renewed by the same authority.
    const soon = new Date(Date.now() + HOUR_MS);
    const shortLived = await issueServing(
      {
        certificate: new X509Certificate(first['ca.crt'] ?? ''),
        key: createPrivateKey(first['ca.key'] ?? ''),
      },
      ['127.0.0.1'],
      { notBefore: new Date(Date.now() - HOUR_MS), notAfter: soon },
    );
    await store({ 'tls.crt': shortLived.cert, 'tls.key': shortLived.key });
    await isSettled((leaf) => leaf.validToDate > soon);
    const second = await stored();
    expect(second['ca.crt']).toBe(first['ca.crt']);
    expect(second['tls.crt']).not.toBe(first['tls.crt']);

    // No key for the authority: a new one, and the old one stays trusted.
    await store({ 'ca.key': null });
    await isSettled((leaf) => leaf.fingerprint256 !== fingerprint(second['tls.crt']));
    const third = await stored();
    expect(third['ca.crt']).toContain(first['ca.crt']?.trim());
    expect(third['ca.crt']?.startsWith(first['ca.crt'] ?? '')).toBe(false);

    // An authority that others have made, and that lasts for a day.
    const authority = await CertificateAuthority.create('somebody else');
    const issued = await authority.issue({ commonName: 'etcd-guard', names: ['127.0.0.1'] });
    await store({
      'ca.crt': authority.cert,
      'ca.key': await authority.exportKey(),
      'tls.crt': issued.cert,
      'tls.key': issued.key,
    });
    const inAMonth = new Date(Date.now() + 720 * HOUR_MS);
    await isSettled((leaf) => leaf.validToDate > inAMonth);

    await load.stop(running);
    expect(load.failures).toStrictEqual([]);
    expect(load.reviews).toBeGreaterThan(100);
    expect(load.connections).toBeGreaterThan(100);
    // Each of them came to a replica.
    expect(await answered()).toBeGreaterThanOrEqual(before + load.reviews + load.connections);
  });

  it('is there for a replica that starts later, at once', async () => {
    const [first, second] = replicas;
    await second.stop();
    replicas = [first, await startReplica(ports[1])];
    const { 'tls.crt': cert = '' } = await stored();
    expect(await servedBy(ports[1])).toBe(fingerprint(cert));
    expect(replicas[1].log.filter(({ level }) => level === 'error')).toStrictEqual([]);
    await isTrusted();
  });

  it('without the right to keep it leaves a replica unready, until it is granted', async () => {
    const user = 'without-rights';
    const kubeconfig = await api.kubeconfigFor({ user });
    const http = await freePort();
    const replica = await ManagedProcess.start(
      process.execPath,
      [
        inject('program'),
        'serve',
        `--kubeconfig=${kubeconfig}`,
        '--listen=127.0.0.1:0',
        `--metrics-listen=127.0.0.1:${http}`,
        '--shutdown-delay=0s',
      ],
      { name: 'etcd-guard', ready: ({ output }) => output.includes('missing permission') },
    );
    const readyz = () => fetch(`http://127.0.0.1:${http}/readyz`);
    const answer = await readyz();
    expect(answer.status).toBe(503);
    expect(await answer.text()).toBe('not ready: no certificate to serve yet; the log says why\n');
    expect((await fetch(`http://127.0.0.1:${http}/healthz`)).status).toBe(200);
    expect(replica.output).not.toContain('"msg":"listening"');
    await kubectl(
      'create',
      'rolebinding',
      user,
      '--namespace=etcd-guard',
      '--role=etcd-guard-certificate',
      `--user=${user}`,
    );
    await until('it is ready', async () => (await readyz()).ok);
    expect(replica.output).toContain('"msg":"listening"');
    await replica.kill();
  });

  describe('by hand', () => {
    const NAME = ['--configuration', 'by-hand'];

    beforeAll(async () => {
      const ours = {
        service: { namespace: 'etcd-guard', name: 'etcd-guard', path: '/validate' },
      };
      await api.apply({
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'ValidatingWebhookConfiguration',
        metadata: { name: 'by-hand' },
        webhooks: [
          handWebhook('one.etcd-guard.io', ours),
          handWebhook('other.etcd-guard.io', {
            service: { namespace: 'elsewhere', name: 'etcd-guard' },
          }),
          handWebhook('outside.etcd-guard.io', { url: 'https://guard.example/validate' }),
        ],
      });
    });

    it('scripts/patch-ca-bundle.sh writes the authority of the Secret, and only to our webhooks', async () => {
      expect(await run('patch-ca-bundle.sh', ...NAME, '--check')).toMatchObject({ exitCode: 3 });
      expect(await bundles()).toStrictEqual(['', '', '']);
      const written = await run('patch-ca-bundle.sh', ...NAME);
      expect(written).toMatchObject({
        exitCode: 0,
        stderr: [
          'patch-ca-bundle.sh: left alone: webhook other.etcd-guard.io, which is for Service elsewhere/etcd-guard',
          'patch-ca-bundle.sh: 2 of 2 in by-hand now trust ca.crt of Secret etcd-guard/etcd-guard-tls',
        ].join('\n'),
      });
      const { 'ca.crt': ca = '' } = await stored();
      expect(await bundles()).toStrictEqual([ca, '', ca]);
      expect(await run('patch-ca-bundle.sh', ...NAME, '--check')).toMatchObject({ exitCode: 0 });
    });

    it('scripts/patch-ca-bundle.sh refuses what would shut the API server out', async () => {
      const authority = await CertificateAuthority.create('mine');
      const { cert } = await authority.issue({ commonName: 'leaf' });
      await writeFile(path('rubbish'), 'rubbish');
      await writeFile(path('leaf'), cert);
      await writeFile(path('key'), `${authority.cert}\n${await authority.exportKey()}`);
      for (const [file, why] of [
        ['rubbish', 'holds no PEM certificate'],
        ['leaf', 'CN=leaf is no authority'],
        ['key', 'holds a private key, which must not go into a webhook configuration'],
        ['absent', "can't be read"],
      ] as const) {
        const result = await run('patch-ca-bundle.sh', ...NAME, path(file));
        expect(result.exitCode).toBe(1);
        expect(result.stderr).toContain(why);
      }
    });

    it('scripts/webhook-certs.sh makes what serves, and what patch-ca-bundle.sh takes', async () => {
      const made = join(directory.path, 'own');
      const result = await run(
        'webhook-certs.sh',
        '--name',
        '127.0.0.1',
        '--secret',
        'by-hand',
        made,
      );
      expect(result).toMatchObject({ exitCode: 0 });
      expect(await run('patch-ca-bundle.sh', ...NAME, join(made, 'ca.crt'))).toMatchObject({
        exitCode: 0,
      });
      const ca = await readFile(join(made, 'ca.crt'), 'utf8');
      expect(await bundles()).toStrictEqual([ca, '', ca]);
      const guard = await startGuard({
        program: inject('program'),
        guards: null,
        args: [
          `--kubeconfig=${api.kubeconfig}`,
          `--tls-cert=${made}/tls.crt`,
          `--tls-key=${made}/tls.key`,
        ],
      });
      expect(await ask(guard.https, ca)).toBe(200);
      await guard.stop();
      const { type } = z
        .object({ type: z.string() })
        .parse(
          JSON.parse(await api.admin.text('GET', '/api/v1/namespaces/etcd-guard/secrets/by-hand')),
        );
      expect(type).toBe('kubernetes.io/tls');
    });

    it('scripts/webhook-certs.sh has a signer of the cluster sign', async () => {
      const authority = await CertificateAuthority.create('signer of this cluster');
      const ca = await authority.writeTo(directory.path, 'signer.crt');
      const made = join(directory.path, 'signed');
      const asked = run('webhook-certs.sh', '--signer', 'example.com/webhooks', '--ca', ca, made);
      const requests = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
      const name = await until('the request is approved', async () => {
        const [one] = await api.admin.list(requests);
        return one?.status?.['conditions'] === undefined ? undefined : one.metadata.name;
      });
      // What the signer does; it need not look at the request here, whose key the leaf must have.
      await writeFile(join(directory.path, 'signer.key'), await authority.exportKey());
      const { request } = z
        .object({ request: z.string() })
        .parse((await api.admin.get(`${requests}/${name}`)).spec);
      await writeFile(join(directory.path, 'asked.csr'), Buffer.from(request, 'base64'));
      const { stdout: cert } = await execa(
        requireBinary('openssl'),
        'x509 -req -in asked.csr -CA signer.crt -CAkey signer.key -CAcreateserial -days 30 -copy_extensions copy'.split(
          ' ',
        ),
        { cwd: directory.path },
      );
      await api.admin.patch(`${requests}/${name}/status`, {
        status: { certificate: Buffer.from(`${cert}\n`).toString('base64') },
      });
      expect(await asked).toMatchObject({ exitCode: 0 });
      const leaf = new X509Certificate(await readFile(join(made, 'tls.crt')));
      expect(leaf.checkHost('etcd-guard.etcd-guard.svc')).toBeDefined();
      expect(await api.admin.list(requests)).toStrictEqual([]);
    });

    it('scripts/webhook-certs.sh says why Kubernetes’ own signers will not do', async () => {
      const result = await run(
        'webhook-certs.sh',
        '--signer',
        'kubernetes.io/kubelet-serving',
        join(directory.path, 'never'),
      );
      expect(result).toMatchObject({
        exitCode: 1,
        stderr:
          'webhook-certs.sh: kubernetes.io/kubelet-serving does not sign for webhooks: leave --signer out, or name one that was installed for it',
      });
    });
  });

  it('that has expired with its authority while nobody was there is made anew, and trusted', async () => {
    await Promise.all(replicas.map((replica) => replica.stop()));
    const past = {
      notBefore: new Date(Date.now() - 48 * HOUR_MS),
      notAfter: new Date(Date.now() - HOUR_MS),
    };
    const authority = await newAuthority(past);
    const signer = {
      certificate: new X509Certificate(authority.cert),
      key: createPrivateKey(authority.key),
    };
    const expired = await issueServing(signer, ['127.0.0.1'], past);
    await store({
      'ca.crt': authority.cert,
      'ca.key': authority.key,
      'tls.crt': expired.cert,
      'tls.key': expired.key,
    });
    const caBundle64 = Buffer.from(authority.cert).toString('base64');
    await kubectl(
      'patch',
      'validatingwebhookconfiguration/etcd-guard',
      '--type=json',
      `--patch=[{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": "${caBundle64}"}]`,
    );
    replicas = await Promise.all([startReplica(ports[0]), startReplica(ports[1])]);
    const inAMonth = new Date(Date.now() + 720 * HOUR_MS);
    await isSettled((leaf) => leaf.validToDate > inAMonth);
    await isTrusted();
    const [signs = ''] = (await stored())['ca.crt']?.split(/(?<=END CERTIFICATE-----)\n/) ?? [];
    expect(new X509Certificate(signs).validToDate > inAMonth).toBe(true);
  });

  it('is renewed from where a replica has stopped in the middle, with no failed review', async () => {
    await Promise.all(replicas.map((replica) => replica.stop()));
    const before = await stored();
    const next = await newAuthority({
      notBefore: new Date(Date.now() - HOUR_MS),
      notAfter: new Date(Date.now() + 87_600 * HOUR_MS),
    });
    // The next authority is in the Secret; the caBundle lacks it, and nothing is signed with it.
    await store({ 'ca.crt': next.cert + before['ca.crt'], 'ca.key': next.key });
    replicas = await Promise.all([startReplica(ports[0]), startReplica(ports[1])]);
    await isTrusted();
    const load = new Load(ports, caBundle, review);
    const running = load.run();
    await isSettled((leaf) => leaf.checkIssued(new X509Certificate(next.cert)));
    await load.stop(running);
    expect(load.failures).toStrictEqual([]);
    expect(await caBundle()).toContain(before['ca.crt']?.trim());
  });
});

function handWebhook(name: string, clientConfig: unknown): unknown {
  return { name, clientConfig, rules: [], admissionReviewVersions: ['v1'], sideEffects: 'None' };
}

/** Reviews without a pause: by the API server, and by clients that trust what was in force lately. */
class Load {
  readonly failures: string[] = [];
  reviews = 0;
  connections = 0;
  readonly #ports: readonly number[];
  readonly #caBundle: () => Promise<string>;
  readonly #review: () => Promise<void>;
  #stopped = false;

  constructor(
    ports: readonly number[],
    caBundle: () => Promise<string>,
    review: () => Promise<void>,
  ) {
    this.#ports = ports;
    this.#caBundle = caBundle;
    this.#review = review;
  }

  run(): readonly Promise<void>[] {
    return [this.#byApiServer(), ...this.#ports.map((port) => this.#byClient(port))];
  }

  async stop(running: readonly Promise<void>[]): Promise<void> {
    this.#stopped = true;
    await Promise.all(running);
  }

  async #byApiServer(): Promise<void> {
    while (!this.#stopped) {
      await this.#noted('review', this.#review);
      this.reviews += 1;
    }
  }

  /** A connection each time, trusting what was in force up to three seconds before. */
  async #byClient(port: number): Promise<void> {
    let readAtMs = Number.NEGATIVE_INFINITY;
    let ca = '';
    while (!this.#stopped) {
      if (performance.now() - readAtMs > 3_000) {
        readAtMs = performance.now();
        ca = await this.#caBundle();
      }
      await this.#noted(`connection to ${port}`, async () => {
        const status = await ask(`127.0.0.1:${port}`, ca);
        if (status !== 200) throw new Error(`HTTP ${status}`);
      });
      this.connections += 1;
    }
  }

  async #noted(what: string, action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      this.failures.push(`${new Date().toISOString()} ${what}: ${String(error)}`);
    }
  }
}

/** Posts a review over a new connection, as one who trusts this; its HTTP status. */
async function ask(address: string, ca: string): Promise<number> {
  const request = httpsRequest(`https://${address}/validate?timeout=5s`, {
    method: 'POST',
    agent: false,
    ca,
    headers: { 'content-type': 'application/json' },
  });
  request.end(JSON.stringify(deleteReview('web')));
  const [response]: unknown[] = await once(request, 'response');
  if (!(response instanceof IncomingMessage)) throw new Error('no response');
  await text(response);
  return response.statusCode ?? 0;
}

/** The SHA-256 of the leaf that is served at this port of 127.0.0.1. */
async function servedBy(port: number): Promise<string | undefined> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { fingerprint256 } = socket.getPeerX509Certificate() ?? {};
  socket.end();
  return fingerprint256;
}

function fingerprint(cert = ''): string {
  return new X509Certificate(cert).fingerprint256;
}
