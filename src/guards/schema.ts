import { z } from 'zod';
import { hostOf } from './address.ts';

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

/** One requirement of a selector; Kubernetes' own rule on which operators take values. */
export const requirement = z
  .strictObject({
    key: z.string().min(1),
    operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
    values: z.array(z.string()).optional(),
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
  matchLabels: z.record(z.string(), z.string()).optional(),
  matchExpressions: z.array(requirement).optional(),
});

/** `group:` alone, or with a blank after it, would match nobody and look as if it did. */
const handOffEntry = z
  .string()
  .min(1, { abort: true })
  .max(512)
  .regex(/^\S(.*\S)?$/, 'must not begin or end with a blank')
  .refine((entry) => !/^group:(\s|$)/.test(entry), 'needs the name of a group right after group:');

/** `spec.policy` of files and resources alike, with its defaults. */
export const policy = z.strictObject({
  leader: z.enum(['Deny', 'HandOff']).default('Deny'),
  handOff: z.array(handOffEntry).max(64).default(['Evictions', 'Controllers']),
  quorum: z.enum(['Enforce', 'Warn']).default('Enforce'),
  unknown: z.enum(['Deny', 'Allow']).default('Deny'),
  maxRaftLag: z.int().min(1).max(Number.MAX_SAFE_INTEGER).default(1000),
});
