import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { deadlineFor } from '../../../src/admission/deadline.ts';
import { GuardSourceError, type Found } from '../../../src/admission/guard-source.ts';
import { hear, type GuardedRequest, type Judgement } from '../../../src/admission/hearing.ts';
import { decodePod } from '../../../src/admission/review.ts';
import type { TargetFacts } from '../../../src/decision/situation.ts';
import { ApiError } from '../../../src/kubernetes/api/api.ts';
import { ClusterReader } from '../../../src/kubernetes/guards/cluster-reader.ts';
import { KubernetesSource } from '../../../src/kubernetes/guards/kubernetes-source.ts';
import { FakeEtcd } from '../../fakes/etcd.ts';
import { FakeKubernetes, type FakeApiCall } from '../../fakes/fake-kubernetes.ts';
import {
  guardObject,
  nodeObject,
  podObject,
  secretObject,
  type PodOptions,
} from '../../fakes/kubernetes-objects.ts';
import { deletion, eviction, type RequestOptions } from '../../fakes/requests.ts';

const PODS = ['etcd-0', 'etcd-1', 'etcd-2'];
const NOW_MS = Date.parse('2026-03-04T05:06:07.000Z');

let etcd: FakeEtcd;
let api: FakeKubernetes;
let reader: ClusterReader;
let source: KubernetesSource;

beforeEach(() => {
  vi.useFakeTimers({ now: NOW_MS });
  etcd = new FakeEtcd(PODS);
  api = new FakeKubernetes(guardObject(), ...PODS.map((pod) => podObject(pod)));
  source = newSource();
});
afterEach(() => {
  reader.close();
  vi.useRealTimers();
});

function newSource(connect = () => etcd): KubernetesSource {
  reader = new ClusterReader({ api, connect, nowMs: () => Date.now(), viewed: () => undefined });
  return new KubernetesSource(reader);
}

/** The DELETE of a pod as the API server shows it. */
function deleting(
  name: string,
  pod: PodOptions = {},
  request: RequestOptions = {},
): GuardedRequest {
  const snapshot = decodePod(podObject(name, pod));
  if (snapshot === null) throw new Error('a pod needs a name');
  return { ...deletion(name, request), subject: { kind: 'delete', pod: snapshot } };
}

const monotonicMs = (): number => performance.now();

async function judge(request: GuardedRequest): Promise<Judgement> {
  const context = { guards: source, nowMs: () => Date.now() };
  const deadline = deadlineFor(10_000, monotonicMs(), monotonicMs);
  const judged = Promise.resolve(hear(request, context, deadline));
  const waiting = new Set([judged]);
  const end = (): void => waiting.clear();
  judged.then(end, end);
  while (waiting.size > 0) await vi.advanceTimersByTimeAsync(20);
  return judged;
}

async function verdictOn(request: GuardedRequest): Promise<string> {
  const { verdict } = await judge(request);
  return `${verdict.kind} ${verdict.reason}`;
}

async function refusalOf(request: GuardedRequest): Promise<string> {
  const { verdict } = await judge(request);
  return `${verdict.kind} ${verdict.reason}: ${verdict.message}`;
}

async function read(request: GuardedRequest): Promise<Found> {
  return source.read(request.subject, 9_000);
}

function only<T>(items: readonly T[]): T {
  const [first, ...more] = items;
  if (first === undefined || more.length > 0) throw new Error(`${items.length} items`);
  return first;
}

function entries(): Readonly<Record<string, unknown>> {
  return (
    JSON.parse(JSON.stringify(api.at('EtcdGuard', 'etcd')['status'] ?? {})).disruptedPods ?? {}
  );
}

const forbidden = new ApiError('forbidden', 'missing permission "get" on them');
const failing = (plural: string, verb: FakeApiCall['verb'], error: ApiError | 'hangs') => {
  api.fault = (call) => (call.plural === plural && call.verb === verb ? error : null);
};

describe('the order of reading', () => {
  test('a deletion: the guard, its pods, then etcd', async () => {
    const order: string[] = [];
    api.hold = ({ verb, plural }, at) => void (at === 'start' && order.push(`${verb} ${plural}`));
    etcd.hold = (call, at) => void (at === 'start' && order.push(call));
    expect(await verdictOn(deleting('etcd-1'))).toBe('allow Spared');
    expect(order).toEqual([
      'list etcdguards',
      'get namespaces',
      'list pods',
      'ask',
      'prove',
      'replace etcdguards',
    ]);
  });

  test('an eviction: the pod is looked up live, after the guard', async () => {
    await read(eviction('etcd-1'));
    expect(api.calls.slice(0, 4)).toEqual([
      { verb: 'list', plural: 'etcdguards', name: '' },
      { verb: 'get', plural: 'pods', name: 'etcd-1' },
      { verb: 'get', plural: 'namespaces', name: 'default' },
      { verb: 'list', plural: 'pods', name: 'app=etcd' },
    ]);
  });

  test('no part begins before the one it has to be newer than has ended', async () => {
    const open = new Set<string>();
    const overlaps: string[] = [];
    api.hold = ({ plural }, at) => {
      if (at === 'end') open.delete(plural);
      else {
        if (plural !== 'etcdguards' && open.has('etcdguards')) overlaps.push(plural);
        open.add(plural);
      }
    };
    etcd.hold = () => void (open.size > 0 && overlaps.push('etcd'));
    await verdictOn(eviction('etcd-1'));
    expect(overlaps).toEqual([]);
  });
});

describe('who is guarded', () => {
  test('pods that the selector matches, expressions too', async () => {
    const matchExpressions = [
      { key: 'app', operator: 'In', values: ['etcd', 'other'] },
      { key: 'canary', operator: 'DoesNotExist' },
    ];
    api.put(guardObject({ spec: { selector: { matchExpressions } } }));
    expect((await read(deleting('etcd-1'))).clusters[0]?.pods.map(({ name }) => name)).toEqual(
      PODS,
    );
    const canary = { labels: { app: 'etcd', canary: 'yes' } };
    expect(await verdictOn(deleting('etcd-1', canary))).toBe('allow NotGuarded');
  });

  test('a pod that none selects, with a warning if it looks like etcd', async () => {
    const labels = { 'app.kubernetes.io/name': 'etcd' };
    const { verdict } = await judge(deleting('etcd-7', { labels }));
    expect([verdict.reason, verdict.warnings.length]).toEqual(['NotGuarded', 1]);
  });

  test('none by a guard that is being deleted, valid or not', async () => {
    for (const spec of [{}, { selector: { matchLabels: { app: 'etcd' }, typo: 1 } }]) {
      const guard = guardObject({ spec });
      const metadata = { ...guard.metadata, deletionTimestamp: '2026-03-04T05:06:07Z' };
      api.put({ ...guard, metadata });
      expect(await verdictOn(deleting('etcd-0'))).toBe('allow NotGuarded');
    }
  });

  test('a pod of two guards: refused, naming both', async () => {
    api.put(guardObject({ name: 'twin' }));
    const text = await refusalOf(deleting('etcd-1'));
    expect(text).toMatch(/^deny AmbiguousGuard: .*default\/etcd, default\/twin/);
    expect(etcd.calls).toEqual([]);
  });

  test('a pod of an invalid guard: refused, naming the field', async () => {
    api.put(guardObject({ spec: { members: { port: 99_999 } } }));
    expect(await refusalOf(deleting('etcd-1'))).toMatch(
      /^deny Unverifiable: .*EtcdGuard default\/etcd is not valid: spec\.members\.port: must be at most 65535/,
    );
    const other = { labels: { app: 'web' } };
    expect(await verdictOn(deleting('web-1', other))).toBe('allow NotGuarded');
  });

  test('if not even the selector can be read: whatever looks like etcd and is no other guard’s', async () => {
    api.put(guardObject({ spec: { selector: 'etcd' } }));
    expect(await refusalOf(deleting('etcd-1'))).toMatch(/^deny Unverifiable: .*spec\.selector/);
    const other = { labels: { app: 'web' } };
    expect(await verdictOn(deleting('web-1', other))).toBe('allow NotGuarded');
    api.put(guardObject({ name: 'valid' }));
    expect(await verdictOn(deleting('etcd-1'))).toBe('allow Spared');
  });
});

function namespace(deletionTimestamp?: string) {
  const times = deletionTimestamp === undefined ? {} : { deletionTimestamp };
  return { kind: 'Namespace', metadata: { name: 'default', ...times } };
}

describe('a namespace that is being deleted', () => {
  test('has no guards: its pods may have to go before they do', async () => {
    api.put(namespace());
    expect(await verdictOn(deleting('etcd-0'))).toBe('deny LeaderProtected');
    api.put(namespace('2026-01-01T00:00:00Z'));
    for (const request of [deleting('etcd-0'), eviction('etcd-0')]) {
      const { verdict } = await judge(request);
      expect(verdict).toMatchObject({ kind: 'allow', reason: 'NotGuarded', warnings: [] });
    }
    expect(entries()).toEqual({});
  });

  test('is not one that can’t be read', async () => {
    api.put(namespace('2026-01-01T00:00:00Z'));
    for (const fault of [forbidden, 'hangs'] as const) {
      failing('namespaces', 'get', fault);
      expect(await verdictOn(deleting('etcd-0'))).toBe('deny LeaderProtected');
    }
  });
});

describe('an eviction', () => {
  test('of a pod that is not there is not guarded', async () => {
    expect(await verdictOn(eviction('etcd-9'))).toBe('allow NotGuarded');
  });

  test('judges the pod that is there now', async () => {
    api.put(podObject('etcd-1', { uid: 'second' }));
    const stale = { preconditionUid: 'uid-of-etcd-1' };
    expect(await verdictOn(eviction('etcd-1', stale))).toBe('allow PreconditionStale');
    expect(await verdictOn(eviction('etcd-1', { preconditionUid: 'second' }))).toBe('allow Spared');
    expect(Object.keys(entries())).toEqual(['second']);
  });

  test('of a pod that is replaced while it is looked up judges the later one', async () => {
    api.hold = ({ verb, plural }, at) => {
      if (verb === 'get' && plural === 'pods' && at === 'end') {
        api.put(podObject('etcd-1', { uid: 'second' }));
      }
    };
    expect((await read(eviction('etcd-1'))).target.uid).toBe('second');
  });
});

describe('a hand-off', () => {
  const CONTROLLER = 'system:serviceaccount:kube-system:statefulset-controller';
  const alice = { name: 'alice', uid: '', groups: ['dba'] };

  beforeEach(() => {
    api.put(nodeObject('node-of-etcd-1', { cordoned: true }));
    api.put(nodeObject('node-of-etcd-2'));
  });

  test.each([
    ['an eviction', {}, eviction('etcd-0')],
    ['a controller', {}, deleting('etcd-0', {}, { user: { ...alice, name: CONTROLLER } })],
    ['a user by name', { handOff: ['alice'] }, deleting('etcd-0', {}, { user: alice })],
    ['a user by group', { handOff: ['group:dba'] }, deleting('etcd-0', {}, { user: alice })],
    ['anybody', { leader: 'HandOff', handOff: [] }, deleting('etcd-0')],
  ])('for %s goes to a node that is not cordoned', async (_, policy, request) => {
    api.put(guardObject({ spec: { policy } }));
    expect(await verdictOn(request)).toBe('allow Spared');
    expect(etcd.moves).toEqual(['etcd-2']);
  });

  test('in a dry run names whom it would go to', async () => {
    const { verdict } = await judge(eviction('etcd-0', { dryRun: true }));
    expect(verdict.warnings).toContain(
      'Leadership of etcd cluster default/etcd would be moved from etcd-0 to etcd-2 first.',
    );
  });

  test('that only a proof allows knows of cordoned nodes as well', async () => {
    etcd.member('etcd-1').lagEntries = 5_000;
    etcd.member('etcd-2').lagEntries = 5_000;
    expect(await verdictOn(eviction('etcd-0'))).toBe('allow Spared');
    expect(etcd.moves).toEqual(['etcd-2']);
  });

  test.each(['hangs', forbidden] as const)(
    'goes on where Nodes can’t be read: %s',
    async (fault) => {
      failing('nodes', 'get', fault);
      expect(await verdictOn(eviction('etcd-0'))).toBe('allow Spared');
      expect(etcd.moves).toEqual(['etcd-1']);
    },
  );

  test('that Nodes leave no time for is refused, and nothing moves', async () => {
    failing('nodes', 'get', 'hangs');
    etcd.hold = (call, at) =>
      call === 'ask' && at === 'end'
        ? new Promise((resolve) => setTimeout(resolve, 9_000))
        : undefined;
    expect(await verdictOn(eviction('etcd-0'))).toMatch(/^deny /);
    expect(etcd.moves).toEqual([]);
    expect(entries()).toEqual({});
  });

  test('on one node, that is read once', async () => {
    for (const pod of PODS) api.put(podObject(pod, { spec: { nodeName: 'node-of-etcd-2' } }));
    expect(await verdictOn(eviction('etcd-0'))).toBe('allow Spared');
    expect(api.calls.filter(({ plural }) => plural === 'nodes')).toHaveLength(1);
  });

  test('by hand goes by the Nodes too, whatever the policy is', async () => {
    api.put(guardObject({ spec: { policy: { handOff: [] } } }));
    const { withCordons } = only((await read(eviction('etcd-0'))).clusters);
    const pods = await withCordons?.(1_000);
    expect(pods?.map(({ cordoned }) => cordoned)).toEqual([false, true, false]);
  });
});

describe('a deletion', () => {
  test('judges the pod that it shows, though a newer one has its name', async () => {
    api.put(
      podObject('etcd-1', { uid: 'second', annotations: { 'etcd-guard.io/break-glass': 'x' } }),
    );
    const found = await read(deleting('etcd-1'));
    expect(found.target).toMatchObject({ uid: 'uid-of-etcd-1', breakGlass: null });
  });

  test('knows its own entry by uid, not by name', async () => {
    expect(await verdictOn(deleting('etcd-1'))).toBe('allow Spared');
    const { reservations } = only((await read(deleting('etcd-1', { uid: 'older' }))).clusters);
    expect(reservations.map(({ pod, own }) => [pod, own])).toEqual([['etcd-1', false]]);
    const again = only((await read(deleting('etcd-1'))).clusters);
    expect(again.reservations.map(({ own }) => own)).toEqual([true]);
  });

  test('of a pod that left the list already still has it among the pods', async () => {
    api.remove('Pod', 'etcd-1');
    const { pods } = only((await read(deleting('etcd-1'))).clusters);
    expect(pods.find(({ name }) => name === 'etcd-1')).toMatchObject({ address: null });
  });

  test('of a terminating pod passes whatever else fails', async () => {
    const terminating = { terminating: true };
    for (const plural of ['etcdguards', 'pods', 'secrets']) {
      failing(plural, 'list', forbidden);
      expect(await verdictOn(deleting('etcd-0', terminating))).toMatch(/^allow /);
    }
    api.fault = () => null;
    api.calls.length = 0;
    expect(await verdictOn(deleting('etcd-0', terminating))).toBe('allow AlreadyGoing');
    expect(api.calls).toHaveLength(1);
  });

  test('of a pod with broken glass passes though its pods and Secrets can’t be read', async () => {
    const annotations = { 'etcd-guard.io/break-glass': 'the disk is gone' };
    failing('pods', 'list', forbidden);
    expect(await verdictOn(deleting('etcd-0', { annotations }))).toBe('allow BreakGlass');
    api.fault = () => null;
    api.put(guardObject({ spec: { members: { auth: { secretName: 'none' } } } }));
    expect(await verdictOn(deleting('etcd-0', { annotations }))).toBe('allow BreakGlass');
    expect(Object.keys(entries())).toEqual(['uid-of-etcd-0']);
  });
});

async function target(pod: PodOptions = {}): Promise<TargetFacts> {
  return (await read(deleting('etcd-2', pod))).target;
}

describe('KnownDown', () => {
  const waiting = { containerStatuses: [{ name: 'etcd', state: { waiting: { reason: 'x' } } }] };

  beforeEach(() => {
    api.put(nodeObject('node-of-etcd-2'));
    api.put(podObject('etcd-2', { status: waiting }));
    etcd.stop('etcd-2');
    etcd.stop('etcd-1');
  });

  test('on a Ready node, by the status that the API server has now', async () => {
    etcd.start('etcd-1');
    expect(await verdictOn(deleting('etcd-2'))).toBe('allow KnownDown');
    api.put(podObject('etcd-2'));
    expect((await target({ status: waiting })).containersDown).toBe(false);
  });

  test('not on a node that is not Ready, missing, slow or not ours to see', async () => {
    api.put(nodeObject('node-of-etcd-2', { ready: false }));
    expect((await target()).containersDown).toBe(false);
    api.remove('Node', 'node-of-etcd-2');
    expect((await target()).containersDown).toBe(false);
    api.put(nodeObject('node-of-etcd-2'));
    failing('nodes', 'get', forbidden);
    expect((await target()).containersDown).toBe(false);
    failing('nodes', 'get', 'hangs');
    const reading = target();
    await vi.advanceTimersByTimeAsync(1_000);
    expect((await reading).containersDown).toBe(false);
  });

  test('not by the status of another pod of that name', async () => {
    expect((await target({ uid: 'older' })).containersDown).toBe(false);
  });
});

describe('when the API server fails', () => {
  test.each([
    [deletion('etcd-1'), 'etcdguards', 'list'],
    [eviction('etcd-1'), 'etcdguards', 'list'],
    [eviction('etcd-1'), 'pods', 'get'],
  ] as const)('what is guarded is not known: refused %#', async (request, plural, verb) => {
    failing(plural, verb, forbidden);
    const error = await read(request).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(GuardSourceError);
    expect(error).toMatchObject({
      message:
        'Refused, since etcd-guard can\'t find out what is guarded: missing permission "get" on them. Give etcd-guard that permission and try again.',
    });
  });

  test('without the CustomResourceDefinition everything is refused', async () => {
    failing('etcdguards', 'list', new ApiError('not-found', 'it is not served'));
    await expect(read(deleting('etcd-1'))).rejects.toThrow(
      'it is not served. Install the CustomResourceDefinition, or delete the webhook configuration if etcd-guard is to go.',
    );
  });

  test('all of it ends before the time of the request does, with a sentence', async () => {
    failing('etcdguards', 'list', 'hangs');
    const reading = source
      .read(deletion('etcd-1').subject, 1_000)
      .catch((caught: unknown) => caught);
    await vi.advanceTimersByTimeAsync(950);
    expect(await reading).toBeInstanceOf(GuardSourceError);
  });

  test('pods that can’t be read: Unverifiable, and no entry is thought to have ended', async () => {
    expect(await verdictOn(deleting('etcd-1'))).toBe('allow Spared');
    const before = entries();
    const selector = { matchLabels: { app: 'etcd' } };
    const spec = { selector, policy: { unknown: 'Allow' } };
    api.change('EtcdGuard', 'etcd', (guard) => ({ ...guard, spec }));
    failing('pods', 'list', new ApiError('timeout', 'it did not answer'));
    expect(await verdictOn(deleting('etcd-2'))).toBe('allow Unverifiable');
    expect(entries()).toEqual(before);
    const { message } = (await judge(deleting('etcd-2'))).verdict;
    expect(message).toContain("its pods can't be read: it did not answer");
    api.change('EtcdGuard', 'etcd', (guard) => ({ ...guard, spec: { selector } }));
    expect(await refusalOf(deleting('etcd-2'))).toContain(
      "its pods can't be read: it did not answer. Try again. To",
    );
    failing('pods', 'list', forbidden);
    expect(await refusalOf(deleting('etcd-2'))).toContain('Mend that and try again. To');
  });

  test('a Secret that can’t be read: Unverifiable, so that a drain goes on trying', async () => {
    api.put(guardObject({ spec: { members: { tls: { secretName: 'tls' } } } }));
    failing('secrets', 'get', forbidden);
    expect(await refusalOf(eviction('etcd-1'))).toMatch(
      /^deny Unverifiable: .*Secret default\/tls \(spec\.members\.tls\) can't be read: no permission "get" on it \(deploy/,
    );
  });

  test('a Secret that is missing', async () => {
    api.put(guardObject({ spec: { members: { auth: { secretName: 'auth' } } } }));
    expect(await refusalOf(deleting('etcd-1'))).toContain(
      'Secret default/auth (spec.members.auth) does not exist',
    );
    api.put(secretObject('auth', { username: 'root', password: 'secret\n' }));
    expect(await verdictOn(deleting('etcd-1'))).toBe('allow Spared');
  });

  test('the ledger can’t be written: Unverifiable', async () => {
    failing('etcdguards', 'replace', forbidden);
    expect(await refusalOf(deleting('etcd-1'))).toMatch(/^deny Unverifiable: .*no reservation/);
  });
});

describe('the ledger', () => {
  test('a dry run writes nothing', async () => {
    for (const request of [
      deleting('etcd-1', {}, { dryRun: true }),
      eviction('etcd-0', { dryRun: true }),
    ]) {
      expect(await verdictOn(request)).toBe('allow Spared');
    }
    expect(entries()).toEqual({});
    expect(etcd.moves).toEqual([]);
  });

  test('another pod is refused while one is let go, until that is terminating or gone', async () => {
    expect(await verdictOn(deleting('etcd-1'))).toBe('allow Spared');
    expect(await verdictOn(deleting('etcd-2'))).toBe('deny QuorumAtRisk');
    api.put(podObject('etcd-1', { terminating: true }));
    expect(await verdictOn(deleting('etcd-2'))).toBe('deny QuorumAtRisk');
    api.put(podObject('etcd-1', { uid: 'second' }));
    expect(await verdictOn(deleting('etcd-2'))).toBe('allow Spared');
    expect(Object.keys(entries())).toEqual(['uid-of-etcd-2']);
  });

  test('or for 120 s', async () => {
    expect(await verdictOn(deleting('etcd-1'))).toBe('allow Spared');
    vi.setSystemTime(NOW_MS + 119_000);
    expect(await verdictOn(deleting('etcd-2'))).toBe('deny QuorumAtRisk');
    vi.setSystemTime(NOW_MS + 121_000);
    expect(await verdictOn(deleting('etcd-2'))).toBe('allow Spared');
  });

  test('the same pod goes again under its entry, which is not written anew, by any replica', async () => {
    expect(await verdictOn(deleting('etcd-1'))).toBe('allow Spared');
    const before = entries();
    reader.close();
    source = newSource();
    vi.setSystemTime(NOW_MS + 50_000);
    expect(await verdictOn(deleting('etcd-1'))).toBe('allow Spared');
    expect(entries()).toEqual(before);
    vi.setSystemTime(NOW_MS + 75_000);
    expect(await refusalOf(deleting('etcd-1'))).toMatch(/QuorumAtRisk: .*allowed 75 s ago/);
  });

  test('an entry that ends between the decision and its answer is not relied on', async () => {
    expect(await verdictOn(deleting('etcd-1'))).toBe('allow Spared');
    api.hold = ({ verb, plural }, at) => {
      if (verb !== 'get' || plural !== 'etcdguards' || at !== 'start') return;
      api.hold = () => undefined;
      api.change('EtcdGuard', 'etcd', (guard) => ({ ...guard, status: {} }));
    };
    expect(await verdictOn(deleting('etcd-1'))).toBe('allow Spared');
    expect(Object.keys(entries())).toEqual(['uid-of-etcd-1']);
  });

  test('a guard that goes meanwhile guards nothing when it is read again', async () => {
    api.hold = ({ verb }, at) => {
      if (verb === 'replace' && at === 'start') api.remove('EtcdGuard', 'etcd');
    };
    expect(await verdictOn(deleting('etcd-1'))).toBe('allow NotGuarded');
  });

  test('of two that decide at once the second is decided again', async () => {
    const both = await Promise.all([verdictOn(deleting('etcd-1')), verdictOn(deleting('etcd-2'))]);
    expect(both.sort()).toEqual(['allow Spared', 'deny QuorumAtRisk']);
  });

  test('a hand-off that fails takes its entry back', async () => {
    etcd.whenMoved = 'fails';
    expect(await verdictOn(eviction('etcd-0'))).toBe('deny LeaderProtected');
    expect(entries()).toEqual({});
  });
});

test('thousands of guards: nothing is connected to before it is needed', async () => {
  const connect = vi.fn<() => FakeEtcd>(() => etcd);
  reader.close();
  const lazy = newSource(connect);
  await lazy.read(deletion('web-1', { metadata: { labels: { app: 'web' } } }).subject, 1_000);
  expect(connect).not.toHaveBeenCalled();
});
