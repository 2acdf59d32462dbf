import { PARTS, type PartName } from './part-names.ts';
import { PLACEMENTS, type Placement } from './placement.ts';
import { PROFILED, type Profiled } from './profile/kinds.ts';

/** How long things are measured. */
export interface Lengths {
  readonly starts: number;
  readonly warmUpMs: number;
  /** At one connection: turns of every measure, and how often it is asked in each. */
  readonly turns: number;
  readonly perTurn: number;
  /** At many connections: turns of every measure, and how long each lasts. */
  readonly loadTurns: number;
  readonly loadMs: number;
  readonly fullLoadMs: number;
  readonly soakMs: number;
  /** Guards in one process, from files and in a cluster. */
  readonly guards: readonly number[];
  readonly clusterGuards: readonly number[];
  /** Before and while processor time is counted. */
  readonly steadyMs: number;
  readonly members: readonly number[];
  /** Reservations in each try: as many guards. */
  readonly reservations: number;
  /** Clusters that are asked at once, with guards from files and in a cluster. */
  readonly storm: { readonly files: number; readonly cluster: number };
  /** Real DELETEs of each kind. */
  readonly deletes: number;
  readonly hangs: number;
  readonly profileMs: number;
}

/** What the command line asked for. */
export interface Options {
  readonly lengths: Lengths;
  readonly quick: boolean;
  readonly parts: readonly PartName[];
  readonly placement: Placement;
  /** Instead of all parts. */
  readonly profile: Profiled | null;
  /** Instead of all parts: the main.js of another bundle. */
  readonly against: string | null;
  /** A file for the JSON, `-` for stdout instead of the table; null: none. */
  readonly json: string | null;
}

const FULL: Lengths = {
  starts: 15,
  warmUpMs: 5_000,
  turns: 60,
  perTurn: 25,
  loadTurns: 9,
  loadMs: 2_000,
  fullLoadMs: 60_000,
  soakMs: 3_600_000,
  guards: [1, 100, 1_000, 5_000],
  clusterGuards: [1, 100, 1_000, 5_000],
  steadyMs: 60_000,
  members: [1, 3, 5, 7],
  reservations: 80,
  storm: { files: 400, cluster: 200 },
  deletes: 300,
  hangs: 5,
  profileMs: 20_000,
};

const QUICK: Lengths = {
  starts: 5,
  warmUpMs: 2_000,
  turns: 20,
  perTurn: 15,
  loadTurns: 3,
  loadMs: 700,
  fullLoadMs: 6_000,
  soakMs: 24_000,
  guards: [1, 100, 1_000],
  clusterGuards: [1, 50],
  steadyMs: 10_000,
  members: [1, 3],
  reservations: 32,
  storm: { files: 100, cluster: 50 },
  deletes: 20,
  hangs: 2,
  profileMs: 5_000,
};

export const USAGE = `Usage: npm run bench -- [--quick] [--only PART,...|--all] [--placement WHERE] [--json [FILE]]
       npm run bench -- --profile KIND [--quick]
       npm run bench -- --against MAIN.JS [--quick]

Compares etcd-guard with a bare round of etcd requests and a bare HTTPS server.
  --quick              shorter, and so less exact
  --only PART,...      these parts of it: ${Object.keys(PARTS).join(', ')}
  --all                all parts but the soak; otherwise those that take minutes are left out
  --minutes N          how long the soak lasts (60)
  --placement WHERE    apart: load on one processor, what is compared on another (the default);
                       together: all on one; free: wherever the kernel puts them
  --json [FILE]        writes the results as JSON to FILE, or to stdout in place of the table
  --profile KIND       where the guard's time goes: ${PROFILED.join(', ')}
  --against MAIN.JS    processor time of reviews, in turn with a guard from another bundle

Parts:
${Object.entries(PARTS)
  .map(([name, { what }]) => `  ${name.padEnd(19)}  ${what}`)
  .join('\n')}
`;

interface Draft {
  quick: boolean;
  parts: readonly PartName[] | null;
  placement: Placement;
  profile: Profiled | null;
  against: string | null;
  json: string | null;
  minutes: number | null;
}

/** null: the arguments are wrong, or help was asked for. */
export function parseOptions(args: readonly string[]): Options | null {
  const draft: Draft = {
    quick: false,
    parts: null,
    placement: 'apart',
    profile: null,
    against: null,
    json: null,
    minutes: null,
  };
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (!(FLAGS[arg]?.(draft, rest) ?? false)) return null;
  }
  const { minutes, parts, ...given } = draft;
  const lengths = draft.quick ? QUICK : FULL;
  return {
    ...given,
    parts: parts ?? names().filter((name) => PARTS[name].byDefault),
    lengths: minutes === null ? lengths : { ...lengths, soakMs: minutes * 60_000 },
  };
}

/** Each takes what follows it from the rest; false: that is wrong. */
const FLAGS: Readonly<Record<string, (draft: Draft, rest: string[]) => boolean>> = {
  '--quick'(draft) {
    draft.quick = true;
    return true;
  },
  '--all'(draft) {
    draft.parts = names().filter((name) => name !== 'soak');
    return true;
  },
  '--only'(draft, rest) {
    const wanted = rest.shift()?.split(',') ?? [];
    draft.parts = names().filter((name) => wanted.includes(name));
    return wanted.length > 0 && draft.parts.length === wanted.length;
  },
  '--minutes'(draft, rest) {
    draft.minutes = Number(rest.shift());
    return draft.minutes > 0;
  },
  '--placement'(draft, rest) {
    const placement = PLACEMENTS.find((one) => one === rest[0]);
    rest.shift();
    draft.placement = placement ?? draft.placement;
    return placement !== undefined;
  },
  '--profile'(draft, rest) {
    draft.profile = PROFILED.find((one) => one === rest[0]) ?? null;
    rest.shift();
    return draft.profile !== null;
  },
  '--against'(draft, rest) {
    draft.against = rest.shift() ?? null;
    return draft.against !== null;
  },
  '--json'(draft, rest) {
    draft.json = rest[0]?.startsWith('-') === false ? (rest.shift() ?? '-') : '-';
    return true;
  },
};

function names(): readonly PartName[] {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its own keys
  return Object.keys(PARTS) as PartName[];
}
