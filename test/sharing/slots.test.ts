import { describe, expect, test } from 'vitest';
import { Slots } from '../../src/sharing/slots.ts';

describe('slots', () => {
  test('let so many run at once, in the order they came, and work that fails gives its slot back', async () => {
    const slots = new Slots(2);
    const begun: number[] = [];
    const works = Array.from({ length: 5 }, () => Promise.withResolvers<void>());
    const runs = works.map(({ promise }, at) =>
      slots.run(() => {
        begun.push(at);
        return promise;
      }),
    );
    const outcomes = Promise.allSettled(runs);
    await Promise.resolve();
    expect(begun).toEqual([0, 1]);
    works[1]?.reject(new Error('it failed'));
    await expect(runs[1]).rejects.toThrow('it failed');
    await expect.poll(() => begun).toEqual([0, 1, 2]);
    for (const { resolve } of works) resolve();
    await outcomes;
    expect(begun).toEqual([0, 1, 2, 3, 4]);
  });

  test('are not waited for longer than a signal allows, and then none is taken', async () => {
    const slots = new Slots(1);
    await slots.take();
    const enough = new AbortController();
    const waiting = slots.take(enough.signal);
    enough.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    slots.release();
    await slots.take();
    await expect(slots.take(enough.signal)).rejects.toThrow('enough');
  });
});
