import type { z } from 'zod';
import { recordOf } from '../../admission/json.ts';
import { faultsIn, type Fault } from '../../guards/faults.ts';
import { contradiction, type LabelSelector } from '../../guards/label-selector.ts';
import type { Actor, Lock } from '../../locks/lock.ts';
import type { KubernetesObject, Resource } from '../api/api.ts';
import { selectorText } from '../guards/selector-text.ts';
import { DEFAULT_RESOURCES, lockSpec, lockStatus, readablePart } from './lock-resource-schema.ts';

const API_VERSION = 'etcd-guard.io/v1alpha1';

/** ExclusiveLocks of one namespace, or of all (null: for lists and watches only). */
export function locksIn(namespace: string | null): Resource {
  return { prefix: `/apis/${API_VERSION}`, plural: 'exclusivelocks', namespace };
}

/** `status` of an ExclusiveLock. */
export type LockStatus = z.output<typeof lockStatus>;

/** An ExclusiveLock as the API server has it. */
export interface LockObject {
  /** As it is held against changes. null: whatever it means can't be read, so it holds nothing. */
  readonly lock: Lock | null;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  /** It has a deletionTimestamp, and so holds nothing. */
  readonly terminating: boolean;
  /** Everything that is wrong with it. */
  readonly problems: readonly Fault[];
  /** As last written; fields that another version wrote differently are left out. */
  readonly status: LockStatus;
}

/**
 * Never throws, whatever the object is. What an older API server let through, or a newer version
 * wrote, holds as far as it can be read: what can't be never makes a lock hold less, except for its
 * selector, without which nobody can tell what it is about.
 */
export function decodeLock(object: KubernetesObject): LockObject {
  const { namespace = '', name, uid, generation = 0, deletionTimestamp } = object.metadata;
  const spec = recordOf(object['spec']);
  const read = lockSpec.safeParse(spec);
  const problems = faultsIn({ spec }, inSpec(read.error?.issues ?? []));
  const identity = { namespace, name, uid };
  return {
    ...identity,
    generation,
    terminating: deletionTimestamp !== undefined,
    lock:
      read.success && problems.length === 0
        ? lockOf(identity, read.data)
        : readableLock(identity, spec, problems),
    problems,
    status: statusIn(object),
  };
}

type Identity = Pick<Lock, 'namespace' | 'name' | 'uid'>;

type Spec = Omit<z.output<typeof lockSpec>, 'selector'> & { readonly selector: LabelSelector };

function lockOf({ namespace, name, uid }: Identity, spec: Spec): Lock {
  const { operations, selector, resources, exclusive, reason = '', until, enforcement } = spec;
  return {
    namespace,
    name,
    uid,
    operations,
    selector,
    selectorText: selectorText(selector),
    resources,
    exclusive: exclusive.map((actor) => actorOf(actor, namespace)),
    reason,
    untilMs: until === undefined ? null : Date.parse(until),
    enforcement,
    fault: null,
  };
}

function actorOf({ kind, name, namespace }: Spec['exclusive'][number], own: string): Actor {
  return kind === 'ServiceAccount' ? { kind, name, namespace: namespace ?? own } : { kind, name };
}

function readableLock(
  identity: Identity,
  spec: Readonly<Record<string, unknown>>,
  problems: readonly Fault[],
): Lock | null {
  const selector = readableSelector(spec['selector'], problems);
  const [first] = problems;
  if (selector === null || first === undefined) return null;
  const operations = readable(spec['operations'], readablePart.operation);
  const resources = readable(spec['resources'], readablePart.resource);
  const lock = lockOf(identity, {
    selector,
    operations: operations.length > 0 ? operations : ['UPDATE', 'DELETE'],
    resources: resources.length > 0 ? resources : [...DEFAULT_RESOURCES],
    exclusive: readable(spec['exclusive'], readablePart.actor),
    reason: readablePart.reason.safeParse(spec['reason']).data,
    until: readablePart.until.safeParse(spec['until']).data,
    enforcement: readablePart.enforcement.safeParse(spec['enforcement']).data ?? 'Deny',
  });
  return { ...lock, fault: faultText(first) };
}

/** Such a selector selects nothing by Kubernetes' own rules, and is no reason to refuse anything. */
function readableSelector(given: unknown, problems: readonly Fault[]): LabelSelector | null {
  const hidden = problems.some(({ path }) => path.includes('__proto__'));
  const { data } = readablePart.selector.safeParse(given);
  return hidden || data === undefined || contradiction(data) !== null ? null : data;
}

function readable<T>(given: unknown, schema: z.ZodType<T>): T[] {
  if (!Array.isArray(given)) return [];
  return given.flatMap((one) => {
    const read = schema.safeParse(one);
    return read.success ? [read.data] : [];
  });
}

/** `spec.until: must be a date and time (RFC 3339)` */
export function faultText({ path, message }: Fault): string {
  return `${path}: ${message}`;
}

function inSpec(issues: readonly z.core.$ZodIssue[]): readonly z.core.$ZodIssue[] {
  return issues.map((issue) => ({ ...issue, path: ['spec', ...issue.path] }));
}

function statusIn(object: KubernetesObject): LockStatus {
  const given = recordOf(object['status']);
  const broken = new Set(lockStatus.safeParse(given).error?.issues.map(({ path }) => path[0]));
  const rest = Object.entries(given).filter(([field]) => !broken.has(field));
  return lockStatus.safeParse(Object.fromEntries(rest)).data ?? {};
}
