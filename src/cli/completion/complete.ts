import {
  commandShapes,
  SHELLS,
  type CommandShape,
  type CompleteConfig,
  type GuardsConfig,
  type OptionShape,
} from '../../config.ts';
import { EXPLAINED } from '../explain/reasons.ts';
import type { Surroundings } from '../streams.ts';
import { namesIn, type Place } from './names.ts';

/** What kubectl and cobra's scripts understand behind the last candidate. */
const FILES = ':0';
const NO_FILES = ':4';

const FILE_OPTIONS: ReadonlySet<string> = new Set([
  'guards',
  'kubeconfig',
  'tls-cert',
  'tls-key',
  'client-ca',
  'metrics-tls-cert',
  'metrics-tls-key',
  'metrics-token-file',
]);

/** What may stand where somebody types. */
type Candidates = readonly string[] | 'files';

/** Prints what may stand for the last of the words, a candidate a line, then a directive; never fails. */
export async function complete({ words }: CompleteConfig, around: Surroundings): Promise<number> {
  const joined = rejoined(words);
  const found = await candidatesFor(joined, around).catch(() => []);
  const typed = joined.at(-1) ?? '';
  const fitting = found === 'files' ? [] : found.filter((one) => one.startsWith(typed));
  around.streams.out([...fitting, found === 'files' ? FILES : NO_FILES].join('\n') + '\n');
  return 0;
}

/** Bash takes `--via=direct` apart: `--via`, `=`, `direct`; and `-o=json` likewise. */
function rejoined(words: readonly string[]): readonly string[] {
  const joined: string[] = [];
  for (const [at, word] of words.entries()) {
    const before = joined.at(-1);
    const glued = word === '=' || (words[at - 1] === '=' && before?.endsWith('=') === true);
    if (glued && before?.startsWith('-') === true) joined[joined.length - 1] = before + word;
    else joined.push(word);
  }
  return joined;
}

async function candidatesFor(words: readonly string[], around: Surroundings): Promise<Candidates> {
  const [name = '', ...rest] = words;
  const shapes = commandShapes();
  if (words.length <= 1) return [...shapes.map((one) => one.name), ...TOP_LEVEL];
  if (name === 'help') return rest.length === 1 ? shapes.map((one) => one.name) : [];
  const command = shapes.find((one) => one.name === name);
  return command === undefined ? [] : candidatesOf(command, rest, around);
}

const TOP_LEVEL = ['help', '--help', '--version'];

function candidatesOf(
  command: CommandShape,
  words: readonly string[],
  around: Surroundings,
): Promise<Candidates> {
  const typed = words.at(-1) ?? '';
  const given = read(command, words.slice(0, -1));
  if (given.open !== null) return valuesOf(given.open, given, around);
  if (/^-[^=]+=/.test(typed)) return gluedValues(command, { typed, given }, around);
  if (typed.startsWith('-')) return Promise.resolve(optionsOf(command, given));
  return given.words.length === 0 ? wordsOf(command, given, around) : Promise.resolve([]);
}

/** `--via=d`, `-o=j` */
async function gluedValues(
  { options }: CommandShape,
  { typed, given }: { readonly typed: string; readonly given: Given },
  around: Surroundings,
): Promise<Candidates> {
  const flag = typed.slice(0, typed.indexOf('='));
  const option = options.find((one) => isCalled(one, flag));
  if (option?.takesValue !== true) return [];
  const values = await valuesOf(option, given, around);
  return values === 'files' ? values : values.map((one) => `${flag}=${one}`);
}

/** What has been typed before. */
interface Given {
  readonly values: ReadonlyMap<string, readonly string[]>;
  readonly words: readonly string[];
  /** The option whose value comes next. */
  readonly open: OptionShape | null;
}

function read({ options }: CommandShape, before: readonly string[]): Given {
  const values = new Map<string, string[]>();
  const words: string[] = [];
  let open: OptionShape | null = null;
  for (const word of before) {
    const [flag = '', ...value] = word.split('=');
    const option = options.find((one) => isCalled(one, flag));
    if (open !== null) {
      values.get(open.name)?.push(word);
      open = null;
    } else if (option === undefined) {
      if (!word.startsWith('-')) words.push(word);
    } else {
      const known = values.get(option.name) ?? [];
      values.set(option.name, known);
      if (value.length > 0) known.push(value.join('='));
      else if (option.takesValue) open = option;
    }
  }
  return { values, words, open };
}

function isCalled({ name, short }: OptionShape, flag: string): boolean {
  return flag === `--${name}` || (short !== null && flag === `-${short}`);
}

function optionsOf({ options }: CommandShape, { values }: Given): readonly string[] {
  return options
    .filter(({ name }) => name === 'guards' || !values.has(name))
    .map(({ name }) => `--${name}`);
}

async function valuesOf(
  option: OptionShape,
  given: Given,
  around: Surroundings,
): Promise<Candidates> {
  if (FILE_OPTIONS.has(option.name)) return 'files';
  if (option.name === 'to') return namesIn('pods', placeOf(given), around);
  if (option.name === 'guard') return namesIn('guards', placeOf(given), around);
  return option.values;
}

async function wordsOf(
  { word }: CommandShape,
  given: Given,
  around: Surroundings,
): Promise<Candidates> {
  switch (word) {
    case 'pod':
      return namesIn('pods', placeOf(given), around);
    case 'guard':
      return namesIn('guards', placeOf(given), around);
    case 'reason':
      return EXPLAINED;
    case 'shell':
      return SHELLS;
    case null:
      return [];
  }
}

function placeOf({ values }: Given): Place {
  const last = (name: string): string | null => values.get(name)?.at(-1) ?? null;
  const files = values.get('guards') ?? [];
  const guards: GuardsConfig =
    files.length > 0
      ? { kind: 'files', files }
      : { kind: 'cluster', kubeconfig: last('kubeconfig'), context: last('context') };
  return { guards, namespace: last('namespace') };
}
