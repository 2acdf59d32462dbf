import { isDeepStrictEqual } from 'node:util';
import type { ClusterStatus, Condition as Finding } from '../../guards/guard-status.ts';
import type { KubernetesObject } from '../api/api.ts';
import { livingEntries, type LedgerPod } from '../guards/disrupted-pods.ts';
import {
  isShown,
  shownIn,
  type Condition,
  type EtcdGuard,
  type GuardStatus,
  type MemberStatus,
} from '../guards/guard-resource.ts';

/** What one look at a guard found. */
export interface Seen {
  /** The guard as it was read before its pods and etcd. */
  readonly object: KubernetesObject;
  readonly status: ClusterStatus;
  /** What ended entries are told by; null: nobody knows, and all entries stay. */
  readonly ledger: { readonly guard: EtcdGuard; readonly pods: readonly LedgerPod[] } | null;
  readonly nowMs: number;
  /** Other words alone, for what is the same otherwise, are no reason to write now. */
  readonly holdWords: boolean;
}

/** A lag that is shown stays until it is ten times as much or as little, and then from here on. */
const NOTABLE_LAG = 1_000;

/**
 * The object to be written, or null if it would say nothing new. Lag, ages and the time of the look
 * differ every time and are no reason to write; they are shown as they were at the last write.
 */
export function withStatus(seen: Seen): KubernetesObject | null {
  const { object } = seen;
  const before = shownIn(object);
  const shown = likeBefore(shownStatus(seen), before);
  const entries = entriesIn(object);
  const kept = keptEntries(entries, seen);
  const unchanged =
    isDeepStrictEqual(asJson(before), seen.holdWords ? wordedAs(shown, before) : shown) &&
    Object.keys(kept).length === Object.keys(entries).length;
  if (unchanged) return null;
  const ledger = Object.keys(kept).length === 0 ? {} : { disruptedPods: kept };
  return { ...object, status: { ...unknownIn(object), ...shown, ...ledger } };
}

/** What only a newer version writes there; its replicas beside this one may rest on it. */
function unknownIn({ status }: KubernetesObject): Readonly<Record<string, unknown>> {
  if (typeof status !== 'object' || status === null) return {};
  return Object.fromEntries(Object.entries(status).filter(([field]) => !isShown(field)));
}

function asJson(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

function wordedAs(next: GuardStatus, { conditions = [] }: GuardStatus): GuardStatus {
  return {
    ...next,
    conditions: (next.conditions ?? []).map((condition) => {
      const before = conditions.find(({ type }) => type === condition.type);
      return { ...condition, message: before?.message ?? condition.message };
    }),
  };
}

function shownStatus({ object, status }: Seen): GuardStatus {
  const { generation = 0 } = object.metadata;
  const { leader, voters, healthyVoters, health, quorum, disruptionsAllowed, reason } = status;
  return {
    observedGeneration: generation,
    ...withoutNull({ reason, leader, voters, healthyVoters, health, quorum }),
    disruptionsAllowed,
    members: status.members.map((member) => ({
      ...withoutNull({ pod: member.pod, name: member.name, id: member.id }),
      ...withoutNull({ role: member.role, lag: member.lag }),
      health: member.health,
    })),
    conditions: status.conditions.map((condition) => conditionOf(condition, generation)),
  };
}

type Present<T> = { [Key in keyof T]?: NonNullable<T[Key]> };

function withoutNull<T extends object>(fields: T): Present<T> {
  const present: Present<T> = {};
  for (const [key, value] of Object.entries(fields)) {
    if (value !== null) Object.assign(present, { [key]: value });
  }
  return present;
}

const LONGEST_MESSAGE = 1_024;

function conditionOf(condition: Finding, observedGeneration: number): Condition {
  return {
    ...condition,
    message: condition.message.slice(0, LONGEST_MESSAGE),
    observedGeneration,
  };
}

/** Takes over what differs without meaning anything. */
function likeBefore(next: GuardStatus, before: GuardStatus): GuardStatus {
  return {
    ...next,
    members: (next.members ?? []).map((member) => likeMember(member, before.members ?? [])),
    conditions: (next.conditions ?? []).map((one) => likeCondition(one, before.conditions ?? [])),
  };
}

function likeMember(next: MemberStatus, all: readonly MemberStatus[]): MemberStatus {
  const before = all.find(({ id }) => id === next.id)?.lag;
  if (before === undefined || next.lag === undefined) return next;
  return hasMoved(before, next.lag) ? next : { ...next, lag: before };
}

function hasMoved(before: number, now: number): boolean {
  const more = Math.max(before, now);
  return more >= NOTABLE_LAG && more >= 10 * Math.min(before, now);
}

function likeCondition(next: Condition, all: readonly Condition[]): Condition {
  const before = all.find(({ type }) => type === next.type);
  if (before === undefined || before.status !== next.status) return next;
  const same = before.reason === next.reason && timeless(before) === timeless(next);
  const { lastTransitionTime, message } = before;
  return { ...next, lastTransitionTime, ...(same && { message }) };
}

/** `is 1200 entries behind`, `its deletion was allowed 7 s ago`, `no answer within 2000 ms` */
function timeless({ message }: Condition): string {
  return message.replaceAll(/\d+(?= (s|ms|entries)\b)/g, '#');
}

type Entries = Readonly<Record<string, unknown>>;

function entriesIn({ status }: KubernetesObject): Entries {
  if (typeof status !== 'object' || status === null || !('disruptedPods' in status)) return {};
  const { disruptedPods } = status;
  return typeof disruptedPods === 'object' && disruptedPods !== null ? { ...disruptedPods } : {};
}

/** As they stand in the object, with whatever another version has added to them. */
function keptEntries(entries: Entries, { ledger, nowMs }: Seen): Entries {
  if (ledger === null) return entries;
  const living = livingEntries(ledger.guard.ledger, ledger.pods, nowMs);
  return Object.fromEntries(Object.entries(entries).filter(([uid]) => Object.hasOwn(living, uid)));
}
