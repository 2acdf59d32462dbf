import type { CheckConfig } from '../../config.ts';
import type { ClusterView } from '../../decision/cluster-view.ts';
import type { Operation } from '../../decision/situation.ts';
import { UsageError } from '../backend.ts';
import { judged, type Finding } from '../finding.ts';
import { openGuards } from '../guards.ts';
import { judgePod, namedPod, subjectFor } from '../judge-pod.ts';
import type { Surroundings } from '../streams.ts';

/** What the command is to do, and where it may say something besides its answer. */
export interface Checking {
  readonly config: CheckConfig;
  readonly operation: Operation;
  readonly around: Surroundings;
}

/** An answer, and the namespace that it was looked for in. */
export interface Checked {
  readonly namespace: string;
  /** null: there is no such pod. */
  readonly finding: Finding | null;
}

/** `etcd-guard check`; resolves with the exit code, rejects if nobody can be asked. */
export async function check(config: CheckConfig, around: Surroundings): Promise<number> {
  const { streams } = around;
  const operation = config.eviction ? 'eviction' : 'delete';
  try {
    const { namespace, finding } = await ask({ config, operation, around });
    if (finding === null) {
      streams.err(`etcd-guard: there is no pod ${config.pod} in namespace ${namespace}\n`);
      return 4;
    }
    const where = { pod: config.pod, namespace, operation } as const;
    streams.out(config.output === 'json' ? asJson(where, finding) : asText(finding));
    return exitCode(finding);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    for (const line of error.lines) streams.err(`etcd-guard: ${line}\n`);
    return 2;
  }
}

async function ask(checking: Checking): Promise<Checked> {
  const { config, operation } = checking;
  const { guards } = config;
  // Loaded only where a cluster is used: client-node takes four tenths of a second.
  if (guards.kind === 'cluster') {
    return (await import('./check-in-cluster.ts')).checkInCluster(guards, checking);
  }
  const namespace = config.namespace ?? 'default';
  const source = await openGuards(guards.files);
  try {
    const subject = subjectFor(namedPod(namespace, config.pod), operation);
    return { namespace, finding: judged(await judgePod(subject, source)) };
  } finally {
    source.close();
  }
}

/** 3 whatever the policy makes of it: a script must not take "can't tell" for a yes. */
function exitCode({ decision, reason }: Finding): number {
  if (reason === 'Unverifiable') return 3;
  return decision === 'allow' ? 0 : 1;
}

function asText({ decision, reason, message, warnings }: Finding): string {
  const lines = [
    `${decision}${reason === null ? '' : ` (${reason})`}: ${message}`,
    ...warnings.map((warning) => `Warning: ${warning}`),
  ];
  return `${lines.join('\n')}\n`;
}

function asJson(
  { pod, namespace, operation }: { pod: string; namespace: string; operation: Operation },
  { guard, decision, reason, message, warnings, view, via }: Finding,
): string {
  const report = {
    pod,
    namespace,
    guard: guard?.name ?? null,
    operation,
    decision,
    reason,
    message,
    warnings,
    ...clusterFacts(view),
    ...(via === 'webhook' && { via }),
  };
  return `${JSON.stringify(report, null, 2)}\n`;
}

const NOTHING_KNOWN = { leader: null, term: null, healthy: null, voters: null, quorum: null };

/** null is what is not known. */
function clusterFacts(view: ClusterView | null) {
  if (view === null || view.list !== 'agreed') return NOTHING_KNOWN;
  return {
    leader: view.leader.kind === 'confirmed' ? view.leader.id : null,
    term: view.term === null ? null : Number(view.term),
    healthy: view.healthyVoters,
    voters: view.voters,
    quorum: view.quorum,
  };
}
