import { assert, constantFrom, property, string } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { byName } from '../../src/decision/by-name.ts';

describe('names in order', () => {
  test('numbers count as such', () => {
    const names = ['etcd-10', 'db-1', 'etcd-9', 'etcd', 'etcd-9-b', 'etcd-09a', 'etcd-1'];
    const ordered = ['db-1', 'etcd', 'etcd-1', 'etcd-9', 'etcd-9-b', 'etcd-09a', 'etcd-10'];
    expect(names.toSorted(byName)).toEqual(ordered);
  });

  test('names of Kubernetes have the order that Intl.Collator gives them', () => {
    const { compare } = new Intl.Collator('en', { numeric: true });
    const unit = constantFrom('a', 'b', '0', '1', '9', '-', '.');
    const name = string({ unit, maxLength: 8 });
    assert(
      property(name, name, (a, b) => {
        expect(Math.sign(byName(a, b))).toBe(Math.sign(compare(a, b)));
      }),
      { numRuns: 5_000 },
    );
  });
});
