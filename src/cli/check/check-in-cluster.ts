import type { CheckConfig, GuardsConfig, Via } from '../../config.ts';
import type { Guard } from '../../decision/situation.ts';
import { podsIn } from '../../kubernetes/guards/cluster-reader.ts';
import { livePod, type LivePod } from '../../kubernetes/guards/live-pod.ts';
import {
  DRY_RUN_MS,
  explained,
  isFromCluster,
  openClusterGuards,
  protection,
  type ClusterGuards,
} from '../cluster-guards.ts';
import { answered, isConclusive, judged, type Expected, type Finding } from '../finding.ts';
import { judgePod, subjectFor } from '../judge-pod.ts';
import type { Surroundings } from '../streams.ts';
import type { Checks, Question } from './checks.ts';
import { whereNobodyIsAsked } from '../nobody-asked.ts';

const READ_MS = 10_000;

/** Whom to ask about which pod. */
interface Asked extends Omit<Question, 'pod'> {
  readonly via: Via;
  readonly guards: ClusterGuards;
  readonly pod: LivePod;
}

/** Checks of pods as they are now; throws a UsageError, and an answer rejects with a sentence if nobody can be asked. */
export async function checksInCluster(
  config: Extract<GuardsConfig, { kind: 'cluster' }>,
  { namespace: wanted, via }: Pick<CheckConfig, 'namespace' | 'via'>,
  environment: Surroundings['environment'],
): Promise<Checks> {
  const guards = await openClusterGuards(config, environment);
  const namespace = wanted ?? guards.namespace;
  return {
    async ask(question) {
      try {
        const object = await guards.api.get(podsIn(namespace), question.pod, READ_MS);
        const pod = object === null ? null : livePod(object);
        if (pod === null) return { namespace, finding: null };
        const [finding, unprotected] = await Promise.all([
          ask({ ...question, via, guards, pod }),
          protection(guards)(namespace),
        ]);
        if (finding === null) return { namespace, finding };
        return { namespace, finding: whereNobodyIsAsked(finding, question.pod, unprotected) };
      } catch (error) {
        throw isFromCluster(error) ? new Error(explained(error), { cause: error }) : error;
      }
    },
    close: () => guards.close(),
  };
}

function ask(question: Asked): Promise<Finding | null> {
  switch (question.via) {
    case 'direct':
      return directly(question);
    case 'webhook':
      return guardOf(question).then((expected) => throughWebhook(question, expected));
    case 'auto':
      return directlyIfPossible(question);
  }
}

async function directly({ operation, guards, pod }: Asked): Promise<Finding> {
  return judged(await judgePod(subjectFor(pod.snapshot, operation), guards.source));
}

/** What can't be judged from here, the guard itself may be able to judge. */
async function directlyIfPossible(question: Asked): Promise<Finding | null> {
  const { note } = question;
  const direct = await directly(question).catch((error: unknown) => {
    if (isFromCluster(error)) return { error };
    throw error;
  });
  if (!('error' in direct) && isConclusive(direct)) return direct;
  const why = 'error' in direct ? explained(direct.error) : whyNot(direct);
  const expected = 'error' in direct ? UNKNOWN : expectedOf(direct.guard, question.pod);
  try {
    const finding = await throughWebhook(question, expected);
    note(askedInstead(why, 'error' in direct ? null : direct, finding));
    return finding;
  } catch (error) {
    if (!isFromCluster(error)) throw error;
    const nor = `etcd-guard: asking the API server instead failed: ${explained(error)}\n`;
    if ('error' in direct) {
      note(nor);
      throw direct.error;
    }
    note(nor);
    return unsure(direct);
  }
}

/** A verdict for which nobody had to answer would read as if it were the trouble. */
function whyNot({ reason, message }: Finding): string {
  return reason === 'Unverifiable' ? message : 'no member answers.';
}

/** What is told beside the answer: why it is the API server's. Nothing is said twice. */
function askedInstead(why: string, direct: Finding | null, finding: Finding | null): string {
  if (finding !== null && finding.message === direct?.message) {
    return "etcd-guard: it can't be judged from here, and the guard, asked through the API server, says the same:\n";
  }
  return `etcd-guard: it can't be judged from here: ${why}\netcd-guard: so the API server was asked, which says:\n`;
}

/** Allowed only because nobody answers from here: that is no answer. */
function unsure(direct: Finding): Finding {
  if (direct.reason === 'Unverifiable') return direct;
  const message = `Can't tell: no member answers from here. If none answers the guard either: ${direct.message}`;
  return { ...direct, decision: 'deny', reason: 'Unverifiable', message };
}

/** null: the pod has gone meanwhile. */
async function throughWebhook(
  { operation, guards, pod }: Asked,
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

async function guardOf({ guards, pod }: Asked): Promise<Expected> {
  try {
    const { clusters } = await guards.source.read(subjectFor(pod.snapshot, 'delete'), READ_MS);
    return expectedOf(clusters[0]?.guard ?? null, pod);
  } catch (error) {
    if (isFromCluster(error)) return UNKNOWN;
    throw error;
  }
}
