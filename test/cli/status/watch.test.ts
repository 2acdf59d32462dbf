import { describe, expect, it } from 'vitest';
import type { AllShown, ShownLock } from '../../../src/cli/status/shown.ts';
import { watch } from '../../../src/cli/status/watch.ts';
import { until } from '../../harness/until.ts';
import { said } from '../said.ts';
import { shownLock } from './shown-lock.ts';

function withLocks(...locks: readonly ShownLock[]): AllShown {
  return { guards: [], locks };
}

/** Looks that find each of these in turn, and the last of them ever after. */
function finding(first: AllShown, ...later: readonly AllShown[]) {
  const left = [...later];
  let last = first;
  return {
    first,
    async look() {
      last = left.shift() ?? last;
      return last;
    },
  };
}

it('tells once of what keeps it from looking, however often it tries', async () => {
  let looks = 0;
  const look = async (): Promise<AllShown> => {
    looks += 1;
    throw new Error('the API server does not answer');
  };
  const { streams, stop, err } = said();
  const watching = watch({ look, first: withLocks() }, 'json', streams);
  await until('it has looked twice', async () => looks >= 2);
  stop.abort();
  await watching;
  expect(err()).toBe('etcd-guard: the API server does not answer\n');
});

/** Looks that each find another lock; every other one takes as long as a second allows. */
function restless() {
  let looks = 0;
  const twice = Promise.withResolvers<void>();
  return {
    first: withLocks(),
    lookedTwice: twice.promise,
    async look() {
      if (looks % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 900));
      looks += 1;
      if (looks === 2) setImmediate(twice.resolve);
      return withLocks(shownLock({ item: { ...shownLock().item, spec: { looks } } }));
    },
  };
}

function specsIn(text: string): readonly unknown[] {
  const documents = text.split(/(?<=^\}\n)/m);
  return documents.flatMap((one) => JSON.parse(one).locks?.[0].spec.looks ?? []);
}

describe('documents of what changes with every look', () => {
  const SPACING_MS = 1_000;

  it('are a second apart, and leave no change out', async () => {
    const { streams, stop, out } = said();
    const writtenAtMs: number[] = [];
    const source = restless();
    const timed = {
      ...streams,
      out: (text: string) => {
        writtenAtMs.push(performance.now());
        streams.out(text);
      },
    };
    const watching = watch(source, 'json', timed);
    await until('three changes are told', async () => writtenAtMs.length >= 4);
    stop.abort();
    await watching;
    const gaps = writtenAtMs.slice(1).map((at, index) => at - (writtenAtMs[index] ?? 0));
    // A timer may run off a millisecond early.
    expect(gaps.slice(0, 3).filter((gap) => gap < SPACING_MS - 2)).toEqual([]);
    expect(specsIn(out()).slice(0, 3)).toEqual([1, 2, 3]);
  });

  it('end with the last that was found, though no second has passed', async () => {
    const { streams, stop, out } = said();
    const source = restless();
    const watching = watch(source, 'json', streams);
    await source.lookedTwice;
    stop.abort();
    // At once: the program may end before anybody gets to wait.
    expect(specsIn(out())).toEqual([1, 2]);
    await watching;
    expect(specsIn(out())).toEqual([1, 2]);
  });
});

describe('locks', () => {
  const HELD = shownLock();
  const OVER = shownLock({
    inForce: 'no (Expired)',
    item: { ...HELD.item, spec: { until: 'now' } },
  });

  it('follow the guards in a pipe, and then a line tells of each change', async () => {
    const { streams, stop, out } = said();
    const watching = watch(finding(withLocks(HELD), withLocks(OVER)), 'table', streams);
    await until('the change is told', async () => out().includes('Expired'));
    stop.abort();
    await watching;
    expect(out()).toMatch(
      /^LOCK +SELECTOR .+\ndefault\/lockred +aura=red .+yes \(Enforced\)\n\S+Z lock default\/lockred: in force no \(Expired\) \(was yes \(Enforced\)\)\n$/,
    );
  });

  it('stand in the documents, of which each change makes another', async () => {
    const { streams, stop, out } = said();
    const watching = watch(
      finding(withLocks(HELD), withLocks(HELD), withLocks(OVER)),
      'json',
      streams,
    );
    await until('the change is told', async () => out().includes('until'));
    stop.abort();
    await watching;
    const documents = out().split(/(?<=^\}\n)/m);
    expect(documents.map((one): unknown => JSON.parse(one))).toEqual(
      [HELD, OVER].map(({ item }) => ({ items: [], locks: [item] })),
    );
  });

  it('are drawn on a terminal', async () => {
    const { streams, stop, out } = said(100);
    const watching = watch(finding(withLocks(HELD), withLocks(OVER)), 'table', streams);
    expect(out()).toContain('yes (Enforced)');
    await until('the change is drawn', async () => out().includes('no (Expired)'));
    stop.abort();
    await watching;
  });
});
