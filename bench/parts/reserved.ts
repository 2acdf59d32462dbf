import type { Bench } from '../bench.ts';
import type { Guard } from '../guard.ts';
import { namespaceOf, writeGuards } from '../guard-documents.ts';
import type { Shot } from '../load.ts';
import { inMs, noAim, perSecond, type PartResult } from '../result.ts';
import { deletionReview } from '../reviews.ts';
import { REFUSED, SPARED, type Stage } from '../stage.ts';
import { median, quantile } from '../statistics.ts';

const CONNECTIONS = [1, 32, 256] as const;
/** In the order in which each guard gets them. */
const STEPS = ['first look', 'refused', 'spared, dry run', 'spared, reserved'] as const;

type Step = (typeof STEPS)[number];

interface Figures {
  readonly step: Step;
  readonly connections: number;
  readonly perSecond: number;
  readonly medianMs: number;
  readonly p99Ms: number;
}

/**
 * A reservation is made once in two minutes, so there are as many guards as reservations, each with
 * its own connections to the same etcd. Its first review finds them closed, as after a long pause,
 * in a process that has warmed up.
 */
export async function reserved(bench: Bench): Promise<PartResult> {
  const stage = await bench.stage();
  const { reservations } = bench.options.lengths;
  const source = ['--guards', await writeGuards(stage.directory, stage.etcd, 2 * reservations)];
  const measured: Figures[] = [];
  for (const connections of CONNECTIONS) {
    // Up to so many stay open between the reviews; twice as many are a storm.
    const count = connections > reservations ? 2 * reservations : reservations;
    // A new process each time: its ledger is empty.
    const guard = await stage.startGuard({ source });
    try {
      measured.push(...(await measure(stage, guard, { count, connections })));
    } finally {
      await guard.stop();
    }
  }
  return { rows: rowsOf(measured), tables: CONNECTIONS.map(tableOf(measured)), data: measured };
}

async function measure(
  stage: Stage,
  guard: Guard,
  { count, connections }: { readonly count: number; readonly connections: number },
): Promise<readonly Figures[]> {
  const { leader, follower } = await stage.roles();
  const target = stage.targetOf(guard);
  const name = (step: Step, index: number): string => `${step} ${guard.pid} ${index}`;
  const indices = Array.from({ length: count }, (_, index) => index);
  for (const index of indices) {
    const about = { app: 'etcd', namespace: namespaceOf(index) };
    const refused = deletionReview({ ...about, name: leader, dryRun: false });
    const pod = { ...about, name: follower ?? '' };
    const shot = (step: Step, body: Buffer, expected: readonly string[]): Shot => ({
      name: name(step, index),
      target,
      body,
      expected,
    });
    await stage.load.prepare(
      shot('first look', refused, REFUSED),
      shot('refused', refused, REFUSED),
      shot('spared, dry run', deletionReview({ ...pod, dryRun: true }), SPARED),
      shot('spared, reserved', deletionReview({ ...pod, dryRun: false }), SPARED),
    );
  }
  const figures: Figures[] = [];
  for (const step of STEPS) {
    const names = indices.map((index) => name(step, index));
    const { taken, seconds } = await stage.load.each(names, connections);
    const perSecondOfAll = taken.length / seconds;
    const medianMs = median(taken);
    const p99Ms = quantile(taken, 0.99);
    figures.push({ step, connections, perSecond: perSecondOfAll, medianMs, p99Ms });
  }
  const live = await guard.metric('etcdguard_reservations');
  if (live !== count) throw new Error(`${live} reservations were made, and not ${count}`);
  return figures;
}

function tableOf(measured: readonly Figures[]) {
  return (connections: number) => ({
    title: `A cluster's own connections each, ${connections} connection${connections === 1 ? '' : 's'}`,
    columns: ['review', 'rate', 'median', 'p99'],
    lines: measured
      .filter((one) => one.connections === connections)
      .map((one) => [one.step, perSecond(one.perSecond), inMs(one.medianMs), inMs(one.p99Ms)]),
  });
}

function rowsOf(measured: readonly Figures[]) {
  const ms = (step: Step): number =>
    measured.find((one) => one.connections === 1 && one.step === step)?.medianMs ?? Number.NaN;
  return [
    noAim({
      what: 'reserved, 1 connection',
      measured: inMs(ms('spared, reserved')),
      against: `${inMs(ms('spared, dry run'))} spared without a reservation`,
      figure: ms('spared, reserved') / ms('spared, dry run'),
    }),
    noAim({
      what: 'first look, 1 connection',
      measured: inMs(ms('first look')),
      against: `${inMs(ms('refused'))} with open connections`,
      figure: ms('first look') / ms('refused'),
    }),
  ];
}
