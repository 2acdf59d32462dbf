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

it('says what to look at where the guard does not answer, by the service that was asked', () => {
  const called = 'failed calling webhook "pods.etcd-guard.io": Post';
  const hangs = `${called} "https://guard.ops.svc:443/validate?timeout=10s": context deadline exceeded`;
  const expected = { guard: null, mustBeJudged: true };
  const found = answered({ kind: 'unanswered', message: hangs }, 'etcd-1', expected);
  expect(found).toMatchObject({ decision: 'deny', reason: 'Unverifiable' });
  expect(found.message).toBe(
    `${hangs}. What to look at: kubectl -n ops get pods; kubectl -n ops get endpoints guard; kubectl -n ops logs deploy/guard --tail=50.`,
  );
  const untrusted = `${called} "https://127.0.0.1:8443/": x509: certificate signed by unknown authority`;
  expect(
    answered({ kind: 'unanswered', message: untrusted }, 'etcd-1', expected).message,
  ).toContain('Trouble with certificates');
});
