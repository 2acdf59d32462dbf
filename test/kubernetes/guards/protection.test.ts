import { describe, expect, it } from 'vitest';
import {
  isOurs,
  scopeOf,
  standardScope,
  unprotectedIn,
} from '../../../src/kubernetes/guards/protection.ts';
import type { KubernetesObject } from '../../../src/kubernetes/api/api.ts';
import { webhookObject } from '../../fakes/kubernetes-objects.ts';

const SO = 'so the API server asks no guard about its pods';

function configuration(content: object): KubernetesObject {
  return { metadata: { name: 'etcd-guard', uid: 'u', resourceVersion: '1' }, ...content };
}

function whyNot(namespaceSelector: unknown, labels: Record<string, string> | null): string | null {
  const { webhooks } = webhookObject(namespaceSelector);
  const scope = scopeOf(configuration({ webhooks }), 'etcd-guard');
  return unprotectedIn(scope, { name: 'shop', labels })?.message ?? null;
}

const { webhooks: shipped } = webhookObject();
const asShipped = shipped[0]?.namespaceSelector;

describe('a namespace', () => {
  it.each([
    [{ 'etcd-guard.io/protect': 'enabled' }, null],
    [
      { team: 'db' },
      `namespace shop is not labelled etcd-guard.io/protect=enabled, ${SO}: kubectl label namespace shop etcd-guard.io/protect=enabled`,
    ],
    [
      { 'etcd-guard.io/protect': 'Enabled' },
      `namespace shop is not labelled etcd-guard.io/protect=enabled, ${SO}: kubectl label namespace shop --overwrite etcd-guard.io/protect=enabled`,
    ],
    [
      { 'etcd-guard.io/protect': 'enabled', 'kubernetes.io/metadata.name': 'etcd-guard' },
      `namespace shop is left out by the webhook's namespaceSelector, ${SO}`,
    ],
  ])('with the labels %j, the webhook being as it is shipped: %s', (labels, message) => {
    expect(whyNot(asShipped, labels)).toBe(message);
  });

  it.each([
    [undefined, {}, null],
    [{}, {}, null],
    [{ matchLabels: { a: 'b' } }, { a: 'b' }, null],
    [
      { matchLabels: { a: 'b' }, matchExpressions: [{ key: 'c', operator: 'Exists' }] },
      {},
      `namespace shop is not labelled a=b, c=enabled, ${SO}: kubectl label namespace shop a=b c=enabled`,
    ],
    [
      { matchExpressions: [{ key: 'c', operator: 'DoesNotExist' }] },
      { c: 'd' },
      `namespace shop is left out because of its label c, ${SO}: kubectl label namespace shop c-`,
    ],
    // Not selected, as a watch tells; why can't be seen without its labels.
    [
      { matchExpressions: [{ key: 'c', operator: 'DoesNotExist' }] },
      null,
      `namespace shop is left out by the webhook's namespaceSelector, ${SO}`,
    ],
  ])('by the selector %j with the labels %j: %s', (selector, labels, message) => {
    expect(whyNot(selector ?? {}, labels)).toBe(message);
  });

  it('is nobody’s business where no webhook asks about pods', () => {
    const update = { apiGroups: [''], operations: ['UPDATE'], resources: ['pods'] };
    const others = configuration({ webhooks: [{ name: 'x.etcd-guard.io', rules: [update] }] });
    for (const object of [null, others]) {
      const found = unprotectedIn(scopeOf(object, 'mine'), { name: 'shop', labels: {} });
      expect(found?.reason).toBe('WebhookNotRegistered');
      expect(found?.message).toContain('there is no ValidatingWebhookConfiguration mine that');
    }
  });

  it('goes by the label as shipped where the configuration makes no sense', () => {
    const odd = configuration({ webhooks: [{ name: 'x', namespaceSelector: { matchLabel: 1 } }] });
    expect(scopeOf(odd, 'mine')).toStrictEqual(standardScope('mine'));
  });

  it('is asked about by a webhook of any name of ours', () => {
    expect(isOurs(configuration(webhookObject()))).toBe(true);
    expect(isOurs(configuration({ webhooks: [{ name: 'pods.example.org' }] }))).toBe(false);
    expect(isOurs(configuration({}))).toBe(false);
    const [at, lock] = ['/validate', '/lock'].map((path) => ({ service: { path } }));
    const named = (name: string, clientConfig: unknown) =>
      configuration({ webhooks: [{ name, clientConfig }] });
    expect(isOurs(named('pods.etcd-guard.io', at))).toBe(true);
    // Of ExclusiveLocks, which are asked about deletions of pods too, and guard none.
    expect(isOurs(named('locks.etcd-guard.io', lock))).toBe(false);
  });
});
