import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import { freePort } from './loopback.ts';
import { ManagedProcess } from './managed-process.ts';
import { temporaryDirectory, type TemporaryDirectory } from './reaper.ts';
import { requireBinary } from './require-binary.ts';
import { until } from './until.ts';

export interface PrometheusOptions {
  /** The scrape_configs section of Prometheus' configuration. */
  readonly scrapeConfigs: readonly Readonly<Record<string, unknown>>[];
  /** Files of alerting and recording rules. */
  readonly ruleFiles?: readonly string[];
  readonly scrapeIntervalSeconds?: number;
}

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const answerSchema = z.object({
  data: z.object({
    result: z.array(
      z.object({
        metric: z.record(z.string(), z.string()),
        value: z.tuple([z.number(), z.string()]),
      }),
    ),
  }),
});

/** Starts a Prometheus on loopback with nothing in its database. */
export async function startPrometheus(options: PrometheusOptions): Promise<Prometheus> {
  const prometheus = requireBinary('prometheus');
  const directory = await temporaryDirectory('prometheus');
  const interval = `${options.scrapeIntervalSeconds ?? 1}s`;
  const config = join(directory.path, 'prometheus.yaml');
  await writeFile(
    config,
    stringify({
      global: {
        scrape_interval: interval,
        scrape_timeout: interval,
        evaluation_interval: interval,
      },
      rule_files: options.ruleFiles ?? [],
      scrape_configs: options.scrapeConfigs,
    }),
  );
  const address = `127.0.0.1:${await freePort()}`;
  const url = `http://${address}`;
  try {
    const process = await ManagedProcess.start(
      prometheus,
      [
        `--config.file=${config}`,
        `--storage.tsdb.path=${join(directory.path, 'data')}`,
        `--web.listen-address=${address}`,
        '--log.level=warn',
      ],
      { ready: async () => (await fetch(`${url}/-/ready`)).ok },
    );
    return new Prometheus(url, process, directory);
  } catch (error) {
    await directory.remove();
    throw error;
  }
}

export class Prometheus {
  readonly url: string;
  readonly process: ManagedProcess;
  readonly #directory: TemporaryDirectory;

  constructor(url: string, process: ManagedProcess, directory: TemporaryDirectory) {
    this.url = url;
    this.process = process;
    this.#directory = directory;
  }

  /** The answer to an expression that gives an instant vector, as of now. */
  async query(expression: string): Promise<readonly Sample[]> {
    const parameters = new URLSearchParams({ query: expression });
    const response = await fetch(`${this.url}/api/v1/query?${parameters.toString()}`);
    if (!response.ok) throw new Error(`${expression}: ${await response.text()}`);
    const { data } = answerSchema.parse(await response.json());
    return data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
  }

  /** The answer once it satisfies the condition (has any sample, unless told otherwise). */
  async waitFor(
    expression: string,
    condition: (samples: readonly Sample[]) => boolean = (samples) => samples.length > 0,
    timeoutMs = 20_000,
  ): Promise<readonly Sample[]> {
    const probe = async (): Promise<readonly Sample[] | undefined> => {
      const samples = await this.query(expression);
      return condition(samples) ? samples : undefined;
    };
    return until(`Prometheus answers ${expression}`, probe, { timeoutMs });
  }

  async stop(): Promise<void> {
    await this.process.kill();
    await this.#directory.remove();
  }
}
