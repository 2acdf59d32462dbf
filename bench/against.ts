import { resolve } from 'node:path';
import type { Bench } from './bench.ts';
import type { Guard } from './guard.ts';
import { processorMs } from './process-figures.ts';
import { columnsOf, inMicroseconds } from './result.ts';
import { deletionReview } from './reviews.ts';
import { ALLOWED, REFUSED, SPARED, type Stage } from './stage.ts';
import { median, quantile } from './statistics.ts';

const KINDS = ['unguarded', 'refused', 'spared'] as const;
const CONNECTIONS = [1, 32] as const;
const SIDES = ['this', 'other'] as const;

type Kind = (typeof KINDS)[number];
type Side = (typeof SIDES)[number];

/**
 * Processor time of a review in a guard built from these sources against one from another bundle,
 * in turns: for changes whose effect is too small to be seen on the clock.
 */
export async function against(bench: Bench, main: string): Promise<string> {
  const stage = await bench.newStage(3);
  const other = await stage.startGuard({ main: resolve(main) });
  try {
    const guards = { this: stage.guard, other };
    for (const side of SIDES) await prepare(stage, side, guards[side]);
    const lines: string[][] = [];
    for (const connections of CONNECTIONS) {
      for (const kind of KINDS) {
        bench.progress(`${kind}, ${connections}`);
        lines.push(await compared(bench, stage, { guards, kind, connections }));
      }
    }
    const columns = [
      'review',
      'connections',
      'this',
      'other',
      'this / other',
      'quartiles',
      'turns',
    ];
    return `Processor time of a review, medians of turns\n${columnsOf([columns, ...lines])}\n`;
  } finally {
    await other.stop();
  }
}

async function prepare(stage: Stage, side: Side, guard: Guard): Promise<void> {
  const { leader, follower } = await stage.roles();
  const shots = {
    unguarded: { pod: { name: 'shop-0', app: 'shop', dryRun: false }, expected: ALLOWED },
    refused: { pod: { name: leader, app: 'etcd', dryRun: false }, expected: REFUSED },
    spared: { pod: { name: follower ?? '', app: 'etcd', dryRun: true }, expected: SPARED },
  };
  const target = stage.targetOf(guard);
  for (const kind of KINDS) {
    const { pod, expected } = shots[kind];
    const name = `${side} ${kind}`;
    await stage.load.prepare({ name, target, body: deletionReview(pod), expected });
  }
}

async function compared(
  { options: { lengths } }: Bench,
  { load }: Stage,
  how: {
    readonly guards: Readonly<Record<Side, Guard>>;
    readonly kind: Kind;
    readonly connections: number;
  },
): Promise<string[]> {
  const { guards, kind, connections } = how;
  const taken: Readonly<Record<Side, number[]>> = { this: [], other: [] };
  const turns = lengths.turns / 2;
  // The first quarter of the turns warms up; who begins changes from turn to turn.
  for (let turn = -turns / 4; turn < turns; turn += 1) {
    for (const side of turn % 2 === 0 ? SIDES : SIDES.toReversed()) {
      const before = await processorMs(guards[side].pid);
      const { answers } = await load.rate([`${side} ${kind}`], {
        connections,
        ms: lengths.loadMs / 4,
      });
      const spent = (await processorMs(guards[side].pid)) - before;
      if (turn >= 0) taken[side].push(spent / answers);
    }
  }
  const ratios = taken.this.map((ms, turn) => ms / (taken.other[turn] ?? Number.NaN));
  const at = (share: number): string => quantile(ratios, share).toFixed(3);
  return [
    kind,
    String(connections),
    inMicroseconds(median(taken.this)),
    inMicroseconds(median(taken.other)),
    at(0.5),
    `${at(0.25)} to ${at(0.75)}`,
    String(ratios.length),
  ];
}
