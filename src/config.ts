import { CHECK, type CheckConfig } from './config/check.ts';
import { givenTo, optionsOf } from './config/command-line.ts';
import type { Command, Word } from './config/command.ts';
import { COMPLETION, type CompleteConfig, type CompletionConfig } from './config/completion.ts';
import { EXPLAIN, type ExplainConfig } from './config/explain.ts';
import { HAND_OFF, type HandOffConfig } from './config/handoff.ts';
import { SERVE, type ServeConfig } from './config/serve.ts';
import { STATUS, type StatusConfig } from './config/status.ts';
import { WAIT, type WaitConfig } from './config/wait.ts';

export { SHELLS } from './config/completion.ts';
export type { GuardsConfig, Via } from './config/meant.ts';
export type { CapabilityName } from './config/serve.ts';
export type {
  CheckConfig,
  CompleteConfig,
  CompletionConfig,
  ExplainConfig,
  HandOffConfig,
  ServeConfig,
  StatusConfig,
  WaitConfig,
};

/** What the command line asks for; `problems` are all that is wrong with it. */
export type Config =
  | ServeConfig
  | StatusConfig
  | CheckConfig
  | WaitConfig
  | HandOffConfig
  | ExplainConfig
  | CompletionConfig
  | CompleteConfig
  | { readonly command: 'help'; readonly topic: string | null }
  | { readonly command: 'version' }
  | {
      readonly command: 'invalid';
      readonly topic: string | null;
      readonly problems: readonly string[];
    };

const COMMANDS: Readonly<Record<string, Command<Config>>> = {
  serve: SERVE,
  status: STATUS,
  check: CHECK,
  wait: WAIT,
  handoff: HAND_OFF,
  explain: EXPLAIN,
  completion: COMPLETION,
};

const HELP: ReadonlySet<string> = new Set(['--help', '-h']);
const KNOWN = Object.keys(COMMANDS).join(', ');

/** For completion: one option of a command, and the values that it takes, if these are a closed set. */
export interface OptionShape {
  readonly name: string;
  readonly short: string | null;
  readonly takesValue: boolean;
  readonly values: readonly string[];
}

/** For completion: a command. */
export interface CommandShape {
  readonly name: string;
  /** What its word is; null: it takes none. */
  readonly word: Word | null;
  readonly options: readonly OptionShape[];
}

/** Every command and its options, as the command line is read by. */
export function commandShapes(): readonly CommandShape[] {
  return Object.entries(COMMANDS).map(([name, command]) => ({
    name,
    word: command.word?.is ?? null,
    options: Object.entries(optionsOf(command)).map(
      ([option, { type, short = null, values = [] }]) => ({
        name: option,
        short,
        takesValue: type === 'string',
        values,
      }),
    ),
  }));
}

/** Reads the command line (without the program's own name); never throws. */
export function parseConfig(args: readonly string[]): Config {
  const [first = '--help', ...rest] = args;
  if (HELP.has(first)) return { command: 'help', topic: null };
  if (first === 'help') return readHelp(rest[0] ?? '--help');
  if (['--version', 'version'].includes(first)) return { command: 'version' };
  if (first === '__complete') return { command: '__complete', words: rest };
  const command = Object.hasOwn(COMMANDS, first) ? COMMANDS[first] : undefined;
  if (command !== undefined) return readCommand(first, command, rest);
  return invalid(null, [`${whatIsWrongWith(first)}; the commands are ${KNOWN}`]);
}

/** `kubectl -n shop get` is right, and so is tried here. */
function whatIsWrongWith(first: string): string {
  return first.startsWith('-')
    ? `'${first}' stands before the command; options go behind it`
    : `unknown command '${first}'`;
}

function readHelp(topic: string): Config {
  if (HELP.has(topic)) return { command: 'help', topic: null };
  if (Object.hasOwn(COMMANDS, topic)) return { command: 'help', topic };
  return invalid(null, [`no help on '${topic}'; the commands are ${KNOWN}`]);
}

function readCommand(name: string, command: Command<Config>, args: readonly string[]): Config {
  const given = givenTo(command, args);
  if (given.values['help'] === true) return { command: 'help', topic: name };
  const config = command.read(given);
  return given.problems.length > 0 ? invalid(name, given.problems) : config;
}

function invalid(topic: string | null, problems: readonly string[]): Config {
  return { command: 'invalid', topic, problems };
}
