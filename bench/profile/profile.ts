import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../test/harness/until.ts';
import type { Bench } from '../bench.ts';
import type { Guard } from '../guard.ts';
import { writeGuards } from '../guard-documents.ts';
import { deletionReview } from '../reviews.ts';
import { ALLOWED, REFUSED, SPARED, type Stage } from '../stage.ts';
import { readableBundle } from './bundle.ts';
import type { Profiled } from './kinds.ts';
import { parseProfile, spentOf, type Profile } from './spent.ts';
import { profileText } from './text.ts';

const HOOK = new URL('./hook.ts', import.meta.url).href;
const CONNECTIONS = 32;
const IDLE_GUARDS = 100;

/** Where the time of a guard goes that answers such reviews as fast as it can, or none, as text. */
export async function profile(bench: Bench, kind: Profiled): Promise<string> {
  const stage = await bench.newStage(3);
  bench.progress('building with names');
  const main = await readableBundle(join(stage.directory, 'readable'));
  const file = join(tmpdir(), `etcd-guard-${kind}.cpuprofile`);
  await rm(file, { force: true });
  const { env, execArgv = [] } = stage.guardOptions;
  const guards = kind === 'idle' ? IDLE_GUARDS : 1;
  const guard = await stage.startGuard({
    main,
    source: ['--guards', await writeGuards(stage.directory, stage.etcd, guards)],
    env: { ...env, PROFILE_FILE: file },
    execArgv: [...execArgv, '--import', HOOK],
  });
  try {
    const work =
      kind === 'idle' ? idling(bench, guard) : await reviewing(bench, stage, guard, kind);
    bench.progress('warming up');
    await work.run(0.5);
    bench.progress('profiling');
    guard.signal('SIGUSR2');
    const count = await work.run(1);
    guard.signal('SIGUSR2');
    const spent = await until('the profile is written', () => written(file));
    const title = `${work.what}, ${count} ${work.units}; ${file}`;
    return profileText(title, await spentOf(spent), count);
  } finally {
    await guard.stop();
  }
}

/** What a guard does while it is profiled. */
interface Work {
  readonly what: string;
  /** What its time is divided by. */
  readonly units: string;
  /** Does it for so many times its usual length; how many units. */
  run(length: number): Promise<number>;
}

async function reviewing(
  { options }: Bench,
  stage: Stage,
  guard: Guard,
  kind: Exclude<Profiled, 'idle'>,
): Promise<Work> {
  const { leader, follower } = await stage.roles();
  const shots = {
    refused: { pod: { name: leader, app: 'etcd', dryRun: false }, expected: REFUSED },
    spared: { pod: { name: follower ?? '', app: 'etcd', dryRun: true }, expected: SPARED },
    unguarded: { pod: { name: 'shop-0', app: 'shop', dryRun: false }, expected: ALLOWED },
  };
  const { pod, expected } = shots[kind];
  const target = stage.targetOf(guard);
  await stage.load.prepare({ name: kind, target, body: deletionReview(pod), expected });
  return {
    what: `${kind}, ${CONNECTIONS} connections`,
    units: 'answers',
    run: async (length) => {
      const how = { connections: CONNECTIONS, ms: options.lengths.profileMs * length };
      return (await stage.load.rate([kind], how)).answers;
    },
  };
}

function idling({ options }: Bench, guard: Guard): Work {
  const calls = (): Promise<number> =>
    guard.metric('etcdguard_etcd_request_duration_seconds_count');
  return {
    what: `${IDLE_GUARDS} guards at rest`,
    units: 'calls to etcd',
    run: async (length) => {
      const before = await calls();
      await delay(options.lengths.steadyMs * length);
      return (await calls()) - before;
    },
  };
}

/** undefined while the file isn't there, or is being written. */
async function written(file: string): Promise<Profile | undefined> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.endsWith('}') ? parseProfile(JSON.parse(text)) : undefined;
}
