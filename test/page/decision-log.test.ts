import { expect, it } from 'vitest';
import type { Decided } from '../../src/admission/decided.ts';
import { DecisionLog, DECISIONS_KEPT } from '../../src/page/decision-log.ts';

const decided = (pod: string): Decided => ({
  operation: 'delete',
  namespace: 'default',
  pod,
  guard: { namespace: 'default', name: 'etcd' },
  decision: 'deny',
  reason: 'LeaderProtected',
  message: 'no',
  dryRun: false,
});

it('keeps the last fifty, newest first', () => {
  let now = 0;
  const log = new DecisionLog(() => (now += 1));
  expect(log.entries).toEqual([]);
  for (let n = 1; n <= 120; n += 1) log.add(decided(`etcd-${n}`));
  expect(log.entries).toHaveLength(DECISIONS_KEPT);
  expect(log.entries[0]).toEqual({ ...decided('etcd-120'), atMs: 120 });
  expect(log.entries.map(({ atMs }) => atMs)).toEqual(
    Array.from({ length: 50 }, (_, n) => 120 - n),
  );
});

it('keeps no more of a guard than its name, and nothing at any length', () => {
  const log = new DecisionLog(() => 0);
  const guard = { namespace: 'default', name: 'etcd', policy: { secret: 1 } };
  log.add({
    ...decided('p'.repeat(9_999)),
    namespace: 'n'.repeat(9_999),
    message: 'm'.repeat(99_999),
    guard,
  });
  const [kept] = log.entries;
  expect(kept?.guard).toEqual({ namespace: 'default', name: 'etcd' });
  expect([kept?.pod.length, kept?.namespace.length, kept?.message.length]).toEqual([
    253, 253, 2_000,
  ]);
});

it('tells whoever listens, until they have heard enough', () => {
  const log = new DecisionLog(() => 0);
  let heard = 0;
  const forget = log.onAdded(() => {
    heard += 1;
  });
  log.add(decided('etcd-0'));
  forget();
  log.add(decided('etcd-1'));
  expect(heard).toBe(1);
});
