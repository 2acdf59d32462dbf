import { expect, it } from 'vitest';
import { check } from './check.ts';
import { figuresOf } from './figures.ts';
import type { Event, Review } from './history.ts';

const T = Date.parse('2026-11-21T15:10:00Z');

function review(more: Partial<Review>): Event {
  return {
    t: T + 1_200,
    kind: 'review',
    id: 'one',
    from: T + 1_000,
    timeoutMs: 10_000,
    replica: 0,
    operation: 'delete',
    pod: 'etcd-0',
    uid: 'uid-0',
    user: 'alice',
    dryRun: false,
    outcome: 'deny',
    reason: 'LeaderProtected',
    message: '',
    ...more,
  };
}

const request = {
  t: T + 1_300,
  from: T + 990,
  kind: 'request',
  actor: 'alice',
  message: '',
} as const;
const calm = { withinMs: 240_000, left: [], leaderRefused: 2, trouble: '' };

const EVENTS: readonly Event[] = [
  { t: T, kind: 'replica', replica: 0, state: 'started' },
  { t: T, kind: 'replica', replica: 1, state: 'started' },
  { t: T, kind: 'belief', member: 'etcd-0', leader: 'etcd-0', term: 2 },
  { t: T, kind: 'belief', member: 'etcd-1', leader: 'etcd-0', term: 2 },
  { t: T + 500, kind: 'fault', what: { kind: 'pauseGuard' } },
  { t: T + 500, kind: 'replica', replica: 1, state: 'paused' },
  { ...request, what: 'delete', pod: 'etcd-0', code: 403 },
  { ...request, what: 'delete', pod: 'etcd-1', code: 200 },
  { ...request, what: 'evict', pod: 'etcd-1', code: 0 },
  review({}),
  review({ id: 'two', pod: 'etcd-1', reason: 'Learner', outcome: 'allow', t: T + 1_100 }),
  review({ id: 'three', pod: 'etcd-1', reason: '', replica: 1, t: T + 13_500 }),
  review({ id: 'four', outcome: 'abandoned', reason: '', replica: 1, t: T + 11_000 }),
  review({ id: 'five', reason: 'AlreadyGoing', outcome: 'allow', t: T + 1_010 }),
  review({ id: 'six', dryRun: true, t: T + 1_400 }),
  { t: T + 2_000, kind: 'write', key: 'chaos/a', value: '1' },
  { t: T + 2_001, kind: 'write', key: 'chaos/b', value: '2' },
  { t: T + 20_000, kind: 'liveness', round: 0, deleted: ['etcd-1'], tookMs: 3_210, ...calm },
  { t: T + 21_000, kind: 'found', pairs: [['chaos/a', '1']] },
];

it('tells of everything that was done and what came of it', () => {
  expect(figuresOf(EVENTS, check(EVENTS, true))).toEqual([
    'requests of actors  3: delete failed 1, delete done 1, evict failed 1',
    'reviews             6, of them 4 new and meant',
    'allowed             1: Learner 1',
    'refused             2: LeaderProtected 1, (guards not found out) 1',
    'unanswered          0, and 1 that the API server hung up on',
    'late or lost        2, each with a replica killed or paused',
    'answer times        median 200 ms, 99 % 12500 ms, worst 12500 ms; worst of a replica left alone 400 ms',
    'elected meanwhile   0 of those allowed',
    'faults              1: pauseGuard 1',
    'elections           1',
    'writes              2 acknowledged, 1 of them found again',
    'calm rounds         1 follower in 3.2 s, leader refused 2 times',
  ]);
});
