import { z } from 'zod';
import { labelKey, labelSelector, labelValue, requirement } from '../../guards/schema.ts';

/*
 * What CRDs take over from metav1. `meta` gives the JSON Schema of what a refinement checks, so that
 * a CRD can be compared whole with what this program checks.
 */

/** RFC 3339. */
export const dateTime = z.iso.datetime({
  offset: true,
  error: 'must be a date and time (RFC 3339)',
});

/** How many, and which generation. */
export const count = z.int().min(0);

/** Of a metav1.Condition. */
export const conditionReason = z
  .string()
  .min(1)
  .max(1024)
  .regex(/^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/);

/** metav1.Condition */
export const condition = z.object({
  type: z.string().min(1).max(316),
  status: z.enum(['True', 'False', 'Unknown']),
  observedGeneration: count.optional(),
  lastTransitionTime: dateTime,
  reason: conditionReason,
  message: z.string().max(32_768),
});

function isNotEmpty(value: object): boolean {
  return Object.keys(value).length > 0;
}

/** metav1.LabelSelector, not empty in any of its parts: an empty one would select everything. */
export const selectorOfSome = labelSelector
  .extend({
    matchLabels: z
      .record(labelKey, labelValue)
      .refine(isNotEmpty, 'must not be empty')
      .meta({ minProperties: 1 })
      .optional(),
    matchExpressions: z.array(requirement).min(1).max(64).optional(),
  })
  .refine(isNotEmpty, 'must not be empty')
  .meta({ minProperties: 1 });
