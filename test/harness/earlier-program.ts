import { execa } from 'execa';
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, rename, rm, symlink } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryDirectory } from './reaper.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * What replicas are upgraded from and rolled back to in tests: the first commit that keeps what newer
 * versions add to reservations and status. Once there is a release, the tag of the last one.
 */
export const EARLIER_REVISION = 'e4eb9003c67b3cfdbe038df4bfffcbe8685effbe';

/** Where the program of an earlier revision is taken from and kept. */
export interface EarlierProgramOptions {
  readonly revision?: string;
  /** A git repository with that revision in its history. */
  readonly repository?: string;
  /** Each revision has a folder here, one for each package-lock.json that it is built with. */
  readonly cache?: string;
}

/** main.js of an earlier revision, built as that one builds itself, with the packages of today. */
export async function earlierProgram(options: EarlierProgramOptions = {}): Promise<string> {
  const { revision = EARLIER_REVISION, repository = ROOT, cache = usualCache() } = options;
  const commit = await commitOf(repository, revision);
  const kept = join(cache, `program-${commit}-${await packagesOfToday()}`);
  if (!existsSync(join(kept, 'main.js'))) await build({ repository, commit, kept });
  return join(kept, 'main.js');
}

/** A file of that revision. */
export async function earlierFile(path: string): Promise<string> {
  const commit = await commitOf(ROOT, EARLIER_REVISION);
  const { stdout } = await execa('git', ['show', `${commit}:${path}`], { cwd: ROOT });
  return stdout;
}

/** Throws where it is not there, as in a shallow clone. */
export async function requireHistory(): Promise<void> {
  await commitOf(ROOT, EARLIER_REVISION);
}

function usualCache(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'etcd-guard');
}

async function packagesOfToday(): Promise<string> {
  const lock = await readFile(join(ROOT, 'package-lock.json'));
  return createHash('sha256').update(lock).digest('hex').slice(0, 12);
}

async function commitOf(repository: string, revision: string): Promise<string> {
  const { exitCode, stdout, stderr } = await execa(
    'git',
    ['rev-parse', '--verify', '--quiet', '--end-of-options', `${revision}^{commit}`],
    { cwd: repository, reject: false },
  );
  if (exitCode === 0) return stdout;
  throw new Error(
    `no earlier program to test against: the history of ${repository} has no ${revision}` +
      `${stderr === '' ? '' : ` (${stderr})`}. To get it: git fetch --unshallow --tags`,
  );
}

async function build(at: {
  readonly repository: string;
  readonly commit: string;
  readonly kept: string;
}): Promise<void> {
  const { repository, commit, kept } = at;
  const work = await temporaryDirectory('earlier-program');
  try {
    const archive = join(work.path, 'source.tar');
    const source = join(work.path, 'source');
    await mkdir(source);
    await execa('git', ['archive', `--output=${archive}`, commit], { cwd: repository });
    await execa('tar', ['-xf', archive, '-C', source]);
    await symlink(join(ROOT, 'node_modules'), join(source, 'node_modules'));
    await execa('npm', ['run', 'build'], { cwd: source });
    await keep(join(source, 'dist'), kept);
  } finally {
    await work.remove();
  }
}

/** It appears as a whole, so that others who build the same at the same time do no harm, nor are done any. */
async function keep(built: string, kept: string): Promise<void> {
  await mkdir(dirname(kept), { recursive: true });
  const part = await mkdtemp(`${kept}.part-`);
  try {
    const whole = join(part, 'dist');
    await cp(built, whole, { recursive: true });
    await rename(whole, kept);
  } catch (error) {
    if (!existsSync(join(kept, 'main.js'))) throw error;
  } finally {
    await rm(part, { recursive: true, force: true });
  }
}
