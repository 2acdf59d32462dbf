import { z } from 'zod';
import { hostOf } from './address.ts';
import { contradiction, type LabelSelector } from './label-selector.ts';

const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** metadata.name of most kinds, and of a pod. */
export const objectName = z
  .string()
  .max(253)
  .regex(DNS_SUBDOMAIN, 'must be a DNS subdomain: lower-case letters, digits, - and .');

/** host or host:port, IPv6 in brackets. */
export const address = z.string().superRefine((value, context) => {
  if (hostOf(value) === null) {
    context.addIssue({ code: 'custom', message: 'must be host:port or host, IPv6 in brackets' });
  }
});

/** A label's key, as Kubernetes has it: a name, before which a DNS subdomain and a slash may stand. */
export const labelKey = z
  .string()
  .min(1)
  .max(317)
  .regex(
    /^(([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/,
    'must be a label key: letters, digits, -, _ and ., at most 63; before them may stand a DNS subdomain and /',
  );

/** A label's value, which may be empty. */
export const labelValue = z
  .string()
  .max(63)
  .regex(
    /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/,
    'must be a label value: letters, digits, -, _ and ., beginning and ending with a letter or digit',
  );

/** One requirement of a selector; Kubernetes' own rule on which operators take values. */
export const requirement = z
  .strictObject({
    key: labelKey,
    operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
    values: z.array(labelValue).optional(),
  })
  .superRefine(({ operator, values }, context) => {
    const wants = operator === 'In' || operator === 'NotIn';
    if (wants === (values ?? []).length > 0) return;
    context.addIssue({
      code: 'custom',
      path: ['values'],
      message: wants ? `must not be empty for ${operator}` : `must be empty for ${operator}`,
    });
  });

/** metav1.LabelSelector. An empty one is valid here, as it is in Kubernetes. */
export const labelSelector = z.strictObject({
  matchLabels: z.record(labelKey, labelValue).optional(),
  matchExpressions: z.array(requirement).optional(),
});

/** Refuses a selector that nothing of that kind can meet, whatever its labels. */
export function isSatisfiableBy(what: 'pod' | 'object') {
  return (selector: LabelSelector, context: z.RefinementCtx): void => {
    const key = contradiction(selector);
    if (key === null) return;
    const message = `no ${what} can meet all that it asks of the label ${key}`;
    context.addIssue({ code: 'custom', message, input: selector });
  };
}

/** Near misses of the two words; taken for the names of users, they would match nobody. */
const NEAR_MISS = /^(eviction|controller)s?$/i;
const CALLERS: ReadonlySet<string> = new Set(['Evictions', 'Controllers']);

/** `group:` alone, or with a blank after it, would match nobody and look as if it did. */
const handOffEntry = z
  .string()
  .min(1, { abort: true })
  .max(512)
  .regex(/^\S(.*\S)?$/, 'must not begin or end with a blank')
  .refine((entry) => !/^group:(\s|$)/.test(entry), 'needs the name of a group right after group:')
  .refine(
    (entry) => CALLERS.has(entry) || !NEAR_MISS.test(entry),
    'is no user: the words are Evictions and Controllers',
  );

/** `spec.policy` of files and resources alike, with its defaults. */
export const policy = z.strictObject({
  leader: z.enum(['Deny', 'HandOff']).default('Deny'),
  handOff: z.array(handOffEntry).max(64).default(['Evictions', 'Controllers']),
  quorum: z.enum(['Enforce', 'Warn']).default('Enforce'),
  unknown: z.enum(['Deny', 'Allow']).default('Deny'),
  maxRaftLag: z.int().min(1).max(Number.MAX_SAFE_INTEGER).default(1000),
});
