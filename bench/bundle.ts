import { execa } from 'execa';
import { glob, stat } from 'node:fs/promises';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');

/** The bundle's entry, after a build if any source is newer. */
export async function freshBundle(): Promise<string> {
  const main = join(ROOT, 'dist/main.js');
  const builtMs = await modifiedMs(main);
  for (const pattern of ['src/**/*.ts', 'package-lock.json', 'rolldown.config.ts']) {
    for await (const file of glob(pattern, { cwd: ROOT })) {
      if ((await modifiedMs(join(ROOT, file))) <= builtMs) continue;
      process.stderr.write(`building: ${file} is newer than the bundle\n`);
      await execa('npm', ['run', 'build'], { cwd: ROOT });
      return main;
    }
  }
  return main;
}

async function modifiedMs(file: string): Promise<number> {
  return stat(file).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
}
