import { execa } from 'execa';
import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EARLIER_REVISION, earlierProgram } from '../harness/earlier-program.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../harness/reaper.ts';

describe('the program of an earlier revision', () => {
  let directory: TemporaryDirectory;

  beforeEach(async () => {
    directory = await temporaryDirectory('earlier-program-test');
  });

  afterEach(async () => {
    await directory.remove();
  });

  it('is built by two at the same time without harm, runs, and is not built again', async () => {
    const cache = join(directory.path, 'cache');
    const [one, two] = await Promise.all([earlierProgram({ cache }), earlierProgram({ cache })]);
    expect(two).toBe(one);
    const kept = dirname(one);
    expect(dirname(kept)).toBe(cache);
    expect(basename(kept)).toMatch(new RegExp(`^program-${EARLIER_REVISION}-[0-9a-f]{12}$`));
    const { stdout } = await execa(process.execPath, [one, '--version']);
    expect(stdout).toMatch(/^etcd-guard \d+\.\d+\.\d+/);
    expect(await readdir(cache)).toEqual([basename(kept)]);

    const { ino, mtimeMs } = await stat(one);
    expect(await earlierProgram({ cache })).toBe(one);
    expect(await stat(one)).toMatchObject({ ino, mtimeMs });
  });

  it('is missed where the history was not fetched, with the command that gets it', async () => {
    const repository = directory.path;
    await execa('git', ['init', '--quiet'], { cwd: repository });
    const cache = join(repository, 'cache');
    await expect(earlierProgram({ repository, cache })).rejects.toThrow(
      `no earlier program to test against: the history of ${repository} has no ${EARLIER_REVISION}. ` +
        'To get it: git fetch --unshallow --tags',
    );
    expect(existsSync(cache)).toBe(false);
  });

  it('is missed outside of a repository', async () => {
    await expect(earlierProgram({ repository: directory.path })).rejects.toThrow(
      /\(fatal: not a git repository.*\)\. To get it: git fetch --unshallow --tags$/,
    );
  });
});
