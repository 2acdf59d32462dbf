import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { stringify } from 'yaml';
import { z } from 'zod';
import { CertificateAuthority, type CertificateFiles } from './certificates.ts';
import type { EtcdCluster } from './etcd-cluster.ts';
import { ManagedProcess } from './managed-process.ts';
import { temporaryDirectory, type TemporaryDirectory } from './reaper.ts';

/** What tests vary in an EtcdGuard; the rest follows from the cluster. */
export interface GuardOptions {
  readonly name?: string;
  readonly namespace?: string;
  readonly selector?: unknown;
  readonly policy?: Readonly<Record<string, unknown>>;
  readonly tls?: Readonly<Record<string, string>>;
  readonly auth?: Readonly<Record<string, string>>;
  /** Beside or instead of the members' own. */
  readonly addresses?: Readonly<Record<string, string>>;
}

/** An EtcdGuard for a cluster whose members are the pods. */
export function guardFor(cluster: EtcdCluster, options: GuardOptions = {}): unknown {
  const { name = 'etcd', namespace = 'default', addresses = {}, selector, policy } = options;
  const own = Object.fromEntries(cluster.members.map((member) => [member.name, member.address]));
  const [first] = cluster.members;
  return {
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'EtcdGuard',
    metadata: { name, namespace },
    spec: {
      ...(selector !== undefined && { selector }),
      members: {
        port: first?.port,
        addresses: { ...own, ...addresses },
        ...(options.tls && { tls: options.tls }),
        ...(options.auth && { auth: options.auth }),
      },
      ...(policy && { policy }),
    },
  };
}

/** The text of a file with these documents. */
export function guardFile(...documents: readonly unknown[]): string {
  return documents.map((document) => stringify(document)).join('---\n');
}

export interface GuardProcessOptions {
  /** main.js of the built program. */
  readonly program: string;
  /**
   * The content of the one file of guards; other files can be named in `args`. null: from a cluster,
   * whose kubeconfig is named there.
   */
  readonly guards: string | null;
  /** More arguments of `serve`; of two of the same name the last counts. */
  readonly args?: readonly string[];
  /** HTTPS port; otherwise any that is free. */
  readonly port?: number;
  /** Who issues its certificate; otherwise an authority of its own. */
  readonly authority?: CertificateAuthority;
  /** Serve the certificate that is made in memory. */
  readonly selfSigned?: boolean;
  /** Beside this process's own environment. */
  readonly env?: NodeJS.ProcessEnv;
}

/** A line of the program's log. */
export type LogLine = Readonly<Record<string, unknown>>;

const listeningSchema = z.object({ https: z.string(), http: z.string() });

const reviewSchema = z.object({
  response: z.looseObject({
    uid: z.string(),
    allowed: z.boolean(),
    status: z
      .looseObject({
        code: z.number(),
        reason: z.string(),
        message: z.string(),
      })
      .optional(),
    warnings: z.array(z.string()).optional(),
    auditAnnotations: z.record(z.string(), z.string()).optional(),
  }),
});

/** `response` of an AdmissionReview. */
export type ReviewResponse = z.infer<typeof reviewSchema>['response'];

/** Starts the built program as `serve`, and waits for its listening line. */
export async function startGuard(options: GuardProcessOptions): Promise<GuardProcess> {
  const directory = await temporaryDirectory('etcd-guard');
  try {
    return await GuardProcess.start(options, directory);
  } catch (error) {
    await directory.remove();
    throw error;
  }
}

export class GuardProcess {
  readonly process: ManagedProcess;
  /** host:port */
  readonly https: string;
  /** http://host:port */
  readonly url: string;
  /** PEM of the authority of its certificate. */
  readonly ca: string;
  readonly authority: CertificateAuthority;
  readonly guardsFile: string;
  readonly certificate: CertificateFiles;
  readonly #agent: Agent;
  readonly #directory: TemporaryDirectory;

  private constructor(init: {
    process: ManagedProcess;
    listening: z.infer<typeof listeningSchema>;
    ca: string;
    authority: CertificateAuthority;
    guardsFile: string;
    certificate: CertificateFiles;
    directory: TemporaryDirectory;
  }) {
    this.process = init.process;
    this.https = init.listening.https;
    this.url = `http://${init.listening.http}`;
    this.ca = init.ca;
    this.authority = init.authority;
    this.guardsFile = init.guardsFile;
    this.certificate = init.certificate;
    this.#agent = new Agent({ ca: init.ca, keepAlive: true });
    this.#directory = init.directory;
  }

  static async start(
    options: GuardProcessOptions,
    directory: TemporaryDirectory,
  ): Promise<GuardProcess> {
    const { program, guards, args = [], port = 0, selfSigned = false } = options;
    const guardsFile = join(directory.path, 'guards.yaml');
    if (guards !== null) await writeFile(guardsFile, guards);
    const authority = await authorityOf(options);
    const certificate = await authority.issueFiles(directory.path, 'serving', {
      commonName: 'etcd-guard',
      names: ['127.0.0.1', 'localhost'],
    });
    const started = await ManagedProcess.start(
      process.execPath,
      [
        program,
        'serve',
        ...(guards === null ? [] : [`--guards=${guardsFile}`]),
        `--listen=127.0.0.1:${port}`,
        '--metrics-listen=127.0.0.1:0',
        '--shutdown-delay=0s',
        ...(selfSigned
          ? []
          : [`--tls-cert=${certificate.certFile}`, `--tls-key=${certificate.keyFile}`]),
        ...args,
      ],
      {
        ...(options.env && { env: { ...process.env, ...options.env } }),
        name: 'etcd-guard',
        ready: ({ output }) => output.includes('"msg":"listening"'),
      },
    );
    const lines = logLines(started.output);
    const made = lines.find((line) => typeof line['caBundle'] === 'string');
    return new GuardProcess({
      process: started,
      listening: listeningSchema.parse(lines.find(({ msg }) => msg === 'listening')),
      ca: selfSigned
        ? Buffer.from(String(made?.['caBundle']), 'base64').toString()
        : authority.cert,
      authority,
      guardsFile,
      certificate,
      directory,
    });
  }

  /** Everything it has logged, up to the last complete line. */
  get log(): readonly LogLine[] {
    return logLines(this.process.output);
  }

  /** The first log line with this message, once there is one. */
  async logged(msg: string): Promise<LogLine> {
    return this.process.orExplain(`no log line '${msg}'`, 15_000, () =>
      this.log.find((line) => line['msg'] === msg),
    );
  }

  /** What it has logged about the review of this uid, once it has. */
  async decided(requestId: string): Promise<LogLine> {
    return this.process.orExplain(`no log line about review ${requestId}`, 15_000, () =>
      this.log.find((line) => line['requestId'] === requestId),
    );
  }

  /** Posts any JSON to /validate. */
  async post(body: unknown, query = '?timeout=10s'): Promise<{ status: number; body: unknown }> {
    const text = JSON.stringify(body);
    const request = httpsRequest(`https://${this.https}/validate${query}`, {
      method: 'POST',
      agent: this.#agent,
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
    });
    request.end(text);
    const [response]: unknown[] = await once(request, 'response');
    if (!(response instanceof IncomingMessage)) throw new Error('no response');
    return { status: response.statusCode ?? 0, body: await json(response) };
  }

  /** Posts a review and gives its response. */
  async review(body: unknown, query?: string): Promise<ReviewResponse> {
    const answer = await this.post(body, query);
    return reviewSchema.parse(answer.body).response;
  }

  async metrics(): Promise<string> {
    const response = await fetch(`${this.url}/metrics`);
    return response.text();
  }

  /** All samples whose name starts so, by their series: `name{a="…",b="…"}`, labels in order. */
  async samples(prefix: string): Promise<Readonly<Record<string, number>>> {
    const lines = (await this.metrics()).split('\n').filter((line) => line.startsWith(prefix));
    return Object.fromEntries(
      lines.map((line) => {
        const end = line.lastIndexOf(' ');
        return [inOrder(line.slice(0, end)), Number(line.slice(end + 1))];
      }),
    );
  }

  /** Live reservations of all guards. */
  async reservations(): Promise<number> {
    const values = Object.values(await this.samples('etcdguard_reservations{'));
    return values.reduce((sum, value) => sum + value, 0);
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    await this.process.kill();
    await this.#directory.remove();
  }
}

async function authorityOf({ authority }: GuardProcessOptions): Promise<CertificateAuthority> {
  return authority ?? CertificateAuthority.create('etcd-guard authority');
}

/** The series with its labels sorted, as their order means nothing. */
export function inOrder(series: string): string {
  const labels = series.match(/\w+="[^"]*"/g) ?? [];
  const [name] = series.split('{', 1);
  return labels.length === 0 ? series : `${name}{${labels.toSorted().join()}}`;
}

const lineSchema = z.record(z.string(), z.unknown());

/** Of long output only the end is kept: its first line may lack its beginning. */
function logLines(output: string): readonly LogLine[] {
  const begin = output.startsWith('{') ? 0 : output.indexOf('\n') + 1;
  const complete = output.slice(begin, output.lastIndexOf('\n') + 1);
  return complete
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => lineSchema.parse(JSON.parse(line)));
}

let serial = 0;

/** What tests vary in a review of a deletion. */
export interface DeletionOptions {
  readonly namespace?: string;
  readonly uid?: string;
  readonly dryRun?: boolean;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly user?: string;
}

/** The review of a DELETE of a running pod, as the API server sends it. */
export function deleteReview(pod: string, options: DeletionOptions = {}): unknown {
  const { namespace = 'default', dryRun = false, user = 'alice' } = options;
  return reviewOf({
    operation: 'DELETE',
    name: pod,
    namespace,
    userInfo: { username: user, groups: ['system:authenticated'] },
    object: null,
    oldObject: {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: pod, namespace, uid: options.uid ?? `uid-${pod}`, ...options.metadata },
      spec: { nodeName: 'node', containers: [{ name: 'etcd' }], ...options.spec },
      status: { phase: 'Running' },
    },
    dryRun,
    options: { kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/v1', gracePeriodSeconds: 30 },
  });
}

/** The review of an eviction, as the API server sends it. */
export function evictionReview(pod: string, options: DeletionOptions = {}): unknown {
  const { namespace = 'default', dryRun = false, user = 'alice' } = options;
  return reviewOf({
    subResource: 'eviction',
    requestSubResource: 'eviction',
    operation: 'CREATE',
    name: pod,
    namespace,
    userInfo: { username: user, groups: ['system:authenticated'] },
    object: {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name: pod, namespace },
      deleteOptions: {},
    },
    oldObject: null,
    dryRun,
    options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
  });
}

function reviewOf(request: Readonly<Record<string, unknown>>): unknown {
  serial += 1;
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: `review-${serial}`,
      kind: { group: '', version: 'v1', kind: 'Pod' },
      resource: { group: '', version: 'v1', resource: 'pods' },
      ...request,
    },
  };
}
