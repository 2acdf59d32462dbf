import { cpus } from 'node:os';
import { CONNECTIONS, type FullLoad, type OneByOne, type Rates, type Timed } from './measures.ts';
import type { Startup } from './startup.ts';
import { median } from './statistics.ts';

/** All that a run has measured. */
export interface Measured {
  readonly quick: boolean;
  readonly bodyBytes: number;
  readonly limits: string;
  readonly startup: Startup;
  readonly oneByOne: OneByOne;
  readonly rates: Rates;
  /** Processors that the load generator kept busy at most: near 1 it is what limits the rates. */
  readonly generatorBusy: number;
  readonly calls: { readonly reviews: number; readonly etcdRequests: number };
  readonly fullLoad: FullLoad;
}

/** One comparison. `met` is null where nothing is aimed at. */
export interface Row {
  readonly what: string;
  readonly measured: string;
  readonly against: string;
  readonly figure: number;
  readonly aim: string;
  readonly met: boolean | null;
}

interface Medians {
  readonly ms: Readonly<Record<Timed, number>>;
  readonly rate: Readonly<Record<keyof Rates, number>>;
}

/** Every aim and how it was met. */
export function rowsOf(measured: Measured): readonly Row[] {
  const medians: Medians = {
    ms: mapValues(measured.oneByOne, median),
    rate: mapValues(measured.rates, median),
  };
  return [...latencyRows(medians), ...rateRows(medians), ...otherRows(measured)];
}

function latencyRows({ ms }: Medians): readonly Row[] {
  const base = ms.round + ms.unguarded;
  const smaller = ms['round with one list'] + ms.unguarded;
  const sparedMs = `${inMs(ms.spared)} - ${inMs(ms.read)}`;
  return [
    atMost(1.25, {
      what: 'refused, 1 connection',
      measured: inMs(ms.refused),
      against: `${inMs(base)} round + unguarded`,
      figure: ms.refused / base,
    }),
    atMost(1.25, {
      what: 'spared less a read, 1 connection',
      measured: sparedMs,
      against: `${inMs(base)} round + unguarded`,
      figure: (ms.spared - ms.read) / base,
    }),
    noAim({
      what: 'refused, 1 connection',
      measured: inMs(ms.refused),
      against: `${inMs(smaller)} round with one MemberList + unguarded`,
      figure: ms.refused / smaller,
    }),
    atLeast(0.8, {
      what: 'unguarded, 1 connection',
      measured: perSecond(1000 / ms.unguarded),
      against: `${perSecond(1000 / ms.bare)} bare node:https`,
      figure: ms.bare / ms.unguarded,
    }),
  ];
}

function rateRows({ rate }: Medians): readonly Row[] {
  return [
    atLeast(4, {
      what: `refused, ${CONNECTIONS} connections`,
      measured: perSecond(rate.refused),
      against: `${perSecond(rate.round)} rounds one after another`,
      figure: rate.refused / rate.round,
    }),
    atLeast(0.8, {
      what: `refused, ${CONNECTIONS} connections`,
      measured: perSecond(rate.refused),
      against: `${perSecond(rate.unguarded)} unguarded`,
      figure: rate.refused / rate.unguarded,
    }),
    atLeast(0.8, {
      what: `unguarded, ${CONNECTIONS} connections`,
      measured: perSecond(rate.unguarded),
      against: `${perSecond(rate.bare)} bare node:https`,
      figure: rate.unguarded / rate.bare,
    }),
  ];
}

function otherRows({ calls, fullLoad, startup }: Measured): readonly Row[] {
  const ready = median(startup.ready);
  return [
    {
      what: 'etcd requests of unguarded reviews',
      measured: String(calls.etcdRequests),
      against: `${calls.reviews} reviews`,
      figure: calls.etcdRequests,
      aim: '= 0',
      met: calls.etcdRequests === 0,
    },
    {
      what: 'resident after full load',
      measured: `${fullLoad.residentMiB.toFixed(0)} MiB`,
      against: `${fullLoad.seconds} s, at most ${fullLoad.highestResidentMiB.toFixed(0)} MiB`,
      figure: fullLoad.residentMiB,
      aim: '<= 128',
      met: fullLoad.residentMiB <= 128,
    },
    {
      what: 'ready after start',
      measured: `${ready.toFixed(0)} ms`,
      against: `${median(startup.bareNode).toFixed(0)} ms for Node doing nothing`,
      figure: ready,
      aim: '<= 500',
      met: ready <= 500,
    },
    {
      what: '@kubernetes/client-node',
      measured: startup.withKubernetesClient.length === 0 ? 'not loaded' : 'loaded',
      against: `${startup.loaded.length} files loaded`,
      figure: startup.withKubernetesClient.length,
      aim: '= 0',
      met: startup.withKubernetesClient.length === 0,
    },
  ];
}

type Comparison = Omit<Row, 'aim' | 'met'>;

function atMost(limit: number, row: Comparison): Row {
  return { ...row, aim: `<= ${limit}`, met: row.figure <= limit };
}

function atLeast(limit: number, row: Comparison): Row {
  return { ...row, aim: `>= ${limit}`, met: row.figure >= limit };
}

function noAim(row: Comparison): Row {
  return { ...row, aim: '', met: null };
}

function inMs(ms: number): string {
  return `${ms.toFixed(2)} ms`;
}

function perSecond(rate: number): string {
  return `${rate.toFixed(0)}/s`;
}

/** The rows as plain text. */
export function tableOf(rows: readonly Row[]): string {
  const cells = [
    ['measure', 'measured', 'against', 'figure', 'aim', 'met'],
    ...rows.map(({ what, measured, against, figure, aim, met }) => [
      what,
      measured,
      against,
      Number.isInteger(figure) || figure >= 50 ? figure.toFixed(0) : figure.toFixed(2),
      aim,
      wordFor(met),
    ]),
  ];
  const widths = [0, 1, 2, 3, 4].map((column) =>
    Math.max(...cells.map((row) => row[column]?.length ?? 0)),
  );
  return cells
    .map((row) =>
      row
        .map((cell, column) =>
          column === 3 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function wordFor(met: boolean | null): string {
  if (met === null) return '';
  return met ? '✓ yes' : '✗ NO';
}

/** What ran where, in one line. */
export function conditionsOf({ bodyBytes, limits, quick }: Measured): string {
  const processors = cpus();
  return [
    `Node ${process.versions.node}`,
    limits,
    `${processors.length} x ${processors[0]?.model.trim() ?? 'unknown processor'}`,
    `reviews of ${bodyBytes} bytes`,
    'medians',
    ...(quick ? ['quick run'] : []),
  ].join(', ');
}

/** For machines: the rows, and the medians that they come from. */
export function jsonOf(measured: Measured, rows: readonly Row[]): string {
  const { startup, fullLoad, calls, generatorBusy, oneByOne, rates } = measured;
  const report = {
    conditions: conditionsOf(measured),
    rows,
    medianMs: mapValues(oneByOne, median),
    samples: mapValues(oneByOne, (values) => values.length),
    medianPerSecond: mapValues(rates, median),
    rates,
    generatorBusy,
    calls,
    fullLoad,
    startup: {
      readyMs: median(startup.ready),
      bareNodeMs: median(startup.bareNode),
      loaded: startup.loaded,
      withKubernetesClient: startup.withKubernetesClient,
    },
  };
  return `${JSON.stringify(report, null, 2)}\n`;
}

function mapValues<K extends string, T, R>(
  record: Readonly<Record<K, T>>,
  map: (value: T) => R,
): Readonly<Record<K, R>> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the same keys, by construction
  return Object.fromEntries(
    Object.entries<T>(record).map(([key, value]) => [key, map(value)]),
  ) as Record<K, R>;
}
