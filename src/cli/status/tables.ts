import type { AllShown, PodStatus, Shown, ShownLock, ShownStatus } from './shown.ts';
import { table, type Column } from '../table.ts';
import { plain, wrap } from '../text.ts';

const GUARD_COLUMNS: readonly Column[] = [
  { title: 'GUARD', wraps: true },
  { title: 'LEADER', wraps: true },
  { title: 'HEALTHY' },
  { title: 'QUORUM' },
  { title: 'DISRUPTIONS ALLOWED', short: 'DISRUPTIONS' },
];
const POD: Column = { title: 'POD', wraps: true };
const DELETE_NOW: Column = { title: 'DELETE NOW' };
const MEMBER_COLUMNS: readonly Column[] = [
  POD,
  { title: 'ROLE' },
  { title: 'HEALTH' },
  { title: 'LAG' },
  DELETE_NOW,
];
const SAID_COLUMNS: readonly Column[] = [POD, { title: 'MEMBER', wraps: true }, DELETE_NOW];

/** The guards one below the other, then the locks, if there are any. */
export function allTables({ guards, locks }: AllShown, width?: number): string {
  const last = locks.length > 0 ? [lockTable(locks, width)] : [];
  return [...guards.map((one) => tables(one, width)), ...last].join('\n');
}

/** One guard for people: the cluster, its pods, and what else there is to say; no line is wider than that. */
export function tables(shown: Shown, width = Infinity): string {
  const { item, said, notes, title } = shown;
  const pods = item.pods.length === 0 ? [] : [podRows(item.status, said, item.pods)];
  const parts = [
    table(GUARD_COLUMNS, [summary(shown)], width),
    ...pods.map(([columns, rows]) => table(columns, rows, width)),
    ...(notes.length === 0 ? [] : [notes.map((note) => noteOn(title, note, width)).join('')]),
  ];
  return parts.join('\n');
}

const LOCK_COLUMNS: readonly Column[] = [
  { title: 'LOCK', wraps: true },
  { title: 'SELECTOR', wraps: true },
  { title: 'EXCLUSIVE', wraps: true },
  { title: 'MATCHED' },
  { title: 'UNTIL' },
  { title: 'IN FORCE' },
];

/** The locks beside the guards, a row each. */
export function lockTable(locks: readonly ShownLock[], width = Infinity): string {
  const rows = locks.map((lock) => [
    lock.title,
    lock.selector,
    plain(lock.exclusive),
    matchedOf(lock),
    untilOf(lock),
    lock.inForce,
  ]);
  return table(LOCK_COLUMNS, rows, width);
}

/** How many objects it holds, or `?` while nobody has counted them. */
export function matchedOf({ matched }: ShownLock): string {
  return `${matched ?? '?'}`;
}

/** `2027-01-01T00:00:00Z`; empty without an end. */
export function untilOf({ untilMs }: ShownLock): string {
  return untilMs === null ? '' : new Date(untilMs).toISOString().replace('.000', '');
}

function noteOn(title: string, note: string, width: number): string {
  return wrap(plain(`${title}: ${note}`), width)
    .map((line) => `${line}\n`)
    .join('');
}

function summary({ title, item, leaderless }: Shown): readonly string[] {
  const { leader, quorum, disruptionsAllowed } = item.status;
  return [
    title,
    leader ?? (leaderless ? 'none' : '?'),
    healthOf(item.status),
    `${quorum ?? '?'}`,
    `${disruptionsAllowed ?? '?'}`,
  ];
}

/** `3/3`, or `?` while that is not known. */
export function healthOf({ voters, healthyVoters }: ShownStatus): string {
  if (voters === null || voters === undefined) return '?';
  return `${healthyVoters ?? '?'}/${voters}`;
}

function podRows(
  { members = [] }: ShownStatus,
  said: Shown['said'],
  pods: readonly PodStatus[],
): readonly [readonly Column[], readonly (readonly string[])[]] {
  if (said !== null) {
    const heard = (pod: string): string => plain(said.get(pod) ?? '?');
    return [SAID_COLUMNS, pods.map((one) => [one.pod, heard(one.pod), deleteNow(one)])];
  }
  const rows = pods.map((one) => {
    const member = members.find(({ pod }) => pod === one.pod);
    const lag = member?.lag ?? '?';
    return [one.pod, member?.role ?? '?', member?.health ?? '?', `${lag}`, deleteNow(one)];
  });
  return [MEMBER_COLUMNS, rows];
}

/** `deny (LeaderProtected)`, or `?` where that can't be told. */
export function deleteNow({ decision, reason }: PodStatus): string {
  if (decision === null) return '?';
  return reason === null ? decision : `${decision} (${reason})`;
}
