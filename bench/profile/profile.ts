import { readFile, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../../test/harness/until.ts';
import type { Bench } from '../bench.ts';
import { deletionReview } from '../reviews.ts';
import { ALLOWED, REFUSED, SPARED } from '../stage.ts';
import { readableBundle } from './bundle.ts';
import type { Profiled } from './kinds.ts';
import { parseProfile, spentOf } from './spent.ts';
import { profileText } from './text.ts';

const HOOK = new URL('./hook.ts', import.meta.url).href;
const CONNECTIONS = 32;

/** Where the time of a guard goes that answers such reviews as fast as it can, as text. */
export async function profile(bench: Bench, kind: Profiled): Promise<string> {
  const stage = await bench.newStage(3);
  bench.progress('building with names');
  const main = await readableBundle(join(stage.directory, 'readable'));
  const file = join(tmpdir(), `etcd-guard-${kind}.cpuprofile`);
  const { env, execArgv = [] } = stage.guardOptions;
  const guard = await stage.startGuard({
    main,
    env: { ...env, PROFILE_FILE: file },
    execArgv: [...execArgv, '--import', HOOK],
  });
  const ms = bench.options.lengths.profileMs;
  const begunAt = Date.now();
  try {
    const { leader, follower } = await stage.roles();
    const shots = {
      refused: { pod: { name: leader, app: 'etcd', dryRun: false }, expected: REFUSED },
      spared: { pod: { name: follower ?? '', app: 'etcd', dryRun: true }, expected: SPARED },
      unguarded: { pod: { name: 'shop-0', app: 'shop', dryRun: false }, expected: ALLOWED },
    };
    const { pod, expected } = shots[kind];
    const target = stage.targetOf(guard);
    await stage.load.prepare({ name: kind, target, body: deletionReview(pod), expected });
    bench.progress('warming up');
    await stage.load.rate([kind], { connections: CONNECTIONS, ms: ms / 2 });
    bench.progress(`${ms / 1000} s of profile`);
    guard.signal('SIGUSR2');
    const { answers } = await stage.load.rate([kind], { connections: CONNECTIONS, ms });
    guard.signal('SIGUSR2');
    await until('the profile is written', () => writtenSince(file, begunAt));
    const parsed = parseProfile(JSON.parse(await readFile(file, 'utf8')));
    const title = `${kind}, ${CONNECTIONS} connections, ${answers} answers; ${file}`;
    return profileText(title, await spentOf(parsed), answers);
  } finally {
    await guard.stop();
  }
}

async function writtenSince(file: string, sinceMs: number): Promise<boolean> {
  try {
    const { mtimeMs } = await stat(file);
    JSON.parse(await readFile(file, 'utf8'));
    return mtimeMs >= sinceMs;
  } catch {
    return false;
  }
}
