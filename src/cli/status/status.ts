import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import type { StatusConfig } from '../../config.ts';
import { UsageError } from '../backend.ts';
import type { Shown, StatusSource } from './shown.ts';
import { fileStatus } from './file-source.ts';
import { tables } from './tables.ts';
import type { Streams, Surroundings } from '../streams.ts';

const WATCH_EVERY_MS = 1_000;
const CLEAR_SCREEN = '\u001B[H\u001B[2J\u001B[3J';

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
    if (!(error instanceof UsageError)) throw error;
    for (const line of error.lines) streams.err(`etcd-guard: ${line}\n`);
    return 2;
  }
}

async function open(config: StatusConfig, { environment }: Surroundings): Promise<StatusSource> {
  const { guards } = config;
  if (guards.kind === 'files') return fileStatus(guards.files, config);
  // Loaded only where a cluster is used: client-node takes four tenths of a second.
  return (await import('./cluster-source.ts')).clusterStatus(guards, config, environment);
}

async function show(source: StatusSource, config: StatusConfig, streams: Streams): Promise<number> {
  let shown = await source.look();
  if (shown.length === 0) {
    streams.err(`etcd-guard: ${nothingFound(config, source)}\n`);
    if (config.name !== null) return 4;
    if (config.output === 'table') return 0;
  }
  for (;;) {
    const clear = config.watch && streams.terminal ? CLEAR_SCREEN : '';
    streams.out(clear + render(shown, config.output));
    if (!config.watch) return shown.every(({ sure }) => sure) ? 0 : 3;
    const next = await lookLater(source, streams);
    if (next === null) return 0;
    shown = next;
  }
}

/** null: the user has had enough. An API server that is away for a while does not end it. */
async function lookLater(source: StatusSource, streams: Streams): Promise<readonly Shown[] | null> {
  for (;;) {
    await delay(WATCH_EVERY_MS, undefined, { signal: streams.stop }).catch(() => undefined);
    if (streams.stop.aborted) return null;
    try {
      return await source.look();
    } catch (error) {
      streams.err(`etcd-guard: ${error instanceof Error ? error.message : String(error)}\n`);
    }
  }
}

function nothingFound({ name }: StatusConfig, { namespace }: StatusSource): string {
  const where = namespace === null ? 'in any namespace' : `in namespace ${namespace} (-A for all)`;
  return name === null ? `no EtcdGuard ${where}` : `no EtcdGuard '${name}' ${where}`;
}

function render(shown: readonly Shown[], output: StatusConfig['output']): string {
  const items = shown.map(({ item }) => item);
  switch (output) {
    case 'json':
      return `${JSON.stringify({ items }, null, 2)}\n`;
    case 'yaml':
      return stringify({ items }, { aliasDuplicateObjects: false });
    case 'table':
      return shown.map(tables).join('\n');
  }
}
