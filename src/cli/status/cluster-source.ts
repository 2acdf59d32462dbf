import type { GuardedCluster } from '../../admission/guard-source.ts';
import { byName } from '../../decision/by-name.ts';
import type { GuardsConfig, StatusConfig } from '../../config.ts';
import { nothingSelected, type Acceptance, type ClusterStatus } from '../../guards/guard-status.ts';
import { ApiError, type KubernetesObject } from '../../kubernetes/api/api.ts';
import type { ClusterReading, Look } from '../../kubernetes/guards/cluster-reader.ts';
import { guardsIn, shownIn } from '../../kubernetes/guards/guard-resource.ts';
import type { LivePod } from '../../kubernetes/guards/live-pod.ts';
import { NAMESPACES, type Unprotected } from '../../kubernetes/guards/protection.ts';
import { selectorText } from '../../kubernetes/guards/selector-text.ts';
import { acceptance } from '../../kubernetes/status/spec-acceptance.ts';
import { knownGuard, type KnownGuard } from '../../kubernetes/status/watched-guards.ts';
import { wholeStatus, type Parts } from '../../kubernetes/status/whole-status.ts';
import { Slots } from '../../sharing/slots.ts';
import {
  DRY_RUN_MS,
  explained,
  isFromCluster,
  openClusterGuards,
  protection,
  sentence,
  type ClusterGuards,
  type Protection,
} from '../cluster-guards.ts';
import {
  podStatus,
  type GuardStatus,
  type PodStatus,
  type Shown,
  type StatusSource,
} from './shown.ts';
import { answered, heardNobody, isConclusive, judged, type Finding } from '../finding.ts';
import { listLocks } from './locks.ts';
import { judgePod, subjectFor } from '../judge-pod.ts';
import { lookAt, notesOn, type Seen } from '../look.ts';
import { whereNobodyIsAsked } from '../nobody-asked.ts';
import { whyNotJudged } from './not-judged.ts';
import { lastKnownNote, lastWritten, recordedNote, withTimesOf } from './recorded-status.ts';
import type { Surroundings } from '../streams.ts';

const LOOK_MS = 10_000;
/** Guards that are looked at, and, apart from them, pods that the API server is asked about. */
const AT_ONCE = 8;

/** The guards of a cluster; throws a UsageError, and its looks reject with a sentence. */
export async function clusterStatus(
  config: Extract<GuardsConfig, { kind: 'cluster' }>,
  { name, namespace: wanted, allNamespaces, via }: StatusConfig,
  environment: Surroundings['environment'],
): Promise<StatusSource> {
  const guards = await openClusterGuards(config, environment);
  const namespace = allNamespaces ? null : (wanted ?? guards.namespace);
  const looks = new Slots(AT_ONCE);
  const dryRuns = new Slots(AT_ONCE);
  return {
    namespace,
    async look(timeoutMs) {
      try {
        const objects = await guards.api.list(guardsIn(namespace), {}, LOOK_MS);
        const chosen = objects.filter(({ metadata }) => name === null || metadata.name === name);
        const neighbours = objects.filter(isGuarding).map(knownGuard);
        const protectedBy = protection(guards);
        const asking = { guards, via, dryRuns, neighbours, protectedBy, timeoutMs };
        return await Promise.all(chosen.map((object) => looks.run(() => look(object, asking))));
      } catch (error) {
        throw isFromCluster(error) ? new Error(explained(error), { cause: error }) : error;
      }
    },
    async locks() {
      try {
        return await listLocks(guards.api, namespace, Date.now());
      } catch (error) {
        throw isFromCluster(error) ? new Error(explained(error), { cause: error }) : error;
      }
    },
    async lacksNamespace() {
      if (namespace === null) return false;
      return guards.api.get(NAMESPACES, namespace, LOOK_MS).then(
        (found) => found === null,
        () => false,
      );
    },
    close: () => guards.close(),
  };
}

interface Asking {
  readonly guards: ClusterGuards;
  readonly via: StatusConfig['via'];
  readonly dryRuns: Slots;
  /** All guards that were listed, and guard something. */
  readonly neighbours: readonly KnownGuard[];
  readonly protectedBy: Protection;
  readonly timeoutMs: number | undefined;
}

function isGuarding({ metadata }: KubernetesObject): boolean {
  return metadata.deletionTimestamp === undefined;
}

/** What a look found, and what is to be said of the spec. */
interface Found extends Look {
  readonly object: KubernetesObject;
  /** null: the API server asks about its pods, as far as is known. */
  readonly unprotected: Unprotected | null;
  readonly accepted: Acceptance;
}

/** Its time begins now. */
async function look(object: KubernetesObject, asking: Asking): Promise<Shown> {
  const { guards, via, neighbours, protectedBy } = asking;
  const { namespace = '', name } = object.metadata;
  const endsAtMs = performance.now() + LOOK_MS;
  const [seen, unprotected] = await Promise.all([
    guards.reader.look(object, () => Math.max(0, endsAtMs - performance.now())),
    protectedBy(namespace),
  ]);
  const others = neighbours.filter((one) => one.namespace === namespace && one.name !== name);
  const { reading } = seen;
  const accepted = acceptance({ object, reading, others, unprotected });
  const found: Found = { ...seen, object, accepted, unprotected };
  const shown =
    via === 'webhook' ? await throughWebhook(found, asking) : await directly(found, asking);
  const deleted = isGuarding(object) ? [] : ['It is being deleted, and so guards nothing.'];
  const wrong = NOTED.has(accepted.reason) ? [sentence(accepted.message)] : [];
  return { ...shown, notes: [...deleted, ...shown.notes, ...wrong] };
}

/** What nothing else says of a guard. */
const NOTED: ReadonlySet<string> = new Set([
  'NamespaceNotLabelled',
  'WebhookNotRegistered',
  'OverlapsAnotherGuard',
  'FieldsIgnored',
]);

/** Where nobody answers from here, what the guard has recorded is shown, unless only etcd is to be asked. */
async function directly(found: Found, asking: Asking): Promise<Shown> {
  const { cluster, reading, object, unprotected } = found;
  const { via, timeoutMs } = asking;
  const [seen, findings] = await Promise.all([
    cluster.fault === undefined && reading !== null ? lookAt(cluster, timeoutMs) : null,
    Promise.all(podsOf(reading).map((pod) => judgeDirectly(pod, asking))),
  ]);
  if (via === 'auto' && isNobody(seen) && hasRecord(object)) {
    return recorded(object, whyNobody(cluster, seen), {
      pods: findings.map(([pod, finding]) =>
        unprotected === null ? unlessInconclusive(pod, finding) : settled([pod, finding], found),
      ),
      hint: [ASK_THE_API_SERVER],
    });
  }
  const pods = findings.map((one) => settled(one, found));
  return seen === null ? unasked(found, pods) : asked(found, seen, pods);
}

/** What nobody is asked about would go, whatever a guard would say. */
function settled([pod, finding]: readonly [string, Finding], { unprotected }: Found): PodStatus {
  return podStatus(pod, whereNobodyIsAsked(finding, pod, unprotected));
}

const ASK_THE_API_SERVER =
  'The API server can be asked instead: etcd-guard status --via=webhook, or etcd-guard check POD.';

/** Null is somebody who could not even be asked. */
function isNobody(seen: Seen | null): boolean {
  return seen === null || (seen.said.size > 0 && heardNobody(seen.view));
}

function asked(found: Found, seen: Seen, pods: readonly PodStatus[]): Shown {
  const { object, reading } = found;
  const { view, said, answers } = seen;
  const agreed = view.list === 'agreed';
  const selector = reading === null ? null : selectorText(reading.guard.spec.selector);
  const status = statusNow(found, { view, answers });
  const nothing = said.size === 0 && selector !== null;
  return {
    title: titleOf(object),
    item: { ...itemOf(object, pods), status },
    said: agreed ? null : said,
    leaderless: view.leader.kind === 'leaderless',
    notes: [
      ...(nothing ? [sentence(nothingSelected(selector))] : notesOn(seen)),
      ...lastKnownNotes(object, agreed ? null : status),
    ],
    sure: agreed && isSure(pods),
  };
}

function unasked(found: Found, pods: readonly PodStatus[]): Shown {
  const { object, cluster } = found;
  const { fault = 'its pods are not known' } = cluster;
  const status = statusNow(found, null);
  return {
    title: titleOf(object),
    item: { ...itemOf(object, pods), status },
    said: null,
    leaderless: false,
    notes: [`It can't be asked: ${fault}.`, ...lastKnownNotes(object, status)],
    sure: false,
  };
}

/** As the guard itself would write it. */
function statusNow(found: Found, seen: Parts['seen']): ClusterStatus {
  const { object, accepted } = found;
  const now = new Date().toISOString();
  return withTimesOf(object, wholeStatus({ object, look: found, seen, accepted, now }));
}

/** null: the voters are those of now. */
function lastKnownNotes(object: KubernetesObject, status: ClusterStatus | null): readonly string[] {
  if (status === null || status.voters === null) return [];
  const note = lastKnownNote(object, Date.now());
  return note === null ? [] : [note];
}

async function throughWebhook(found: Found, { guards, dryRuns }: Asking): Promise<Shown> {
  const { object, reading, unprotected } = found;
  const pods = await Promise.all(
    podsOf(reading).map((pod) => dryRuns.run(() => judgeByWebhook(pod, found, guards))),
  );
  const why = 'etcd was not asked (--via=webhook)';
  // One sentence on the namespace says it of all pods.
  const hint = unprotected === null ? whyNotJudged(pods) : [];
  return recorded(object, why, { pods, hint });
}

/** Of what the guard itself wrote down. */
function recorded(
  object: KubernetesObject,
  why: string,
  { pods, hint }: { readonly pods: readonly PodStatus[]; readonly hint: readonly string[] },
): Shown {
  const notes = hasRecord(object)
    ? [recordedNote(object, why, Date.now()), ...lastKnownRecord(object)]
    : [`${sentence(why)} Nor has the guard written down anything of the cluster yet.`];
  return {
    title: titleOf(object),
    item: {
      ...itemOf(object, pods),
      status: shownIn(object),
      recorded: { lastWritten: lastWritten(object), why },
    },
    said: null,
    leaderless: false,
    notes: [...notes, ...hint],
    sure: isSure(pods),
  };
}

/** A status that only holds reservations, or says that nobody answered, says nothing of the cluster. */
function hasRecord(object: KubernetesObject): boolean {
  return shownIn(object).voters !== undefined;
}

function lastKnownRecord(object: KubernetesObject): readonly string[] {
  const reachable = shownIn(object).conditions?.find(({ type }) => type === 'Reachable');
  if (reachable === undefined || reachable.status === 'True') return [];
  const note = lastKnownNote(object, Date.now());
  return note === null ? [] : [note];
}

function whyNobody(
  { fault = 'its pods are not known' }: GuardedCluster,
  seen: Seen | null,
): string {
  if (seen === null) return fault;
  const causes = [...seen.said].slice(0, 3).map(([pod, words]) => `${pod}: ${words}`);
  return `no member answers from here (${causes.join(', ')})`;
}

function isSure(pods: readonly PodStatus[]): boolean {
  return pods.every(({ decision, reason }) => decision !== null && reason !== 'Unverifiable');
}

function podsOf(reading: ClusterReading | null): readonly LivePod[] {
  const pods = reading?.live ?? [];
  return pods.toSorted((a, b) => byName(a.snapshot.name, b.snapshot.name));
}

async function judgeDirectly(
  { snapshot }: LivePod,
  { guards, timeoutMs }: Asking,
): Promise<readonly [string, Finding]> {
  const judgement = await judgePod(subjectFor(snapshot, 'delete'), guards.source, timeoutMs);
  return [snapshot.name, judged(judgement)];
}

function unlessInconclusive(pod: string, finding: Finding): PodStatus {
  if (isConclusive(finding)) return podStatus(pod, finding);
  return { pod, decision: null, reason: 'Unverifiable', message: finding.message };
}

async function judgeByWebhook(
  { snapshot: { namespace, name, terminating }, uid }: LivePod,
  found: Found,
  { api }: ClusterGuards,
): Promise<PodStatus> {
  // One that is terminating already is not reviewed.
  const expected = { guard: found.cluster.guard, mustBeJudged: !terminating };
  try {
    const request = { namespace, name, uid, operation: 'delete' } as const;
    const answer = await api.dryRun(request, DRY_RUN_MS);
    if (answer.kind !== 'gone') return settled([name, answered(answer, name, expected)], found);
    return { pod: name, decision: null, reason: null, message: `${name} has just gone.` };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return { pod: name, decision: null, reason: null, message: explained(error) };
  }
}

function itemOf(object: KubernetesObject, pods: readonly PodStatus[]): Omit<GuardStatus, 'status'> {
  const { managedFields: _, ...metadata } = { managedFields: null, ...object.metadata };
  return {
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'EtcdGuard',
    metadata,
    spec: object['spec'],
    pods,
  };
}

function titleOf({ metadata: { namespace = '', name } }: KubernetesObject): string {
  return `${namespace}/${name}`;
}
