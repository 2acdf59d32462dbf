import type { Streams, Terminal } from '../streams.ts';
import { wrap } from '../text.ts';

const ESC = '\u001B[';
const ENTER = `${ESC}?1049h${ESC}?25l`;
const LEAVE = `${ESC}?25h${ESC}?1049l`;
const HOME = `${ESC}H`;
const CLEAR_LINE = `${ESC}2K`;
const CLEAR_BELOW = `${ESC}J`;

/** A line of a picture. */
export interface Line {
  readonly text: string;
  readonly look?: 'plain' | 'faint' | 'alert';
}

const LOOKS: Readonly<Record<NonNullable<Line['look']>, string>> = {
  plain: '',
  faint: `${ESC}2m`,
  alert: `${ESC}1;30;43m`,
};

/** A picture that is redrawn in place, on the terminal's other screen: what was there before stays. */
export interface Screen {
  draw(): void;
  /** Gives the terminal back as it was. */
  close(): void;
}

/**
 * Takes over the terminal; it is given back when the program is asked to stop, at the latest. What
 * is to be seen is asked for at every drawing, and when the size has changed.
 */
export function openScreen(
  { out, stop }: Streams,
  terminal: Terminal,
  lines: () => readonly Line[],
): Screen {
  let open = true;
  const draw = (): void => {
    if (open) out(picture(lines(), terminal));
  };
  const forget = terminal.onResized(draw);
  const close = (): void => {
    if (!open) return;
    open = false;
    forget();
    stop.removeEventListener('abort', close);
    out(LEAVE);
  };
  stop.addEventListener('abort', close);
  out(ENTER);
  return { draw, close };
}

function picture(lines: readonly Line[], terminal: Terminal): string {
  const { columns, rows } = terminal.size();
  const all = lines.flatMap(({ text, look = 'plain' }) =>
    wrap(text, columns).map((part) => ({ text: part, look })),
  );
  const hidden = all.length - rows + 1;
  const shown =
    all.length <= rows
      ? all
      : [...all.slice(0, rows - 1), { text: more(hidden, columns), look: 'faint' as const }];
  const drawn = shown.map(
    ({ text, look }) => `${CLEAR_LINE}${terminal.color ? painted(text, look) : text}`,
  );
  // The rest is cleared from the line below, as a full line leaves the cursor on its last letter.
  const below = shown.length < rows ? `\r\n${CLEAR_BELOW}` : '';
  return `${HOME}${drawn.join('\r\n')}${below}`;
}

function more(lines: number, columns: number): string {
  return `... ${lines} more lines do not fit`.slice(0, columns);
}

function painted(text: string, look: NonNullable<Line['look']>): string {
  return LOOKS[look] === '' || text === '' ? text : `${LOOKS[look]}${text}${ESC}0m`;
}
