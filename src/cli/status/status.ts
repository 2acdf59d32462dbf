import type { StatusConfig } from '../../config.ts';
import { usageExit } from '../backend.ts';
import type { Streams, Surroundings } from '../streams.ts';
import { asDocuments } from './documents.ts';
import { fileStatus } from './file-source.ts';
import type { Shown, ShownLock, StatusSource } from './shown.ts';
import { lockTable, tables } from './tables.ts';
import { watch } from './watch.ts';

/** `etcd-guard status`; resolves with the exit code, rejects if nobody can be asked. */
export async function status(config: StatusConfig, around: Surroundings): Promise<number> {
  const { streams } = around;
  try {
    const source = await open(config, around);
    try {
      return await show(source, config, streams);
    } finally {
      source.close();
    }
  } catch (error) {
    return usageExit(error, streams);
  }
}

async function open(config: StatusConfig, { environment }: Surroundings): Promise<StatusSource> {
  const { guards } = config;
  if (guards.kind === 'files') return fileStatus(guards.files, config);
  // Loaded only where a cluster is used: client-node takes four tenths of a second.
  return (await import('./cluster-source.ts')).clusterStatus(guards, config, environment);
}

async function show(source: StatusSource, config: StatusConfig, streams: Streams): Promise<number> {
  const shown = await source.look();
  const locks = await locksBeside(source, config);
  if (shown.length === 0) {
    streams.err(`etcd-guard: ${await nothingFound(config, source)}\n`);
    if (config.name !== null) return 4;
    const isText = config.output === 'table' || config.output === 'name';
    if (isText && locks.length === 0) return 0;
  }
  if (config.watch) {
    await watch({ source, first: shown }, config.output, streams);
    return 0;
  }
  streams.out(render({ shown, locks }, config.output, streams));
  return shown.every(({ sure }) => sure) ? 0 : 3;
}

/** Whoever asks for one guard, or watches, wants no more than that. */
async function locksBeside(
  source: StatusSource,
  { name, watch: follows }: StatusConfig,
): Promise<readonly ShownLock[]> {
  return name !== null || follows ? [] : ((await source.locks?.()) ?? []);
}

async function nothingFound({ name }: StatusConfig, source: StatusSource): Promise<string> {
  const { namespace } = source;
  if (await source.lacksNamespace?.()) return `there is no namespace ${namespace} (-A for all)`;
  const where = namespace === null ? 'in any namespace' : `in namespace ${namespace} (-A for all)`;
  return name === null ? `no EtcdGuard ${where}` : `no EtcdGuard '${name}' ${where}`;
}

function render(
  { shown, locks }: { readonly shown: readonly Shown[]; readonly locks: readonly ShownLock[] },
  output: StatusConfig['output'],
  { terminal }: Streams,
): string {
  if (output !== 'table') return asDocuments(shown, output, locks);
  const width = terminal?.size().columns;
  return [
    ...shown.map((one) => tables(one, width)),
    ...(locks.length > 0 ? [lockTable(locks, width)] : []),
  ].join('\n');
}
