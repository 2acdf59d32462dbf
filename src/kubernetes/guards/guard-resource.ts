import { z } from 'zod';
import { faultsIn, type Fault } from '../../guards/faults.ts';
import type { LabelSelector } from '../../guards/label-selector.ts';
import type { KubernetesObject, Resource } from '../api/api.ts';
import { guardSpec, ledger, shownStatus } from './guard-resource-schema.ts';

const API_VERSION = 'etcd-guard.io/v1alpha1';
const KIND = 'EtcdGuard';

/** EtcdGuards of one namespace, or of all (null: for lists and watches only). */
export function guardsIn(namespace: string | null): Resource {
  return { prefix: `/apis/${API_VERSION}`, plural: 'etcdguards', namespace };
}

/** `spec`, defaults filled in, except for the port: absent, it is looked for in each pod. */
export type GuardSpec = z.output<typeof guardSpec>;

/** `status` to be written: by whoever holds the Lease, all but `disruptedPods`. */
export type GuardStatus = z.output<typeof shownStatus> & { disruptedPods?: Ledger };

/** `status.disruptedPods`, by pod uid. */
export type Ledger = Readonly<Record<string, LedgerEntry>>;

/** `time` is RFC 3339 with fractions of a second; `reason` may be one that only another version knows. */
export type LedgerEntry = Readonly<z.output<typeof ledger.valueType>>;

/** A row of `status.members`. */
export type MemberStatus = NonNullable<GuardStatus['members']>[number];

/** metav1.Condition */
export type Condition = NonNullable<GuardStatus['conditions']>[number];

/** An EtcdGuard as the API server has it. */
export interface EtcdGuard {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation: number;
  /** It has a deletionTimestamp, and so guards nothing. */
  readonly terminating: boolean;
  readonly spec: GuardSpec;
  readonly ledger: Ledger;
  /** As last written, for comparison; fields that another version wrote differently are left out. */
  readonly status: z.output<typeof shownStatus>;
  /** Paths in `spec` that only a newer version knows; nothing heeds them here. */
  readonly ignored: readonly string[];
}

/** A guard, or everything that is wrong with it and, if that can be read, which pods it means. */
export type DecodedGuard =
  | { readonly guard: EtcdGuard; readonly problems?: never }
  | {
      readonly problems: readonly Fault[];
      /** For refusals: a guard that can't be read still guards. null: not even this can be read. */
      readonly selector: LabelSelector | null;
      readonly guard?: never;
    };

const resource = z.object({
  apiVersion: z.literal(API_VERSION).optional(),
  kind: z.literal(KIND).optional(),
  metadata: z.object({
    namespace: z.string(),
    name: z.string(),
    uid: z.string(),
    resourceVersion: z.string(),
    generation: z.int().default(0),
    deletionTimestamp: z.string().optional(),
  }),
  spec: guardSpec,
  status: z.object({ disruptedPods: ledger.default({}) }).prefault({}),
});

/** What is read on its own where the rest can't be. */
const selectorOnly = z.object({ spec: z.object({ selector: guardSpec.shape.selector }) });
const shownOnly = z.object({ status: z.record(z.string(), z.unknown()) });

/** Never throws, whatever the object is; the API server's own checks are not relied on. */
export function decodeGuard(object: KubernetesObject): DecodedGuard {
  const { content, ignored } = withoutUnknownFields(object);
  const read = resource.safeParse(content);
  const problems = faultsIn(content, read.error?.issues ?? []);
  if (!read.success || problems.length > 0) return { problems, selector: selectorIn(content) };
  const { metadata, spec, status } = read.data;
  const { deletionTimestamp, ...identity } = metadata;
  return {
    guard: {
      ...identity,
      terminating: deletionTimestamp !== undefined,
      spec,
      ledger: status.disruptedPods,
      status: shownIn(content),
      ignored,
    },
  };
}

/**
 * Takes out what the API server's pruning leaves only when the CRD is newer than this program: to
 * refuse everything would be a poor answer to that. Not in the selector, which would change its sense.
 */
function withoutUnknownFields(object: unknown): {
  readonly content: unknown;
  readonly ignored: readonly string[];
} {
  const unknown = (resource.safeParse(object).error?.issues ?? []).filter(
    (issue) => issue.code === 'unrecognized_keys' && issue.path[1] !== 'selector',
  );
  const paths = unknown.flatMap((issue) =>
    issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...issue.path, key]) : [],
  );
  return {
    content: paths.reduce(without, object),
    ignored: faultsIn(null, unknown).map(({ path }) => path),
  };
}

function without(value: unknown, [step, ...rest]: readonly PropertyKey[]): unknown {
  if (typeof value !== 'object' || value === null || step === undefined) return value;
  const { [step]: inner, ...others }: Readonly<Record<PropertyKey, unknown>> = { ...value };
  return rest.length === 0 ? others : { ...others, [step]: without(inner, rest) };
}

function selectorIn(content: unknown): LabelSelector | null {
  const read = selectorOnly.safeParse(content);
  const hidden = faultsIn(content, []).some(({ path }) => path.startsWith('spec.selector'));
  return read.success && !hidden ? read.data.spec.selector : null;
}

/** A field of `status` that this version writes. */
export function isShown(field: string): boolean {
  return field === 'disruptedPods' || Object.hasOwn(shownStatus.shape, field);
}

/** `status` without `disruptedPods`. Another version may show other things, which are written anew. */
export function shownIn(content: unknown): EtcdGuard['status'] {
  const given = shownOnly.safeParse(content).data?.status ?? {};
  const broken = new Set(shownStatus.safeParse(given).error?.issues.map(({ path }) => path[0]));
  const rest = Object.entries(given).filter(([field]) => !broken.has(field));
  return shownStatus.safeParse(Object.fromEntries(rest)).data ?? {};
}
