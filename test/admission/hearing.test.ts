import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { deadlineFor } from '../../src/admission/deadline.ts';
import {
  GuardSourceError,
  type GuardSource,
  type NewReservation,
} from '../../src/admission/guard-source.ts';
import { hear, type GuardedRequest, type Judgement } from '../../src/admission/hearing.ts';
import type { Policy } from '../../src/decision/situation.ts';
import { FakeEtcd, type MoveBehaviour } from '../fakes/etcd.ts';
import { endingAfterReserve, loadedGuard, sourceOf } from '../fakes/guards.ts';
import { deletion, eviction } from '../fakes/requests.ts';

const nowMs = (): number => performance.now();

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

interface Setup {
  readonly etcd: FakeEtcd;
  readonly source: GuardSource;
}

function clusterOf(size: number, policy: Partial<Policy> = {}): Setup {
  const pods = Array.from({ length: size }, (_, index) => `etcd-${index}`);
  const etcd = new FakeEtcd(pods);
  return { etcd, source: sourceOf(etcd, loadedGuard({ pods, policy })) };
}

async function judge(source: GuardSource, request: GuardedRequest, timeoutMs = 10_000) {
  const deadline = deadlineFor(timeoutMs, nowMs(), nowMs);
  return hear(request, { guards: source, nowMs }, deadline);
}

/** Lets fake time pass, in small steps, until the promise settles. */
async function settled<T>(promise: Promise<T>, withinMs = 60_000): Promise<T> {
  const end = promise.then(
    () => true,
    () => true,
  );
  const untilMs = nowMs() + withinMs;
  while (nowMs() < untilMs) {
    const passed = vi.advanceTimersByTimeAsync(5).then(() => false);
    if (await Promise.race([end, passed])) return promise;
  }
  throw new Error(`nothing settled within ${withinMs} ms`);
}

function outcome({ verdict }: Judgement): string {
  return `${verdict.kind} ${verdict.reason}`;
}

async function outcomeOf(source: GuardSource, request: GuardedRequest): Promise<string> {
  return outcome(await settled(judge(source, request)));
}

describe('a reservation that goes while it is relied on', () => {
  it('is made anew when its pod comes back between the read and the answer', async () => {
    const { etcd, source } = clusterOf(3);
    expect(await outcomeOf(source, deletion('etcd-1'))).toBe('allow Spared');
    etcd.stop('etcd-1');
    expect(await outcomeOf(source, deletion('etcd-2'))).toBe('deny QuorumAtRisk');
    etcd.start('etcd-1');
    expect(await outcomeOf(source, deletion('etcd-1'))).toBe('allow Spared');
    expect(await outcomeOf(source, deletion('etcd-2'))).toBe('deny QuorumAtRisk');
  });

  it('is not taken back by a failed hand-off once another review was allowed under it', async () => {
    const { etcd, source } = clusterOf(3);
    etcd.whenMoved = 'losesItsAnswer';
    const first = judge(source, eviction('etcd-0'));
    await vi.advanceTimersByTimeAsync(100);
    const second = judge(source, eviction('etcd-0'));
    expect(outcome(await settled(second))).toBe('allow Spared');
    expect(outcome(await settled(first))).toBe('deny LeaderProtected');
    expect(await outcomeOf(source, deletion('etcd-2'))).toBe('deny QuorumAtRisk');
  });

  it('survives a hand-off of the same pod that fails', async () => {
    const { etcd, source } = clusterOf(3);
    expect(await outcomeOf(source, deletion('etcd-1'))).toBe('allow Spared');
    etcd.lead('etcd-1');
    etcd.whenMoved = 'fails';
    expect(await outcomeOf(source, eviction('etcd-1'))).toBe('deny LeaderProtected');
    expect(await outcomeOf(source, deletion('etcd-2'))).toBe('deny QuorumAtRisk');
  });

  it('is not ended by a silence from before it was made', async () => {
    const { etcd, source } = clusterOf(3);
    etcd.member('etcd-1').reach = 'hangs';
    const late = judge(source, deletion('etcd-2'));
    await vi.advanceTimersByTimeAsync(100);
    etcd.member('etcd-1').reach = 'answers';
    expect(await outcomeOf(source, deletion('etcd-1'))).toBe('allow Spared');
    expect(outcome(await settled(late))).toBe('deny QuorumAtRisk');
    expect(await outcomeOf(source, deletion('etcd-2'))).toBe('deny QuorumAtRisk');
    expect(await outcomeOf(source, deletion('etcd-2'))).toBe('deny QuorumAtRisk');
  });

  it('is not ended by a round that was cut short by its review’s deadline', async () => {
    const { etcd, source } = clusterOf(3);
    expect(await outcomeOf(source, deletion('etcd-1'))).toBe('allow Spared');
    etcd.member('etcd-1').reach = 'hangs';
    const deadline = deadlineFor(10_000, nowMs() - 9_490, nowMs);
    await settled(Promise.resolve(hear(deletion('etcd-2'), { guards: source, nowMs }, deadline)));
    etcd.member('etcd-1').reach = 'answers';
    expect(await outcomeOf(source, deletion('etcd-2'))).toBe('deny QuorumAtRisk');
    expect(await outcomeOf(source, deletion('etcd-2'))).toBe('deny QuorumAtRisk');
  });

  it.each([-1, -600])('lasts with a grace period of %i', async (gracePeriodSeconds) => {
    const { source } = clusterOf(3);
    expect(await outcomeOf(source, deletion('etcd-1', { gracePeriodSeconds }))).toBe(
      'allow Spared',
    );
    await vi.advanceTimersByTimeAsync(119_000);
    expect(await outcomeOf(source, deletion('etcd-2'))).toBe('deny QuorumAtRisk');
  });
});

describe('the order of a hearing', () => {
  it('is ledger, etcd, proof, reservation', async () => {
    const { etcd, source } = clusterOf(3);
    const steps: string[] = [];
    const watched = throughLedger(source, {
      read: () => void steps.push('read'),
      reserve: () => void steps.push('reserve'),
    });
    etcd.hold = (call, at) => void (at === 'start' && steps.push(call));
    expect(await outcomeOf(watched, deletion('etcd-1'))).toBe('allow Spared');
    expect(steps).toEqual(['read', 'ask', 'prove', 'reserve']);
  });

  it('starts over from the ledger after a conflict', async () => {
    const { etcd, source } = clusterOf(5);
    const steps: string[] = [];
    const conflicts = ['conflict' as const];
    const watched = throughLedger(source, {
      read: () => void steps.push('read'),
      reserve: () => conflicts.pop(),
    });
    etcd.hold = (call, at) => void (at === 'start' && steps.push(call));
    expect(await outcomeOf(watched, deletion('etcd-1'))).toBe('allow Spared');
    expect(steps).toEqual(['read', 'ask', 'prove', 'read', 'ask', 'prove']);
  });

  it('decides without the guard if that is gone after a conflict', async () => {
    const { source } = clusterOf(3);
    let reads = 0;
    const vanishing: GuardSource = {
      read: async (subject) => {
        const found = await conflicting(source).read(subject, 1_000);
        reads += 1;
        return reads === 1 ? found : { ...found, clusters: [] };
      },
    };
    expect(await outcomeOf(vanishing, deletion('etcd-1'))).toBe('allow NotGuarded');
  });

  it('refuses, with the cause, if the guards can no longer be read after a conflict', async () => {
    const { source } = clusterOf(3);
    let reads = 0;
    const failing: GuardSource = {
      read: async (subject) => {
        reads += 1;
        if (reads > 1) throw new GuardSourceError('the API server does not answer');
        return conflicting(source).read(subject, 1_000);
      },
    };
    const { verdict } = await judge(failing, deletion('etcd-1'), 10_000);
    expect(verdict).toMatchObject({ kind: 'deny', reason: 'Unverifiable' });
    expect(verdict.message).toMatch(/no reservation can be made: the API server does not answer/);
  });

  it('asks etcd nothing for a pod that is going already', async () => {
    const { etcd, source } = clusterOf(3);
    const metadata = { deletionTimestamp: '2026-01-01T00:00:00Z' };
    expect(await outcomeOf(source, deletion('etcd-0', { metadata }))).toBe('allow AlreadyGoing');
    expect(etcd.calls).toEqual([]);
  });
});

describe('a storm of deletions', () => {
  it.each([
    { size: 1, spares: 0 },
    { size: 2, spares: 0 },
    { size: 3, spares: 1 },
    { size: 5, spares: 2 },
    { size: 7, spares: 3 },
  ])('of $size members lets exactly $spares followers go', async ({ size, spares }) => {
    const { etcd, source } = clusterOf(size);
    etcd.hold = () => passing(1);
    const requests = Array.from({ length: 50 }, (_, index) => deletion(`etcd-${index % size}`));
    const judgements = await settled(Promise.all(requests.map((one) => judge(source, one))));
    const gone = new Set(
      judgements.flatMap(({ verdict }, index) =>
        verdict.kind === 'allow' ? [`etcd-${index % size}`] : [],
      ),
    );
    expect(gone.size).toBe(spares);
    expect(gone.has('etcd-0')).toBe(false);
    expect(judgements[0]?.verdict.reason).toBe('LeaderProtected');
  });

  it('lets one go fewer for each member that is down already', async () => {
    const { etcd, source } = clusterOf(5);
    etcd.stop('etcd-4');
    const pods = ['etcd-1', 'etcd-2', 'etcd-3'];
    const judgements = await settled(Promise.all(pods.map((pod) => judge(source, deletion(pod)))));
    expect(judgements.filter(({ verdict }) => verdict.kind === 'allow')).toHaveLength(1);
  });

  it('counts each guard by itself', async () => {
    const etcd = new FakeEtcd(['a-0', 'a-1', 'a-2']);
    const pods = ['a-0', 'a-1', 'a-2'];
    const source = sourceOf(
      etcd,
      loadedGuard({ namespace: 'one', pods }),
      loadedGuard({ namespace: 'two', pods }),
    );
    expect(await outcomeOf(source, deletion('a-1', { namespace: 'one' }))).toBe('allow Spared');
    expect(await outcomeOf(source, deletion('a-2', { namespace: 'two' }))).toBe('allow Spared');
    expect(await outcomeOf(source, deletion('a-2', { namespace: 'one' }))).toBe(
      'deny QuorumAtRisk',
    );
  });
});

describe('a repeated request', () => {
  it('is allowed for 60 s without a new entry, then refused, then free', async () => {
    const { etcd, source } = clusterOf(3);
    let writes = 0;
    const watched = throughLedger(source, { reserve: () => void (writes += 1) });
    const request = deletion('etcd-1', { gracePeriodSeconds: 0 });
    expect(await outcomeOf(watched, request)).toBe('allow Spared');
    etcd.calls.length = 0;
    await vi.advanceTimersByTimeAsync(59_000);
    expect(await outcomeOf(watched, request)).toBe('allow Spared');
    expect(etcd.calls).toEqual(['ask', 'prove']);
    expect(writes).toBe(1);
    await vi.advanceTimersByTimeAsync(2_000);
    const { verdict } = await settled(judge(watched, request));
    expect(verdict).toMatchObject({ kind: 'deny', reason: 'QuorumAtRisk' });
    expect(verdict.message).toMatch(/allowed 61 s ago.*PodDisruptionBudget/);
    await vi.advanceTimersByTimeAsync(58_000);
    expect(await outcomeOf(watched, request)).toBe('deny QuorumAtRisk');
    await vi.advanceTimersByTimeAsync(2_000);
    expect(await outcomeOf(watched, request)).toBe('allow Spared');
    expect(writes).toBe(2);
  });

  it('is allowed under the reason that it was allowed with', async () => {
    const { etcd, source } = clusterOf(5);
    etcd.member('etcd-1').lagEntries = 5_000;
    etcd.member('etcd-1').reach = 'forbids';
    expect(await outcomeOf(source, deletion('etcd-1'))).toBe('allow NothingToLose');
    etcd.member('etcd-1').reach = 'answers';
    etcd.member('etcd-1').lagEntries = 0;
    expect(await outcomeOf(source, deletion('etcd-1'))).toBe('allow NothingToLose');
  });

  it('is refused if its pod leads meanwhile', async () => {
    const { etcd, source } = clusterOf(3);
    expect(await outcomeOf(source, deletion('etcd-1'))).toBe('allow Spared');
    etcd.lead('etcd-1');
    expect(await outcomeOf(source, deletion('etcd-1'))).toBe('deny LeaderProtected');
  });

  it('is one of two reviews at the same time: one writes, both are allowed', async () => {
    const { source } = clusterOf(3);
    let writes = 0;
    const watched = throughLedger(source, { reserve: () => void (writes += 1) });
    const both = [judge(watched, deletion('etcd-1')), judge(watched, deletion('etcd-1'))];
    const outcomes = (await settled(Promise.all(both))).map(outcome);
    expect(outcomes).toEqual(['allow Spared', 'allow Spared']);
    // The second tried, met the conflict, and found its own pod's entry.
    expect(writes).toBe(2);
  });
});

describe('a dry run', () => {
  it('reserves nothing', async () => {
    const { source } = clusterOf(3);
    expect(await outcomeOf(source, deletion('etcd-1', { dryRun: true }))).toBe('allow Spared');
    expect(await outcomeOf(source, deletion('etcd-2'))).toBe('allow Spared');
    expect(await outcomeOf(source, deletion('etcd-1', { dryRun: true }))).toBe('deny QuorumAtRisk');
  });

  it('moves no leader, and says that it would', async () => {
    const { etcd, source } = clusterOf(3);
    const { verdict } = await settled(judge(source, eviction('etcd-0', { dryRun: true })));
    expect(verdict).toMatchObject({ kind: 'allow', reason: 'Spared' });
    expect(verdict.warnings.join()).toMatch(/would be moved from etcd-0 to etcd-\d first/);
    expect(etcd.calls).toEqual(['ask', 'prove']);
    expect(etcd.leader).toBe('etcd-0');
    expect(await outcomeOf(source, deletion('etcd-1'))).toBe('allow Spared');
  });
});

describe('a hand-off', () => {
  it('moves leadership, and lets the former leader go as a follower', async () => {
    const { etcd, source } = clusterOf(3);
    const { verdict, handOff, view } = await settled(judge(source, eviction('etcd-0')));
    expect(verdict).toMatchObject({ kind: 'allow', reason: 'Spared' });
    expect(handOff).toEqual({ kind: 'moved' });
    expect(etcd.moves).toEqual(['etcd-1']);
    expect(view?.leader).toEqual({ kind: 'confirmed', id: etcd.member('etcd-1').id });
  });

  it('is not for a plain deletion, unless the policy says so', async () => {
    const denying = clusterOf(3);
    expect(await outcomeOf(denying.source, deletion('etcd-0'))).toBe('deny LeaderProtected');
    expect(denying.etcd.moves).toEqual([]);
    const moving = clusterOf(3, { leader: 'HandOff' });
    expect(await outcomeOf(moving.source, deletion('etcd-0'))).toBe('allow Spared');
    expect(moving.etcd.moves).toEqual(['etcd-1']);
  });

  it('is refused at once, and nothing moves, if the leader could not be spared', async () => {
    const { etcd, source } = clusterOf(3);
    etcd.stop('etcd-2');
    const { verdict, handOff } = await settled(judge(source, eviction('etcd-0')));
    expect(verdict).toMatchObject({ kind: 'deny', reason: 'LeaderProtected' });
    expect(handOff).toEqual({ kind: 'none' });
    expect(etcd.calls).not.toContain('moveLeader');
  });

  it('names the member that is least behind', async () => {
    const { etcd, source } = clusterOf(3);
    etcd.member('etcd-1').lagEntries = 10;
    expect(await outcomeOf(source, eviction('etcd-0'))).toBe('allow Spared');
    expect(etcd.moves).toEqual(['etcd-2']);
  });

  const failures: readonly { whenMoved: MoveBehaviour; cause: RegExp }[] = [
    { whenMoved: 'fails', cause: /not leader/ },
    { whenMoved: 'hangs', cause: /not answered in time/ },
    { whenMoved: 'ignores', cause: /no new leader was confirmed in time/ },
  ];
  it.each(failures)(
    'that $whenMoved is refused, and takes its entry back',
    async ({ whenMoved, cause }) => {
      const { etcd, source } = clusterOf(3);
      etcd.whenMoved = whenMoved;
      const startedAtMs = nowMs();
      const { verdict, handOff } = await settled(judge(source, eviction('etcd-0')));
      expect(nowMs() - startedAtMs).toBeLessThanOrEqual(9_510);
      expect(verdict).toMatchObject({ kind: 'deny', reason: 'LeaderProtected' });
      expect(verdict.message).toMatch(cause);
      expect(handOff).toMatchObject({ kind: 'failed' });
      expect(await outcomeOf(source, deletion('etcd-2'))).toBe('allow Spared');
    },
  );

  it('finds leadership moved on a retry, if only the answer was lost', async () => {
    const { etcd, source } = clusterOf(3);
    etcd.whenMoved = 'losesItsAnswer';
    expect(await outcomeOf(source, eviction('etcd-0'))).toBe('deny LeaderProtected');
    expect(await outcomeOf(source, eviction('etcd-0'))).toBe('allow Spared');
    expect(etcd.moves).toEqual(['etcd-1']);
  });

  it('protects the candidate and the quorum while it is under way', async () => {
    const { etcd, source } = clusterOf(3);
    etcd.whenMoved = 'ignores';
    const underWay = judge(source, eviction('etcd-0'));
    await vi.advanceTimersByTimeAsync(100);
    const candidate = await settled(judge(source, deletion('etcd-1')));
    expect(outcome(candidate)).toBe('deny LeaderProtected');
    expect(candidate.verdict.message).toMatch(/being handed to etcd-1/);
    expect(await outcomeOf(source, deletion('etcd-2'))).toBe('deny QuorumAtRisk');
    expect(await outcomeOf(source, deletion('etcd-0'))).toBe('deny LeaderProtected');
    await settled(underWay);
    expect(await outcomeOf(source, deletion('etcd-1'))).toBe('allow Spared');
  });

  it('goes on protecting the candidate while its entry lives', async () => {
    const { etcd, source } = clusterOf(3);
    expect(await outcomeOf(source, eviction('etcd-0'))).toBe('allow Spared');
    etcd.lead('etcd-2');
    expect(await outcomeOf(source, deletion('etcd-1'))).toBe('deny LeaderProtected');
    await vi.advanceTimersByTimeAsync(150_000);
    expect(await outcomeOf(source, deletion('etcd-1'))).toBe('allow Spared');
  });

  it('moves once for two reviews of one eviction, and allows both', async () => {
    const { etcd, source } = clusterOf(3);
    etcd.hold = () => passing(3);
    const both = [judge(source, eviction('etcd-0')), judge(source, eviction('etcd-0'))];
    const judgements = await settled(Promise.all(both));
    expect(judgements.map(outcome)).toEqual(['allow Spared', 'allow Spared']);
    expect(judgements.filter(({ handOff }) => handOff.kind === 'moved')).toHaveLength(1);
    expect(etcd.moves).toEqual(['etcd-1']);
  });

  it('whose review came to nothing without a word is made anew once no review can last that long', async () => {
    const { etcd, source } = clusterOf(3);
    await settled(judge(endingAfterReserve(source), eviction('etcd-0')));
    expect(etcd.moves).toEqual([]);
    const early = await settled(judge(source, eviction('etcd-0')));
    expect(outcome(early)).toBe('deny LeaderProtected');
    expect(early.verdict.message).toMatch(/no new leader was confirmed in time/);
    await vi.advanceTimersByTimeAsync(20_000);
    // One that fails puts the entry back, which somebody may rely on.
    etcd.whenMoved = 'fails';
    expect(await outcomeOf(source, deletion('etcd-1'))).toBe('deny LeaderProtected');
    expect(await outcomeOf(source, eviction('etcd-0'))).toBe('deny LeaderProtected');
    expect(await outcomeOf(source, deletion('etcd-1'))).toBe('deny LeaderProtected');
    etcd.whenMoved = 'moves';
    const both = [judge(source, eviction('etcd-0')), judge(source, eviction('etcd-0'))];
    expect((await settled(Promise.all(both))).map(outcome)).toEqual([
      'allow Spared',
      'allow Spared',
    ]);
    expect(etcd.moves).toEqual(['etcd-1']);
  });

  it('that fails for two reviews at once refuses both and leaves no entry', async () => {
    const { etcd, source } = clusterOf(3);
    etcd.whenMoved = 'ignores';
    const both = [judge(source, eviction('etcd-0')), judge(source, eviction('etcd-0'))];
    const judgements = await settled(Promise.all(both));
    expect(judgements.map(outcome)).toEqual(['deny LeaderProtected', 'deny LeaderProtected']);
    expect(await outcomeOf(source, deletion('etcd-1'))).toBe('allow Spared');
  });

  it('races a follower’s deletion: one of them goes', async () => {
    const { etcd, source } = clusterOf(3);
    etcd.hold = () => passing(3);
    const both = [judge(source, eviction('etcd-0')), judge(source, deletion('etcd-2'))];
    const judgements = await settled(Promise.all(both));
    expect(judgements.filter(({ verdict }) => verdict.kind === 'allow')).toHaveLength(1);
  });

  it('is not begun while the ledger can’t be written', async () => {
    const { etcd, source } = clusterOf(3);
    const failing = throughLedger(source, { reserve: failure });
    const { verdict, handOff } = await settled(judge(failing, eviction('etcd-0')));
    expect(verdict).toMatchObject({ kind: 'deny', reason: 'LeaderProtected' });
    expect(handOff).toEqual({ kind: 'failed', cause: 'the disk is full' });
    expect(etcd.calls).not.toContain('moveLeader');
  });

  it('takes an entry back that was written too late', async () => {
    const { source } = clusterOf(3);
    const slow = throughLedger(source, { reserve: () => passing(11_000) });
    const { verdict } = await settled(judge(slow, eviction('etcd-0')));
    expect(verdict).toMatchObject({ kind: 'deny', reason: 'LeaderProtected' });
    await vi.advanceTimersByTimeAsync(3_000);
    expect(await outcomeOf(source, deletion('etcd-1'))).toBe('allow Spared');
  });
});

describe('a ledger that fails', () => {
  it('refuses what needs a reservation', async () => {
    const { source } = clusterOf(3);
    const failing = throughLedger(source, { reserve: failure });
    const { verdict } = await settled(judge(failing, deletion('etcd-1')));
    expect(verdict).toMatchObject({ kind: 'deny', reason: 'Unverifiable' });
    expect(verdict.message).toMatch(/no reservation can be made: the disk is full/);
  });

  it('lets go by policy', async () => {
    const { source } = clusterOf(3, { unknown: 'Allow' });
    const failing = throughLedger(source, { reserve: failure });
    expect(await outcomeOf(failing, deletion('etcd-1'))).toBe('allow Unverifiable');
    expect(await outcomeOf(failing, deletion('etcd-0'))).toBe('deny LeaderProtected');
  });

  it('refuses a repeated request whose entry can’t be made sure of', async () => {
    const { source } = clusterOf(3);
    expect(await outcomeOf(source, deletion('etcd-1'))).toBe('allow Spared');
    const failing = throughLedger(source, { keep: failure });
    expect(await outcomeOf(failing, deletion('etcd-1'))).toBe('deny Unverifiable');
  });

  it('does not stop a learner, or a pod under break-glass', async () => {
    const pods = ['etcd-0', 'etcd-1', 'etcd-2', 'etcd-3'];
    const etcd = new FakeEtcd(pods.slice(0, 3), ['etcd-3']);
    const source = sourceOf(etcd, loadedGuard({ pods }));
    const failing = throughLedger(source, { reserve: failure });
    expect(await outcomeOf(failing, deletion('etcd-3'))).toBe('allow Learner');
    const metadata = { annotations: { 'etcd-guard.io/break-glass': 'restore from backup' } };
    expect(await outcomeOf(failing, deletion('etcd-0', { metadata }))).toBe('allow BreakGlass');
  });
});

describe('unknown: Allow', () => {
  it('lets go what can’t be judged, but never a leader, nor the last survivor', async () => {
    const { etcd, source } = clusterOf(3, { unknown: 'Allow' });
    etcd.member('etcd-1').reach = 'hangs';
    expect(await outcomeOf(source, deletion('etcd-0'))).toBe('deny LeaderProtected');
    etcd.member('etcd-2').reach = 'hangs';
    expect(await outcomeOf(source, deletion('etcd-1'))).toBe('allow Unverifiable');
    etcd.stop('etcd-1');
    etcd.stop('etcd-2');
    expect(await outcomeOf(source, deletion('etcd-0'))).toBe('deny QuorumLost');
  });
});

describe('the deadline', () => {
  const timeouts = [1_000, 10_000, 30_000];

  it.each(timeouts)('of %i ms is kept while every member hangs', async (timeoutMs) => {
    const { etcd, source } = clusterOf(5);
    for (const member of etcd.members) member.reach = 'hangs';
    const startedAtMs = nowMs();
    const judgement = await settled(judge(source, deletion('etcd-1'), timeoutMs));
    expect(outcome(judgement)).toBe('deny Unverifiable');
    expect(nowMs() - startedAtMs).toBeLessThan(timeoutMs);
  });

  it.each(timeouts)('of %i ms leaves time to judge beside one that hangs', async (timeoutMs) => {
    const { etcd, source } = clusterOf(5);
    etcd.member('etcd-4').reach = 'hangs';
    const judgement = await settled(judge(source, deletion('etcd-1'), timeoutMs));
    expect(outcome(judgement)).toBe('allow Spared');
    const silent = await settled(judge(source, deletion('etcd-4'), timeoutMs));
    expect(outcome(silent)).toBe('allow NothingToLose');
    const oneTooMany = await settled(judge(source, deletion('etcd-2'), timeoutMs));
    expect(outcome(oneTooMany)).toBe('deny QuorumAtRisk');
  });

  it.each(timeouts)('of %i ms ends a storm of conflicts', async (timeoutMs) => {
    const { etcd, source } = clusterOf(3);
    etcd.hold = () => passing(1);
    const startedAtMs = nowMs();
    const judgement = await settled(judge(conflicting(source), deletion('etcd-1'), timeoutMs));
    expect(outcome(judgement)).toBe('deny Unverifiable');
    expect(judgement.verdict.message).toMatch(/time ran out/);
    expect(nowMs() - startedAtMs).toBeLessThan(timeoutMs);
  });

  it.each(timeouts)('of %i ms ends a storm of conflicts under a hand-off', async (timeoutMs) => {
    const { etcd, source } = clusterOf(3);
    etcd.hold = () => passing(1);
    const startedAtMs = nowMs();
    const judgement = await settled(judge(conflicting(source), eviction('etcd-0'), timeoutMs));
    expect(outcome(judgement)).toBe('deny LeaderProtected');
    expect(nowMs() - startedAtMs).toBeLessThan(timeoutMs);
    expect(etcd.moves).toEqual([]);
  });

  it('ends a storm of conflicts over an entry that is not required', async () => {
    const { source } = clusterOf(3);
    const slow = throughLedger(source, { read: () => passing(1), reserve: () => 'conflict' });
    const metadata = { annotations: { 'etcd-guard.io/break-glass': 'restore from backup' } };
    expect(await outcomeOf(slow, deletion('etcd-0', { metadata }))).toBe('allow BreakGlass');
  });

  it('ends while an entry comes and goes', async () => {
    const { source } = clusterOf(3);
    expect(await outcomeOf(source, deletion('etcd-1'))).toBe('allow Spared');
    const flickering = throughLedger(source, {
      read: () => passing(1),
      keep: () => 'conflict',
    });
    expect(await outcomeOf(flickering, deletion('etcd-1'))).toBe('deny Unverifiable');
  });

  it('is kept while the ledger hangs', async () => {
    const { source } = clusterOf(3);
    const hanging = throughLedger(source, { reserve: forever });
    const startedAtMs = nowMs();
    expect(await outcomeOf(hanging, deletion('etcd-1'))).toBe('deny Unverifiable');
    expect(nowMs() - startedAtMs).toBeLessThan(10_000);
  });

  it('is kept while the guards can’t be read: an error, since nothing is known', async () => {
    const { source } = clusterOf(3);
    const hanging = throughLedger(source, { read: forever });
    const startedAtMs = nowMs();
    await expect(settled(judge(hanging, deletion('etcd-1')))).rejects.toThrow(/not read in time/);
    expect(nowMs() - startedAtMs).toBeLessThan(10_000);
  });

  it('is kept while the guards can’t be read again after a conflict', async () => {
    const { source } = clusterOf(3);
    let reads = 0;
    const hanging = throughLedger(source, {
      read: () => ((reads += 1) > 1 ? forever() : undefined),
      reserve: () => 'conflict',
    });
    expect(await outcomeOf(hanging, deletion('etcd-1'))).toBe('deny Unverifiable');
  });

  it('passed before the hearing refuses without asking', async () => {
    const { etcd, source } = clusterOf(3);
    const deadline = deadlineFor(10_000, nowMs() - 20_000, nowMs);
    const judgement = await hear(deletion('etcd-1'), { guards: source, nowMs }, deadline);
    expect(outcome(judgement)).toBe('deny Unverifiable');
    expect(etcd.calls).toEqual([]);
  });

  it('leaves no timer behind', async () => {
    const { source } = clusterOf(3);
    expect(await outcomeOf(source, eviction('etcd-0'))).toBe('allow Spared');
    expect(vi.getTimerCount()).toBe(0);
  });
});

interface Interception {
  read?: () => Promise<void> | void;
  reserve?: () => Promise<void> | 'conflict' | void;
  keep?: () => Promise<void> | 'conflict' | void;
}

/** The same source, with something done before each access to its ledger. */
function throughLedger(source: GuardSource, before: Interception): GuardSource {
  return {
    async read(subject) {
      await before.read?.();
      const found = await source.read(subject, 1_000);
      const clusters = found.clusters.map((cluster) => ({
        ...cluster,
        reserve: async (entry: NewReservation) =>
          (await before.reserve?.()) ?? cluster.reserve(entry),
        keep: async () => (await before.keep?.()) ?? cluster.keep(),
      }));
      return { ...found, clusters };
    },
  };
}

function conflicting(source: GuardSource): GuardSource {
  return throughLedger(source, { reserve: () => 'conflict' });
}

function failure(): never {
  throw new Error('the disk is full');
}

function forever(): Promise<void> {
  return new Promise(() => undefined);
}

function passing(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
