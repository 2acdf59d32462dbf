import type { BreakGlass, Situation } from './situation.ts';

/** Annotation whose non-blank value lets its pod go, whatever etcd says. */
export const BREAK_GLASS_ANNOTATION = 'etcd-guard.io/break-glass';

/** Annotation with the RFC 3339 time until which a break-glass annotation counts. */
export const BREAK_GLASS_UNTIL_ANNOTATION = 'etcd-guard.io/break-glass-until';

/** How much of an annotation is repeated: one may have 256 KiB. */
const SHOWN = 64;
/** How far ahead the example is: whoever copies it has time for a delete, and no more. */
const EXAMPLE_MS = 15 * 60_000;

/** Whether an operator's word alone lets the target go. */
export function glassIsBroken({ target: { breakGlass }, nowMs }: Situation): boolean {
  return breakGlass !== null && faultsOf(breakGlass, nowMs).length === 0;
}

/** Why break-glass annotations that are there don't count, in one sentence; empty if there are none. */
export function whyGlassHolds({ target: { breakGlass }, nowMs }: Situation): string {
  const faults = breakGlass === null ? [] : faultsOf(breakGlass, nowMs);
  return faults.length === 0 ? '' : `Its break-glass is not in force: ${faults.join('; ')}.`;
}

/** The command that makes the target's break-glass count, whatever annotations it has already. */
export function breakGlassCommand({ target: { name, namespace, breakGlass } }: Situation): string {
  const { reason = null, until = null } = breakGlass ?? {};
  // kubectl refuses to change an annotation unasked.
  const overwrite = reason === null ? '' : ' --overwrite';
  const endless = until === null ? '' : ` ${BREAK_GLASS_UNTIL_ANNOTATION}-`;
  return `kubectl annotate${overwrite} pod ${name} -n ${namespace} ${BREAK_GLASS_ANNOTATION}="REASON"${endless}`;
}

/** A text of any length, as far as a message can repeat it. */
export function excerpt(text: string): string {
  return text.length <= SHOWN ? text : `${text.slice(0, SHOWN).toWellFormed()}…`;
}

function faultsOf({ reason, until }: BreakGlass, nowMs: number): readonly string[] {
  return [...faultsOfReason(reason), ...(until === null ? [] : faultsOfEnd(until, nowMs))];
}

function faultsOfReason(reason: string | null): readonly string[] {
  if (reason === null) return [`${BREAK_GLASS_ANNOTATION}, which gives the reason, is missing`];
  return reason.trim() === '' ? [`${BREAK_GLASS_ANNOTATION} is blank, but takes a reason`] : [];
}

function faultsOfEnd(until: string, nowMs: number): readonly string[] {
  const endsAtMs = rfc3339(until);
  if (endsAtMs > nowMs) return [];
  if (!Number.isNaN(endsAtMs)) return [`it ended at ${excerpt(until)} (${ago(nowMs - endsAtMs)})`];
  const example = new Date(nowMs + EXAMPLE_MS).toISOString().replace(/\.\d+Z$/, 'Z');
  return [
    `${BREAK_GLASS_UNTIL_ANNOTATION} is "${excerpt(until)}", not an RFC 3339 time such as ${example}`,
  ];
}

/** Milliseconds since the epoch; NaN, which no time is before, for anything that is not RFC 3339. */
function rfc3339(text: string): number {
  const form = /^(\d{4}-\d\d-\d\d)[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;
  const [, day] = form.exec(text) ?? [];
  return day !== undefined && isOnCalendar(day) ? Date.parse(text.toUpperCase()) : Number.NaN;
}

/** Date.parse takes 30 February for 2 March. */
function isOnCalendar(day: string): boolean {
  const midnight = Date.parse(`${day}T00:00:00Z`);
  return !Number.isNaN(midnight) && new Date(midnight).toISOString().startsWith(day);
}

function ago(ms: number): string {
  const units = [
    { ms: 1_000, name: 's', upTo: 120 },
    { ms: 60_000, name: 'min', upTo: 120 },
    { ms: 3_600_000, name: 'h', upTo: 48 },
  ];
  const unit = units.find((one) => ms < one.upTo * one.ms) ?? { ms: 86_400_000, name: 'days' };
  return `${Math.floor(ms / unit.ms)} ${unit.name} ago`;
}
