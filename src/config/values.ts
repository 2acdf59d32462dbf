import { parseListenAddress, type ListenAddress } from '../server/listen.ts';
import { parseGoDuration } from '../server/request-timeout.ts';

/** What stands behind a command. */
export interface Given {
  /** Of options, by their long names; a list where an option may be repeated. */
  readonly values: Readonly<Record<string, string | boolean | readonly string[] | undefined>>;
  /** Options that lack the value that they need, which is among the problems already. */
  readonly valueless: ReadonlySet<string>;
  readonly words: readonly string[];
  /** Readers add here what is wrong, and go on with something harmless. */
  readonly problems: string[];
}

/** What Kubernetes takes for the name of a pod. */
export const OBJECT_NAME = /^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/;

/** Timers run off at once if they are to wait longer. */
const LONGEST_MS = 2 ** 31 - 1;

/** The value of an option that takes one and isn't repeated. */
export function text({ values }: Given, name: string): string | undefined {
  const value = values[name];
  return typeof value === 'string' ? value : undefined;
}

/** Whether an option without a value is there. */
export function flag({ values }: Given, name: string): boolean {
  return values[name] === true;
}

/** All values of an option that may be repeated; null: it is not there. */
export function list({ values }: Given, name: string): readonly string[] | null {
  const value = values[name];
  return typeof value === 'object' ? value : null;
}

/** One of a closed set; null: the option is not there, or has another value. */
export function oneOf<const T extends string>(
  given: Given,
  name: string,
  allowed: readonly T[],
): T | null {
  const value = text(given, name);
  if (value === undefined) return null;
  const found = allowed.find((one) => one === value);
  if (found === undefined) {
    given.problems.push(`--${name} must be one of ${allowed.join(', ')} (found '${value}')`);
  }
  return found ?? null;
}

/** A Go duration or 0, in milliseconds; 0 where it can't be read. */
export function duration(
  given: Given,
  name: string,
  otherwise: string,
  atMost?: { readonly ms: number; readonly problem: string },
): number {
  const value = text(given, name) ?? otherwise;
  const ms = /^0(ms|s|m|h)?$/.test(value) ? 0 : parseGoDuration(value);
  if (ms === null) {
    given.problems.push(`--${name} must be a duration such as 5s (found '${value}')`);
    return 0;
  }
  const longest = atMost ?? {
    ms: LONGEST_MS,
    problem: `--${name} can be at most 596h (found '${value}')`,
  };
  if (ms > longest.ms) given.problems.push(longest.problem);
  return ms;
}

/** `HOST:PORT`; any address and port where it can't be read. */
export function listenAddress(given: Given, name: string, otherwise: string): ListenAddress {
  const value = text(given, name) ?? otherwise;
  const address = parseListenAddress(value);
  if (address !== null) return address;
  given.problems.push(`--${name} must be HOST:PORT (found '${value}')`);
  return { host: null, port: 0 };
}

/** The name of a Kubernetes object. */
export function objectName(given: Given, name: string): string | null {
  const value = text(given, name) ?? null;
  if (value !== null && !OBJECT_NAME.test(value)) {
    given.problems.push(`--${name} must be the name of an object (found '${value}')`);
  }
  return value;
}
