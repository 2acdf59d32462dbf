import { describe, expect, test } from 'vitest';
import { WHOLE, type Design } from './simulated-guard.ts';
import { BrokenError, simulate } from './simulation.ts';

/** SIMULATION_SEED replays one run; SIMULATION_RUNS=100000 makes more of them. */
const ONLY = process.env['SIMULATION_SEED'];
const RUNS = Number(process.env['SIMULATION_RUNS'] ?? 3_000);

function seeds(count: number): readonly number[] {
  return ONLY === undefined ? Array.from({ length: count }, (_, i) => i + 1) : [Number(ONLY)];
}

/** The first seed that breaks a design, and how; null if none does. */
function breakOf(design: Design, count: number): { seed: number; how: string } | null {
  for (const seed of seeds(count)) {
    try {
      simulate(seed, design);
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

test('the simulation has permits, refusals and hand-offs to judge', () => {
  const totals = { permits: 0, refusals: 0, handOffs: 0 };
  for (const seed of seeds(300)) {
    const outcome = simulate(seed);
    totals.permits += outcome.permits;
    totals.refusals += outcome.refusals;
    totals.handOffs += outcome.handOffs;
  }
  expect(totals.permits).toBeGreaterThan(300);
  expect(totals.refusals).toBeGreaterThan(300);
  expect(totals.handOffs).toBeGreaterThan(20);
});

describe('each part of the design is needed: without it, some run breaks', () => {
  test.each(['proof', 'ledger', 'keep', 'candidates'] as const)(
    '%s',
    (part) => {
      expect(breakOf({ ...WHOLE, [part]: false }, 20_000)).not.toBeNull();
    },
    600_000,
  );
});
