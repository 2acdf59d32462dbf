import { execa } from 'execa';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryDirectory } from '../test/harness/reaper.ts';
import { Guard } from './guard.ts';
import type { Stage } from './stage.ts';

/** What was measured of starts, in milliseconds. */
export interface Startup {
  readonly ready: readonly number[];
  /** Node itself, doing nothing: from the spawn to the exit. */
  readonly bareNode: readonly number[];
  /** Files of the bundle that a start evaluates. */
  readonly loaded: readonly string[];
  /** Those of them with code of the Kubernetes client. */
  readonly withKubernetesClient: readonly string[];
}

/** Starts guards beside the one on stage, one after another, in turn with a Node that does nothing. */
export async function measureStartup({ guardOptions }: Stage, starts: number): Promise<Startup> {
  const ready: number[] = [];
  const bareNode: number[] = [];
  while (ready.length < starts) {
    const guard = await Guard.start(guardOptions);
    ready.push(guard.startMs);
    await guard.stop();
    const begin = performance.now();
    await execa(process.execPath, ['--eval', '0'], { env: guardOptions.env });
    bareNode.push(performance.now() - begin);
  }
  return { ready, bareNode, ...(await loadedFiles({ guardOptions })) };
}

/** A method of that client: names of methods survive minifying. */
const KUBERNETES_CLIENT = 'makeApiClient';

async function loadedFiles({ guardOptions }: Pick<Stage, 'guardOptions'>) {
  const directory = await temporaryDirectory('etcd-guard-bench');
  const list = join(directory.path, 'loaded');
  const guard = await Guard.start({
    ...guardOptions,
    env: { ...guardOptions.env, LOADED_MODULES_FILE: list },
    execArgv: ['--import', new URL('./log-loaded-modules.ts', import.meta.url).href],
  });
  await guard.stop();
  const urls = (await readFile(list, 'utf8')).split('\n');
  await directory.remove();
  const loaded = urls.filter((url) => url.startsWith('file:')).map((url) => fileURLToPath(url));
  const withKubernetesClient: string[] = [];
  for (const file of loaded) {
    const code = await readFile(file, 'utf8');
    if (code.includes(KUBERNETES_CLIENT)) withKubernetesClient.push(file);
  }
  return { loaded, withKubernetesClient };
}
