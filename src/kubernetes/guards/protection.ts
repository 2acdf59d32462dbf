import { z } from 'zod';
import { unmetBy, type LabelRequirement, type LabelSelector } from '../../guards/label-selector.ts';
import { labelSelector } from '../../guards/schema.ts';
import { ApiError, type KubernetesApi, type KubernetesObject, type Resource } from '../api/api.ts';

export const NAMESPACES: Resource = { prefix: '/api/v1', plural: 'namespaces', namespace: null };
export const WEBHOOK_CONFIGURATIONS: Resource = {
  prefix: '/apis/admissionregistration.k8s.io/v1',
  plural: 'validatingwebhookconfigurations',
  namespace: null,
};

/** As shipped. */
export const WEBHOOK_CONFIGURATION = 'etcd-guard';

/** Namespaces in which the API server asks the webhook about deletions of pods: those that any selector selects. */
export interface Scope {
  /** None: it is asked nowhere. */
  readonly selectors: readonly LabelSelector[];
  /** Of the ValidatingWebhookConfiguration. */
  readonly configuration: string;
}

/** Why nobody judges deletions in a namespace, and what to do, in a sentence without its full stop. */
export interface Unprotected {
  readonly reason: 'NamespaceNotLabelled' | 'WebhookNotRegistered';
  readonly message: string;
}

/** What is taken for the scope where the webhook's configuration can't be read. */
export function standardScope(configuration: string): Scope {
  return { configuration, selectors: [{ matchLabels: { 'etcd-guard.io/protect': 'enabled' } }] };
}

/** What a webhook is asked about. */
export const webhookRule = z.object({
  apiGroups: z.array(z.string()).default([]),
  operations: z.array(z.string()).default([]),
  resources: z.array(z.string()).default([]),
});
const configurationSchema = z.object({
  webhooks: z
    .array(
      z.object({
        name: z.string(),
        clientConfig: z
          .looseObject({ service: z.looseObject({ path: z.string().optional() }).optional() })
          .optional(),
        rules: z.array(webhookRule).default([]),
        namespaceSelector: labelSelector.default({}),
      }),
    )
    .default([]),
});

/** null is a configuration that is not there; what can't be understood counts as the standard one. */
export function scopeOf(object: KubernetesObject | null, configuration: string): Scope {
  if (object === null) return { configuration, selectors: [] };
  const read = configurationSchema.safeParse(object);
  if (!read.success) return standardScope(configuration);
  const asked = read.data.webhooks.filter(({ rules }) => rules.some(asksAboutPods));
  return { configuration, selectors: asked.map(({ namespaceSelector }) => namespaceSelector) };
}

/**
 * The scope of the configuration of that name, or the standard one where there is no right to read it,
 * as with certificates by others. Rejects with any other ApiError.
 */
export async function readScope(
  api: Pick<KubernetesApi, 'get'>,
  configuration: string,
  withinMs: number,
): Promise<Scope> {
  try {
    return scopeOf(await api.get(WEBHOOK_CONFIGURATIONS, configuration, withinMs), configuration);
  } catch (error) {
    if (error instanceof ApiError && error.code === 'forbidden')
      return standardScope(configuration);
    throw error;
  }
}

/** Where the guard is asked about pods; what is installed beside it is asked elsewhere. */
const REVIEWS = '/validate';

/** Whether a webhook of this configuration is the guard's, whatever the configuration itself is called. */
export function isOurs(object: KubernetesObject): boolean {
  const { webhooks = [] } = configurationSchema.safeParse(object).data ?? {};
  return webhooks.some(
    ({ name, clientConfig }) =>
      name.endsWith('.etcd-guard.io') && (clientConfig?.service?.path ?? REVIEWS) === REVIEWS,
  );
}

function asksAboutPods({ apiGroups, operations, resources }: z.infer<typeof webhookRule>): boolean {
  return covers(apiGroups, '') && covers(operations, 'DELETE') && covers(resources, 'pods', '*/*');
}

/** Whether a rule's list names one of them, or all there is. */
export function covers(all: readonly string[], ...wanted: readonly string[]): boolean {
  return all.some((one) => one === '*' || wanted.includes(one));
}

/** A namespace with its labels; null: they are not known, but that no selector selects them. */
export interface NamespaceLabels {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>> | null;
}

/** null: the webhook is asked there. */
export function unprotectedIn(
  { selectors, configuration }: Scope,
  namespace: NamespaceLabels,
): Unprotected | null {
  const [first] = selectors;
  if (first === undefined) {
    const message = `there is no ValidatingWebhookConfiguration ${configuration} that has the API server ask about deletions of pods, so nobody judges them: kubectl apply -k deploy/webhook`;
    return { reason: 'WebhookNotRegistered', message };
  }
  const labels = namespace.labels ?? { [NAME_LABEL]: namespace.name };
  const unmet = selectors.map((selector) => unmetBy(labels, selector));
  if (namespace.labels !== null && unmet.some(({ length }) => length === 0)) return null;
  const message = notSelected(unmet[0] ?? [], namespace, SO);
  return { reason: 'NamespaceNotLabelled', message };
}

/** Set by the API server itself, and unchangeable. */
const NAME_LABEL = 'kubernetes.io/metadata.name';
const SO = 'so the API server asks no guard about its pods';

/** Why a webhook's selector leaves a namespace out, what comes of it, and what to do. */
export function notSelected(
  unmet: readonly LabelRequirement[],
  { name, labels }: NamespaceLabels,
  so: string,
): string {
  if (unmet.length === 0 || unmet.some(({ key }) => key === NAME_LABEL)) {
    return `namespace ${name} is left out by the webhook's namespaceSelector, ${so}`;
  }
  const missing = unmet.filter(isPositive);
  const surplus = unmet.filter((one) => !isPositive(one)).map(({ key }) => key);
  const added = missing.map(({ key, values = [] }) => `${key}=${values[0] ?? 'enabled'}`);
  const what =
    added.length > 0
      ? `is not labelled ${added.join(', ')}`
      : `is left out because of its label ${surplus.join(', ')}`;
  const overwrite = missing.some(({ key }) => Object.hasOwn(labels ?? {}, key));
  const command = [
    `kubectl label namespace ${name}`,
    ...(overwrite ? ['--overwrite'] : []),
    ...added,
    ...surplus.map((key) => `${key}-`),
  ];
  return `namespace ${name} ${what}, ${so}: ${command.join(' ')}`;
}

function isPositive({ operator }: LabelRequirement): boolean {
  return operator === 'In' || operator === 'Exists';
}
