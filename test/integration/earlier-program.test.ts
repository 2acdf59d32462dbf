import { execa } from 'execa';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
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

  it('is built once, also for two at the same time, and runs', async () => {
    const cache = join(directory.path, 'cache');
    const [one, two] = await Promise.all([earlierProgram({ cache }), earlierProgram({ cache })]);
    expect(one).toBe(join(cache, `program-${EARLIER_REVISION}`, 'main.js'));
    expect(two).toBe(one);
    const { stdout } = await execa(process.execPath, [one, '--version']);
    expect(stdout).toMatch(/^etcd-guard \d+\.\d+\.\d+/);
    const left = await execa('ls', [cache]);
    expect(left.stdout).toBe(`program-${EARLIER_REVISION}`);

    const before = performance.now();
    await earlierProgram({ cache });
    expect(performance.now() - before).toBeLessThan(1_000);
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
