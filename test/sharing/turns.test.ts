import { describe, expect, it } from 'vitest';

import { Turns, type EndTurn } from '../../src/sharing/turns.ts';
import { FakeClock, settled } from './fake-clock.ts';

const PATIENCE_MS = 5_000;
const AT_ONCE = 16;

/** On a processor that is as busy as that says. */
function turnsWhile(busy: { share: number } = { share: 0 }) {
  const clock = new FakeClock();
  const turns = new Turns(clock, () => () => busy.share);
  let namespaces = 0;
  /** One review, of a namespace of its own unless given. */
  const review = (namespace = `team-${(namespaces += 1)}`, patienceMs = PATIENCE_MS) => {
    const state: { heard: boolean; lost: boolean; end: EndTurn } = {
      heard: false,
      lost: false,
      end: () => undefined,
    };
    const come = (end: EndTurn | null): void => {
      state.heard = end !== null;
      state.lost = end === null;
      if (end !== null) state.end = end;
    };
    const turn = turns.take(namespace, patienceMs);
    if (turn instanceof Promise) void turn.then(come);
    else come(turn);
    return state;
  };
  const reviews = (count: number, namespace?: string, patienceMs?: number) =>
    Array.from({ length: count }, () => review(namespace, patienceMs));
  return { clock, review, reviews };
}

type Review = ReturnType<ReturnType<typeof turnsWhile>['review']>;

function heard(reviews: readonly Review[]): number {
  return reviews.filter((review) => review.heard).length;
}

describe('turns', () => {
  it('are had by a few namespaces at once, at once, and by the next when one is over', async () => {
    const { reviews } = turnsWhile();
    const all = reviews(AT_ONCE + 2);
    expect(heard(all)).toBe(AT_ONCE);
    all[3]?.end();
    all[3]?.end();
    await settled();
    expect(heard(all)).toBe(AT_ONCE + 1);
    expect(all.at(-1)?.heard).toBe(false);
  });

  it('are given to others after 250 ms in which the processor had nothing to do', async () => {
    const { clock, reviews } = turnsWhile();
    const all = reviews(2 * AT_ONCE);
    await clock.advance(249);
    expect(heard(all)).toBe(AT_ONCE);
    await clock.advance(1);
    expect(heard(all)).toBe(2 * AT_ONCE);
    for (const { end } of all) end();
    await settled();
    expect(clock.timers).toBe(0);
    const next = reviews(AT_ONCE + 1);
    expect(heard(next)).toBe(AT_ONCE);
  });

  it('last longer while the processor is busy, but a second at most', async () => {
    const busy = { share: 0.8 };
    const { clock, reviews } = turnsWhile(busy);
    const all = reviews(3 * AT_ONCE);
    await clock.advance(999);
    expect(heard(all)).toBe(AT_ONCE);
    await clock.advance(1);
    expect(heard(all)).toBe(2 * AT_ONCE);
    busy.share = 0.7;
    await clock.advance(250);
    expect(heard(all)).toBe(3 * AT_ONCE);
  });

  it('are not waited for longer than patience allows, and whoever lost it has taken none', async () => {
    const { clock, review, reviews } = turnsWhile({ share: 1 });
    const first = reviews(AT_ONCE);
    const impatient = [...reviews(50, undefined, 100), ...reviews(50, 'crowd', 100)];
    await clock.advance(99);
    expect(impatient.some(({ lost }) => lost)).toBe(false);
    await clock.advance(1);
    expect(impatient.every(({ lost }) => lost)).toBe(true);
    const next = review('crowd');
    first[0]?.end();
    await settled();
    expect(next.heard).toBe(true);
    expect(heard(impatient)).toBe(0);
    next.end();
    for (const { end } of first) end();
    await settled();
    expect(heard(reviews(AT_ONCE + 1))).toBe(AT_ONCE);
  });

  it('are shared by all of a namespace, also by those who waited for one', async () => {
    const { review, reviews } = turnsWhile({ share: 1 });
    const others = reviews(AT_ONCE);
    const waiting = reviews(50, 'shop');
    const behind = reviews(2);
    others[0]?.end();
    await settled();
    expect([heard(waiting), heard(behind)]).toEqual([50, 0]);
    expect(review('shop').heard).toBe(true);
    for (const { end } of waiting) end();
    await settled();
    // One of that namespace is heard still.
    expect(heard(behind)).toBe(0);
  });

  it('are given on when the last of a namespace is over', async () => {
    const { reviews } = turnsWhile({ share: 1 });
    const others = reviews(AT_ONCE - 1);
    const together = reviews(3, 'shop');
    const behind = reviews(1);
    for (const { end } of together.slice(0, 2)) end();
    await settled();
    expect(heard(behind)).toBe(0);
    together[2]?.end();
    await settled();
    expect(heard([...others, ...behind])).toBe(AT_ONCE);
  });

  it('are not lost when patience ends just as one comes', async () => {
    const { clock, review, reviews } = turnsWhile({ share: 1 });
    const first = reviews(AT_ONCE);
    const late = review('late', 100);
    await settled();
    // The slot is handed over, and the patience ends before anybody has looked.
    first[0]?.end();
    clock.fireNow(100);
    await settled();
    expect(late).toMatchObject({ heard: false, lost: true });
    expect(heard(reviews(2))).toBe(1);
  });

  it('are as many as ever after a storm in which reviews came, lost patience and came again', async () => {
    const busy = { share: 1 };
    const { clock, reviews, review } = turnsWhile(busy);
    let seed = 7;
    const random = (below: number): number => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % below;
    };
    const all: Review[] = [];
    for (let step = 0; step < 5_000; step += 1) {
      const what = random(10);
      if (what < 5) all.push(review(`team-${random(60)}`, random(800)));
      else if (what < 9) all[random(all.length + 1)]?.end();
      else await clock.advance(random(120));
      busy.share = random(2);
    }
    await clock.advance(1_000);
    for (const { end } of all) end();
    await settled();
    for (const { end } of all) end();
    await clock.advance(10_000);
    for (const { end } of all) end();
    await settled();
    expect(clock.timers).toBe(0);
    expect(heard(reviews(2 * AT_ONCE))).toBe(AT_ONCE);
  });
});
