import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { matchesLabels, type LabelSelector } from '../../../src/guards/label-selector.ts';
import { selectorText } from '../../../src/kubernetes/guards/selector-text.ts';
import { FakeKubernetes } from '../../fakes/fake-kubernetes.ts';
import { podObject } from '../../fakes/kubernetes-objects.ts';

test.each<[LabelSelector, string]>([
  [{ matchLabels: { app: 'etcd', 'a.io/tier': '' } }, 'app=etcd,a.io/tier='],
  [{ matchExpressions: [{ key: 'app', operator: 'In', values: ['a', 'b'] }] }, 'app in (a,b)'],
  [{ matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['a'] }] }, 'app notin (a)'],
  [{ matchExpressions: [{ key: 'app', operator: 'Exists' }] }, 'app'],
  [{ matchExpressions: [{ key: 'app', operator: 'DoesNotExist', values: [] }] }, '!app'],
])('%j', (selector, text) => {
  expect(selectorText(selector)).toBe(text);
});

// Some that no label can have: the API server would refuse them, or read a comma as two values.
const key = fc.constantFrom('app', 'tier', 'a.io/app', 'no key', 'a,b', '!app', '/x', 'a/b/c', '');
const value = fc.constantFrom('etcd', 'web', '', 'no value', 'etcd,web', ')', 'x'.repeat(64));
const selectors = fc.record({
  matchLabels: fc.dictionary(key, value, { maxKeys: 2 }),
  matchExpressions: fc.array(
    fc.oneof(
      fc.record({
        key,
        operator: fc.constantFrom('In' as const, 'NotIn' as const),
        values: fc.array(value, { minLength: 1, maxLength: 3 }),
      }),
      fc.record({ key, operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const) }),
    ),
    { maxLength: 3 },
  ),
});
const labels = fc.dictionary(
  fc.constantFrom('app', 'tier', 'a.io/app', 'other'),
  fc.constantFrom('etcd', 'web', ''),
);

test('is accepted by the API server, and means what the selector means', async () => {
  const pods = { prefix: '/api/v1', plural: 'pods', namespace: 'default' };
  await fc.assert(
    fc.asyncProperty(selectors, labels, async (selector, given) => {
      const api = new FakeKubernetes(podObject('etcd-0', { labels: given }));
      const found = await api.list(pods, { labelSelector: selectorText(selector) }, 1_000);
      expect(found.length === 1).toBe(matchesLabels(selector, given));
    }),
    { numRuns: 500 },
  );
});
