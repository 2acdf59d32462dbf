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
  const valueless = new Set<string>();
  for (const token of tokensOf(args, options)) {
    if (token.kind === 'positional') words.push(token.value);
    if (token.kind === 'option') takeOption(token, options, { values, problems, valueless });
  }
  checkWords(command, words, problems);
  return { values, valueless, words, problems };
}

type Values = Record<string, string | boolean | string[]>;
type Token = ReturnType<typeof split>[number];
type OptionToken = Extract<Token, { kind: 'option' }>;

function split(args: readonly string[], options: Options) {
  const free = { strict: false, allowPositionals: true, tokens: true } as const;
  return parseArgs({ args: [...args], options, ...free }).tokens;
}

/**
 * Unlike Node, an option whose value was forgotten does not take the next option for it, and what
 * stands behind `-w=` is a value, not one option for each letter.
 */
function tokensOf(args: readonly string[], options: Options): readonly Token[] {
  const found: Token[] = [];
  let rest = args;
  for (;;) {
    const tokens = split(rest, options);
    const at = tokens.findIndex((one) => isEqualsSign(one) || hasTakenOption(one, options));
    const wrong = tokens[at];
    if (wrong?.kind !== 'option') return [...found, ...tokens];
    found.push(...asMeant(tokens.slice(0, at), wrong, rest));
    rest = rest.slice(wrong.index + 1);
  }
}

/** In place of a token that is wrong: of a group of letters, the last one is the one with the value. */
function asMeant(
  right: readonly Token[],
  wrong: OptionToken,
  args: readonly string[],
): readonly Token[] {
  const before = right.at(-1);
  if (!isEqualsSign(wrong) || before?.kind !== 'option' || before.index !== wrong.index) {
    return [...right, { ...wrong, value: undefined, inlineValue: undefined }];
  }
  const [, value = ''] = /=(.*)$/s.exec(args[wrong.index] ?? '') ?? [];
  return [...right.slice(0, -1), { ...before, value, inlineValue: true }];
}

function isEqualsSign(token: Token): boolean {
  return token.kind === 'option' && token.rawName === '-=';
}

function hasTakenOption(token: Token, options: Options): boolean {
  if (token.kind !== 'option' || token.inlineValue !== false) return false;
  if (token.value === '--') return true;
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
  into: {
    readonly values: Values;
    readonly problems: string[];
    readonly valueless: Set<string>;
  },
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
    const which = option.values === undefined ? '' : `: ${option.values.join(', ')}`;
    into.problems.push(`${rawName} needs a value${which}`);
    into.valueless.add(name);
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
