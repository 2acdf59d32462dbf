import type { Shown } from './shown.ts';
import { deleteNow, healthOf } from './tables.ts';

/** What differs between two looks, a sentence each: `default/etcd: leader etcd-0 (was etcd-2)`. */
export function changesBetween(
  before: readonly Shown[],
  after: readonly Shown[],
): readonly string[] {
  const old = new Map(before.map((one) => [one.title, one]));
  const now = new Set(after.map(({ title }) => title));
  return [
    ...after.flatMap((shown) => changesOf(old.get(shown.title), shown)),
    ...before.filter(({ title }) => !now.has(title)).map(({ title }) => `${title}: gone`),
  ];
}

function changesOf(before: Shown | undefined, after: Shown): readonly string[] {
  const { title } = after;
  if (before === undefined) return [`${title}: new`, ...factLines(title, new Map(), after)];
  return factLines(title, factsOf(before), after);
}

function factLines(
  title: string,
  before: ReadonlyMap<string, string>,
  after: Shown,
): readonly string[] {
  const now = factsOf(after);
  const gone = [...before.keys()].filter((what) => !now.has(what));
  return [
    ...[...now].flatMap(([what, value]) => {
      const old = before.get(what);
      if (old === value) return [];
      return [`${title}: ${what} ${value}${old === undefined ? '' : ` (was ${old})`}`];
    }),
    ...gone.map((what) => `${title}: ${what} gone`),
  ];
}

function factsOf({ item: { status, pods }, leaderless }: Shown): ReadonlyMap<string, string> {
  return new Map([
    ['leader', status.leader ?? (leaderless ? 'none' : '?')],
    ['healthy', healthOf(status)],
    ['disruptions allowed', `${status.disruptionsAllowed ?? '?'}`],
    ...pods.map((one) => [`delete of ${one.pod}`, deleteNow(one)] as const),
  ]);
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
