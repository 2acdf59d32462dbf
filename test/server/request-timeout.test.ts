import { describe, expect, it } from 'vitest';
import { parseGoDuration, timeoutOf } from '../../src/server/request-timeout.ts';

describe('parseGoDuration', () => {
  it.each([
    ['5s', 5_000],
    ['1m30s', 90_000],
    ['500ms', 500],
    ['1.5s', 1_500],
    ['.5s', 500],
    ['1h', 3_600_000],
    ['250us', 0.25],
    ['250µs', 0.25],
  ])('reads %s as %d ms', (text, expected) => {
    expect(parseGoDuration(text)).toBeCloseTo(expected, 6);
  });

  it.each(['', '5', 's', '5 s', '-5s', '0s', '5S', '1m30', '1e3s', '9'.repeat(400), 'soon'])(
    'refuses %j',
    (text) => {
      expect(parseGoDuration(text)).toBeNull();
    },
  );
});

describe('timeoutOf', () => {
  it.each([
    ['/validate', 10_000],
    ['/validate?', 10_000],
    ['/validate?timeout=', 10_000],
    ['/validate?timeout=soon', 10_000],
    ['/validate?timeout=0s', 10_000],
    ['/validate?timeout=5s', 5_000],
    ['/validate?dry=1&timeout=1.5s', 1_500],
    ['/validate?timeout=1h', 30_000],
    ['/validate?timeout=%zz', 10_000],
  ])('takes from %s %d ms', (url, expected) => {
    expect(timeoutOf(url)).toBe(expected);
    expect(timeoutOf(url)).toBe(expected);
  });
});
