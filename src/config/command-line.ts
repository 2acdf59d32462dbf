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
  const { tokens } = parseArgs({
    args: [...args],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const values: Values = {};
  const words: string[] = [];
  const problems: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(token.value);
    if (token.kind === 'option') takeOption(token, options, { values, problems });
  }
  checkWords(command, words, problems);
  return { values, words, problems };
}

type Values = Record<string, string | boolean | string[]>;

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value: string | undefined;
}

function takeOption(
  { name, rawName, value }: OptionToken,
  options: Options,
  into: { readonly values: Values; readonly problems: string[] },
): void {
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
