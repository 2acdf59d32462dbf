import type { Announcement } from '../../admission/announce.ts';
import type { GuardedCluster, GuardSource } from '../../admission/guard-source.ts';
import type { GuardsConfig } from '../../config.ts';
import { openGuards } from '../guards.ts';
import type { Surroundings } from '../streams.ts';

/** A member as the guard has written it down. */
export interface RecordedMember {
  readonly pod?: string | null | undefined;
  readonly id?: string | null | undefined;
  readonly role?: string | null | undefined;
  readonly health: string;
}

/** A guard and its cluster, asked for as such and not for a request. */
export interface FoundCluster {
  readonly cluster: GuardedCluster;
  /** Empty where nobody writes anything down. */
  readonly recorded: readonly RecordedMember[];
}

/** The guards of one namespace. */
export interface Clusters {
  readonly namespace: string;
  readonly source: GuardSource;
  /** As they are now; rejects with a sentence. */
  find(): Promise<readonly FoundCluster[]>;
  /** Gives the sentence why it could not be told; null: it was. Absent: there is nobody to tell. */
  announce?(announcement: Announcement): Promise<string | null>;
  close(): void;
}

/** Throws a UsageError. */
export async function openClusters(
  guards: GuardsConfig,
  namespace: string | null,
  { environment }: Surroundings,
): Promise<Clusters> {
  // Loaded only where a cluster is used: client-node takes four tenths of a second.
  if (guards.kind === 'cluster') {
    return (await import('./kubernetes-clusters.ts')).kubernetesClusters(
      guards,
      namespace,
      environment,
    );
  }
  const source = await openGuards(guards.files);
  const wanted = namespace ?? 'default';
  return {
    namespace: wanted,
    source,
    async find() {
      return source.guards
        .filter(({ guard }) => guard.namespace === wanted)
        .map((one) => ({ cluster: one.clusterFor(null), recorded: [] }));
    },
    close: () => source.close(),
  };
}
