import { randomInt } from 'node:crypto';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { kubernetesBinaries } from '../harness/kubernetes-binaries.ts';
import { reapEverything } from '../harness/reaper.ts';
import { MissingBinary, requireBinary } from '../harness/require-binary.ts';
import { check, PROMISES, type Findings } from './check.ts';
import { figuresOf } from './figures.ts';
import { History, readHistory } from './history.ts';
import { parseOptions, USAGE, type RunOptions } from './options.ts';
import { Run } from './run.ts';
import { scheduleOf } from './schedule.ts';

const EXIT = { kept: 0, broken: 1, usage: 2, missing: 3 } as const;
/** Of each promise. */
const SHOWN = 3;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Judges a history as it lies on the disk, and says so. */
function judge(path: string): number {
  const events = readHistory(path);
  const findings = check(
    events,
    events.some(({ kind }) => kind === 'found'),
  );
  for (const line of figuresOf(events, findings)) say(line);
  return verdict(findings, path);
}

function verdict({ violations }: Findings, path: string): number {
  if (violations.length === 0) {
    say(`all promises kept; history: ${path}`);
    return EXIT.kept;
  }
  for (const [promise, all] of Map.groupBy(violations, (one) => one.promise)) {
    say(`BROKEN, ${all.length} times: ${PROMISES[promise]}`);
    for (const { what } of all.slice(0, SHOWN)) say(`  ${what}`);
  }
  say(`history: ${path}`);
  return EXIT.broken;
}

async function run(options: RunOptions): Promise<number> {
  const path = options.history ?? join(tmpdir(), `chaos-${options.seed}-${Date.now()}.jsonl`);
  const history = new History(path);
  // Said first: whoever interrupts the run has it too.
  say(`history: ${path}`);
  const one = new Run(options, history, say);
  await one.run();
  await history.close();
  const code = judge(path);
  if (code === EXIT.broken) {
    await Promise.all(one.logs.map((log, index) => writeFile(`${path}.guard-${index}.log`, log)));
    say(`once more: npm run chaos -- --seed ${options.seed} --members ${options.members}`);
  }
  return code;
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2), () => randomInt(2 ** 31));
  if (options === null) {
    process.stderr.write(USAGE);
    return EXIT.usage;
  }
  switch (options.command) {
    case 'check':
      return judge(options.file);
    case 'schedule': {
      const { seed, members } = options;
      const round = { seed, number: 0, members, lengthMs: 60_000, namespaces: true };
      for (const fault of scheduleOf(round)) say(JSON.stringify(fault));
      return EXIT.kept;
    }
    case 'run':
      requireBinary('etcd');
      requireBinary('etcdctl');
      if ((await kubernetesBinaries(true)) === undefined) throw new MissingBinary('kube-apiserver');
      return run(options);
  }
}

/** Everything that it has started ends with it; networks and disks go with their last process. */
function interrupted(): Promise<number> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => resolve(128 + constants.signals[signal]));
    }
  });
}

let code: number = EXIT.broken;
try {
  code = await Promise.race([main(), interrupted()]);
} catch (error) {
  const missing = error instanceof MissingBinary;
  process.stderr.write(
    `chaos: ${missing ? error.message : String(error instanceof Error ? error.stack : error)}\n`,
  );
  if (missing) code = EXIT.missing;
}
await reapEverything();
process.exit(code);
