import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { viewOf, type ClusterView } from '../decision/cluster-view.ts';
import type { StatusConfig } from '../config.ts';
import type { FileGuard, FileSource } from '../guards/file-source.ts';
import { guardStatus, type GuardStatus } from './cluster-status.ts';
import { openGuards } from './guards.ts';
import { judgePod } from './judge-pod.ts';
import type { Streams } from './streams.ts';
import { table } from './table.ts';

const WATCH_EVERY_MS = 1_000;
/** A member that takes longer counts as silent. */
const MEMBER_MS = 2_000;
const CLEAR_SCREEN = '\u001B[H\u001B[2J\u001B[3J';

/** `etcd-guard status`; resolves with the exit code. */
export async function status(config: StatusConfig, streams: Streams): Promise<number> {
  const source = await openGuards(config.guards, streams);
  if (source === null) return 2;
  try {
    const guards = chosen(config, source);
    if (guards.length === 0) {
      streams.err(`etcd-guard: ${nothingFound(config)}\n`);
      if (config.name !== null) return 4;
      if (config.output === 'table') return 0;
    }
    return await show(guards, { config, source, streams });
  } finally {
    source.close();
  }
}

interface Showing {
  readonly config: StatusConfig;
  readonly source: FileSource;
  readonly streams: Streams;
}

async function show(
  guards: readonly FileGuard[],
  { config, source, streams }: Showing,
): Promise<number> {
  for (;;) {
    const items = await Promise.all(guards.map((guard) => look(guard, source)));
    const clear = config.watch && streams.terminal ? CLEAR_SCREEN : '';
    streams.out(clear + render(items, config.output));
    if (!config.watch) return items.some(isUnverifiable) ? 3 : 0;
    await delay(WATCH_EVERY_MS, undefined, { signal: streams.stop }).catch(() => undefined);
    if (streams.stop.aborted) return 0;
  }
}

function chosen({ name, namespace }: StatusConfig, { guards }: FileSource): readonly FileGuard[] {
  return guards.filter(
    ({ guard }) =>
      (namespace === null || guard.namespace === namespace) &&
      (name === null || guard.name === name),
  );
}

function nothingFound({ name, namespace }: StatusConfig): string {
  const where = namespace === null ? 'in any namespace' : `in namespace ${namespace} (-A for all)`;
  return name === null ? `no EtcdGuard ${where}` : `no EtcdGuard '${name}' ${where}`;
}

async function look(guard: FileGuard, source: FileSource): Promise<GuardStatus> {
  const cluster = guard.clusterFor(null);
  const [view, pods] = await Promise.all([
    askForView(guard),
    Promise.all(
      cluster.pods.map(async ({ name }) => {
        const pod = { namespace: guard.guard.namespace, name };
        return { pod: name, judgement: await judgePod(pod, 'delete', source) };
      }),
    ),
  ]);
  return guardStatus(guard, view, pods);
}

async function askForView(guard: FileGuard): Promise<ClusterView> {
  const { etcd, endpoints, pods, reservations } = guard.clusterFor(null);
  const answers = await etcd.ask(endpoints, MEMBER_MS);
  const { maxRaftLag } = guard.guard.policy;
  return viewOf({ pods, answers, proof: null, reservations, maxRaftLag });
}

function isUnverifiable({ pods }: GuardStatus): boolean {
  return pods.some(({ reason }) => reason === 'Unverifiable');
}

function render(items: readonly GuardStatus[], output: StatusConfig['output']): string {
  switch (output) {
    case 'json':
      return `${JSON.stringify({ items }, null, 2)}\n`;
    case 'yaml':
      return stringify({ items });
    case 'table':
      return items.map(asTables).join('\n');
  }
}

function asTables({ metadata, status: cluster, pods }: GuardStatus): string {
  const { leader, healthyVoters, voters, quorum } = cluster;
  const summary = table([
    ['GUARD', 'LEADER', 'HEALTHY', 'QUORUM', 'DISRUPTIONS ALLOWED'],
    [
      `${metadata.namespace}/${metadata.name}`,
      leader ?? '?',
      voters === null ? '?' : `${healthyVoters}/${voters}`,
      `${quorum ?? '?'}`,
      `${cluster.disruptionsAllowed}`,
    ],
  ]);
  const rows = pods.map(({ pod, decision, reason }) => {
    const member = cluster.members.find((one) => one.pod === pod);
    const lag = member?.lag ?? '?';
    return [pod, member?.role ?? '?', member?.health ?? '?', `${lag}`, `${decision} (${reason})`];
  });
  return `${summary}\n${table([['POD', 'ROLE', 'HEALTH', 'LAG', 'DELETE NOW'], ...rows])}`;
}
