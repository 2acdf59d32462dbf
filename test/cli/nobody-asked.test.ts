import { describe, expect, it } from 'vitest';
import { whereNobodyIsAsked } from '../../src/cli/nobody-asked.ts';
import type { Finding } from '../../src/cli/finding.ts';
import type { Unprotected } from '../../src/kubernetes/guards/protection.ts';

const UNPROTECTED: Unprotected = {
  reason: 'NamespaceNotLabelled',
  message:
    'namespace shop is not labelled a=b, so nobody is asked: kubectl label namespace shop a=b',
};
const SENTENCE =
  'Namespace shop is not labelled a=b, so nobody is asked: kubectl label namespace shop a=b.';

function finding(parts: Partial<Finding>): Finding {
  const policy = { leader: 'Deny', handOff: [], quorum: 'Enforce', unknown: 'Deny' } as const;
  return {
    decision: 'deny',
    reason: 'LeaderProtected',
    message: 'etcd-0 leads.',
    warnings: [],
    guard: { namespace: 'shop', name: 'etcd', policy: { ...policy, maxRaftLag: 1_000 } },
    view: null,
    via: 'direct',
    ...parts,
  };
}

describe('where the API server asks no guard', () => {
  it('nobody has judged the pod, whatever a guard would say', () => {
    expect(whereNobodyIsAsked(finding({}), 'etcd-0', UNPROTECTED)).toStrictEqual({
      ...finding({}),
      decision: 'allow',
      reason: 'Unverifiable',
      message: `Nobody judges whether etcd-0 may go, and so it would go. ${SENTENCE} A guard that is asked would deny it (LeaderProtected): etcd-0 leads.`,
    });
    const silent = finding({ reason: 'Unverifiable', via: 'webhook', decision: 'allow' });
    expect(whereNobodyIsAsked(silent, 'etcd-0', UNPROTECTED).message).toBe(
      `Nobody judges whether etcd-0 may go, and so it would go. ${SENTENCE}`,
    );
  });

  it.each([
    ['no guard selects it', finding({ guard: null, reason: 'NotGuarded', decision: 'allow' })],
    ['the guard was asked after all', finding({ via: 'webhook' })],
  ])('is no matter if %s', (_, one) => {
    expect(whereNobodyIsAsked(one, 'etcd-0', UNPROTECTED)).toBe(one);
  });

  it.each([
    ['others refuse it', finding({ via: 'webhook', reason: null })],
    ['it is going already', finding({ reason: 'AlreadyGoing', decision: 'allow' })],
  ])('is a warning if %s', (_, one) => {
    const warned = whereNobodyIsAsked(one, 'etcd-0', UNPROTECTED);
    expect(warned).toStrictEqual({ ...one, warnings: [SENTENCE] });
  });

  it('is said only where it is so', () => {
    expect(whereNobodyIsAsked(finding({}), 'etcd-0', null)).toStrictEqual(finding({}));
  });
});
