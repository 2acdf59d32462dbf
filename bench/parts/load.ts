import type { Bench } from '../bench.ts';
import type { Rate } from '../load.ts';
import { processorMs } from '../process-figures.ts';
import {
  atLeast,
  inMicroseconds,
  inMs,
  noAim,
  perSecond,
  type PartResult,
  type Row,
} from '../result.ts';
import { SHOTS, type ShotName, type Stage } from '../stage.ts';
import { median } from '../statistics.ts';

const CONNECTIONS = [1, 32, 256] as const;
/** Where the aims are. */
const MANY = 32;

interface Slice extends Rate {
  /** Processor milliseconds of each answer. */
  readonly processorMs: number;
}

/** Of a kind of request at a number of connections, the medians of its slices. */
interface Figures {
  readonly name: ShotName;
  readonly connections: number;
  readonly perSecond: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly processorMs: number;
  /** Near 1 it is the generator that limits the rate. */
  readonly generatorBusy: number;
  readonly slices: readonly Slice[];
}

/** Slices of full load in turn. */
export async function load(bench: Bench): Promise<PartResult> {
  const stage = await bench.stage();
  const { loadTurns, loadMs } = bench.options.lengths;
  const measured: Figures[] = [];
  const rounds: number[] = [];
  for (const connections of CONNECTIONS) {
    const slices = new Map<ShotName, Slice[]>(SHOTS.map((name) => [name, []]));
    const turns = connections === MANY ? loadTurns : Math.ceil(loadTurns / 3);
    for (let turn = 0; turn < turns; turn += 1) {
      for (const [name, taken] of slices) {
        taken.push(await slice(stage, name, { connections, ms: loadMs }));
      }
      const taken = await stage.etcdTimes('round', { ms: loadMs });
      rounds.push(1000 / (taken.reduce((sum, ms) => sum + ms, 0) / taken.length));
    }
    for (const [name, all] of slices) measured.push(figuresOf(name, connections, all));
  }
  const tables = CONNECTIONS.map((connections) => tableOf(measured, connections));
  return { rows: rowsOf(measured, median(rounds)), tables, data: { measured, rounds } };
}

async function slice(
  stage: Stage,
  name: ShotName,
  how: { readonly connections: number; readonly ms: number },
): Promise<Slice> {
  const pid = stage.pidOf(name);
  const before = await processorMs(pid);
  const got = await stage.load.rate([name], how);
  return { ...got, processorMs: ((await processorMs(pid)) - before) / got.answers };
}

function figuresOf(name: ShotName, connections: number, slices: readonly Slice[]): Figures {
  return {
    name,
    connections,
    perSecond: median(slices.map(({ answers, seconds }) => answers / seconds)),
    medianMs: median(slices.map(({ medianMs }) => medianMs)),
    p99Ms: median(slices.map(({ p99Ms }) => p99Ms)),
    processorMs: median(slices.map(({ processorMs: ms }) => ms)),
    generatorBusy: Math.max(...slices.map(({ busy }) => busy)),
    slices,
  };
}

function tableOf(measured: readonly Figures[], connections: number) {
  const lines = measured
    .filter((one) => one.connections === connections)
    .map((one) => [
      one.name,
      perSecond(one.perSecond),
      inMs(one.medianMs),
      inMs(one.p99Ms),
      inMicroseconds(one.processorMs),
      `${(one.generatorBusy * 100).toFixed(0)} %`,
    ]);
  const title = `Full load, ${connections} connection${connections === 1 ? '' : 's'}`;
  const columns = ['request', 'rate', 'median', 'p99', 'processor time', 'generator busy'];
  return { title, columns, lines };
}

function rowsOf(measured: readonly Figures[], rounds: number): readonly Row[] {
  const rate = (name: ShotName): number =>
    measured.find((one) => one.name === name && one.connections === MANY)?.perSecond ?? Number.NaN;
  return [
    ...atLeast([4], {
      what: `refused, ${MANY} connections`,
      measured: perSecond(rate('refused')),
      against: `${perSecond(rounds)} rounds one after another`,
      figure: rate('refused') / rounds,
    }),
    ...atLeast([0.8], {
      what: `refused, ${MANY} connections`,
      measured: perSecond(rate('refused')),
      against: `${perSecond(rate('unguarded'))} unguarded`,
      figure: rate('refused') / rate('unguarded'),
    }),
    noAim({
      what: `refused, ${MANY} connections`,
      measured: perSecond(rate('refused')),
      against: `${perSecond(rate('bare with a round'))} bare node:https, a round each`,
      figure: rate('refused') / rate('bare with a round'),
    }),
    ...atLeast([0.9, 0.8], {
      what: `unguarded, ${MANY} connections`,
      measured: perSecond(rate('unguarded')),
      against: `${perSecond(rate('bare'))} bare node:https`,
      figure: rate('unguarded') / rate('bare'),
    }),
  ];
}
