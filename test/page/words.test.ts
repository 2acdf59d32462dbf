import { assert, bigInt, property } from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PodRow } from '../../src/page/rows.ts';
import { lagWords } from '../../src/page/words.ts';

const ROW: PodRow = {
  name: 'etcd-1',
  isPod: true,
  role: 'Follower',
  health: 'Healthy',
  lag: null,
  why: '',
  verdict: null,
};

describe('how far a member is behind', () => {
  test.each([
    [9n, 'up to date'],
    [10n, 'about 10 behind'],
    [123n, 'about 120 behind'],
    [995n, 'about 1,000 behind'],
    [1_234_567n, 'about 1,200,000 behind'],
  ])('%s is %s', (lag, words) => {
    expect(lagWords({ ...ROW, lag })).toBe(words);
  });

  test('as Intl.NumberFormat would say it', () => {
    const twoDigits = new Intl.NumberFormat('en', { maximumSignificantDigits: 2 });
    assert(
      property(bigInt({ min: 10n, max: 2n ** 64n }), (lag) => {
        expect(lagWords({ ...ROW, lag })).toBe(`about ${twoDigits.format(lag)} behind`);
      }),
    );
  });
});
