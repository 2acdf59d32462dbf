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
}

/** What the command line asked for. */
export interface Options {
  readonly lengths: Lengths;
  readonly quick: boolean;
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
};

const QUICK: Lengths = {
  starts: 5,
  warmUpMs: 2_000,
  turns: 20,
  perTurn: 15,
  loadTurns: 3,
  loadMs: 700,
  fullLoadMs: 6_000,
};

export const USAGE = `Usage: npm run bench -- [--quick] [--json [FILE]]

Compares etcd-guard with a bare round of etcd requests and a bare HTTPS server.
  --quick        shorter, and so less exact
  --json [FILE]  writes the results as JSON to FILE, or to stdout in place of the table
`;

/** null: the arguments are wrong, or help was asked for. */
export function parseOptions(args: readonly string[]): Options | null {
  let quick = false;
  let json: string | null = null;
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === '--quick') quick = true;
    else if (arg === '--json')
      json = rest[0]?.startsWith('-') === false ? (rest.shift() ?? '-') : '-';
    else return null;
  }
  return { lengths: quick ? QUICK : FULL, quick, json };
}
