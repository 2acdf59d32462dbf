import type { GuardsConfig } from '../../config.ts';
import type { Guard } from '../../decision/situation.ts';
import { podsIn } from '../../kubernetes/guards/cluster-reader.ts';
import { livePod, type LivePod } from '../../kubernetes/guards/live-pod.ts';
import type { Checked, Checking } from './check.ts';
import {
  DRY_RUN_MS,
  explained,
  isFromCluster,
  openClusterGuards,
  unprotected,
  type ClusterGuards,
} from '../cluster-guards.ts';
import { answered, isConclusive, judged, type Expected, type Finding } from '../finding.ts';
import { judgePod, subjectFor } from '../judge-pod.ts';

const READ_MS = 10_000;

/** Whom to ask about which pod. */
interface Question extends Checking {
  readonly guards: ClusterGuards;
  readonly pod: LivePod;
}

/** `check` of a pod as it is now; rejects with a sentence if nobody can be asked. */
export async function checkInCluster(
  config: Extract<GuardsConfig, { kind: 'cluster' }>,
  checking: Checking,
): Promise<Checked> {
  const guards = await openClusterGuards(config, checking.around.environment);
  const namespace = checking.config.namespace ?? guards.namespace;
  try {
    const object = await guards.api.get(podsIn(namespace), checking.config.pod, READ_MS);
    const pod = object === null ? null : livePod(object);
    if (pod === null) return { namespace, finding: null };
    const [finding, notAsked] = await Promise.all([
      ask({ ...checking, guards, pod }),
      unprotected(guards, namespace),
    ]);
    return { namespace, finding: warned(finding, notAsked) };
  } catch (error) {
    throw isFromCluster(error) ? new Error(explained(error), { cause: error }) : error;
  } finally {
    guards.close();
  }
}

/** Nobody needs to hear it of a pod that no guard selects. */
function warned(finding: Finding | null, notAsked: string | null): Finding | null {
  if (finding === null || notAsked === null || finding.guard === null) return finding;
  return { ...finding, warnings: [...finding.warnings, notAsked] };
}

function ask(question: Question): Promise<Finding | null> {
  switch (question.config.via) {
    case 'direct':
      return directly(question);
    case 'webhook':
      return guardOf(question).then((expected) => throughWebhook(question, expected));
    case 'auto':
      return directlyIfPossible(question);
  }
}

async function directly({ operation, guards, pod }: Question): Promise<Finding> {
  return judged(await judgePod(subjectFor(pod.snapshot, operation), guards.source));
}

/** What can't be judged from here, the guard itself may be able to judge. */
async function directlyIfPossible(question: Question): Promise<Finding | null> {
  const { streams } = question.around;
  const direct = await directly(question).catch((error: unknown) => {
    if (isFromCluster(error)) return { error };
    throw error;
  });
  if (!('error' in direct) && isConclusive(direct)) return direct;
  const why = 'error' in direct ? explained(direct.error) : direct.message;
  const expected = 'error' in direct ? UNKNOWN : expectedOf(direct.guard, question.pod);
  try {
    const finding = await throughWebhook(question, expected);
    streams.err(`etcd-guard: it can't be judged from here, so the API server was asked: ${why}\n`);
    return finding;
  } catch (error) {
    if (!isFromCluster(error)) throw error;
    const nor = `etcd-guard: asking the API server instead failed: ${explained(error)}\n`;
    if ('error' in direct) {
      streams.err(nor);
      throw direct.error;
    }
    streams.err(nor);
    return unsure(direct);
  }
}

/** Allowed only because nobody answers from here: that is no answer. */
function unsure(direct: Finding): Finding {
  if (direct.reason === 'Unverifiable') return direct;
  const message = `Can't tell: no member answers from here. If none answers the guard either: ${direct.message}`;
  return { ...direct, decision: 'deny', reason: 'Unverifiable', message };
}

/** null: the pod has gone meanwhile. */
async function throughWebhook(
  { operation, guards, pod }: Question,
  expected: Expected,
): Promise<Finding | null> {
  const { namespace, name } = pod.snapshot;
  const answer = await guards.api.dryRun({ namespace, name, uid: pod.uid, operation }, DRY_RUN_MS);
  return answer.kind === 'gone' ? null : answered(answer, name, expected);
}

/** Who may not read guards may still ask the API server. */
const UNKNOWN: Expected = { guard: null, mustBeJudged: true };

/** A pod that is terminating already is not reviewed. */
function expectedOf(guard: Guard | null, { snapshot }: LivePod): Expected {
  return { guard, mustBeJudged: guard !== null && !snapshot.terminating };
}

async function guardOf({ guards, pod }: Question): Promise<Expected> {
  try {
    const { clusters } = await guards.source.read(subjectFor(pod.snapshot, 'delete'), READ_MS);
    return expectedOf(clusters[0]?.guard ?? null, pod);
  } catch (error) {
    if (isFromCluster(error)) return UNKNOWN;
    throw error;
  }
}
