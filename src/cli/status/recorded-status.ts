import { z } from 'zod';
import { upperFirst } from '../../decision/wording.ts';
import { withTimes, type ClusterStatus } from '../../guards/guard-status.ts';
import type { KubernetesObject } from '../../kubernetes/api/api.ts';
import { shownIn } from '../../kubernetes/guards/guard-resource.ts';

const managedFields = z.array(
  z.looseObject({ time: z.string().optional(), fieldsV1: z.looseObject({}).optional() }),
);

/** When anybody last wrote the object's status, RFC 3339; null: the API server does not say. */
export function lastWritten({ metadata }: KubernetesObject): string | null {
  const fields = 'managedFields' in metadata ? metadata.managedFields : [];
  const times = (managedFields.safeParse(fields).data ?? [])
    .filter(({ fieldsV1 = {} }) => 'f:status' in fieldsV1)
    .flatMap(({ time }) => time ?? []);
  return times.toSorted().at(-1) ?? null;
}

/** Since when the voters that are shown are only those that were last known; null: they are not. */
export function lastKnownNote(object: KubernetesObject, nowMs: number): string | null {
  const { voters, conditions = [] } = shownIn(object);
  const reachable = conditions.find(({ type }) => type === 'Reachable');
  if (voters === undefined || reachable === undefined) return null;
  const what = 'Voters and quorum are those of the last member list that a quorum agreed on';
  if (reachable.status === 'True') return `${what}.`;
  const at = reachable.lastTransitionTime;
  return `${what}, known until ${at} (${ageOf(nowMs - Date.parse(at))} ago).`;
}

/** How old a recorded status is, and what that means; `why` is the reason to show it. */
export function recordedNote(object: KubernetesObject, why: string, nowMs: number): string {
  const at = lastWritten(object);
  const age = at === null ? '' : `, last ${ageOf(nowMs - Date.parse(at))} ago`;
  return `${upperFirst(why)}. This is what the guard has written down${age}; it writes only what has changed.`;
}

function ageOf(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} days`;
}

/** The status of this moment, with what only the object knows: its ledger, and since when. */
export function withTimesOf(object: KubernetesObject, status: ClusterStatus): ClusterStatus {
  const timed = withTimes(status, shownIn(object).conditions ?? []);
  return { ...ledgerIn(object), ...timed };
}

function ledgerIn({ status }: KubernetesObject): object {
  if (typeof status !== 'object' || status === null || !('disruptedPods' in status)) return {};
  return { disruptedPods: status.disruptedPods };
}
