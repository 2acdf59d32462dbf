import { viewOf } from '../decision/cluster-view.ts';
import type { FileGuard, FileSource } from './file-source.ts';

/** How often a cluster is looked at when nobody asks for it. */
const EVERY_SECONDS = 30;
const MEMBER_MS = 2_000;

/**
 * Keeps the gauges fresh without reviews: each cluster every 30 s, spread over them, and every
 * second while it has reservations, so that a member that is back ends its own.
 */
export function refreshClusters(source: FileSource): { stop(): void } {
  const busy = new Set<FileGuard>();
  let tick = 0;
  const timer = setInterval(() => {
    for (const [index, guard] of source.guards.entries()) {
      const due = index % EVERY_SECONDS === tick % EVERY_SECONDS || guard.ledger.size > 0;
      if (!due || busy.has(guard)) continue;
      busy.add(guard);
      void look(guard).finally(() => busy.delete(guard));
    }
    tick += 1;
  }, 1_000);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}

async function look(guard: FileGuard): Promise<void> {
  const cluster = guard.clusterFor(null);
  const { etcd, endpoints, pods } = cluster;
  const answers = await etcd.ask(endpoints, MEMBER_MS, { keepWarm: false });
  // Read after the answers: what was reserved meanwhile must not look free.
  const { reservations } = guard.clusterFor(null);
  const { maxRaftLag } = guard.guard.policy;
  cluster.observed(answers, viewOf({ pods, answers, proof: null, reservations, maxRaftLag }));
}
