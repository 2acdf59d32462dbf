import { randomInt } from 'node:crypto';
import { randomNumbers } from '../fakes/random-numbers.ts';

/** Choices that a seed decides; the same seed gives the same ones. */
export class Random {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = randomNumbers(seed);
  }

  /** From 0 to below n. */
  below(n: number): number {
    return Math.floor(this.#next() * n);
  }

  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(choices: readonly T[]): T {
    const chosen = choices[this.below(choices.length)];
    if (chosen === undefined && choices.length === 0) throw new Error('nothing to choose from');
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- undefined may be one of them
    return chosen as T;
  }

  some<T>(choices: readonly T[], inN: number): readonly T[] {
    return choices.filter(() => this.oneIn(inN));
  }
}

/** A fresh one each run, to find more; FUZZ_SEED repeats a run. */
export const SEED = Number(process.env['FUZZ_SEED'] ?? randomInt(2 ** 31));

/** So many cases, or as many times that as FUZZ_TIMES says. */
export function cases(count: number): number {
  return Math.ceil(count * Number(process.env['FUZZ_TIMES'] ?? 1));
}

/** Each case has a seed of its own, so that it can be repeated without those before it. */
export function seedOf(index: number): number {
  return (SEED + Math.imul(index, 0x9e3779b1)) | 0;
}

/** What a failing case is reported with. */
export class FuzzError extends Error {
  override readonly name = 'FuzzError';

  constructor(index: number, given: string, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const shown = given.length > 4_000 ? `${given.slice(0, 4_000)}… (${given.length} long)` : given;
    super(`case ${index} of FUZZ_SEED=${SEED}: ${why}\ngiven: ${shown}`, { cause });
  }
}

/** Says how many cases of what were run: a fuzzer that ran none must not look like one that found none. */
export function report(what: string, counts: Readonly<Record<string, number>>): void {
  const listed = Object.entries(counts)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, count]) => `${name} ${count}`);
  process.stdout.write(`fuzz ${what} (FUZZ_SEED=${SEED}): ${listed.join(', ')}\n`);
}

/** Counts by name. */
export class Tally {
  readonly counts: Record<string, number> = {};

  add(name: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
  }
}

/** As an assertion, but a hundred thousand of them cost nothing. */
export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}
