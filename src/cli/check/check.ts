import { stringify } from 'yaml';
import type { CheckConfig } from '../../config.ts';
import type { ClusterView } from '../../decision/cluster-view.ts';
import type { Operation } from '../../decision/situation.ts';
import { usageExit } from '../backend.ts';
import type { Finding } from '../finding.ts';
import type { Surroundings } from '../streams.ts';
import { arithmetic } from './arithmetic.ts';
import { openChecks } from './checks.ts';

/** `etcd-guard check`; resolves with the exit code, rejects if nobody can be asked. */
export async function check(config: CheckConfig, around: Surroundings): Promise<number> {
  const { streams } = around;
  const operation = config.eviction ? 'eviction' : 'delete';
  try {
    const { namespace, finding } = await ask(config, operation, around);
    if (finding === null) {
      streams.err(`etcd-guard: there is no pod ${config.pod} in namespace ${namespace}\n`);
      return 4;
    }
    const where = { pod: config.pod, namespace, operation } as const;
    streams.out(written(reportOf(where, finding), config.output) ?? asText(config.pod, finding));
    return exitCode(finding);
  } catch (error) {
    return usageExit(error, streams);
  }
}

async function ask(config: CheckConfig, operation: Operation, around: Surroundings) {
  const checks = await openChecks(config, around);
  try {
    return await checks.ask({ pod: config.pod, operation, note: around.streams.err });
  } finally {
    checks.close();
  }
}

/** 3 whatever the policy makes of it: a script must not take "can't tell" for a yes. */
function exitCode({ decision, reason }: Finding): number {
  if (reason === 'Unverifiable') return 3;
  return decision === 'allow' ? 0 : 1;
}

function asText(pod: string, { decision, reason, message, warnings, view }: Finding): string {
  const lines = [
    `${decision}${reason === null ? '' : ` (${reason})`}: ${message}`,
    ...arithmetic(pod, view).map((line) => `  ${line}`),
    ...warnings.map((warning) => `Warning: ${warning}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** null: it is for people. */
function written(report: object, output: CheckConfig['output']): string | null {
  switch (output) {
    case 'json':
      return `${JSON.stringify(report, null, 2)}\n`;
    case 'yaml':
      return stringify(report);
    case 'text':
      return null;
  }
}

function reportOf(
  { pod, namespace, operation }: { pod: string; namespace: string; operation: Operation },
  { guard, decision, reason, message, warnings, view, via }: Finding,
) {
  return {
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
