import { writeFile } from 'node:fs/promises';
import {
  countEtcdRequests,
  measureFullLoad,
  measureOneByOne,
  measureRates,
  warmUp,
} from './measures.ts';
import { parseOptions, USAGE, type Options } from './options.ts';
import { conditionsOf, jsonOf, rowsOf, tableOf, type Measured } from './report.ts';
import { setStage } from './stage.ts';
import { measureStartup } from './startup.ts';

const EXIT_USAGE = 2;

function progress(line: string): void {
  process.stderr.write(`${line}\n`);
}

async function measure({ lengths, quick }: Options): Promise<Measured> {
  const stage = await setStage(progress);
  try {
    const { bodyBytes, limits } = stage;
    progress(`starting ${lengths.starts} guards, one after another`);
    const startup = await measureStartup(stage, lengths.starts);
    progress('warming up');
    await warmUp(stage, lengths.warmUpMs);
    progress('one connection');
    const oneByOne = await measureOneByOne(stage, lengths);
    progress('many connections');
    const { rates, generatorBusy } = await measureRates(stage, lengths);
    progress('requests to etcd');
    const calls = await countEtcdRequests(stage);
    progress(`${lengths.fullLoadMs / 1000} s of full load`);
    const fullLoad = await measureFullLoad(stage, lengths.fullLoadMs);
    const part = { startup, oneByOne, rates, generatorBusy, calls, fullLoad };
    return { quick, bodyBytes, limits, ...part };
  } finally {
    await stage.stop();
  }
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options === null) {
    process.stderr.write(USAGE);
    process.exitCode = EXIT_USAGE;
    return;
  }
  const measured = await measure(options);
  const rows = rowsOf(measured);
  const json = jsonOf(measured, rows);
  if (options.json === '-') process.stdout.write(json);
  else
    process.stdout.write(`\n${conditionsOf(measured)}\n\n${tableOf(rows)}\n\n${summaryOf(rows)}\n`);
  if (options.json !== null && options.json !== '-') await writeFile(options.json, json);
}

function summaryOf(rows: ReturnType<typeof rowsOf>): string {
  const missed = rows.filter(({ met }) => met === false).map(({ what }) => what);
  return missed.length === 0 ? 'All aims are met.' : `Aims missed: ${missed.join('; ')}.`;
}

await main();
