import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { CertificateAuthority } from '../../test/harness/certificates.ts';
import { ManagedProcess } from '../../test/harness/managed-process.ts';
import { until } from '../../test/harness/until.ts';
import { Front } from './front.ts';
import { check } from './narration.ts';

/** The program as `npm run build` leaves it. */
export const PROGRAM = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

const CA_FILE = 'guard-ca.crt';

/** Its last DELETE of a pod that goes is a review, too. */
const KUBELET = /^system:node:/;

const listeningSchema = z.object({ https: z.string(), http: z.string() });
const decidedSchema = z.object({
  time: z.iso.datetime().transform((time) => Date.parse(time)),
  msg: z.literal('decided'),
  pod: z.string(),
  user: z.string(),
  dryRun: z.boolean().default(false),
});

/** A line of /metrics, or the sum of such lines. */
export interface MetricSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface GuardOptions {
  /** Where the certificates go, and where it runs. */
  readonly directory: string;
  /** Of `serve`: where its guards come from. */
  readonly args: readonly string[];
  readonly replicas: number;
  /** Where the replicas would be pods; they keep their Lease there. */
  readonly namespace?: string;
}

interface Replica {
  readonly process: ManagedProcess;
  readonly https: string;
  readonly http: string;
}

/** `etcd-guard serve`, one replica or several, with a certificate that an authority of the demo signed. */
export class Guard {
  /** https://127.0.0.1:PORT; of several replicas, what passes connections on to them. */
  readonly url: string;
  /** PEM of the authority to trust. */
  readonly ca: string;
  readonly #replicas: readonly Replica[];
  readonly #front: Front | null;

  private constructor(replicas: readonly [Replica, ...Replica[]], front: Front | null, ca: string) {
    this.#replicas = replicas;
    this.#front = front;
    this.url = `https://${front?.address ?? replicas[0].https}`;
    this.ca = ca;
  }

  static async start(options: GuardOptions): Promise<Guard> {
    const { directory, replicas } = options;
    const authority = await CertificateAuthority.create('etcd-guard demo');
    await authority.writeTo(directory, CA_FILE);
    const names = ['127.0.0.1', 'localhost'];
    await authority.issueFiles(directory, 'guard', { commonName: 'etcd-guard', names });
    const others = Array.from({ length: replicas - 1 }, (_, index) =>
      startReplica(index + 2, options),
    );
    const started = await Promise.all([startReplica(1, options), ...others]);
    const front = replicas > 1 ? await Front.start(started.map(({ https }) => https)) : null;
    return new Guard(started, front, authority.cert);
  }

  /** host:port of /metrics, of each replica. */
  get metricsAddresses(): readonly string[] {
    return this.#replicas.map(({ http }) => http);
  }

  /** The last lines of each log. */
  get log(): string {
    const logs = this.#replicas.map(({ process }) => [
      ...(this.#replicas.length > 1 ? [`${process.name}:`] : []),
      ...process.output.trimEnd().split('\n').slice(-12),
    ]);
    return logs.flat().join('\n');
  }

  /** Samples of one metric, those of all replicas added up. */
  async metric(name: string): Promise<readonly MetricSample[]> {
    const samples = await Promise.all(
      this.metricsAddresses.map((address) => scrape(address, name)),
    );
    const sums = new Map<string, MetricSample>();
    for (const { labels, value } of samples.flat()) {
      const series = JSON.stringify(labels);
      sums.set(series, { labels, value: value + (sums.get(series)?.value ?? 0) });
    }
    return [...sums.values()];
  }

  /** Which replicas have judged a request for this pod since then, dry runs and kubelets aside: `replica 1`. */
  async answeredBy(pod: string, sinceMs: number): Promise<string> {
    // The answer may be out before its line in the log has been read.
    return until(`a log line about ${pod}`, () => {
      const answering = this.#replicas.filter(({ process }) =>
        hasDecided(process.output, pod, sinceMs),
      );
      return answering.map(({ process }) => process.name).join(' and ') || undefined;
    });
  }

  /** The next review is another replica's than the named one's. */
  askAnother(than: string): void {
    this.#front?.turnTo(this.#replicas.findIndex(({ process }) => process.name !== than));
  }

  /** SIGTERM, and checks that every replica took that well. */
  async stop(): Promise<void> {
    const exits = await Promise.all(this.#replicas.map(({ process }) => process.stop()));
    await this.#front?.close();
    for (const { code } of exits) {
      check(code === 0, `etcd-guard ended with exit code ${String(code)}\n${this.log}`);
    }
  }
}

async function startReplica(
  number: number,
  { directory, args, namespace }: GuardOptions,
): Promise<Replica> {
  // As the Deployment that ships has them.
  const pod = namespace && { POD_NAMESPACE: namespace, POD_NAME: `etcd-guard-${number}` };
  const process = await ManagedProcess.start(
    globalThis.process.execPath,
    [
      PROGRAM,
      'serve',
      ...args,
      '--listen=127.0.0.1:0',
      '--metrics-listen=127.0.0.1:0',
      '--tls-cert=guard.crt',
      '--tls-key=guard.key',
      '--shutdown-delay=0s',
    ],
    { name: `replica ${number}`, cwd: directory, env: { ...globalThis.process.env, ...pod } },
  );
  const [line] = await process.waitForOutput(/^\{.*"msg":"listening".*\}$/m);
  return { process, ...listeningSchema.parse(JSON.parse(line)) };
}

function hasDecided(log: string, pod: string, sinceMs: number): boolean {
  const lines = log.split('\n').filter((line) => line.includes('"msg":"decided"'));
  return lines.some((line) => {
    const { success, data } = decidedSchema.safeParse(parseJson(line));
    return (
      success &&
      data.pod === pod &&
      !data.dryRun &&
      !KUBELET.test(data.user) &&
      data.time >= sinceMs
    );
  });
}

/** undefined for a line that has not come to its end yet. */
function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

async function scrape(address: string, name: string): Promise<readonly MetricSample[]> {
  const response = await fetch(`http://${address}/metrics`);
  check(response.ok, `/metrics answers ${response.status}`);
  const lines = (await response.text()).split('\n');
  return lines.filter((line) => line.startsWith(`${name}{`)).map((line) => parseSample(line));
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
