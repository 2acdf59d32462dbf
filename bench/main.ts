import { writeFile } from 'node:fs/promises';
import { against } from './against.ts';
import { Bench } from './bench.ts';
import { parseOptions, USAGE, type Options } from './options.ts';
import type { PartName } from './part-names.ts';
import { MEASURES } from './parts/parts.ts';
import { Processors } from './placement.ts';
import { profile } from './profile/profile.ts';
import { jsonOf, textOf, type Measured } from './report.ts';
import { limitsOfTheImage } from './stage.ts';
import { failed, type PartResult } from './result.ts';

const EXIT_USAGE = 2;

async function measure(bench: Bench): Promise<Measured> {
  const { options } = bench;
  const results = new Map<PartName, PartResult>();
  for (const name of options.parts) {
    bench.progress(`part ${name}`);
    try {
      results.set(name, await MEASURES[name](bench));
    } catch (error) {
      bench.progress(String(error));
      results.set(name, { rows: [failed(`part ${name}`, error)], tables: [], data: null });
    }
  }
  const { limits } = await limitsOfTheImage();
  return { options, placement: bench.processors.words, limits, results };
}

async function run(options: Options): Promise<void> {
  const bench = new Bench(options, await Processors.divide(options.placement));
  try {
    if (options.profile !== null) {
      process.stdout.write(await profile(bench, options.profile));
      return;
    }
    if (options.against !== null) {
      process.stdout.write(await against(bench, options.against));
      return;
    }
    const measured = await measure(bench);
    const json = jsonOf(measured);
    process.stdout.write(options.json === '-' ? json : `\n${textOf(measured)}`);
    if (options.json !== null && options.json !== '-') await writeFile(options.json, json);
  } finally {
    await bench.stop();
  }
}

const options = parseOptions(process.argv.slice(2));
if (options === null) {
  process.stderr.write(USAGE);
  process.exitCode = EXIT_USAGE;
} else {
  await run(options);
}
