import { describe, expect, it } from 'vitest';
import {
  contradiction,
  matchesLabels,
  type LabelRequirement,
} from '../../src/guards/label-selector.ts';

const labels = { app: 'etcd', tier: 'control-plane', empty: '' };

describe('matchLabels', () => {
  const cases: readonly { matchLabels: Record<string, string>; matches: boolean }[] = [
    { matchLabels: {}, matches: true },
    { matchLabels: { app: 'etcd' }, matches: true },
    { matchLabels: { app: 'etcd', tier: 'control-plane' }, matches: true },
    { matchLabels: { app: 'etcd', tier: 'other' }, matches: false },
    { matchLabels: { missing: '' }, matches: false },
    { matchLabels: { empty: '' }, matches: true },
    { matchLabels: { constructor: 'Object' }, matches: false },
  ];
  it.each(cases)('$matchLabels: $matches', ({ matchLabels, matches }) => {
    expect(matchesLabels({ matchLabels }, labels)).toBe(matches);
  });
});

describe('matchExpressions', () => {
  const cases: readonly (LabelRequirement & { readonly matches: boolean })[] = [
    { key: 'app', operator: 'In', values: ['etcd', 'other'], matches: true },
    { key: 'app', operator: 'In', values: ['other'], matches: false },
    { key: 'missing', operator: 'In', values: ['etcd'], matches: false },
    { key: 'app', operator: 'NotIn', values: ['other'], matches: true },
    { key: 'app', operator: 'NotIn', values: ['etcd'], matches: false },
    { key: 'missing', operator: 'NotIn', values: ['etcd'], matches: true },
    { key: 'empty', operator: 'Exists', matches: true },
    { key: 'missing', operator: 'Exists', matches: false },
    { key: 'toString', operator: 'Exists', matches: false },
    { key: 'missing', operator: 'DoesNotExist', matches: true },
    { key: 'app', operator: 'DoesNotExist', matches: false },
    { key: '__proto__', operator: 'DoesNotExist', matches: true },
  ];
  it.each(cases)('$key $operator $values: $matches', ({ matches, ...requirement }) => {
    expect(matchesLabels({ matchExpressions: [requirement] }, labels)).toBe(matches);
  });

  it('all have to hold, and the labels too', () => {
    const exists: LabelRequirement = { key: 'tier', operator: 'Exists' };
    const absent: LabelRequirement = { key: 'missing', operator: 'Exists' };
    const matchLabels = { app: 'etcd' };
    expect(matchesLabels({ matchLabels, matchExpressions: [exists] }, labels)).toBe(true);
    expect(matchesLabels({ matchLabels, matchExpressions: [exists, absent] }, labels)).toBe(false);
    expect(matchesLabels({ matchLabels: { app: 'x' }, matchExpressions: [exists] }, labels)).toBe(
      false,
    );
  });
});

it('an empty selector matches every pod', () => {
  expect(matchesLabels({}, labels)).toBe(true);
  expect(matchesLabels({}, {})).toBe(true);
});

describe('a contradiction', () => {
  const etcd = { matchLabels: { app: 'etcd' } };
  const impossible: readonly LabelRequirement[] = [
    { key: 'app', operator: 'In', values: ['web', 'api'] },
    { key: 'app', operator: 'NotIn', values: ['web', 'etcd'] },
    { key: 'app', operator: 'DoesNotExist' },
  ];
  it.each(impossible)('to app=etcd is $operator $values', (requirement) => {
    expect(contradiction({ ...etcd, matchExpressions: [requirement] })).toBe('app');
  });

  const possible: readonly LabelRequirement[] = [
    { key: 'app', operator: 'In', values: ['web', 'etcd'] },
    { key: 'app', operator: 'NotIn', values: ['web'] },
    { key: 'app', operator: 'Exists' },
    { key: 'tier', operator: 'DoesNotExist' },
  ];
  it.each(possible)('to app=etcd is not $key $operator $values', (requirement) => {
    expect(contradiction({ ...etcd, matchExpressions: [requirement] })).toBeNull();
  });

  it('is seen between requirements alone, and a pod without the label is thought of', () => {
    const exists: LabelRequirement = { key: 'app', operator: 'Exists' };
    const missing: LabelRequirement = { key: 'app', operator: 'DoesNotExist' };
    const other: LabelRequirement = { key: 'app', operator: 'NotIn', values: ['a', 'x'] };
    expect(contradiction({ matchExpressions: [exists, missing] })).toBe('app');
    expect(contradiction({ matchExpressions: [exists, other] })).toBeNull();
    expect(contradiction({ matchExpressions: [missing, other] })).toBeNull();
    expect(contradiction({})).toBeNull();
  });
});
