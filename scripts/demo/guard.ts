import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { z } from 'zod';
import { CertificateAuthority } from '../../test/harness/certificates.ts';
import type { EtcdCluster } from '../../test/harness/etcd-cluster.ts';
import { ManagedProcess } from '../../test/harness/managed-process.ts';
import { until } from '../../test/harness/until.ts';
import { check } from './narration.ts';

/** The program as `npm run build` leaves it. */
export const PROGRAM = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

const GUARDS_FILE = 'guards.yaml';
const CA_FILE = 'guard-ca.crt';

const listeningSchema = z.object({ https: z.string(), http: z.string() });

/** A line of /metrics. */
export interface MetricSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** `etcd-guard serve` in front of a cluster, whose certificate an authority of the demo signed. */
export class Guard {
  /** https://127.0.0.1:PORT */
  readonly url: string;
  /** host:port of /metrics */
  readonly metricsAddress: string;
  /** PEM of the authority to trust. */
  readonly ca: string;
  readonly #process: ManagedProcess;

  private constructor(
    process: ManagedProcess,
    ca: string,
    { https, http }: z.infer<typeof listeningSchema>,
  ) {
    this.#process = process;
    this.ca = ca;
    this.url = `https://${https}`;
    this.metricsAddress = http;
  }

  /** Writes guards.yaml and the certificates into the directory, and starts it there. */
  static async start(directory: string, etcd: EtcdCluster): Promise<Guard> {
    const authority = await CertificateAuthority.create('etcd-guard demo');
    await authority.writeTo(directory, CA_FILE);
    const names = ['127.0.0.1', 'localhost'];
    await authority.issueFiles(directory, 'guard', { commonName: 'etcd-guard', names });
    await writeFile(join(directory, GUARDS_FILE), guardsFile(etcd));
    const process = await ManagedProcess.start(
      globalThis.process.execPath,
      [
        PROGRAM,
        'serve',
        `--guards=${GUARDS_FILE}`,
        '--listen=127.0.0.1:0',
        '--metrics-listen=127.0.0.1:0',
        '--tls-cert=guard.crt',
        '--tls-key=guard.key',
        '--shutdown-delay=0s',
      ],
      { name: 'etcd-guard', cwd: directory },
    );
    const [line] = await process.waitForOutput(/^\{.*"msg":"listening".*\}$/m);
    return new Guard(process, authority.cert, listeningSchema.parse(JSON.parse(line)));
  }

  /** The last lines of its log. */
  get log(): string {
    return this.#process.output.trimEnd().split('\n').slice(-12).join('\n');
  }

  /** Samples of one metric, as /metrics has them. */
  async metric(name: string): Promise<readonly MetricSample[]> {
    const response = await fetch(`http://${this.metricsAddress}/metrics`);
    check(response.ok, `/metrics answers ${response.status}`);
    const lines = (await response.text()).split('\n');
    return lines.filter((line) => line.startsWith(`${name}{`)).map((line) => parseSample(line));
  }

  /** Waits until it holds no reservation any more: who was allowed to go has come back. */
  async holdsNothing(): Promise<void> {
    const probe = async (): Promise<boolean> => {
      const reservations = await this.metric('etcdguard_reservations');
      return reservations.length > 0 && reservations.every(({ value }) => value === 0);
    };
    await until('the guard holds no reservation', probe);
  }

  /** SIGTERM, and checks that it took that well. */
  async stop(): Promise<void> {
    const { code } = await this.#process.stop();
    check(code === 0, `etcd-guard ended with exit code ${String(code)}\n${this.log}`);
  }
}

function guardsFile(etcd: EtcdCluster): string {
  return stringify({
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'EtcdGuard',
    metadata: { name: 'etcd', namespace: 'default' },
    spec: {
      selector: { matchLabels: { app: 'etcd' } },
      members: {
        addresses: Object.fromEntries(etcd.members.map(({ name, address }) => [name, address])),
      },
    },
  });
}

function parseSample(line: string): MetricSample {
  const labels = [...line.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = '', value = '']) => [
    key,
    value,
  ]);
  return {
    labels: Object.fromEntries(labels),
    value: Number(line.slice(line.lastIndexOf(' ') + 1)),
  };
}
