import { mkdir, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  startEtcdCluster,
  type EtcdCluster,
  type EtcdClusterOptions,
} from '../../test/harness/etcd-cluster.ts';
import { startKubeApiserver, type KubeApiserver } from '../../test/harness/kube-apiserver.ts';
import { kubernetesBinaries } from '../../test/harness/kubernetes-binaries.ts';
import { freePort } from '../../test/harness/loopback.ts';
import { startPrometheus, type Prometheus } from '../../test/harness/prometheus.ts';
import { reapEverything, temporaryDirectory } from '../../test/harness/reaper.ts';
import { MissingBinary, requireBinary } from '../../test/harness/require-binary.ts';
import { showCounters } from './counters.ts';
import { PROGRAM, type Guard } from './guard.ts';
import { versionOf } from './installation.ts';
import { KubernetesStage } from './kubernetes-stage.ts';
import { NotAsAnnounced, plain, silence } from './narration.ts';
import { ReviewsStage } from './reviews-stage.ts';
import { Shell } from './shell.ts';
import type { Pods } from './stage.ts';
import { tell, type Scene } from './story.ts';

interface Options {
  readonly keep: boolean;
  readonly kubernetes: boolean;
}

interface Everything extends Scene {
  readonly shell: Shell;
  readonly prometheus: Prometheus | null;
  readonly directory: string;
  /** Without an API server there is none. */
  readonly kubeconfig: string | null;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: { keep: { type: 'boolean' }, 'no-kubernetes': { type: 'boolean' } },
  });
  return { keep: values.keep === true, kubernetes: values['no-kubernetes'] !== true };
}

/** Resolves with the exit code. */
async function demo({ keep, kubernetes }: Options, interruption: Interruption): Promise<number> {
  const everything = await setUp(kubernetes, interruption.signal);
  let exitCode = 0;
  try {
    const { prometheus, shell, stage } = everything;
    await showCounters({ guard: stage.guard, shell }, prometheus, await tell(everything));
  } catch (error) {
    if (interruption.signal.aborted) return 1;
    reportFailure(error, everything.stage.guard);
    exitCode = 1;
  }
  if (keep) {
    interruption.exitCode = exitCode;
    await keepRunning(everything, interruption.signal);
  } else {
    await takeDown(everything);
  }
  return exitCode;
}

async function setUp(kubernetes: boolean, signal: AbortSignal): Promise<Everything> {
  const { path: directory } = await temporaryDirectory('etcd-guard-demo');
  // Says on stderr why there is none, and what would get one.
  const binaries = kubernetes ? await kubernetesBinaries(true) : undefined;
  plain(`Starting etcd, the guard${binaries === undefined ? '' : ', kube-apiserver'} ...`);
  const [etcd, api] = await Promise.all([
    startEtcdCluster(binaries === undefined ? {} : await ownAddresses()),
    binaries === undefined ? null : startKubeApiserver(),
  ]);
  const path = `${await commandsIn(directory, api)}:${process.env['PATH'] ?? ''}`;
  const env = { PATH: path, ...(api && { KUBECONFIG: api.kubeconfig }) };
  const shell = new Shell({ cwd: directory, env, signal });
  const parts = { etcd, shell, directory };
  const stage = await (api === null
    ? ReviewsStage.start(parts)
    : KubernetesStage.start({ ...parts, api }));
  const prometheus = await watching(stage.guard);
  plain(await introduction(etcd, api));
  return { ...parts, kubeconfig: api?.kubeconfig ?? null, prometheus, stage };
}

/** One loopback address a member, as pods have; nothing where there is but one, as on macOS. */
async function ownAddresses(): Promise<EtcdClusterOptions> {
  const hosts = ['127.0.0.11', '127.0.0.12', '127.0.0.13'];
  try {
    for (const host of hosts) await freePort(host);
    return { hosts };
  } catch {
    return {};
  }
}

/** A directory with all programs that are shown, so that they can be called as they are shown. */
async function commandsIn(directory: string, api: KubeApiserver | null): Promise<string> {
  const bin = join(directory, 'bin');
  const script = (name: string, command: string): Promise<void> =>
    writeFile(join(bin, name), `#!/bin/sh\nexec ${command} "$@"\n`, { mode: 0o755 });
  await mkdir(bin);
  await script('etcd-guard', `'${process.execPath}' '${PROGRAM}'`);
  if (api !== null) {
    const kubectl = requireBinary('kubectl', api.binaries);
    // It keeps what it has heard of the server below HOME; flags are not for plugins.
    await script('kubectl', `env HOME='${directory}' '${kubectl}'`);
    await script('kubectl-etcd_guard', `'${process.execPath}' '${PROGRAM}'`);
  }
  // Refusals tell to use it, and it may be in the PATH of this process alone.
  await script('etcdctl', `'${requireBinary('etcdctl')}'`);
  return bin;
}

async function watching(guard: Guard): Promise<Prometheus | null> {
  try {
    requireBinary('promtool');
    return await startPrometheus({
      scrapeConfigs: [
        { job_name: 'etcd-guard', static_configs: [{ targets: guard.metricsAddresses }] },
      ],
    });
  } catch (error) {
    if (!(error instanceof MissingBinary)) throw error;
    plain(`Without Prometheus: ${error.message}`);
    return null;
  }
}

async function introduction(etcd: EtcdCluster, api: KubeApiserver | null): Promise<string> {
  const [first] = etcd.members;
  const version = first && (await etcd.status(first.name))?.version;
  const front =
    api === null
      ? 'etcd-guard over TLS, asked as an API server would ask it'
      : `two replicas of etcd-guard over TLS, behind kube-apiserver ${(await versionOf(api)).text}`;
  return `Three members of etcd ${version ?? ''}; ${front}.`;
}

async function keepRunning(everything: Everything, stop: AbortSignal): Promise<void> {
  const { etcd, stage, prometheus, directory, kubeconfig } = everything;
  const settings = [
    'export PATH="$PWD/bin:$PATH"',
    ...(kubeconfig === null ? [] : [`KUBECONFIG=${kubeconfig}`]),
  ];
  plain('\nAll of it goes on running. In another terminal, begin with\n');
  plain(`  cd ${directory} && ${settings.join(' ')}\n`);
  plain(
    kubeconfig === null
      ? 'and try:\n'
      : 'and try, in any order; a pod that goes is back ten seconds later, and leadership moves:\n',
  );
  for (const { line, shows } of stage.suggestions(await podsOf(etcd))) {
    plain(`  # ${shows}\n  ${line}`);
  }
  for (const address of stage.guard.metricsAddresses) {
    plain(`  # the guard's counters; its status page is http://${address}/`);
    plain(`  curl -s http://${address}/metrics | grep ^etcdguard_`);
  }
  if (prometheus !== null) plain(`  # Prometheus, in a browser\n  ${prometheus.url}`);
  plain(`\nCtrl-C here ends it and clears it away; so does, from there: kill ${process.pid}`);
  await stage.keepRunning(stop);
}

async function podsOf(etcd: EtcdCluster): Promise<Pods> {
  const { name: leader } = await etcd.leader();
  const [first, second] = await etcd.followers();
  return { leader, followers: [first?.name ?? leader, second?.name ?? leader] };
}

function reportFailure(error: unknown, { log }: Guard): void {
  process.stderr.write(
    `\n${describeError(error)}\n\nThe end of the guard's log:\n${log}\n\n` +
      'To look around when it fails: scripts/demo.sh --keep\n',
  );
}

function describeError(error: unknown): string {
  if (error instanceof NotAsAnnounced) return `Not as announced: ${error.message}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

async function takeDown({ stage, etcd, prometheus }: Everything): Promise<void> {
  await Promise.all([stage.stop(), etcd.stop(), prometheus?.stop()]);
}

/** Signals that ask for the end, and a reader of the output who has had enough. */
class Interruption {
  /** What the end by a signal is to mean; 128 and the signal's number otherwise, as in shells. */
  exitCode: number | undefined;
  /** The exit code to end with. */
  readonly ended: Promise<number>;
  readonly #controller = new AbortController();

  constructor() {
    const { promise, resolve } = Promise.withResolvers<number>();
    this.ended = promise;
    const end = (name: NodeJS.Signals): void => {
      silence();
      this.#controller.abort();
      resolve(this.exitCode ?? 128 + constants.signals[name]);
    };
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, end);
    process.stdout.on('error', () => end('SIGPIPE'));
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }
}

const options = readOptions();
const interruption = new Interruption();
let code = 1;
try {
  code = await Promise.race([demo(options, interruption), interruption.ended]);
} catch (error) {
  process.stderr.write(`demo.sh: ${describeError(error)}\n`);
}
// On an ordinary end there is nothing left to clear away.
await reapEverything();
process.exit(code);
