import { byName } from '../decision/by-name.ts';
import { REASONS } from '../decision/situation.ts';
import type { LoggedDecision } from './decision-log.ts';
import { keyOf, type GuardName, type KnownGuard, type Standing } from './port.ts';

/** What a page is asked to show; empty or null: everything. */
export interface PageQuery {
  /** Part of a guard's namespace or name. */
  readonly search: string;
  /** `default/etcd`: this one only. */
  readonly guard: string;
  /** From 1; the last there is, if that is less. */
  readonly page: number;
  readonly decision: (typeof DECISIONS)[number] | '';
  readonly reason: string;
  readonly dryRun: 'yes' | 'no' | '';
}

/** What `decision` can be. */
export const DECISIONS = ['allow', 'deny', 'error'] as const;

/** What `reason` can be. */
export const DECISION_REASONS: readonly string[] = [...REASONS, 'InternalError'];

/** Guards on one page. */
export const GUARDS_A_PAGE = 20;

/** Longer than any name of a guard with its namespace. */
const LONGEST = 400;

/** Reads a query string of any content; what makes no sense counts as not given. */
export function readQuery(given: URLSearchParams): PageQuery {
  const text = (name: string): string => (given.get(name) ?? '').trim().slice(0, LONGEST);
  const page = Number(text('page'));
  return {
    search: text('q'),
    guard: text('guard'),
    page: Number.isSafeInteger(page) && page > 0 ? page : 1,
    decision: DECISIONS.find((one) => one === text('decision')) ?? '',
    reason: DECISION_REASONS.find((one) => one === text('reason')) ?? '',
    dryRun: (['yes', 'no'] as const).find((one) => one === text('dryRun')) ?? '',
  };
}

const oneOf =
  (values: readonly string[]) =>
  (value: string): boolean =>
    values.includes(value);

/** What each parameter has to be, if it is given. */
const RULES: readonly (readonly [string, (value: string) => boolean, string])[] = [
  ['decision', oneOf(DECISIONS), `one of ${DECISIONS.join(', ')}`],
  ['reason', oneOf(DECISION_REASONS), `one of ${DECISION_REASONS.join(', ')}`],
  ['dryRun', oneOf(['yes', 'no']), 'one of yes, no'],
  ['page', (value) => /^[1-9]\d{0,14}$/.test(value), 'a number from 1'],
  ['guard', (value) => /^[^/]+\/[^/]+$/.test(value), 'NAMESPACE/NAME'],
];

/** What a program should not have asked; null: nothing. A person's address is taken as far as it makes sense. */
export function wrongIn(given: URLSearchParams): string | null {
  for (const [name, fits, what] of RULES) {
    const value = given.get(name)?.trim() ?? '';
    if (value !== '' && !fits(value)) return `${name} is ${what}`;
  }
  return null;
}

/** The same, to be read again: `?q=etcd&page=2`, or empty. */
export function writeQuery(query: PageQuery): string {
  const { search: q, guard, page, decision, reason, dryRun } = query;
  const all = { q, guard, page: page === 1 ? '' : `${page}`, decision, reason, dryRun };
  const given = Object.entries(all).filter(([, value]) => value !== '');
  return given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`;
}

/** Those guards that a page shows, and how many there are besides. */
export interface GuardPage {
  readonly guards: readonly KnownGuard[];
  readonly page: number;
  readonly pages: number;
  /** That match. */
  readonly matching: number;
  /** Of all guards, whether they match or not. */
  readonly counts: Readonly<Record<Standing, number>>;
}

const ORDER: Readonly<Record<Standing, number>> = { trouble: 0, unknown: 1, fine: 2 };

/** Trouble first, then by name. */
export function inOrder(guards: readonly KnownGuard[]): readonly KnownGuard[] {
  return guards.toSorted(
    (a, b) =>
      ORDER[a.standing] - ORDER[b.standing] ||
      byName(a.namespace, b.namespace) ||
      byName(a.name, b.name),
  );
}

/** `guards` in their order. */
export function guardPage(guards: readonly KnownGuard[], query: PageQuery): GuardPage {
  const chosen = guards.filter((guard) => isChosen(guard, query));
  const pages = Math.max(1, Math.ceil(chosen.length / GUARDS_A_PAGE));
  const page = Math.min(query.page, pages);
  const counts = { trouble: 0, unknown: 0, fine: 0 };
  for (const { standing } of guards) counts[standing] += 1;
  return {
    guards: chosen.slice((page - 1) * GUARDS_A_PAGE, page * GUARDS_A_PAGE),
    page,
    pages,
    matching: chosen.length,
    counts,
  };
}

/** Those that the query asks for, in their order. */
export function chosenDecisions(
  decisions: readonly LoggedDecision[],
  query: PageQuery,
): readonly LoggedDecision[] {
  const { decision, reason, dryRun } = query;
  return decisions.filter(
    (one) =>
      (decision === '' || one.decision === decision) &&
      (reason === '' || one.reason === reason) &&
      (dryRun === '' || one.dryRun === (dryRun === 'yes')) &&
      (one.guard === null ? query.guard === '' && query.search === '' : isChosen(one.guard, query)),
  );
}

function isChosen(guard: GuardName, { search, guard: only }: PageQuery): boolean {
  const key = keyOf(guard);
  return (only === '' || key === only) && key.includes(search.toLowerCase());
}
