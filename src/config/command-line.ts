import { parseArgs } from 'node:util';
import type { Command, Options } from './command.ts';
import type { Given } from './values.ts';

const HELP: Options = { help: { type: 'boolean', short: 'h' } };

/** All that may stand behind a command, --help last. */
export function optionsOf({ options }: Command<unknown>): Options {
  return { ...options, ...HELP };
}

/** Sorts what stands behind a command; what does not belong there is among the problems. */
export function givenTo(command: Command<unknown>, args: readonly string[]): Given {
  const options = optionsOf(command);
  const values: Values = {};
  const words: string[] = [];
  const problems: string[] = [];
  for (const token of tokensOf(args, options)) {
    if (token.kind === 'positional') words.push(token.value);
    if (token.kind === 'option') takeOption(token, options, { values, problems });
  }
  checkWords(command, words, problems);
  return { values, words, problems };
}

type Values = Record<string, string | boolean | string[]>;
type Token = ReturnType<typeof split>[number];
type OptionToken = Extract<Token, { kind: 'option' }>;

function split(args: readonly string[], options: Options) {
  const free = { strict: false, allowPositionals: true, tokens: true } as const;
  return parseArgs({ args: [...args], options, ...free }).tokens;
}

/** An option whose value was forgotten does not take the next option for it, as it would by Node. */
function tokensOf(args: readonly string[], options: Options): readonly Token[] {
  const found: Token[] = [];
  let rest = args;
  for (;;) {
    const tokens = split(rest, options);
    const at = tokens.findIndex((token) => hasTakenOption(token, options));
    const open = tokens[at];
    if (open?.kind !== 'option') return [...found, ...tokens];
    found.push(...tokens.slice(0, at), { ...open, value: undefined, inlineValue: undefined });
    rest = rest.slice(open.index + 1);
  }
}

function hasTakenOption(token: Token, options: Options): boolean {
  if (token.kind !== 'option' || token.inlineValue !== false) return false;
  const [taken = ''] = token.value.split('=');
  return Object.entries(options).some(
    ([name, { short }]) =>
      taken === `--${name}` || (short !== undefined && taken.startsWith(`-${short}`)),
  );
}

/** kubectl takes `-o=json` for `-o json`. */
function valueOf({ rawName, value, inlineValue }: OptionToken): string | undefined {
  return inlineValue === true && !rawName.startsWith('--') ? value.replace(/^=/, '') : value;
}

function takeOption(
  token: OptionToken,
  options: Options,
  into: { readonly values: Values; readonly problems: string[] },
): void {
  const { name, rawName } = token;
  const value = valueOf(token);
  const option = Object.hasOwn(options, name) ? options[name] : undefined;
  if (option === undefined) {
    into.problems.push(`unknown option '${rawName}'`);
  } else if (option.type === 'boolean') {
    if (value !== undefined) into.problems.push(`${rawName} takes no value`);
    into.values[name] = true;
  } else if (value === undefined || value === '') {
    into.problems.push(`${rawName} needs a value`);
  } else if (option.multiple === true) {
    const before = into.values[name];
    into.values[name] = [...(Array.isArray(before) ? before : []), value];
  } else {
    into.values[name] = value;
  }
}

function checkWords(
  { word }: Command<unknown>,
  words: readonly string[],
  problems: string[],
): void {
  const missing = words.length === 0 ? word?.missing : undefined;
  const surplus = words[word === undefined ? 0 : 1];
  if (missing !== undefined) problems.push(missing);
  if (surplus !== undefined) problems.push(`unexpected argument '${surplus}'`);
}
