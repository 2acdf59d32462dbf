import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { deadlineFor } from '../../src/admission/deadline.ts';
import type { GuardSource } from '../../src/admission/guard-source.ts';
import { hear, type GuardedRequest, type Judgement } from '../../src/admission/hearing.ts';
import type { Policy } from '../../src/decision/situation.ts';
import { FakeEtcd } from '../fakes/etcd.ts';
import { loadedGuard, sourceOf } from '../fakes/guards.ts';
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

function judge(source: GuardSource, request: GuardedRequest, timeoutMs = 10_000) {
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
    await settled(hear(deletion('etcd-2'), { guards: source, nowMs }, deadline));
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
