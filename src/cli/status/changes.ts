import { plain } from '../text.ts';
import type { AllShown, Shown, ShownLock } from './shown.ts';
import { deleteNow, healthOf, matchedOf, untilOf } from './tables.ts';

/** What is watched of one guard or lock, in words. */
interface Watched {
  readonly title: string;
  readonly facts: ReadonlyMap<string, string>;
}

/** What differs between two looks, a sentence each: `default/etcd: leader etcd-0 (was etcd-2)`. */
export function changesBetween(before: AllShown, after: AllShown): readonly string[] {
  return [
    ...changes(before.guards.map(watchedGuard), after.guards.map(watchedGuard)),
    ...changes(before.locks.map(watchedLock), after.locks.map(watchedLock)),
  ];
}

function changes(before: readonly Watched[], after: readonly Watched[]): readonly string[] {
  const old = new Map(before.map(({ title, facts }) => [title, facts]));
  const now = new Set(after.map(({ title }) => title));
  return [
    ...after.flatMap((one) => changesOf(old.get(one.title), one)),
    ...before.filter(({ title }) => !now.has(title)).map(({ title }) => `${title}: gone`),
  ];
}

function changesOf(before: Watched['facts'] | undefined, after: Watched): readonly string[] {
  if (before === undefined) return [`${after.title}: new`, ...factLines(new Map(), after)];
  return factLines(before, after);
}

function factLines(before: Watched['facts'], { title, facts }: Watched): readonly string[] {
  const gone = [...before.keys()].filter((what) => !facts.has(what));
  return [
    ...[...facts].flatMap(([what, value]) => {
      const old = before.get(what);
      if (old === value) return [];
      return [`${title}: ${what} ${value}${old === undefined ? '' : ` (was ${old})`}`];
    }),
    ...gone.map((what) => `${title}: ${what} gone`),
  ];
}

function watchedGuard({ title, item: { status, pods }, leaderless }: Shown): Watched {
  const facts = new Map([
    ['leader', status.leader ?? (leaderless ? 'none' : '?')],
    ['healthy', healthOf(status)],
    ['disruptions allowed', `${status.disruptionsAllowed ?? '?'}`],
    ...pods.map((one) => [`delete of ${one.pod}`, deleteNow(one)] as const),
  ]);
  return { title, facts };
}

function watchedLock(lock: ShownLock): Watched {
  const facts = new Map([
    ['selector', plain(lock.selector)],
    ['exclusive', plain(lock.exclusive)],
    ['matched', matchedOf(lock)],
    ...(lock.untilMs === null ? [] : [['until', untilOf(lock)] as const]),
    ['in force', lock.inForce],
  ]);
  // A guard may have the same name.
  return { title: `lock ${lock.title}`, facts };
}

/** How long a new leader is pointed out. */
const POINTED_OUT_MS = 10_000;

interface Followed {
  /** The last that was known. */
  readonly leader: string | null;
  readonly from: string | null;
  readonly changedAtMs: number;
  readonly known: boolean;
}

/** Remembers who led each guard's cluster, to point out for some seconds that somebody else does. */
export class Leaders {
  readonly #followed = new Map<string, Followed>();

  /** Takes in a look, made at that time of a clock that never goes back. */
  observe(shown: readonly Shown[], nowMs: number): void {
    const titles = new Set(shown.map(({ title }) => title));
    for (const title of this.#followed.keys()) if (!titles.has(title)) this.#followed.delete(title);
    for (const { title, item } of shown) {
      const leader = item.status.leader ?? null;
      this.#followed.set(title, next(this.#followed.get(title), leader, nowMs));
    }
  }

  /** What to point out now, in words. */
  news(nowMs: number): readonly string[] {
    return [...this.#followed].flatMap(([title, { leader, from, changedAtMs, known }]) => {
      if (!known && leader !== null) return [`NO LEADER CONFIRMED: ${title} (it was ${leader})`];
      const ageMs = nowMs - changedAtMs;
      if (from === null || leader === null || ageMs >= POINTED_OUT_MS) return [];
      const ago = Math.floor(ageMs / 1_000);
      return [`LEADER CHANGED: ${title} from ${from} to ${leader}, ${ago} s ago`];
    });
  }
}

function next(before: Followed | undefined, leader: string | null, nowMs: number): Followed {
  if (before === undefined)
    return { leader, from: null, changedAtMs: nowMs, known: leader !== null };
  if (leader === null || leader === before.leader) return { ...before, known: leader !== null };
  return { leader, from: before.leader, changedAtMs: nowMs, known: true };
}
