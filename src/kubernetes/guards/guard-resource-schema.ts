import { z } from 'zod';
import { memberId } from '../../decision/member-id.ts';
import { address, isSatisfiableBy, objectName, policy } from '../../guards/schema.ts';
import { condition, conditionReason, count, dateTime, selectorOfSome } from '../api/meta-schema.ts';

/*
 * The same as deploy/webhook/10-crd.yaml, where the fields are described. `meta` gives the JSON
 * Schema of what a refinement checks here, so that the two can be compared whole.
 */

const MAX_ADDRESSES = 1000;

const members = z.strictObject({
  port: z.int().min(1).max(65_535).optional(),
  tls: z
    .strictObject({
      secretName: objectName,
      serverName: z
        .string()
        .max(253)
        .regex(/^([-.a-zA-Z0-9]|\{pod\})+$/, 'must be a host name; {pod} may stand in it')
        .optional(),
    })
    .optional(),
  auth: z.strictObject({ secretName: objectName }).optional(),
  addresses: z
    .record(
      objectName,
      address
        .max(262)
        .meta({ pattern: String.raw`^(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+)(:[1-9][0-9]{0,4})?$` }),
    )
    .refine(
      (value) => Object.keys(value).length <= MAX_ADDRESSES,
      `must have at most ${MAX_ADDRESSES} entries`,
    )
    .meta({ maxProperties: MAX_ADDRESSES })
    .optional(),
});

const MAX_FILES = 16;

/** Absolute, each part of it a name; neither the root nor with a colon, which container runtimes split at. */
const mountPath = z
  .string()
  .max(512)
  .regex(
    /^(\/([^/:.][^/:]*|\.[^/:.][^/:]*|\.\.[^/:]+))+$/,
    'must be an absolute path without colons, dots alone and a slash at its end',
  );

const inject = z.strictObject({
  files: z
    .array(
      z.strictObject({
        configMap: objectName,
        mountPath,
        inInitContainers: z.boolean().default(false),
      }),
    )
    .max(MAX_FILES)
    .superRefine((files, context) => {
      const paths = files.map((file) => file.mountPath);
      const twice = paths.findIndex((path, index) => paths.indexOf(path) !== index);
      if (twice === -1) return;
      const message = 'must not be that of another file';
      context.addIssue({ code: 'custom', path: [twice, 'mountPath'], message });
    })
    .default([]),
  readinessGate: z.boolean().default(false),
  terminationGracePeriodSeconds: z.int().min(1).max(86_400).optional(),
});

/** `spec`; the port has no default, since it is looked for in each pod where the spec is silent. */
export const guardSpec = z.strictObject({
  // One of everything would guard what is no etcd.
  selector: selectorOfSome.superRefine(isSatisfiableBy('pod')),
  members: members.prefault({}),
  policy: policy.prefault({}),
  inject: inject.optional(),
});

const hexId = z
  .string()
  .regex(/^[1-9a-f][0-9a-f]{0,15}$/, 'must be a member id, hexadecimal')
  .transform(memberId);

const memberStatus = z.object({
  pod: z.string().optional(),
  name: z.string().optional(),
  id: hexId.optional(),
  role: z.enum(['Leader', 'Follower', 'Learner']).optional(),
  health: z.enum(['Healthy', 'Unhealthy', 'Unknown']),
  lag: count.optional(),
});

/** What `status` shows to people and programs; no decision rests on it. */
export const shownStatus = z.object({
  observedGeneration: count.optional(),
  reason: conditionReason.optional(),
  leader: z.string().optional(),
  voters: count.optional(),
  healthyVoters: count.optional(),
  health: z
    .string()
    .regex(/^[0-9]+\/[0-9]+$/)
    .optional(),
  quorum: count.optional(),
  disruptionsAllowed: count.optional(),
  members: z.array(memberStatus).optional(),
  conditions: z.array(condition).optional(),
});

/** `status.disruptedPods`. A reason is any CamelCase word: another version may have written it. */
export const ledger = z.record(
  z.string(),
  // Loose: what a newer version has added to an entry is written back with it.
  z.looseObject({
    pod: z.string(),
    time: dateTime,
    by: z.string(),
    handOffTo: hexId.optional(),
    reason: z
      .string()
      .max(64)
      .regex(/^[A-Z][A-Za-z]*$/, 'must be a reason'),
  }),
);
