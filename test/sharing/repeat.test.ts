import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { repeatedly } from '../../src/sharing/repeat.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Counts looks, each of which takes that long. */
function looking(lookMs: number) {
  const seen = { looks: 0 };
  const repeating = repeatedly(async () => {
    seen.looks += 1;
    await new Promise((resolve) => void setTimeout(resolve, lookMs));
  }, 1_000);
  return { seen, repeating };
}

it('pauses before each look, however long the one before took', async () => {
  const { seen } = looking(5_000);
  await vi.advanceTimersByTimeAsync(999);
  expect(seen.looks).toBe(0);
  await vi.advanceTimersByTimeAsync(1);
  expect(seen.looks).toBe(1);
  await vi.advanceTimersByTimeAsync(5_999);
  expect(seen.looks).toBe(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(seen.looks).toBe(2);
});

it.each([
  ['in a pause', 500, 0],
  ['during a look', 1_500, 1],
])('ends when it is stopped %s', async (_when, afterMs, looks) => {
  const { seen, repeating } = looking(1_000);
  await vi.advanceTimersByTimeAsync(afterMs);
  repeating.stop();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(seen.looks).toBe(looks);
  expect(vi.getTimerCount()).toBe(0);
});
