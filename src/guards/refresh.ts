import { viewBeforeProof } from '../decision/cluster-view.ts';
import type { FileGuard, FileSource } from './file-source.ts';

/** How often a cluster is looked at when nobody asks for it; less often where there are many. */
const EVERY_SECONDS = 30;
/** What all clusters together may cost, as with guards from a cluster. */
const LOOKS_A_SECOND = 20;
const MEMBER_MS = 2_000;

/**
 * Keeps the gauges fresh without reviews: each cluster every 30 s, and every second while it has
 * reservations, so that a member that is back ends its own. Where that would be more than 20 looks a
 * second, of either kind, they take turns.
 */
export function refreshClusters(
  source: Pick<FileSource, 'guards'>,
  look: (guard: FileGuard) => Promise<void> = lookAt,
): { stop(): void } {
  const busy = new Set<FileGuard>();
  const lookedAt = new WeakMap<FileGuard, number>();
  const tickOf = (guard: FileGuard): number => lookedAt.get(guard) ?? -1;
  let tick = 0;
  const timer = setInterval(() => {
    const { guards } = source;
    const every = Math.max(EVERY_SECONDS, Math.ceil(guards.length / LOOKS_A_SECOND));
    const due = guards.filter((_, index) => index % every === tick % every);
    const reserved = guards.filter(({ ledger }) => ledger.size > 0);
    const longestAgo = reserved.toSorted((one, other) => tickOf(one) - tickOf(other));
    for (const guard of new Set([...due, ...longestAgo.slice(0, LOOKS_A_SECOND)])) {
      if (busy.has(guard)) continue;
      busy.add(guard);
      lookedAt.set(guard, tick);
      void look(guard).finally(() => busy.delete(guard));
    }
    tick += 1;
  }, 1_000);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}

async function lookAt(guard: FileGuard): Promise<void> {
  const cluster = guard.clusterFor(null);
  const answers = await cluster.etcd.ask(cluster.endpoints, MEMBER_MS, { keepWarm: false });
  // Read after the answers: what was reserved meanwhile must not look free.
  const { reservations } = guard.clusterFor(null);
  cluster.observed(answers, viewBeforeProof({ ...cluster, reservations }, answers));
}
