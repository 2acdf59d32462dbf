import type { DestinationStream } from 'pino';

const RESET = '\u001B[0m';
const COLORS: Readonly<Record<string, string>> = {
  debug: '\u001B[2m',
  info: '\u001B[32m',
  warn: '\u001B[33m',
  error: '\u001B[31m',
};

/** Takes JSON lines of the log, and writes each as a line for people; the fields stay `name=value`. */
export function prettyLog(
  write: (text: string) => void,
  { color }: { readonly color: boolean },
): DestinationStream {
  return { write: (line) => write(`${prettyLine(line, color)}\n`) };
}

function prettyLine(line: string, color: boolean): string {
  const fields: unknown = JSON.parse(line);
  if (typeof fields !== 'object' || fields === null) return line.trimEnd();
  const { level, time, msg, ...rest } = { level: '', time: '', msg: '', ...fields };
  const name = level.toUpperCase().padEnd(5);
  const shown = color ? `${COLORS[level] ?? ''}${name}${RESET}` : name;
  const more = Object.entries(rest).map(([field, value]) => `${field}=${valueText(value)}`);
  return [time.slice(11, 23), shown, plain(msg), ...more].join(' ').trimEnd();
}

/** Bare where nobody could misread it. */
function valueText(value: unknown): string {
  if (typeof value === 'string' && /^[^\s"=\p{Cc}\p{Cf}]+$/u.test(value)) return value;
  return plain(JSON.stringify(value) ?? '');
}

/** JSON escapes control characters, but not those that change the direction of writing. */
function plain(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ');
}
