import { expect, it } from 'vitest';
import { answered } from '../../src/cli/finding.ts';

const LET_THROUGH = { kind: 'allowed', reason: null, warnings: [] } as const;

it('does not take a dry run that nobody judged for a yes, unless nobody guards the pod', () => {
  const guarded = answered(LET_THROUGH, 'etcd-1', { guard: null, mustBeJudged: true });
  expect(guarded).toMatchObject({ decision: 'allow', reason: 'Unverifiable' });
  expect(guarded.message).toContain('would let etcd-1 go. But no etcd-guard has judged it: ');
  expect(answered(LET_THROUGH, 'web-1', { guard: null, mustBeJudged: false })).toMatchObject({
    decision: 'allow',
    reason: null,
    message: 'The API server and its webhooks would let web-1 go.',
  });
});

it('gives the guard’s own reason', () => {
  const spared = { ...LET_THROUGH, reason: 'Spared' } as const;
  expect(answered(spared, 'etcd-1', { guard: null, mustBeJudged: true })).toMatchObject({
    decision: 'allow',
    reason: 'Spared',
    message: 'The API server and its webhooks would let etcd-1 go.',
  });
});
