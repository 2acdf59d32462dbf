import { randomNumbers } from '../fakes/random-numbers.ts';

/** Choices that follow from a seed alone. */
export class Dice {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = randomNumbers(seed);
  }

  /** A stream of its own for each purpose: that one asks more often changes no other. */
  static for(seed: number, purpose: string): Dice {
    let mixed = seed;
    for (const char of purpose) mixed = Math.imul(mixed ^ (char.codePointAt(0) ?? 0), 0x01000193);
    return new Dice(mixed);
  }

  chance(probability: number): boolean {
    return this.#next() < probability;
  }

  /** A whole number, both ends included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.#next() * (high - low + 1));
  }

  pick<T>(from: readonly T[]): T {
    const found = from[this.between(0, from.length - 1)];
    if (found === undefined) throw new Error('nothing to pick from');
    return found;
  }

  /** A key of the record, as often as its number among all numbers. */
  weighted<K extends string>(weights: Readonly<Partial<Record<K, number>>>): K {
    const all = Object.entries<number | undefined>(weights);
    const sum = all.reduce((total, [, weight = 0]) => total + weight, 0);
    let left = this.#next() * sum;
    for (const key in weights) {
      left -= weights[key] ?? 0;
      if (left < 0) return key;
    }
    throw new Error('nothing to pick from');
  }
}
