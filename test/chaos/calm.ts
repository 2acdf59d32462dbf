import { until } from '../harness/until.ts';
import type { Actor } from './actor.ts';
import { now, type History } from './history.ts';
import type { World } from './world.ts';

/** To become whole again once everything is healed. */
const WHOLE_MS = 90_000;
/** A reservation that nobody used may stand for two minutes. */
const WITHIN_MS = 150_000;
const PAUSE_MS = 500;

export interface Calm {
  readonly world: World;
  readonly history: History;
  readonly actor: Actor;
  readonly round: number;
  readonly over: AbortSignal;
}

/**
 * With everything healed and nobody else asking: waits until the cluster is whole, has each follower
 * deleted in turn, and sees the leader refused all the while.
 */
export async function goCalmly(calm: Calm): Promise<void> {
  const { world, history, round, over } = calm;
  const from = now();
  const deleted: string[] = [];
  let leaderRefused = 0;
  let trouble = '';
  const left = (): readonly string[] =>
    world.members
      .map(({ name }) => name)
      .filter((name) => name !== world.leader() && !deleted.includes(name));
  try {
    await whole(calm);
    while (left().length > 0 && now() - from < WITHIN_MS && !over.aborted) {
      leaderRefused += await tryLeader(calm);
      const gone = await deleteOneOf(left(), calm);
      if (gone !== null) deleted.push(gone);
      else await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  } catch (error) {
    trouble = error instanceof Error ? error.message : String(error);
  }
  if (over.aborted) return;
  history.add({
    kind: 'liveness',
    round,
    tookMs: now() - from,
    withinMs: WHOLE_MS + WITHIN_MS,
    deleted,
    left: [...left()],
    leaderRefused,
    trouble,
  });
}

/** How often it was refused. */
async function tryLeader({ world, actor }: Calm): Promise<number> {
  const leader = world.leader();
  return leader !== null && (await actor.do('delete', leader)) === 403 ? 1 : 0;
}

/** The first that is let go, once it is back. */
async function deleteOneOf(names: readonly string[], calm: Calm): Promise<string | null> {
  const { actor, world, over } = calm;
  for (const name of names) {
    const uid = world.pods.at(name)?.metadata.uid;
    if ((await actor.do('delete', name)) !== 200) continue;
    const isAnother = (): boolean => {
      const current = world.pods.at(name)?.metadata.uid;
      return over.aborted || (current !== undefined && current !== uid);
    };
    await until(`${name} is made anew`, isAnother, { timeoutMs: WHOLE_MS });
    await whole(calm);
    return name;
  }
  return null;
}

async function whole({ world, over }: Calm): Promise<void> {
  const is = (): boolean | Promise<boolean> => over.aborted || world.isWhole();
  await until('the cluster is whole again', is, { timeoutMs: WHOLE_MS, intervalMs: 100 });
}
