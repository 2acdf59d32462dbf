import { execa } from 'execa';
import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { CertificateAuthority, type Certificate, type CertificateFiles } from './certificates.ts';
import { startEtcdCluster, type CommandResult, type EtcdCluster } from './etcd-cluster.ts';
import { KubeClient } from './kube-client.ts';
import { kubernetesBinaries } from './kubernetes-binaries.ts';
import { freePort } from './loopback.ts';
import { ManagedProcess } from './managed-process.ts';
import { temporaryDirectory, type TemporaryDirectory } from './reaper.ts';
import { MissingBinary, requireBinary } from './require-binary.ts';

const START_ATTEMPTS = 3;
/** Less processor time, for memory that is there. */
const RARE_COLLECTION = { GOGC: '400' };
/** It ends before there is much to collect. */
const NO_COLLECTION = { GOGC: 'off' };

export interface KubeApiserverOptions {
  /** More command-line arguments; of two of the same name kube-apiserver takes the last. */
  readonly args?: readonly string[];
}

export interface Identity {
  readonly user: string;
  readonly groups?: readonly string[];
}

const ADMIN: Identity = { user: 'kubernetes-admin', groups: ['system:masters'] };

/** Starts an API server on loopback with an etcd of its own: empty, without any controller. */
export async function startKubeApiserver(
  options: KubeApiserverOptions = {},
): Promise<KubeApiserver> {
  const binaries = await kubernetesBinaries();
  if (binaries === undefined) throw new MissingBinary('kube-apiserver');
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await KubeApiserver.start(binaries, options);
    } catch (error) {
      // Between being found free and being bound a port can be taken.
      if (attempt === START_ATTEMPTS || !/address already in use/.test(String(error))) throw error;
    }
  }
}

interface Parts {
  readonly binaries: string;
  readonly directory: TemporaryDirectory;
  readonly authority: CertificateAuthority;
  readonly etcd: EtcdCluster;
  readonly process: ManagedProcess;
  readonly launch: () => Promise<ManagedProcess>;
  readonly server: string;
}

export class KubeApiserver {
  /** https://127.0.0.1:PORT */
  readonly server: string;
  /** PEM of the authority of the server and of its clients. */
  readonly ca: string;
  /** An administrator's, whom no authorization stops. */
  readonly kubeconfig: string;
  readonly admin: KubeClient;
  /** Where kubectl and kube-controller-manager are. */
  readonly binaries: string;
  readonly #parts: Parts;
  #process: ManagedProcess;
  #controllerManager: ManagedProcess | undefined;

  private constructor(parts: Parts, admin: KubeClient) {
    this.server = parts.server;
    this.ca = parts.authority.cert;
    this.#process = parts.process;
    this.binaries = parts.binaries;
    this.kubeconfig = join(parts.directory.path, 'admin.kubeconfig');
    this.admin = admin;
    this.#parts = parts;
  }

  static async start(
    binaries: string,
    { args = [] }: KubeApiserverOptions,
  ): Promise<KubeApiserver> {
    const directory = await temporaryDirectory('kube-apiserver');
    let etcd: EtcdCluster | undefined;
    try {
      etcd = await startEtcdCluster({ members: 1, binaries });
      const authority = await CertificateAuthority.create('kubernetes');
      const port = await freePort();
      const server = `https://127.0.0.1:${port}`;
      const identity = await issueIdentity(authority, ADMIN);
      const admin = new KubeClient({ server, ca: authority.cert, identity });
      const serving = await serverArguments({ directory: directory.path, authority, etcd, port });
      const launch = (): Promise<ManagedProcess> =>
        ManagedProcess.start(requireBinary('kube-apiserver', binaries), [...serving, ...args], {
          env: { ...process.env, ...RARE_COLLECTION },
          ready: () => isReady(admin),
          readyTimeoutMs: 90_000,
        });
      const started = new KubeApiserver(
        { binaries, directory, authority, etcd, process: await launch(), launch, server },
        admin,
      );
      await writeFile(started.kubeconfig, kubeconfigText(started, identity), { mode: 0o600 });
      return started;
    } catch (error) {
      await etcd?.stop();
      await directory.remove();
      throw error;
    }
  }

  get process(): ManagedProcess {
    return this.#process;
  }

  /** Kills the API server and starts it again, at its old address and on what its etcd holds. */
  async restart(): Promise<void> {
    await this.#process.kill();
    this.#process = await this.#parts.launch();
  }

  /** A client that the API server knows by this name. */
  async client(identity: Identity): Promise<KubeClient> {
    const certificate = await issueIdentity(this.#parts.authority, identity);
    return new KubeClient({ server: this.server, ca: this.ca, identity: certificate });
  }

  /** Writes a kubeconfig for another user, and returns its path. */
  async kubeconfigFor(identity: Identity): Promise<string> {
    const path = join(
      this.#parts.directory.path,
      `${identity.user.replaceAll(/[^\w.-]/g, '-')}.kubeconfig`,
    );
    const certificate = await issueIdentity(this.#parts.authority, identity);
    await writeFile(path, kubeconfigText(this, certificate), { mode: 0o600 });
    return path;
  }

  /** Runs kubectl as the administrator. Does not throw. */
  async kubectl(...args: readonly string[]): Promise<CommandResult> {
    return this.#kubectl(args, '');
  }

  /** As kubectl, with this on its stdin. */
  async kubectlWith(input: string, ...args: readonly string[]): Promise<CommandResult> {
    return this.#kubectl(args, input);
  }

  /** Applies these objects in this order, without starting kubectl for it. */
  async apply(...objects: readonly unknown[]): Promise<void> {
    for (const object of objects) await this.admin.apply(object);
  }

  /** Starts kube-controller-manager; it ends with the API server at the latest. */
  async startControllerManager(
    controllers: readonly string[] = DEFAULT_CONTROLLERS,
  ): Promise<ManagedProcess> {
    const { directory, authority } = this.#parts;
    const own = (name: string): string => join(directory.path, name);
    const kubeconfig = await this.kubeconfigFor({ user: 'system:kube-controller-manager' });
    const port = await freePort();
    const serving = await authority.issueFiles(directory.path, 'kube-controller-manager', {
      commonName: 'kube-controller-manager',
      names: ['127.0.0.1'],
    });
    const health = new KubeClient({
      server: `https://127.0.0.1:${port}`,
      ca: this.ca,
      identity: await issueIdentity(authority, ADMIN),
    });
    await writeFile(own('ca.key'), await authority.exportKey(), { mode: 0o600 });
    const program = requireBinary('kube-controller-manager', this.binaries);
    const { stdout: version } = await execa(program, ['--version']);
    const minor = Number(/v1\.(\d+)/.exec(version)?.[1]);
    this.#controllerManager = await ManagedProcess.start(
      program,
      [
        `--kubeconfig=${kubeconfig}`,
        `--authentication-kubeconfig=${kubeconfig}`,
        `--authorization-kubeconfig=${kubeconfig}`,
        `--controllers=${controllers.join(',')}`,
        '--bind-address=127.0.0.1',
        `--secure-port=${port}`,
        // A second, plain port on every address, until 1.24 took it away.
        ...(minor < 24 ? ['--port=0'] : []),
        `--tls-cert-file=${serving.certFile}`,
        `--tls-private-key-file=${serving.keyFile}`,
        '--leader-elect=false',
        '--use-service-account-credentials',
        `--service-account-private-key-file=${own('service-account.key')}`,
        `--root-ca-file=${own('ca.crt')}`,
        `--cluster-signing-cert-file=${own('ca.crt')}`,
        `--cluster-signing-key-file=${own('ca.key')}`,
      ],
      {
        env: { ...process.env, ...RARE_COLLECTION },
        ready: async () => (await health.text('GET', '/healthz')) === 'ok',
      },
    );
    health.close();
    return this.#controllerManager;
  }

  async stop(): Promise<void> {
    this.admin.close();
    // What it holds is thrown away with it, so nothing is gained by waiting for it.
    await this.#controllerManager?.kill();
    await this.#process.kill();
    await this.#parts.etcd.stop();
    await this.#parts.directory.remove();
  }

  async #kubectl(args: readonly string[], input: string): Promise<CommandResult> {
    const result = await execa(
      requireBinary('kubectl', this.binaries),
      [`--kubeconfig=${this.kubeconfig}`, ...args],
      // Its cache of what the server offers goes below HOME.
      { reject: false, input, env: { HOME: this.#parts.directory.path, ...NO_COLLECTION } },
    );
    return { exitCode: result.exitCode ?? 1, stdout: result.stdout, stderr: result.stderr };
  }
}

/** No node life cycle: the stand-in kubelet sends no heartbeats. */
const DEFAULT_CONTROLLERS: readonly string[] = [
  'statefulset',
  'replicaset',
  'deployment',
  'disruption',
  'endpoint',
  'garbagecollector',
  'namespace',
  'podgc',
  'serviceaccount',
];

async function isReady(admin: KubeClient): Promise<boolean> {
  // Pods go into a namespace that a start-up hook creates after the server is ready.
  await admin.text('GET', '/readyz');
  await admin.get('/api/v1/namespaces/default');
  return true;
}

async function serverArguments(init: {
  readonly directory: string;
  readonly authority: CertificateAuthority;
  readonly etcd: EtcdCluster;
  readonly port: number;
}): Promise<readonly string[]> {
  const { directory, authority, etcd, port } = init;
  const caFile = await authority.writeTo(directory);
  const serving: CertificateFiles = await authority.issueFiles(directory, 'kube-apiserver', {
    commonName: 'kube-apiserver',
    names: ['localhost', '127.0.0.1', 'kubernetes', 'kubernetes.default.svc'],
  });
  const serviceAccountKey = join(directory, 'service-account.key');
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await writeFile(serviceAccountKey, privateKey.export({ type: 'sec1', format: 'pem' }), {
    mode: 0o600,
  });
  return [
    `--etcd-servers=${etcd.endpoints.join(',')}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    // Endpoints of the service "kubernetes" may not be on loopback.
    '--endpoint-reconciler-type=none',
    '--service-cluster-ip-range=10.0.0.0/24',
    `--cert-dir=${directory}`,
    `--tls-cert-file=${serving.certFile}`,
    `--tls-private-key-file=${serving.keyFile}`,
    `--client-ca-file=${caFile}`,
    `--service-account-key-file=${serviceAccountKey}`,
    `--service-account-signing-key-file=${serviceAccountKey}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    '--authorization-mode=Node,RBAC',
    '--allow-privileged=true',
    '--enable-admission-plugins=NodeRestriction',
    // It would refuse pods until a controller has made the service account "default".
    '--disable-admission-plugins=ServiceAccount',
    '--profiling=false',
  ];
}

async function issueIdentity(
  authority: CertificateAuthority,
  { user, groups = [] }: Identity,
): Promise<Certificate> {
  return authority.issue({ commonName: user, organizations: groups });
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function kubeconfigText(
  { server, ca }: { readonly server: string; readonly ca: string },
  { cert, key }: Certificate,
): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'test', cluster: { server, 'certificate-authority-data': base64(`${ca}\n`) } },
    ],
    users: [
      {
        name: 'test',
        user: {
          'client-certificate-data': base64(`${cert}\n`),
          'client-key-data': base64(`${key}\n`),
        },
      },
    ],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    'current-context': 'test',
  });
}
