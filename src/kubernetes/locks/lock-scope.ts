import { z } from 'zod';
import { matchesLabels, unmetBy, type LabelSelector } from '../../guards/label-selector.ts';
import { labelSelector } from '../../guards/schema.ts';
import type { Lock } from '../../locks/lock.ts';
import type { KubernetesObject } from '../api/api.ts';
import { covers, notSelected, webhookRule } from '../guards/protection.ts';

/** What a webhook configuration has the API server ask about changes. */
export interface LockScope {
  readonly configuration: string;
  /** null: it can't be read, and is taken to be the one that is shipped. */
  readonly webhooks: readonly AskingWebhook[] | null;
}

interface AskingWebhook {
  readonly namespaceSelector: LabelSelector;
  readonly rules: readonly Rule[];
}

/** Why a lock holds less than it looks, or nothing, in a sentence without its full stop. */
export interface NotHeld {
  readonly reason: 'WebhookNotRegistered' | 'NamespaceNotLabelled' | 'ResourceNotAsked';
  readonly message: string;
}

type Rule = z.output<typeof webhookRule>;

const configurationSchema = z.object({
  webhooks: z
    .array(
      z.object({
        rules: z.array(webhookRule).default([]),
        namespaceSelector: labelSelector.default({}),
      }),
    )
    .default([]),
});

/** null is a configuration that is not there. */
export function lockScopeOf(object: KubernetesObject | null, configuration: string): LockScope {
  if (object === null) return { configuration, webhooks: [] };
  return { configuration, webhooks: configurationSchema.safeParse(object).data?.webhooks ?? null };
}

/** null: changes of everything that the lock names are held against it. */
export function notHeld(
  { configuration, webhooks }: LockScope,
  lock: Lock,
  namespaceLabels: Readonly<Record<string, string>>,
): NotHeld | null {
  if (webhooks === null) return null;
  const asking = webhooks.filter(({ rules }) =>
    lock.resources.some((resource) => isAsked(rules, resource, lock)),
  );
  if (asking.length === 0 && webhooks.length === 0) {
    const message = `there is no ValidatingWebhookConfiguration ${configuration}, so no change is held against the lock: add the component exclusive-locks`;
    return { reason: 'WebhookNotRegistered', message };
  }
  const here = asking.filter(({ namespaceSelector }) =>
    matchesLabels(namespaceSelector, namespaceLabels),
  );
  const [first] = asking;
  if (first !== undefined && here.length === 0) {
    const namespace = { name: lock.namespace, labels: namespaceLabels };
    const unmet = unmetBy(namespaceLabels, first.namespaceSelector);
    const message = notSelected(unmet, namespace, 'so no change there is held against the lock');
    return { reason: 'NamespaceNotLabelled', message };
  }
  const unasked = lock.resources.filter(
    (resource) => !here.some(({ rules }) => isAsked(rules, resource, lock)),
  );
  if (unasked.length === 0) return null;
  const message = `the rules of ValidatingWebhookConfiguration ${configuration} do not name ${unasked.join(', ')}, so changes of these are not held against the lock: add them there`;
  return { reason: 'ResourceNotAsked', message };
}

function isAsked(rules: readonly Rule[], resource: string, { operations }: Lock): boolean {
  const [plural = '', ...rest] = resource.split('.');
  const group = rest.join('.');
  return operations.every((operation) =>
    rules.some(
      (one) =>
        covers(one.apiGroups, group) &&
        covers(one.operations, operation) &&
        covers(one.resources, plural, '*/*'),
    ),
  );
}
