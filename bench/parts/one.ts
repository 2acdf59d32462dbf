import type { Bench } from '../bench.ts';
import {
  ONE_BY_ONE_COLUMNS,
  oneByOne,
  oneByOneCells,
  type OneByOne,
  type Timed,
} from '../one-by-one.ts';
import {
  atLeast,
  atMost,
  inMs,
  noAim,
  perSecond,
  type PartResult,
  type Row,
  type Table,
} from '../result.ts';
import { SHOTS } from '../stage.ts';

type Measured = ReadonlyMap<Timed, OneByOne>;

/**
 * Latency at one connection: in loops of the same kind, and one of each in turn, when each comes to
 * a process that has slept and to caches that others have used, as a review does.
 */
export async function one(bench: Bench): Promise<PartResult> {
  const stage = await bench.stage();
  const { turns, perTurn } = bench.options.lengths;
  const loops = await oneByOne(stage, SHOTS, { turns, perTurn });
  const inTurn = await oneByOne(stage, SHOTS, { turns: (turns * perTurn) / 5, perTurn: 1 });
  return {
    rows: [...rowsOf(loops), rowInTurn(inTurn)],
    tables: [
      tableOf(`One connection, ${perTurn} of each in turn`, loops),
      tableOf('One connection, one of each in turn', inTurn),
    ],
    data: { loops: Object.fromEntries(loops), inTurn: Object.fromEntries(inTurn) },
  };
}

function tableOf(title: string, measured: Measured): Table {
  const lines = [...measured].map(([name, figures]) => [name, ...oneByOneCells(figures)]);
  return { title, columns: ['request', ...ONE_BY_ONE_COLUMNS], lines };
}

function rowInTurn(measured: Measured): Row {
  const ms = (name: Timed): number => measured.get(name)?.medianMs ?? Number.NaN;
  const base = ms('round') + ms('unguarded');
  return noAim({
    what: 'refused, one of each in turn',
    measured: inMs(ms('refused')),
    against: `${inMs(base)} round + unguarded`,
    figure: ms('refused') / base,
  });
}

function rowsOf(measured: Measured): readonly Row[] {
  const ms = (name: Timed): number => measured.get(name)?.medianMs ?? Number.NaN;
  const base = ms('round') + ms('unguarded');
  const smaller = ms('round with one list') + ms('unguarded');
  return [
    ...atMost([1.15, 1.25], {
      what: 'refused, 1 connection',
      measured: inMs(ms('refused')),
      against: `${inMs(base)} round + unguarded`,
      figure: ms('refused') / base,
    }),
    ...atMost([1.25], {
      what: 'spared less a read, 1 connection',
      measured: `${inMs(ms('spared'))} - ${inMs(ms('read'))}`,
      against: `${inMs(base)} round + unguarded`,
      figure: (ms('spared') - ms('read')) / base,
    }),
    noAim({
      what: 'refused, 1 connection',
      measured: inMs(ms('refused')),
      against: `${inMs(ms('bare with a round'))} bare node:https with a round`,
      figure: ms('refused') / ms('bare with a round'),
    }),
    noAim({
      what: 'refused, 1 connection',
      measured: inMs(ms('refused')),
      against: `${inMs(smaller)} round with one MemberList + unguarded`,
      figure: ms('refused') / smaller,
    }),
    ...atLeast([0.9, 0.8], {
      what: 'unguarded, 1 connection',
      measured: perSecond(1000 / ms('unguarded')),
      against: `${perSecond(1000 / ms('bare'))} bare node:https`,
      figure: ms('bare') / ms('unguarded'),
    }),
  ];
}
