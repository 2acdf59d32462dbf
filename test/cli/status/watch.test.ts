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
