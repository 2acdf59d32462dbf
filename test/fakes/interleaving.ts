import * as fc from 'fast-check';
import { vi } from 'vitest';
import type { MoveBehaviour } from './etcd.ts';

/** An action on the requests to move leadership: what happens to them from here on. */
export interface Moves {
  readonly kind: 'moves';
  readonly whenMoved: MoveBehaviour;
}

/** Any of them. */
export const moves: fc.Arbitrary<Moves> = fc.record({
  kind: fc.constant('moves'),
  whenMoved: fc.constantFrom<MoveBehaviour[]>('moves', 'fails', 'ignores', 'losesItsAnswer'),
});

/** Actions at the same time, whose steps come in the order that a scheduler chooses; needs fake timers. */
export class Interleaving {
  readonly #scheduler: fc.Scheduler;
  readonly #log: string[] = [];
  readonly #faults: string[] = [];

  constructor(scheduler: fc.Scheduler) {
    this.#scheduler = scheduler;
  }

  /** Every action begins at a moment of the scheduler's choice. Returns all that went wrong. */
  async run<T extends { readonly kind: string }>(
    actions: readonly T[],
    act: (action: T) => Promise<void>,
  ): Promise<readonly string[]> {
    const running = new Set(actions);
    const ends = actions.map(async (action) => {
      try {
        await this.step(action.kind);
        await act(action);
      } finally {
        running.delete(action);
      }
    });
    while (running.size > 0) {
      if (this.#scheduler.count() > 0) await this.#scheduler.waitOne();
      else await vi.advanceTimersByTimeAsync(20);
    }
    await Promise.all(ends);
    return this.#faults;
  }

  /** Resolves when the scheduler lets whoever waits go on. */
  step(label: string): Promise<void> {
    return this.#scheduler.schedule(Promise.resolve(), label).then(() => undefined);
  }

  log(line: string): void {
    this.#log.push(line);
  }

  /** Goes on: what was logged before is told with it. */
  fault(what: string): void {
    this.#faults.push([what, ...this.#log].join('\n'));
  }
}
