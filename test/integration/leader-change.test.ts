import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { startEtcdCluster, type EtcdCluster } from '../harness/etcd-cluster.ts';
import { guardFile, guardFor, startGuard, type GuardProcess } from '../harness/guard-process.ts';
import { startPrometheus, type Prometheus } from '../harness/prometheus.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../harness/reaper.ts';
import { Tmux } from '../harness/tmux.ts';
import { until } from '../harness/until.ts';

/** Between the first and the last of the three that shows it. */
const APART_MS = 2_000;
/** On a busy machine whoever asks may be late, of which what is asked knows nothing. */
const ROUNDS = 3;
const CHANGES = 'etcdguard_cluster_leader_changes_total{namespace="default",guard="etcd"}';

/** What a browser hears of the page from now on. */
class Stream {
  #heard = '';
  readonly #end = new AbortController();

  static async open(url: string): Promise<Stream> {
    const stream = new Stream();
    const { body } = await fetch(`${url}/events`, { signal: stream.#end.signal });
    if (body === null) throw new Error('the page has no stream');
    void stream.#listen(body);
    return stream;
  }

  get heard(): string {
    return this.#heard;
  }

  forget(): void {
    this.#heard = '';
  }

  close(): void {
    this.#end.abort();
  }

  async #listen(body: ReadableStream<Uint8Array>): Promise<void> {
    const text = new TextDecoder();
    try {
      for await (const chunk of body) this.#heard += text.decode(chunk, { stream: true });
    } catch (error) {
      if (!this.#end.signal.aborted) throw error;
    }
  }
}

describe('a leader change', () => {
  let etcd: EtcdCluster;
  let guard: GuardProcess;
  let prometheus: Prometheus;
  let page: Stream;
  let terminal: Tmux;
  let directory: TemporaryDirectory;

  beforeAll(async () => {
    [etcd, directory] = await Promise.all([
      startEtcdCluster(),
      temporaryDirectory('leader-change'),
    ]);
    const guards = join(directory.path, 'guards.yaml');
    await writeFile(guards, guardFile(guardFor(etcd)));
    guard = await startGuard({
      program: inject('program'),
      guards: guardFile(guardFor(etcd)),
    });
    prometheus = await startPrometheus({
      scrapeConfigs: [
        {
          job_name: 'etcd-guard',
          static_configs: [{ targets: [guard.url.replace('http://', '')] }],
        },
      ],
      scrapeIntervalSeconds: 1,
    });
    page = await Stream.open(guard.url);
    terminal = await Tmux.start({ columns: 100 });
    await terminal.run(`${process.execPath} ${inject('program')} status -w --guards=${guards}`);
    await terminal.shows(/^Refreshed/m);
    await prometheus.waitFor(CHANGES);
  });

  afterAll(async () => {
    page?.close();
    await terminal?.stop();
    await prometheus?.stop();
    await guard?.stop();
    await etcd?.stop();
    await directory?.remove();
  });

  async function changesCounted(): Promise<number> {
    const [sample] = await prometheus.query(CHANGES);
    return sample?.value ?? Number.NaN;
  }

  /** When each first shows it, in milliseconds after etcd was asked for it. */
  async function seenAfterMove() {
    const [next] = await etcd.followers();
    if (next === undefined) throw new Error('there is a follower');
    const { name } = next;
    const before = await changesCounted();
    page.forget();
    const since = performance.now();
    const first = async (where: string, shows: () => Promise<boolean> | boolean) => {
      await until(`${where} shows that ${name} leads`, shows, { intervalMs: 20 });
      return Math.round(performance.now() - since);
    };
    const leads = new RegExp(`LEADER CHANGED: default/etcd from \\S+ to ${name},`);
    const [onPage, inTerminal, inPrometheus] = await Promise.all([
      first('the page', () => page.heard.includes(`default/etcd: ${name} leads.`)),
      first('status --watch', async () => leads.test(await terminal.screen())),
      first('Prometheus', async () => (await changesCounted()) > before),
      etcd.moveLeader(name),
    ]);
    return { onPage, inTerminal, inPrometheus };
  }

  it('is seen on the page, in status --watch and in Prometheus within two seconds of each other', async () => {
    const rounds: { readonly apartMs: number; readonly seen: unknown }[] = [];
    do {
      const seen = await seenAfterMove();
      const times = Object.values(seen);
      rounds.push({ apartMs: Math.max(...times) - Math.min(...times), seen });
    } while (rounds.length < ROUNDS && rounds.every(({ apartMs }) => apartMs >= APART_MS));
    const best = Math.min(...rounds.map(({ apartMs }) => apartMs));
    expect(best, `of ${JSON.stringify(rounds)}`).toBeLessThan(APART_MS);
  });
});
