/** One comparison. `met` is null where nothing is aimed at. */
export interface Row {
  readonly what: string;
  readonly measured: string;
  readonly against: string;
  readonly figure: number;
  readonly aim: string;
  readonly met: boolean | null;
}

/** Figures side by side that no aim is set for. */
export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly lines: readonly (readonly string[])[];
}

/** What one part of the bench has found; `data` is for machines. */
export interface PartResult {
  readonly rows: readonly Row[];
  readonly tables: readonly Table[];
  readonly data: unknown;
}

export type Comparison = Omit<Row, 'aim' | 'met'>;

/** A row for each limit: the first is today's aim, the others were earlier ones. */
export function atMost(limits: readonly number[], row: Comparison): readonly Row[] {
  return limits.map((limit) => ({ ...row, aim: `<= ${limit}`, met: row.figure <= limit }));
}

/** Like atMost, the other way round. */
export function atLeast(limits: readonly number[], row: Comparison): readonly Row[] {
  return limits.map((limit) => ({ ...row, aim: `>= ${limit}`, met: row.figure >= limit }));
}

export function none(row: Comparison): Row {
  return { ...row, aim: '= 0', met: row.figure === 0 };
}

export function noAim(row: Comparison): Row {
  return { ...row, aim: '', met: null };
}

export function inMs(ms: number): string {
  return known(ms, `${ms.toFixed(2)} ms`);
}

/** Of milliseconds. */
export function inMicroseconds(ms: number): string {
  return known(ms, `${(ms * 1000).toFixed(0)} µs`);
}

export function inMiB(mib: number): string {
  return known(mib, `${mib.toFixed(0)} MiB`);
}

export function perSecond(rate: number): string {
  return known(rate, `${rate.toFixed(0)}/s`);
}

function known(value: number, text: string): string {
  return Number.isNaN(value) ? '-' : text;
}

/** What was to be measured didn't come about: that counts as missed. */
export function failed(what: string, error: unknown): Row {
  const reason = String(error).split('\n', 1)[0] ?? '';
  return { what, measured: 'failed', against: reason, figure: Number.NaN, aim: '', met: false };
}

/** Columns of equal width; those of numbers are to the right. */
export function columnsOf(cells: readonly (readonly string[])[]): string {
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.max(...cells.map((line) => line[column]?.length ?? 0)),
  );
  const lines = cells.map((line) =>
    line.map((cell, column) => padded(cell, widths[column] ?? 0, isNumeric(cells, column))),
  );
  return lines.map((line) => line.join('  ').trimEnd()).join('\n');
}

function padded(cell: string, width: number, right: boolean): string {
  return right ? cell.padStart(width) : cell.padEnd(width);
}

function isNumeric([, ...lines]: readonly (readonly string[])[], column: number): boolean {
  return lines.every((line) =>
    /^(-|-?[\d.]+( ?(ms|µs|s|MiB|KiB|%|\/s))?)$/.test(line[column] ?? ''),
  );
}
