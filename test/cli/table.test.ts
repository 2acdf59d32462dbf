import { describe, expect, it } from 'vitest';
import { table, type Column } from '../../src/cli/table.ts';
import { plain, wrap } from '../../src/cli/text.ts';

const COLUMNS: readonly Column[] = [
  { title: 'GUARD', wraps: true },
  { title: 'HEALTHY' },
  { title: 'DISRUPTIONS ALLOWED', short: 'DISRUPTIONS' },
];

function widest(text: string): number {
  return Math.max(...text.split('\n').map(({ length }) => length));
}

describe('a table', () => {
  it('is as wide as its cells', () => {
    expect(table(COLUMNS, [['default/etcd', '3/3', '1']])).toBe(
      'GUARD         HEALTHY  DISRUPTIONS ALLOWED\ndefault/etcd  3/3      1\n',
    );
  });

  it('first shortens its titles', () => {
    expect(table(COLUMNS, [['default/etcd', '3/3', '1']], 40)).toBe(
      'GUARD         HEALTHY  DISRUPTIONS\ndefault/etcd  3/3      1\n',
    );
  });

  it('then wraps names, behind their hyphens and slashes', () => {
    const rows = [['observability/etcd-of-the-metrics', '3/3', '1']];
    expect(table(COLUMNS, rows, 44)).toBe(
      [
        'GUARD                   HEALTHY  DISRUPTIONS',
        'observability/etcd-of-  3/3      1',
        'the-metrics',
        '',
      ].join('\n'),
    );
  });

  it('and at last has a line for each cell', () => {
    const rows = [
      ['default/etcd', '3/3', '1'],
      ['default/other', '1/3', '0'],
    ];
    expect(table(COLUMNS, rows, 34)).toBe(
      [
        'GUARD                default/etcd',
        'HEALTHY              3/3',
        'DISRUPTIONS ALLOWED  1',
        '',
        'GUARD                default/other',
        'HEALTHY              1/3',
        'DISRUPTIONS ALLOWED  0',
        '',
      ].join('\n'),
    );
  });

  it.each([20, 40, 80, 120])(
    'of the longest names fits %i columns and loses no letter',
    (width) => {
      const name = Array.from({ length: 253 }, (_, at) =>
        at % 13 === 12 ? '-' : 'abcdefghi'[at % 9],
      ).join('');
      const wide: readonly Column[] = [
        { title: 'POD', wraps: true },
        { title: 'ROLE' },
        { title: 'LEADER', wraps: true },
      ];
      const text = table(wide, [[name, 'Follower', name]], width);
      expect(widest(text)).toBeLessThanOrEqual(width);
      // One more is the e of Follower.
      expect(text.replaceAll(/[^a-i-]/g, '').length).toBe(2 * name.length + 1);
    },
  );
});

describe('a text', () => {
  it('breaks at blanks, else behind a hyphen, else anywhere', () => {
    expect(wrap('no member answers from here', 12)).toEqual(['no member', 'answers from', 'here']);
    expect(wrap('etcd-production-0', 16)).toEqual(['etcd-production-', '0']);
    expect(wrap('abcdefgh', 3)).toEqual(['abc', 'def', 'gh']);
    expect(wrap('', 3)).toEqual(['']);
  });

  it('from outside does not move the cursor', () => {
    expect(plain('a\u001B[2Jb\r\nc\u202Ed')).toBe('a [2Jb c d');
  });
});
