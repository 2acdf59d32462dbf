import { describe, expect, it } from 'vitest';
import { changesBetween, Leaders } from '../../../src/cli/status/changes.ts';
import type { AllShown, Shown, ShownLock } from '../../../src/cli/status/shown.ts';
import { shownLock } from './shown-lock.ts';

function shown(leader: string | null, more: Partial<Shown> = {}): Shown {
  return {
    title: 'default/etcd',
    item: {
      apiVersion: 'etcd-guard.io/v1alpha1',
      kind: 'EtcdGuard',
      metadata: { name: 'etcd', namespace: 'default' },
      spec: {},
      status: { leader, voters: 3, healthyVoters: leader === null ? 0 : 3, disruptionsAllowed: 1 },
      pods: [
        {
          pod: 'etcd-0',
          decision: leader === 'etcd-0' ? 'deny' : 'allow',
          reason: leader === 'etcd-0' ? 'LeaderProtected' : 'Spared',
          message: '',
        },
      ],
    },
    said: null,
    leaderless: leader === null,
    notes: [],
    sure: true,
    ...more,
  };
}

function all(guards: readonly Shown[], locks: readonly ShownLock[] = []): AllShown {
  return { guards, locks };
}

describe('changes', () => {
  it('are told one a line, and nothing without one', () => {
    expect(changesBetween(all([shown('etcd-1')]), all([shown('etcd-1')]))).toEqual([]);
    expect(changesBetween(all([shown('etcd-1')]), all([shown('etcd-0')]))).toEqual([
      'default/etcd: leader etcd-0 (was etcd-1)',
      'default/etcd: delete of etcd-0 deny (LeaderProtected) (was allow (Spared))',
    ]);
    expect(changesBetween(all([shown('etcd-1')]), all([shown(null)]))).toEqual([
      'default/etcd: leader none (was etcd-1)',
      'default/etcd: healthy 0/3 (was 3/3)',
    ]);
  });

  it('tell of guards and pods that come and go', () => {
    expect(changesBetween(all([shown('etcd-1')]), all([]))).toEqual(['default/etcd: gone']);
    expect(changesBetween(all([]), all([shown('etcd-1')]))[0]).toBe('default/etcd: new');
    const { item } = shown('etcd-1');
    expect(
      changesBetween(
        all([shown('etcd-1')]),
        all([shown('etcd-1', { item: { ...item, pods: [] } })]),
      ),
    ).toEqual(['default/etcd: delete of etcd-0 gone']);
  });

  it('tell of locks, beside a guard of the same name', () => {
    const guards = [shown('etcd-1')];
    const held = shownLock({ title: 'default/etcd' });
    const over = shownLock({
      title: 'default/etcd',
      matched: 3,
      untilMs: Date.parse('2026-05-01T12:00:00Z'),
      inForce: 'no (Expired)',
    });
    expect(changesBetween(all(guards, [held]), all(guards, [held]))).toEqual([]);
    expect(changesBetween(all(guards, [held]), all(guards, [over]))).toEqual([
      'lock default/etcd: matched 3 (was ?)',
      'lock default/etcd: until 2026-05-01T12:00:00Z',
      'lock default/etcd: in force no (Expired) (was yes (Enforced))',
    ]);
    expect(changesBetween(all(guards, [over]), all(guards, [{ ...over, untilMs: null }]))).toEqual([
      'lock default/etcd: until gone',
    ]);
    expect(changesBetween(all([]), all([], [held]))).toEqual([
      'lock default/etcd: new',
      'lock default/etcd: selector aura=red',
      'lock default/etcd: exclusive nobody',
      'lock default/etcd: matched ?',
      'lock default/etcd: in force yes (Enforced)',
    ]);
    expect(changesBetween(all(guards, [held]), all(guards))).toEqual(['lock default/etcd: gone']);
  });
});

describe('a new leader', () => {
  it('is pointed out for ten seconds', () => {
    const leaders = new Leaders();
    leaders.observe([shown('etcd-1')], 0);
    expect(leaders.news(0)).toEqual([]);
    leaders.observe([shown('etcd-0')], 5_000);
    const words = 'LEADER CHANGED: default/etcd from etcd-1 to etcd-0';
    expect(leaders.news(5_000)).toEqual([`${words}, 0 s ago`]);
    expect(leaders.news(14_999)).toEqual([`${words}, 9 s ago`]);
    expect(leaders.news(15_000)).toEqual([]);
  });

  it('is one compared with the last that was known; meanwhile there is none', () => {
    const leaders = new Leaders();
    leaders.observe([shown('etcd-1')], 0);
    leaders.observe([shown(null)], 1_000);
    expect(leaders.news(1_000)).toEqual(['NO LEADER CONFIRMED: default/etcd (it was etcd-1)']);
    leaders.observe([shown('etcd-1')], 2_000);
    expect(leaders.news(2_000)).toEqual([]);
    leaders.observe([shown(null)], 3_000);
    leaders.observe([shown('etcd-2')], 4_000);
    expect(leaders.news(4_000)).toEqual([
      'LEADER CHANGED: default/etcd from etcd-1 to etcd-2, 0 s ago',
    ]);
  });

  it('is forgotten with its guard', () => {
    const leaders = new Leaders();
    leaders.observe([shown('etcd-1')], 0);
    leaders.observe([], 1);
    leaders.observe([shown('etcd-0')], 2);
    expect(leaders.news(2)).toEqual([]);
  });
});
