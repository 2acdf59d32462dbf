import { expect, test } from 'vitest';
import { adviceOn } from '../../../src/kubernetes/locks/lock-advice.ts';
import { lockObject } from './lock-objects.ts';

const NOW = Date.parse('2026-05-01T12:00:00Z');

test.each([
  [{}, []],
  [{ until: '2026-05-01T12:00:01Z' }, []],
  [{ until: '2026-05-01T12:00:00Z' }, ['spec.until is past: the lock is as if it were not there']],
  [
    { selector: { matchExpressions: [{ key: 'a', operator: 'In', values: [] }] } },
    [
      'spec.selector.matchExpressions[0].values: must not be empty for In; so the lock holds nothing',
    ],
  ],
  [
    { enforcement: 'Audit', until: '2020-01-01T00:00:00Z' },
    [
      'spec.enforcement: must be Deny or Warn (found "Audit"); so the lock holds as far as it can be read',
      'spec.until is past: the lock is as if it were not there',
    ],
  ],
])('whoever writes %j is warned', (spec, advice) => {
  expect(adviceOn({ ...lockObject(spec) }, NOW)).toEqual(advice);
});

test.each([[{}], [{ metadata: null }], [{ metadata: { generateName: 'x' }, spec: 7 }]])(
  'never throws: %j',
  (object) => {
    expect(adviceOn(object, NOW)).not.toEqual([]);
  },
);
