import { z } from 'zod';
import { isSatisfiableBy, objectName } from '../../guards/schema.ts';
import { condition, conditionReason, count, dateTime, selectorOfSome } from '../api/meta-schema.ts';

/*
 * The same as deploy/webhook/components/exclusive-locks/crd.yaml, where the fields are described. `meta`
 * gives the JSON Schema of what a refinement checks here, so that the two can be compared whole.
 */

/** What a lock is about that does not say it. */
export const DEFAULT_RESOURCES = [
  'pods',
  'configmaps',
  'secrets',
  'persistentvolumeclaims',
  'services',
  'statefulsets.apps',
  'deployments.apps',
] as const;

const operation = z.enum(['CREATE', 'UPDATE', 'DELETE']);

const resource = z
  .string()
  .max(253)
  .regex(
    /^[a-z]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
    'must be a plural name in lower case with its group, such as pods or statefulsets.apps',
  );

const MAX_USER = 512;

const actor = z
  .strictObject({
    kind: z.enum(['ServiceAccount', 'User', 'Group']),
    name: z
      .string()
      .min(1)
      .max(MAX_USER)
      .regex(/^\S(.*\S)?$/, 'must not begin or end with a blank'),
    namespace: objectName.optional(),
  })
  .superRefine(({ kind, name, namespace }, context) => {
    if (kind !== 'ServiceAccount') {
      if (namespace === undefined) return;
      const message = `is for a ServiceAccount only: a ${kind} has none`;
      context.addIssue({ code: 'custom', path: ['namespace'], message });
    } else if (!objectName.safeParse(name).success) {
      const message = 'must be the name of a ServiceAccount; its namespace is a field of its own';
      context.addIssue({ code: 'custom', path: ['name'], message });
    }
  });

/** `spec` of an ExclusiveLock, with its defaults. */
export const lockSpec = z.strictObject({
  operations: z.array(operation).min(1).max(3).default(['UPDATE', 'DELETE']),
  // A lock on everything is asked for by `key: x, operator: DoesNotExist`.
  selector: selectorOfSome.superRefine(isSatisfiableBy('object')),
  resources: z
    .array(resource)
    .min(1)
    .max(64)
    .default([...DEFAULT_RESOURCES]),
  exclusive: z.array(actor).max(64).default([]),
  // No default: API servers before 1.21 take an empty one for null.
  reason: z.string().max(1024).optional(),
  until: dateTime.optional(),
  enforcement: z.enum(['Deny', 'Warn']).default('Deny'),
});

/** What can be read of a spec that is not valid as a whole. */
export const readablePart = {
  ...lockSpec.shape,
  selector: selectorOfSome,
  operation,
  resource,
  actor,
};

/** `status`; no verdict rests on it. */
export const lockStatus = z.object({
  observedGeneration: count.optional(),
  reason: conditionReason.optional(),
  matched: count.optional(),
  exclusive: z.string().optional(),
  denials: count.optional(),
  lastDenied: z
    .object({
      time: dateTime,
      user: z.string(),
      resource: z.string(),
      name: z.string(),
    })
    .optional(),
  conditions: z.array(condition).optional(),
});
