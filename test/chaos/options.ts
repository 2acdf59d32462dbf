import { parseArgs } from 'node:util';

/** What may be broken on purpose, to see that it is noticed. */
export const BREAKAGES = ['allow-all', 'deny-all', 'slow', 'forget'] as const;

/** One of `BREAKAGES`. */
export type Breakage = (typeof BREAKAGES)[number];

/** What a run is made from. */
export interface RunOptions {
  readonly command: 'run';
  readonly seed: number;
  readonly seconds: number;
  /** How many voters the cluster begins with. */
  readonly members: number;
  readonly actors: number;
  /** null: a new file in the directory for temporary files. */
  readonly history: string | null;
  /** main.js of a build; null: the sources are built. */
  readonly program: string | null;
  readonly broken: Breakage | null;
  /** No namespaces, even where they are allowed. */
  readonly plain: boolean;
}

/** What the command line asked for. */
export type Options =
  | RunOptions
  | { readonly command: 'check'; readonly file: string }
  | { readonly command: 'schedule'; readonly seed: number; readonly members: number };

export const USAGE = `Usage: npm run chaos -- [--seed N] [--minutes M | --seconds S] [--members 3|5]
                        [--actors N] [--history FILE] [--program FILE] [--plain]
                        [--broken WHAT]
       npm run chaos -- check FILE
       npm run chaos -- schedule [--seed N] [--members 3|5]

Disturbs a real etcd cluster behind two replicas of the guard and a real kube-apiserver, deletes
and evicts its pods all the while, and checks that the guard kept its promises. docs/chaos.md
says which, and what is disturbed.
  --seed N         what is done, and when; any number otherwise
  --minutes M      how long; 1 otherwise
  --members 3|5    voters of the etcd cluster; 3 otherwise
  --actors N       how many delete and evict at the same time; 4 otherwise
  --history FILE   where all that happens is recorded
  --program FILE   main.js of a build; else the sources are built
  --plain          without namespaces, as where they are not allowed: nobody is cut off or slowed
  --broken WHAT    breaks something on purpose, to see that it is noticed: ${BREAKAGES.join(', ')}
  check FILE       judges a recorded history once more
  schedule         prints the disturbances of a seed's first round

Exit code: 0 all promises kept, 1 one was broken, 2 wrong usage, 3 something that it needs is missing.
`;

const VALUE = { type: 'string' } as const;
const OPTIONS = {
  seed: VALUE,
  minutes: VALUE,
  seconds: VALUE,
  members: VALUE,
  actors: VALUE,
  history: VALUE,
  program: VALUE,
  broken: VALUE,
};
type Values = Readonly<Partial<Record<keyof typeof OPTIONS, string>>>;

/** null: the arguments are wrong, or help was asked for. */
export function parseOptions(args: readonly string[], freshSeed: () => number): Options | null {
  try {
    return parsed(args, freshSeed);
  } catch {
    return null;
  }
}

function parsed(args: readonly string[], freshSeed: () => number): Options | null {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { ...OPTIONS, plain: { type: 'boolean', default: false } },
  });
  const [command = 'run', file = '', ...more] = positionals;
  if (more.length > 0 || (file !== '') !== (command === 'check')) return null;
  const seed = values.seed === undefined ? freshSeed() : numberFrom(values.seed, 0, 2 ** 31);
  const members = membersFrom(values.members ?? '3');
  switch (command) {
    case 'check':
      return { command, file };
    case 'schedule':
      return { command, seed, members };
    case 'run':
      return { command, seed, members, plain: values.plain, ...detailsOf(values) };
    default:
      return null;
  }
}

function detailsOf(values: Values): Omit<RunOptions, 'command' | 'seed' | 'members' | 'plain'> {
  const { minutes = '1', seconds, actors = '4', history = null, program = null, broken } = values;
  return {
    seconds:
      seconds === undefined ? numberFrom(minutes, 0.1, 1_440) * 60 : numberFrom(seconds, 5, 86_400),
    actors: numberFrom(actors, 1, 20),
    history,
    program,
    broken: broken === undefined ? null : breakageFrom(broken),
  };
}

function numberFrom(text: string, low: number, high: number): number {
  const number = Number(text);
  if (text === '' || !(number >= low && number <= high)) throw new RangeError(text);
  return number;
}

function membersFrom(text: string): number {
  if (text !== '3' && text !== '5') throw new RangeError(text);
  return Number(text);
}

function breakageFrom(text: string): Breakage {
  const found = BREAKAGES.find((one) => one === text);
  if (found === undefined) throw new RangeError(text);
  return found;
}
