import { wrap } from './text.ts';

/** A column of a table; where it gets narrow the title is `short`, and cells that `wraps` take several lines. */
export interface Column {
  readonly title: string;
  readonly short?: string;
  readonly wraps?: boolean;
}

const GAP = '  ';
/** Names that are wrapped into less can't be read any more. */
const LEAST_WRAPPED = 16;

/**
 * Columns padded to their widest cell, two spaces apart, as kubectl prints them; ends with a newline.
 * What is wider than `width` gets shorter titles, then wrapped cells, and at last one line a cell.
 */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width = Infinity,
): string {
  const short = columns.map(({ short: title, ...column }) => ({
    ...column,
    title: title ?? column.title,
  }));
  for (const tried of [columns, short]) {
    const widths = widthsOf(tried, rows);
    if (total(widths) <= width) return lined([titles(tried), ...rows], widths);
  }
  const widths = narrowed(short, widthsOf(short, rows), width);
  return widths === null ? blocks(columns, rows, width) : lined([titles(short), ...rows], widths);
}

function titles(columns: readonly Column[]): readonly string[] {
  return columns.map(({ title }) => title);
}

function widthsOf(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): readonly number[] {
  return columns.map(({ title }, at) =>
    rows.reduce((most, row) => Math.max(most, row[at]?.length ?? 0), title.length),
  );
}

function total(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width, GAP.length * (widths.length - 1));
}

/** The room that is left goes to the columns that wrap, evenly; null: that would be too little. */
function narrowed(
  columns: readonly Column[],
  widths: readonly number[],
  width: number,
): readonly number[] | null {
  const wrapping = new Set(columns.flatMap(({ wraps }, at) => (wraps === true ? [at] : [])));
  const fixed = total(widths.map((natural, at) => (wrapping.has(at) ? 0 : natural)));
  let room = width - fixed;
  let left = wrapping.size;
  const given = [...widths];
  // The narrowest first: what it does not need is the others'.
  for (const at of [...wrapping].sort((a, b) => (widths[a] ?? 0) - (widths[b] ?? 0))) {
    const natural = widths[at] ?? 0;
    const share = Math.min(natural, Math.floor(room / left));
    if (share < Math.min(natural, LEAST_WRAPPED)) return null;
    given[at] = share;
    room -= share;
    left -= 1;
  }
  return total(given) <= width ? given : null;
}

function lined(rows: readonly (readonly string[])[], widths: readonly number[]): string {
  return rows.flatMap((row) => linesOf(row, widths)).join('');
}

function linesOf(row: readonly string[], widths: readonly number[]): readonly string[] {
  const cells = widths.map((width, at) => wrap(row[at] ?? '', width));
  const height = Math.max(...cells.map(({ length }) => length));
  return Array.from({ length: height }, (_, line) => {
    const parts = cells.map((cell, at) => (cell[line] ?? '').padEnd(widths[at] ?? 0));
    return `${parts.join(GAP).trimEnd()}\n`;
  });
}

/** Each row as a list of titles and values, with an empty line between rows. */
function blocks(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
): string {
  const wide = Math.max(...columns.map(({ title }) => title.length));
  const valueWidth = Math.max(1, width - wide - GAP.length);
  const block = (row: readonly string[]): string =>
    columns
      .flatMap(({ title }, at) =>
        linesOf([title, row[at] ?? ''], [wide, Math.min(valueWidth, widest(row))]),
      )
      .join('');
  return rows.map(block).join('\n');
}

function widest(row: readonly string[]): number {
  return Math.max(1, ...row.map(({ length }) => length));
}
