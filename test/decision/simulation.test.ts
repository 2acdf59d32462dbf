import { describe, expect, test } from 'vitest';
import { USUAL, WHOLE, type Design, type Surroundings } from './simulated-guard.ts';
import { BrokenError, simulate } from './simulation.ts';

/** SIMULATION_SEED replays one run; SIMULATION_RUNS=100000 makes more of them. */
const ONLY = process.env['SIMULATION_SEED'];
const RUNS = Number(process.env['SIMULATION_RUNS'] ?? 1_500);

/**
 * Seeds found by trying; another change of the simulation may need others (SIMULATION_SEARCH=100000
 * looks for them). That the candidate of a hand-off is protected has no such seed: while its leader
 * is reserved no proof stands, and afterwards it leads.
 */
const SEEDS = { proof: 36, ledger: 17, keep: 493, restore: 11_235, clocks: 69 } as const;
const SEARCH = Number(process.env['SIMULATION_SEARCH'] ?? 0);

function seeds(count: number): readonly number[] {
  return ONLY === undefined ? Array.from({ length: count }, (_, i) => i + 1) : [Number(ONLY)];
}

/** The first seed that breaks a design, and how; null if none does. */
function breakOf(
  design: Design,
  count: number,
  surroundings: Surroundings = USUAL,
): { seed: number; how: string } | null {
  for (const seed of seeds(count)) {
    try {
      simulate(seed, design, surroundings);
    } catch (error) {
      if (!(error instanceof BrokenError)) throw error;
      return { seed, how: error.message };
    }
  }
  return null;
}

test('what is permitted takes neither the leader nor the quorum', () => {
  expect(breakOf(WHOLE, RUNS)).toBeNull();
}, 600_000);

/** An entry stands for 120 s, and its own pod may be let go under it for the first 60 of them. */
describe('clocks that are apart take as much off the time that a deletion may take', () => {
  test('30 s: what is carried out within 30 s is safe', () => {
    expect(breakOf(WHOLE, RUNS, { clocksApartMs: 30_000, requestMs: 30_000 })).toBeNull();
  }, 600_000);

  test('60 s: what is carried out within 60 s is not', () => {
    const apart = { clocksApartMs: 60_000, requestMs: 60_000 };
    const seed = breakOf(WHOLE, SEARCH, apart)?.seed ?? SEEDS.clocks;
    expect(() => simulate(seed)).not.toThrow();
    expect(() => simulate(seed, WHOLE, apart)).toThrow(BrokenError);
  }, 600_000);
});

test('the simulation has permits, refusals and hand-offs to judge', () => {
  const totals = { permits: 0, refusals: 0, handOffs: 0, resumed: 0 };
  for (const seed of seeds(400)) {
    const outcome = simulate(seed);
    totals.permits += outcome.permits;
    totals.refusals += outcome.refusals;
    totals.handOffs += outcome.handOffs;
    totals.resumed += outcome.resumed;
  }
  expect(totals.permits).toBeGreaterThan(200);
  expect(totals.refusals).toBeGreaterThan(200);
  expect(totals.handOffs).toBeGreaterThan(20);
  expect(totals.resumed).toBeGreaterThan(0);
}, 60_000);

describe('each part of the design is needed: without it, a run breaks that else does not', () => {
  test.each(['proof', 'ledger', 'keep', 'restore'] as const)(
    '%s',
    (part) => {
      const without = { ...WHOLE, [part]: false };
      const seed = breakOf(without, SEARCH)?.seed ?? SEEDS[part];
      expect(() => simulate(seed)).not.toThrow();
      expect(() => simulate(seed, without)).toThrow(BrokenError);
    },
    600_000,
  );
});
