import { setTimeout as delay } from 'node:timers/promises';
import type { GuardedCluster } from '../../admission/guard-source.ts';
import { viewBeforeProof } from '../../decision/cluster-view.ts';
import type { Plan } from './plan.ts';

const CONFIRM_EVERY_MS = 50;
const ASK_MS = 2_000;
/** Every conflict is somebody else's reservation; they come one after another, not without end. */
const ATTEMPTS = 10;

type Move = Extract<Plan, { kind: 'move' }>;

/** Leadership may have moved or not: nobody could tell in time. */
export class UnconfirmedError extends Error {
  override readonly name = 'UnconfirmedError';
}

/** How to carry out a plan; what can't be done rejects. */
export interface Moving {
  /** Guard, ledger and pods, read for the pod of the leader. */
  readonly read: () => Promise<GuardedCluster>;
  /** The plan again, by what was just read; rejects if it is another one. */
  readonly plan: (cluster: GuardedCluster) => Promise<Move>;
  /** Who the ledger says it was. */
  readonly by: string;
  readonly timeoutMs: number;
  readonly stop: AbortSignal;
}

/**
 * Reserves the leader and names its successor in one swap, as the guard does for a hand-off of its
 * own, so that nobody lets the successor go meanwhile; moves leadership; waits until a quorum
 * confirms it; takes the entry back. Gives the pod that leads then.
 */
export async function move(moving: Moving): Promise<string> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    if (moving.stop.aborted) throw new Error('it was interrupted before the move');
    const cluster = await moving.read();
    const plan = await moving.plan(cluster);
    const held = await cluster.reserve({
      // A delete that comes before it is taken back is allowed under it, by its reason.
      reason: 'Spared',
      by: moving.by,
      gracePeriodSeconds: null,
      handOffTo: plan.to.id,
    });
    if (held === 'conflict') continue;
    try {
      return await moveNow(plan, cluster, moving);
    } finally {
      await held.release();
    }
  }
  throw new Error('the ledger of the guard changes all the time; try again');
}

async function moveNow(
  { from, to }: Move,
  cluster: GuardedCluster,
  { timeoutMs, stop }: Moving,
): Promise<string> {
  const endsAtMs = performance.now() + timeoutMs;
  const leader = cluster.endpoints.find(({ pod }) => pod === from.pod);
  if (leader === undefined) throw new Error(`${from.pod} has no address`);
  let failure: unknown = null;
  try {
    await cluster.etcd.moveLeader(leader, to.id, timeoutMs);
  } catch (error) {
    // It may have come through all the same: then a quorum says so.
    failure = error;
  }
  for (;;) {
    const now = await whoLeads(cluster);
    if (now !== null && now.id !== from.id) return now.pod;
    if (failure !== null) throw failure;
    if (stop.aborted || performance.now() + CONFIRM_EVERY_MS > endsAtMs) {
      throw new UnconfirmedError(`no quorum has confirmed ${to.pod} yet; see etcd-guard status`);
    }
    await delay(CONFIRM_EVERY_MS);
  }
}

/** null: not confirmed. */
async function whoLeads(cluster: GuardedCluster) {
  const answers = await cluster.etcd.ask(cluster.endpoints, ASK_MS);
  const { leader, members } = viewBeforeProof(cluster, answers);
  if (leader.kind !== 'confirmed') return null;
  const member = members.find(({ id }) => id === leader.id);
  return { id: leader.id, pod: member?.pods[0] ?? leader.id };
}
