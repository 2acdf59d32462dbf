import type { Clock } from './clock.ts';

/** Waits until nothing is under way any more, but no longer than this; what ends may begin something else. */
export async function drained(
  underWay: () => Iterable<Promise<void>>,
  withinMs: number,
  clock: Clock,
): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<'late'>();
  const cancel = clock.after(withinMs, () => resolve('late'));
  // What has ended and is still named makes no turn of the event loop, and no timer runs without one.
  const untilMs = clock.now() + withinMs;
  for (let left = [...underWay()]; left.length > 0; left = [...underWay()]) {
    if ((await Promise.race([late, ...left])) === 'late' || clock.now() >= untilMs) break;
  }
  cancel();
}
