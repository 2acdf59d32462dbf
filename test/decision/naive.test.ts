import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { decide } from '../../src/decision/decide.ts';
import { REASONS, type Situation } from '../../src/decision/situation.ts';
import type { Decision } from '../../src/decision/verdict.ts';
import { decideNaively, type Core } from './naive.ts';
import { scenes, type Scene } from './random-situation.ts';

/** NAIVE_RUNS=500000 for a long look; each run compares three situations. */
const RUNS = Number(process.env['NAIVE_RUNS'] ?? 20_000);

/** The part of a decision that does not depend on wording. */
function coreOf(decision: Decision): Core {
  switch (decision.kind) {
    case 'allow': {
      const { kind, reason, member, reserve } = decision;
      return { kind, reason, member, reserve };
    }
    case 'deny': {
      const { kind, reason, member } = decision;
      return { kind, reason, member };
    }
    case 'handOff':
      return { kind: 'handOff', reason: decision.reason, to: decision.to.id };
    case 'prove':
      return { kind: 'prove', pods: decision.pods };
    case 'ask':
      return { kind: 'ask' };
  }
}

/** Which member a pod is does not matter before row 7, nor does the order of a proof. */
function comparable(core: Core): Core {
  if (core.kind === 'prove') return { ...core, pods: core.pods.toSorted() };
  const early = 'member' in core && REASONS.indexOf(core.reason) < REASONS.indexOf('KnownDown');
  return early ? { ...core, member: null } : core;
}

/** The same request before etcd is asked, after, and with a proof. */
function stages({ situation, answers, proof }: Scene): readonly Situation[] {
  if (situation.guards.length !== 1) return [situation];
  return [situation, { ...situation, answers }, { ...situation, answers, proof }];
}

test('two implementations of the table agree', () => {
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(scenes, (scene) => {
      for (const situation of stages(scene)) {
        const real = comparable(coreOf(decide(situation)));
        const naive = comparable(decideNaively(situation));
        const what = 'reason' in real ? `${real.kind} ${real.reason}` : real.kind;
        seen.set(what, (seen.get(what) ?? 0) + 1);
        expect(real).toEqual(naive);
      }
    }),
    { numRuns: RUNS },
  );
  if (process.env['NAIVE_RUNS'] !== undefined) process.stdout.write(`${table(seen)}\n`);
  for (const reason of REASONS) {
    const times = (seen.get(`allow ${reason}`) ?? 0) + (seen.get(`deny ${reason}`) ?? 0);
    expect(times, `${reason} among ${RUNS} random clusters`).toBeGreaterThan(RUNS / 2_000);
  }
}, 600_000);

function table(seen: ReadonlyMap<string, number>): string {
  const rows = [...seen].toSorted(([, a], [, b]) => b - a);
  return rows.map(([what, times]) => `${String(times).padStart(8)}  ${what}`).join('\n');
}
