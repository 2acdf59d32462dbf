import type { Judgement } from '../admission/hearing.ts';
import type { CheckConfig } from '../config.ts';
import type { ClusterView } from '../decision/cluster-view.ts';
import type { Operation } from '../decision/situation.ts';
import { openGuards } from './guards.ts';
import { judgePod } from './judge-pod.ts';
import type { Streams } from './streams.ts';

/** `etcd-guard check`; resolves with the exit code. */
export async function check(config: CheckConfig, streams: Streams): Promise<number> {
  const guards = await openGuards(config.guards, streams);
  if (guards === null) return 2;
  try {
    const operation = config.eviction ? 'eviction' : 'delete';
    const pod = { namespace: config.namespace, name: config.pod };
    const judgement = await judgePod(pod, operation, guards);
    streams.out(
      config.output === 'json' ? asJson(config, operation, judgement) : asText(judgement),
    );
    return exitCode(judgement);
  } finally {
    guards.close();
  }
}

/** 3 whatever the policy makes of it: a script must not take "can't tell" for a yes. */
function exitCode({ verdict }: Judgement): number {
  if (verdict.reason === 'Unverifiable') return 3;
  return verdict.kind === 'allow' ? 0 : 1;
}

function asText({ verdict }: Judgement): string {
  const lines = [
    `${verdict.kind} (${verdict.reason}): ${verdict.message}`,
    ...verdict.warnings.map((warning) => `Warning: ${warning}`),
  ];
  return `${lines.join('\n')}\n`;
}

function asJson(config: CheckConfig, operation: Operation, judgement: Judgement): string {
  const { verdict, guard, view } = judgement;
  const report = {
    pod: config.pod,
    namespace: config.namespace,
    guard: guard?.name ?? null,
    operation,
    decision: verdict.kind,
    reason: verdict.reason,
    message: verdict.message,
    warnings: verdict.warnings,
    ...clusterFacts(view),
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
