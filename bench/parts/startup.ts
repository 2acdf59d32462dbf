import { execa } from 'execa';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryDirectory } from '../../test/harness/reaper.ts';
import type { Bench } from '../bench.ts';
import { Guard, type GuardOptions } from '../guard.ts';
import { atMost, none, type PartResult } from '../result.ts';
import { median } from '../statistics.ts';

/**
 * Starts guards beside the one on stage, one after another, in turn with a Node that does nothing;
 * wherever the kernel puts them.
 */
export async function startup(bench: Bench): Promise<PartResult> {
  const { starts } = bench.options.lengths;
  const { guardOptions } = await bench.stage();
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
  const { loaded, withKubernetesClient } = await loadedFiles(guardOptions);
  const rows = [
    ...atMost([500], {
      what: 'ready after start',
      measured: `${median(ready).toFixed(0)} ms`,
      against: `${median(bareNode).toFixed(0)} ms for Node doing nothing`,
      figure: median(ready),
    }),
    none({
      what: '@kubernetes/client-node',
      measured: withKubernetesClient.length === 0 ? 'not loaded' : 'loaded',
      against: `${loaded.length} files loaded`,
      figure: withKubernetesClient.length,
    }),
  ];
  return { rows, tables: [], data: { ready, bareNode, loaded, withKubernetesClient } };
}

/** A method of that client: names of methods survive minifying. */
const KUBERNETES_CLIENT = 'makeApiClient';

async function loadedFiles(guardOptions: GuardOptions) {
  const directory = await temporaryDirectory('etcd-guard-bench');
  const list = join(directory.path, 'loaded');
  const guard = await Guard.start({
    ...guardOptions,
    env: { ...guardOptions.env, LOADED_MODULES_FILE: list },
    execArgv: ['--import', new URL('../log-loaded-modules.ts', import.meta.url).href],
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
