import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { deadlineFor } from '../../../src/admission/deadline.ts';
import { hear, type GuardedRequest } from '../../../src/admission/hearing.ts';
import { decodePod } from '../../../src/admission/review.ts';
import { ClusterReader } from '../../../src/kubernetes/guards/cluster-reader.ts';
import { KubernetesSource } from '../../../src/kubernetes/guards/kubernetes-source.ts';
import { FakeEtcd } from '../../fakes/etcd.ts';
import { FakeKubernetes } from '../../fakes/fake-kubernetes.ts';
import {
  guardObject,
  nodeObject,
  podObject,
  secretObject,
} from '../../fakes/kubernetes-objects.ts';
import { deletion, eviction } from '../../fakes/requests.ts';

const PAGE = new URL('../../../docs/adr/0008-live-reads.md', import.meta.url);
const TABLE = /(^\| review \| .*\n\|[-|]+\|\n)(?:\|.*\n)*/m;

const PODS = ['etcd-0', 'etcd-1', 'etcd-2'];
const CONTROLLER = 'system:serviceaccount:kube-system:statefulset-controller';
/** How long each call takes: those that begin at one moment are made side by side. */
const CALL_MS = 10;

/** etcd-0 leads. */
let etcd: FakeEtcd;
let api: FakeKubernetes;
let reader: ClusterReader;
/** What was begun, by when. */
let begun: Map<number, string[]>;

function takesTime(name: string, at: 'start' | 'end'): Promise<void> | void {
  if (at === 'end') return;
  const now = performance.now();
  begun.set(now, [...(begun.get(now) ?? []), name]);
  return new Promise((resolve) => setTimeout(resolve, CALL_MS));
}

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse('2026-03-04T05:06:07.000Z') });
  begun = new Map();
  etcd = new FakeEtcd(PODS);
  etcd.hold = (call, at) => takesTime(`*${call}*`, at);
  api = new FakeKubernetes(
    guardObject(),
    ...PODS.map((pod) => podObject(pod)),
    ...PODS.map((pod) => nodeObject(`node-of-${pod}`)),
  );
  api.hold = (call, at) => takesTime(`${call.verb} ${call.plural}`, at);
  const connect = () => etcd;
  reader = new ClusterReader({ api, connect, nowMs: () => Date.now(), viewed: () => undefined });
});
afterEach(() => {
  reader.close();
  vi.useRealTimers();
});

/** A DELETE with the pod as the API server has it. */
function deleting(name: string, user = 'alice'): GuardedRequest {
  const pod = decodePod(api.at('Pod', name));
  if (pod === null) throw new Error('a pod needs a name');
  const asked = deletion(name, { user: { name: user, uid: '', groups: [] } });
  return { ...asked, subject: { kind: 'delete', pod } };
}

/** Its container waits to be started again, and its member is silent. */
function goesDown(name: string): void {
  const waiting = { name: 'etcd', state: { waiting: { reason: 'CrashLoopBackOff' } } };
  api.put(podObject(name, { status: { containerStatuses: [waiting] } }));
  etcd.stop(name);
}

const monotonicMs = (): number => performance.now();

/** The verdict, and all requests, in the order in which they wait for each other. */
async function outcomeOf(request: GuardedRequest): Promise<readonly [string, string]> {
  begun.clear();
  const context = { guards: new KubernetesSource(reader), nowMs: () => Date.now() };
  const judged = hear(request, context, deadlineFor(10_000, monotonicMs(), monotonicMs));
  await vi.advanceTimersByTimeAsync(2_000);
  const { verdict } = await judged;
  const stages = [...begun.values()].map((calls) => sideBySide(calls).join(' + '));
  return [`${verdict.kind} ${verdict.reason}`, stages.join(' → ')];
}

function sideBySide(calls: readonly string[]): readonly string[] {
  return [...Map.groupBy(calls.toSorted(), (call) => call)].map(([call, { length }]) =>
    length === 1 ? call : `${length} × ${call}`,
  );
}

interface Row {
  readonly review: string;
  readonly verdict: string;
  /** Requests to the API server by their verbs, those to etcd in asterisks. */
  readonly makes: string;
  readonly of: () => GuardedRequest | Promise<GuardedRequest>;
}

const READ = 'list etcdguards → get namespaces + list pods';
const EVICTED = 'list etcdguards → get pods → get namespaces + list pods';
const PROVE_AND_RESERVE = '*ask* → *prove* → replace etcdguards';
const HAND_OVER = '*ask* → 2 × get nodes → replace etcdguards → *moveLeader* → *ask*';
const KEEP = '*ask* → *prove* → get etcdguards → replace etcdguards';

/** In docs/adr/0008-live-reads.md. */
const SHOWN: readonly Row[] = [
  {
    review: 'pod that no guard selects',
    verdict: 'allow NotGuarded',
    makes: 'list etcdguards',
    of() {
      api.put(podObject('web-0', { labels: { app: 'web' } }));
      return deleting('web-0');
    },
  },
  {
    review: 'follower, DELETE by a user',
    verdict: 'allow Spared',
    makes: `${READ} → ${PROVE_AND_RESERVE}`,
    of: () => deleting('etcd-1'),
  },
  {
    review: 'the same once more, within a minute',
    verdict: 'allow Spared',
    makes: `${READ} → *ask* → *prove* → get etcdguards`,
    async of() {
      await outcomeOf(deleting('etcd-1'));
      return deleting('etcd-1');
    },
  },
  {
    review: 'follower, DELETE; the guard names a Secret',
    verdict: 'allow Spared',
    makes: `list etcdguards → get namespaces + get secrets + list pods → ${PROVE_AND_RESERVE}`,
    of() {
      api.put(secretObject('auth', { username: 'root', password: 'secret' }));
      api.put(guardObject({ spec: { members: { auth: { secretName: 'auth' } } } }));
      return deleting('etcd-1');
    },
  },
  {
    review: 'leader, DELETE by a user',
    verdict: 'deny LeaderProtected',
    makes: `${READ} → *ask*`,
    of: () => deleting('etcd-0'),
  },
  {
    review: 'leader, DELETE by a controller',
    verdict: 'allow Spared',
    makes: `${READ} → ${HAND_OVER} → ${READ} → ${KEEP}`,
    of: () => deleting('etcd-0', CONTROLLER),
  },
  {
    review: 'leader, eviction',
    verdict: 'allow Spared',
    makes: `${EVICTED} → ${HAND_OVER} → ${EVICTED} → ${KEEP}`,
    of: () => eviction('etcd-0'),
  },
  {
    review: 'leader, eviction in a dry run',
    verdict: 'allow Spared',
    makes: `${EVICTED} → *ask* → 2 × get nodes → *prove*`,
    of: () => eviction('etcd-0', { dryRun: true }),
  },
  {
    review: 'member whose container is down, DELETE',
    verdict: 'allow KnownDown',
    makes: `${READ} → get nodes → *ask* → replace etcdguards`,
    of() {
      goesDown('etcd-1');
      return deleting('etcd-1');
    },
  },
];

/** No surprise to who has read those. */
const MORE: readonly Row[] = [
  {
    review: 'pod that is terminating',
    verdict: 'allow AlreadyGoing',
    makes: 'list etcdguards',
    of() {
      api.put(podObject('etcd-1', { terminating: true }));
      return deleting('etcd-1');
    },
  },
  {
    review: 'follower, DELETE by a controller',
    verdict: 'allow Spared',
    makes: `${READ} → ${PROVE_AND_RESERVE}`,
    of: () => deleting('etcd-1', CONTROLLER),
  },
  {
    review: 'follower, eviction',
    verdict: 'allow Spared',
    makes: `${EVICTED} → ${PROVE_AND_RESERVE}`,
    of: () => eviction('etcd-1'),
  },
  {
    review: 'leader that can’t be spared, eviction',
    verdict: 'deny LeaderProtected',
    makes: `${EVICTED} → *ask*`,
    of() {
      etcd.stop('etcd-1');
      return eviction('etcd-0');
    },
  },
  {
    review: 'member whose container is down, eviction',
    verdict: 'allow KnownDown',
    makes: `${EVICTED} → get nodes → *ask* → replace etcdguards`,
    of() {
      goesDown('etcd-1');
      return eviction('etcd-1');
    },
  },
];

test.each([...SHOWN, ...MORE])('$review: $verdict', async ({ of, verdict, makes }) => {
  expect(await outcomeOf(await of())).toEqual([verdict, makes]);
});

test('docs/adr/0008-live-reads.md tells the same', () => {
  const rows = SHOWN.map(({ review, verdict, makes }) => `| ${review} | ${verdict} | ${makes} |\n`);
  const page = readFileSync(PAGE, 'utf8');
  const text = page.replace(TABLE, (_, head: string) => head + rows.join(''));
  if (process.env['UPDATE_DOCS']) writeFileSync(PAGE, text);
  expect(text).toContain(rows.join(''));
  expect(readFileSync(PAGE, 'utf8')).toBe(text);
});
