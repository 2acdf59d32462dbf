import type { StatusConfig } from '../../config.ts';
import { usageExit } from '../backend.ts';
import type { Streams, Surroundings } from '../streams.ts';
import { asDocuments } from './documents.ts';
import { fileStatus } from './file-source.ts';
import type { AllShown, StatusSource } from './shown.ts';
import { allTables } from './tables.ts';
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
  const look = (timeoutMs?: number): Promise<AllShown> => lookAtAll(source, config, timeoutMs);
  const first = await look();
  if (first.guards.length === 0) {
    streams.err(`etcd-guard: ${await nothingFound(config, source)}\n`);
    if (config.name !== null) return 4;
    const isText = config.output === 'table' || config.output === 'name';
    if (isText && first.locks.length === 0) return 0;
  }
  if (config.watch) {
    await watch({ look, first }, config.output, streams);
    return 0;
  }
  streams.out(render(first, config.output, streams));
  return first.guards.every(({ sure }) => sure) ? 0 : 3;
}

/** Guards and locks; no locks for whoever asks for one guard, and so wants no more than that. */
export async function lookAtAll(
  source: StatusSource,
  { name }: Pick<StatusConfig, 'name'>,
  timeoutMs?: number,
): Promise<AllShown> {
  const [guards, locks = []] = await Promise.all([
    source.look(timeoutMs),
    name === null ? source.locks?.() : [],
  ]);
  return { guards, locks };
}

async function nothingFound({ name }: StatusConfig, source: StatusSource): Promise<string> {
  const { namespace } = source;
  if (await source.lacksNamespace?.()) return `there is no namespace ${namespace} (-A for all)`;
  const where = namespace === null ? 'in any namespace' : `in namespace ${namespace} (-A for all)`;
  return name === null ? `no EtcdGuard ${where}` : `no EtcdGuard '${name}' ${where}`;
}

function render(all: AllShown, output: StatusConfig['output'], { terminal }: Streams): string {
  return output === 'table' ? allTables(all, terminal?.size().columns) : asDocuments(all, output);
}
