import type { Bench } from '../bench.ts';
import {
  ONE_BY_ONE_COLUMNS,
  oneByOne,
  oneByOneCells,
  type OneByOne,
  type Timed,
} from '../one-by-one.ts';
import { atLeast, atMost, inMs, noAim, perSecond, type PartResult, type Row } from '../result.ts';
import { SHOTS } from '../stage.ts';

/** Latency at one connection. */
export async function one(bench: Bench): Promise<PartResult> {
  const stage = await bench.stage();
  const measured = await oneByOne(stage, SHOTS, bench.options.lengths);
  const lines = [...measured].map(([name, figures]) => [name, ...oneByOneCells(figures)]);
  const table = { title: 'One connection', columns: ['request', ...ONE_BY_ONE_COLUMNS], lines };
  return { rows: rowsOf(measured), tables: [table], data: Object.fromEntries(measured) };
}

function rowsOf(measured: ReadonlyMap<Timed, OneByOne>): readonly Row[] {
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
