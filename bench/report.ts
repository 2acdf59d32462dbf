import { cpus, loadavg } from 'node:os';
import type { Options } from './options.ts';
import type { PartName } from './part-names.ts';
import { deletionReview } from './reviews.ts';
import { columnsOf, type PartResult, type Row } from './result.ts';

/** All that a run has measured. */
export interface Measured {
  readonly options: Options;
  readonly placement: string;
  readonly limits: string;
  readonly results: ReadonlyMap<PartName, PartResult>;
}

/** For people: where it ran, every aim and how it was met, and the figures behind them. */
export function textOf(measured: Measured): string {
  const results = [...measured.results.values()];
  const rows = results.flatMap((result) => result.rows);
  const tables = results.flatMap((result) => result.tables);
  return [
    conditionsOf(measured),
    ...(rows.length > 0 ? [aimsOf(rows)] : []),
    ...tables.map(({ title, columns, lines }) => `${title}\n${columnsOf([columns, ...lines])}`),
    summaryOf(rows),
    '',
  ].join('\n\n');
}

function aimsOf(rows: readonly Row[]): string {
  return columnsOf([
    ['measure', 'measured', 'against', 'figure', 'aim', 'met'],
    ...rows.map(({ what, measured, against, figure, aim, met }) => [
      what,
      measured,
      against,
      figureOf(figure),
      aim,
      wordFor(met),
    ]),
  ]);
}

function figureOf(figure: number): string {
  if (Number.isNaN(figure)) return '-';
  return Number.isInteger(figure) || Math.abs(figure) >= 50 ? figure.toFixed(0) : figure.toFixed(2);
}

function wordFor(met: boolean | null): string {
  if (met === null) return '';
  return met ? '✓ yes' : '✗ NO';
}

function summaryOf(rows: readonly Row[]): string {
  const missed = rows.filter(({ met }) => met === false);
  if (missed.length === 0) return 'No aim was missed.';
  return `Aims missed: ${missed.map(({ what, aim }) => (aim === '' ? what : `${what} (${aim})`)).join('; ')}.`;
}

/** What ran where, in one line. */
function conditionsOf({ options, placement, limits }: Measured): string {
  const processors = cpus();
  return [
    `Node ${process.versions.node}`,
    limits,
    `${processors.length} x ${processors[0]?.model.trim() ?? 'unknown processor'}`,
    placement,
    `load average ${loadavg()
      .map((load) => load.toFixed(1))
      .join(' ')}`,
    `reviews of ${usualBytes()} bytes`,
    ...(options.quick ? ['quick run'] : []),
  ].join(', ');
}

function usualBytes(): number {
  return deletionReview({ name: 'shop-0', app: 'shop', dryRun: false }).length;
}

/** For machines: everything. */
export function jsonOf(measured: Measured): string {
  const { options, results } = measured;
  const rows = [...results.values()].flatMap((result) => result.rows);
  const parts = Object.fromEntries(results);
  const report = { conditions: conditionsOf(measured), lengths: options.lengths, rows, parts };
  return `${JSON.stringify(report, null, 2)}\n`;
}
