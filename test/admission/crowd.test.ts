import { describe, expect, it } from 'vitest';
import { deadlineFor } from '../../src/admission/deadline.ts';
import type { Found, GuardSource } from '../../src/admission/guard-source.ts';
import { hear, type GuardedRequest, type Judgement } from '../../src/admission/hearing.ts';
import { Turns } from '../../src/sharing/turns.ts';
import type { Policy } from '../../src/decision/situation.ts';
import { FakeEtcd } from '../fakes/etcd.ts';
import { loadedGuard, sourceOf } from '../fakes/guards.ts';
import { deletion, eviction } from '../fakes/requests.ts';
import { FakeClock, settled } from '../sharing/fake-clock.ts';

const PODS = ['etcd-0', 'etcd-1', 'etcd-2'];
const AT_ONCE = 16;
const NOT_ASKED =
  "Can't tell whether etcd cluster default/etcd can spare etcd-1: too many reviews came at once, and its turn to ask etcd did not come in time. Try again.";

/** Behind other reviews, none of which ends: 16 are heard at first, and 16 more after each second. */
function crowded({
  others = AT_ONCE,
  target = {},
  policy = {},
}: {
  readonly others?: number;
  readonly target?: Partial<Found['target']>;
  readonly policy?: Partial<Policy>;
} = {}) {
  const clock = new FakeClock();
  const turns = new Turns(clock, () => () => 1);
  const etcd = new FakeEtcd(PODS);
  const files = sourceOf(etcd, loadedGuard({ pods: PODS, policy }));
  let reads = 0;
  const source: GuardSource = {
    async read(subject) {
      reads += 1;
      const found = files.read(subject);
      return { ...found, target: { ...found.target, ...target } };
    },
  };
  const ends = Array.from({ length: others }, (_, at) => turns.take(`team-${at}`, 60_000));
  const nowMs = (): number => clock.now();
  const review = async (
    request: GuardedRequest,
    guards: GuardSource = source,
  ): Promise<Judgement> => {
    return hear(request, { guards, nowMs, turns }, deadlineFor(10_000, nowMs(), nowMs));
  };
  const oneEnds = (): void => {
    const [end] = ends;
    if (end instanceof Promise) throw new Error('it was crowded before');
    end?.();
  };
  return { clock, etcd, files, review, oneEnds, reads: () => reads };
}

function outcome({ verdict }: Judgement): string {
  return `${verdict.kind} ${verdict.reason}`;
}

describe('in a crowd of reviews, one', () => {
  it('is judged when its turn comes, by what is read after that', async () => {
    const { clock, etcd, review, oneEnds, reads } = crowded();
    const judged = review(deletion('etcd-1'));
    await clock.advance(900);
    expect([reads(), etcd.calls]).toEqual([0, []]);
    oneEnds();
    expect(outcome(await judged)).toBe('allow Spared');
    expect(reads()).toBe(1);
  });

  it('gives its turn to the next, whatever comes of it', async () => {
    const { review, oneEnds } = crowded();
    const failing: GuardSource = { read: () => Promise.reject(new Error('the disk is full')) };
    const failed = review(deletion('etcd-1'), failing);
    const next = review(deletion('etcd-1', { namespace: 'shop' }));
    oneEnds();
    await expect(failed).rejects.toThrow('the disk is full');
    expect(outcome(await next)).toBe('allow NotGuarded');
  });

  it.each<[string, Partial<Found['target']>, Partial<Policy>, string]>([
    ['is refused', {}, {}, 'deny Unverifiable'],
    ['is allowed by a policy', {}, { unknown: 'Allow' }, 'allow Unverifiable'],
    ['of a pod that has ended is refused', { finished: true }, {}, 'deny Unverifiable'],
    [
      'of a pod whose container is down is refused',
      { containersDown: true },
      {},
      'deny Unverifiable',
    ],
    ['of a pod that is a mirror may go', { mirror: true }, {}, 'allow NotRunningHere'],
    ['of a pod that was never scheduled may go', { unscheduled: true }, {}, 'allow NotRunningHere'],
    [
      'breaks the glass',
      { breakGlass: { reason: 'the disk is gone', until: null } },
      {},
      'allow BreakGlass',
    ],
  ])(
    'whose turn does not come in time %s, and nobody is asked',
    async (_, target, policy, expected) => {
      const { clock, etcd, review, reads } = crowded({ others: 8 * AT_ONCE, target, policy });
      const judged = review(deletion('etcd-1'));
      await clock.advance(7_499);
      await settled();
      expect(reads()).toBe(0);
      await clock.advance(1);
      expect(outcome(await judged)).toBe(expected);
      expect(etcd.calls).toEqual([]);
    },
  );

  it('whose turn does not come in time is told why', async () => {
    const { clock, review } = crowded({ others: 8 * AT_ONCE });
    const judged = review(deletion('etcd-1'));
    await clock.advance(7_500);
    expect((await judged).verdict.message).toContain(NOT_ASKED);
  });

  it('whose turn does not come in time, and for which nothing can be read, is told why, too', async () => {
    const { clock, review } = crowded({ others: 8 * AT_ONCE });
    const failing: GuardSource = { read: () => Promise.reject(new Error('no answer')) };
    const failed = review(deletion('etcd-1'), failing).catch((error: unknown) => error);
    await clock.advance(7_500);
    const message = expect.stringContaining('too many reviews came at once');
    expect(await failed).toMatchObject({ name: 'GuardSourceError', message });
  });

  it('of a pod that goes already waits for nobody', async () => {
    const { clock, etcd, files, review } = crowded({ others: 8 * AT_ONCE });
    const deletionTimestamp = '2026-01-01T00:00:00Z';
    const timers = clock.timers;
    const judged = review(deletion('etcd-1', { metadata: { deletionTimestamp } }), files);
    expect(outcome(await judged)).toBe('allow AlreadyGoing');
    expect([clock.timers, etcd.calls]).toEqual([timers, []]);
  });

  it('shares its turn with those of its own StatefulSet, not with all of the namespace', async () => {
    const { clock, files } = crowded();
    const nowMs = (): number => clock.now();
    const names: string[] = [];
    const take = (name: string) => {
      names.push(name);
      return () => undefined;
    };
    for (const request of [
      deletion('etcd-0'),
      eviction('etcd-12'),
      deletion('main-etcd-0'),
      deletion('etcd'),
    ]) {
      await hear(
        request,
        { guards: { read: (subject) => files.read(subject) }, nowMs, turns: { take } },
        deadlineFor(10_000, nowMs(), nowMs),
      );
    }
    expect(names).toEqual(['default/etcd', 'default/etcd', 'default/main-etcd', 'default/etcd']);
  });

  it('that no guard selects need not wait where guards are at hand', () => {
    const { clock, files } = crowded();
    const nowMs = (): number => clock.now();
    const turns = new Turns(clock);
    for (let at = 0; at < AT_ONCE; at += 1) void turns.take(`team-${at}`, 0);
    const deadline = deadlineFor(10_000, nowMs(), nowMs);
    const judged = hear(deletion('shop-0'), { guards: files, nowMs, turns }, deadline);
    expect(judged).toMatchObject({ verdict: { kind: 'allow', reason: 'NotGuarded' } });
  });
});
