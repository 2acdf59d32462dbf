import { viewBeforeProof } from '../decision/cluster-view.ts';
import type { FileGuard, FileSource } from './file-source.ts';

/** How often a cluster is looked at when nobody asks for it; less often where there are many. */
const EVERY_SECONDS = 30;
/** What all clusters together may cost, as with guards from a cluster. */
const LOOKS_A_SECOND = 20;
const MEMBER_MS = 2_000;

/**
 * Keeps the gauges fresh without reviews: each cluster every 30 s (above 600 of them: 20 a second in
 * turn), and every second while it has reservations, so that a member that is back ends its own.
 */
export function refreshClusters(source: FileSource): { stop(): void } {
  const busy = new Set<FileGuard>();
  let tick = 0;
  const timer = setInterval(() => {
    const every = Math.max(EVERY_SECONDS, Math.ceil(source.guards.length / LOOKS_A_SECOND));
    for (const [index, guard] of source.guards.entries()) {
      const due = index % every === tick % every || guard.ledger.size > 0;
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
  const answers = await cluster.etcd.ask(cluster.endpoints, MEMBER_MS, { keepWarm: false });
  // Read after the answers: what was reserved meanwhile must not look free.
  const { reservations } = guard.clusterFor(null);
  cluster.observed(answers, viewBeforeProof({ ...cluster, reservations }, answers));
}
