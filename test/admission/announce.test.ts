import { describe, expect, it } from 'vitest';
import { createReviewHandler } from '../../src/admission/admit.ts';
import { announcementsOf, type Announcement } from '../../src/admission/announce.ts';
import {
  GuardSourceError,
  type GuardSource,
  type ObjectReference,
} from '../../src/admission/guard-source.ts';
import type { Judgement } from '../../src/admission/hearing.ts';
import type { Policy } from '../../src/decision/situation.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { Recorder } from '../../src/telemetry/recorder.ts';
import { FakeEtcd } from '../fakes/etcd.ts';
import { loadedGuard, sourceOf } from '../fakes/guards.ts';
import { deletion } from '../fakes/requests.ts';
import { deleteReview, evictionReview, type DeletionOptions } from '../harness/guard-process.ts';
import { systemClock } from '../../src/sharing/clock.ts';
import { Turns } from '../../src/sharing/turns.ts';

const PODS = ['etcd-0', 'etcd-1', 'etcd-2'];
const POD = { kind: 'Pod', namespace: 'default', name: 'etcd-0', uid: 'uid-etcd-0' };
const GUARD = { kind: 'EtcdGuard', namespace: 'default', name: 'etcd', uid: null };

interface Setup {
  readonly etcd: FakeEtcd;
  readonly source: GuardSource;
}

function cluster(policy: Partial<Policy> = {}): Setup {
  const etcd = new FakeEtcd(PODS);
  return { etcd, source: sourceOf(etcd, loadedGuard({ pods: PODS, policy })) };
}

/** What is announced about one review, and whether that was allowed. */
async function announced(
  source: GuardSource,
  review: unknown,
): Promise<{ readonly told: readonly Announcement[]; readonly body: unknown }> {
  const told: Announcement[] = [];
  const { body } = await handler(source, (one) => void told.push(one))(review, {
    timeoutMs: 2_000,
    arrivedAtMs: performance.now(),
  });
  return { told, body };
}

function handler(source: GuardSource, announce: (one: Announcement) => void) {
  return createReviewHandler({
    turns: new Turns(systemClock),
    guards: source,
    recorder: new Recorder('test'),
    log: createLogger('error', { write: () => undefined }),
    announce,
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
  });
}

function broken(error: Error): GuardSource {
  return {
    read() {
      throw error;
    },
  };
}

function brokenGlass(options: DeletionOptions = {}): unknown {
  const annotations = { 'etcd-guard.io/break-glass': 'disk on fire' };
  return deleteReview('etcd-0', { metadata: { annotations }, ...options });
}

describe('of a review is announced', () => {
  it('a refusal, on the pod and its guard, with who asked', async () => {
    const { source } = cluster();
    const { told } = await announced(source, deleteReview('etcd-0'));
    expect(told).toStrictEqual([
      {
        about: [POD, GUARD],
        type: 'Warning',
        reason: 'LeaderProtected',
        action: 'Refused',
        message: expect.stringMatching(
          /^Delete of etcd-0 by alice refused: etcd-0 leads etcd cluster default\/etcd .*or delete a follower: etcd-1, etcd-2\.$/,
        ),
      },
    ]);
  });

  it('a refusal by two guards, on both', async () => {
    const [one, two] = ['one', 'two'].map((name) => loadedGuard({ name, pods: PODS }));
    if (one === undefined || two === undefined) throw new Error('two guards are needed');
    const source = sourceOf(new FakeEtcd(PODS), one, two);
    const { told } = await announced(source, deleteReview('etcd-0'));
    expect(told).toMatchObject([{ reason: 'AmbiguousGuard', action: 'Refused' }]);
    expect(told[0]?.about).toStrictEqual([
      POD,
      { ...GUARD, name: 'one' },
      { ...GUARD, name: 'two' },
    ]);
  });

  it('a hand-off that moved leadership, to whom', async () => {
    const { source } = cluster();
    const { told } = await announced(source, evictionReview('etcd-0'));
    expect(told).toStrictEqual([
      {
        about: [{ ...POD, uid: null }, GUARD],
        type: 'Normal',
        reason: 'LeadershipMoved',
        action: 'MovedLeadership',
        message:
          'Eviction of etcd-0 by alice: leadership of etcd cluster default/etcd was moved from etcd-0 to etcd-1 first.',
      },
    ]);
  });

  it('a hand-off that failed, and one that was refused', async () => {
    const { etcd, source } = cluster();
    etcd.whenMoved = 'fails';
    expect((await announced(source, evictionReview('etcd-0'))).told).toMatchObject([
      {
        type: 'Warning',
        reason: 'HandOffFailed',
        action: 'Refused',
        message: expect.stringContaining('Eviction of etcd-0 by alice refused: '),
      },
    ]);
    etcd.stop('etcd-1');
    expect((await announced(source, evictionReview('etcd-0'))).told).toMatchObject([
      { type: 'Warning', reason: 'HandOffRefused', action: 'Refused' },
    ]);
  });

  it('break-glass', async () => {
    const { source } = cluster();
    expect((await announced(source, brokenGlass())).told).toMatchObject([
      {
        about: [POD, GUARD],
        type: 'Warning',
        reason: 'BreakGlass',
        action: 'Allowed',
        message:
          'Delete of etcd-0 by alice allowed: Break-glass on etcd-0: "disk on fire". Etcd was not asked.',
      },
    ]);
  });

  it('what goes by policy alone, under a name that no refusal has', async () => {
    const unknown = cluster({ unknown: 'Allow' });
    for (const pod of PODS) unknown.etcd.stop(pod);
    expect((await announced(unknown.source, deleteReview('etcd-0'))).told).toMatchObject([
      { type: 'Warning', reason: 'UnverifiableAllowed', action: 'Allowed' },
    ]);
    const short = cluster({ quorum: 'Warn' });
    short.etcd.stop('etcd-2');
    expect((await announced(short.source, deleteReview('etcd-1'))).told).toMatchObject([
      { type: 'Warning', reason: 'QuorumAtRiskAllowed', action: 'Allowed' },
    ]);
  });

  it('that guards could not be read, on the pod', async () => {
    const source = broken(new GuardSourceError('Refused, since the API server is away.'));
    expect((await announced(source, deleteReview('etcd-0'))).told).toStrictEqual([
      {
        about: [POD],
        type: 'Warning',
        reason: 'InternalError',
        action: 'Refused',
        message: 'Delete of etcd-0 by alice refused: Refused, since the API server is away.',
      },
    ]);
  });

  it('no text of an error that was not made for people', async () => {
    const { told } = await announced(broken(new Error('secret')), deleteReview('etcd-0'));
    expect(told).toHaveLength(1);
    expect(told[0]?.message).not.toContain('secret');
  });

  it('whoever asks in one line, however they are called', async () => {
    const { source } = cluster();
    const user = `eve\n\u202E${'x'.repeat(300)}`;
    const { told } = await announced(source, deleteReview('etcd-0', { user }));
    expect(told[0]?.message).toMatch(/^Delete of etcd-0 by eve x{96}… refused: etcd-0 leads /);
  });
});

it('a member that is known to be down is announced as nothing to worry about', () => {
  const about: readonly ObjectReference[] = [{ ...POD, kind: 'Pod' }];
  const { policy } = loadedGuard({ pods: PODS }).document.spec;
  const verdict = { kind: 'allow', reason: 'KnownDown', message: 'It is down.' } as const;
  const judgement: Judgement = {
    verdict: { ...verdict, member: null, warnings: [], reserve: 'ifPossible' },
    guard: { namespace: 'default', name: 'etcd', policy },
    view: null,
    handOff: { kind: 'none' },
    about,
  };
  expect(announcementsOf(deletion('etcd-0'), judgement, null)).toStrictEqual([
    {
      about,
      type: 'Normal',
      reason: 'KnownDown',
      action: 'Allowed',
      message: 'Delete of etcd-0 by alice allowed: It is down.',
    },
  ]);
});

describe('of a review is not announced', () => {
  it('a dry run', async () => {
    const { source } = cluster();
    const dry = { dryRun: true };
    for (const review of [
      deleteReview('etcd-0', dry),
      evictionReview('etcd-0', dry),
      brokenGlass(dry),
    ]) {
      expect((await announced(source, review)).told).toStrictEqual([]);
    }
    const failing = broken(new GuardSourceError('away'));
    expect((await announced(failing, deleteReview('etcd-0', dry))).told).toStrictEqual([]);
  });

  it('a follower that is spared, a pod that is terminating, a pod that nobody guards', async () => {
    const { source } = cluster();
    const metadata = { deletionTimestamp: '2026-03-04T05:06:07Z' };
    for (const review of [
      deleteReview('etcd-1'),
      deleteReview('etcd-0', { metadata }),
      deleteReview('web-0', { metadata: { labels: { app: 'etcd' } } }),
    ]) {
      expect((await announced(source, review)).told).toStrictEqual([]);
    }
  });
});

function fail(): never {
  throw new Error('no room');
}

it('an announcement that fails changes no answer', async () => {
  const at = { timeoutMs: 2_000, arrivedAtMs: performance.now() };
  const review = deleteReview('etcd-0');
  const { source } = cluster();
  const expected = await announced(source, review);
  expect((await handler(source, fail)(review, at)).body).toStrictEqual(expected.body);
  const failing = broken(new GuardSourceError('away'));
  const failed = await announced(failing, review);
  expect((await handler(failing, fail)(review, at)).body).toStrictEqual(failed.body);
});
