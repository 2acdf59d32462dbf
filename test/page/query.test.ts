import { describe, expect, it } from 'vitest';
import type { LoggedDecision } from '../../src/page/decision-log.ts';
import type { KnownGuard, Standing } from '../../src/page/port.ts';
import {
  chosenDecisions,
  GUARDS_A_PAGE,
  guardPage,
  inOrder,
  readQuery,
  writeQuery,
} from '../../src/page/query.ts';

const query = (text: string) => readQuery(new URLSearchParams(text));
const guard = (name: string, standing: Standing = 'fine', namespace = 'default'): KnownGuard => ({
  namespace,
  name,
  standing,
});

const decision = (over: Partial<LoggedDecision>): LoggedDecision => ({
  atMs: 0,
  operation: 'delete',
  namespace: 'default',
  pod: 'etcd-0',
  guard: { namespace: 'default', name: 'etcd' },
  decision: 'allow',
  reason: 'Spared',
  message: '',
  dryRun: false,
  ...over,
});

describe('a query', () => {
  it('is read as it was written', () => {
    const text = '?q=etcd&guard=a%2Fb&page=3&decision=deny&reason=Spared&dryRun=no';
    expect(writeQuery(query(text))).toBe(text);
    expect(writeQuery(query(''))).toBe('');
  });

  it.each([
    'page=0',
    'page=-1',
    'page=1.5',
    'page=1e99',
    'page=x',
    'page=',
    'decision=<b>',
    'reason=x',
    'dryRun=maybe',
  ])('takes %s for nothing', (text) => expect(query(text)).toEqual(query('')));

  it('cuts what is too long for any guard', () => {
    expect(query(`q=${'x'.repeat(100_000)}`).search).toHaveLength(400);
  });
});

describe('a page of guards', () => {
  const many = inOrder(
    Array.from({ length: 3_000 }, (_, n) =>
      guard(`etcd-${n}`, n % 1_000 === 7 ? 'trouble' : 'fine'),
    ),
  );

  it('has trouble first, then what was not seen, then names as people count', () => {
    const ordered = inOrder([
      guard('etcd-10'),
      guard('etcd-9'),
      guard('z', 'unknown'),
      guard('y', 'trouble', 'b'),
      guard('y', 'trouble', 'a'),
    ]);
    expect(ordered.map(({ namespace, name }) => `${namespace}/${name}`)).toEqual([
      'a/y',
      'b/y',
      'default/z',
      'default/etcd-9',
      'default/etcd-10',
    ]);
  });

  it('has so many, and says how many pages there are', () => {
    const first = guardPage(many, query(''));
    expect(first).toMatchObject({ page: 1, pages: 150, matching: 3_000 });
    expect(first.counts).toEqual({ trouble: 3, unknown: 0, fine: 2_997 });
    expect(first.guards).toHaveLength(GUARDS_A_PAGE);
    expect(first.guards.slice(0, 4).map(({ name }) => name)).toEqual([
      'etcd-7',
      'etcd-1007',
      'etcd-2007',
      'etcd-0',
    ]);
  });

  it('is the last one, where there are fewer', () => {
    expect(guardPage(many, query('page=9999'))).toMatchObject({ page: 150 });
    expect(guardPage([], query('page=2'))).toMatchObject({ page: 1, pages: 1, guards: [] });
  });

  it('finds by part of namespace or name, or exactly', () => {
    expect(guardPage(many, query('q=ETCD-299')).matching).toBe(11);
    expect(guardPage(many, query('q=default%2Fetcd-2999')).matching).toBe(1);
    expect(guardPage(many, query('guard=default/etcd-29')).guards.map(({ name }) => name)).toEqual([
      'etcd-29',
    ]);
  });
});

describe('decisions', () => {
  const all = [
    decision({}),
    decision({ decision: 'deny', reason: 'LeaderProtected' }),
    decision({ dryRun: true }),
    decision({ guard: { namespace: 'other', name: 'etcd' } }),
    decision({ guard: null, decision: 'error', reason: 'InternalError' }),
  ];

  it.each([
    ['', [0, 1, 2, 3, 4]],
    ['decision=allow', [0, 2, 3]],
    ['decision=error', [4]],
    ['reason=LeaderProtected', [1]],
    ['dryRun=yes', [2]],
    ['dryRun=no', [0, 1, 3, 4]],
    ['guard=other/etcd', [3]],
    ['q=default&decision=allow', [0, 2]],
  ])('are chosen by %s', (text, chosen) => {
    expect(chosenDecisions(all, query(text))).toEqual(chosen.map((index) => all[index]));
  });
});
