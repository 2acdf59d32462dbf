import { hostname } from 'node:os';
import type { Announcement } from '../../admission/announce.ts';
import type { GuardsConfig } from '../../config.ts';
import type { KubernetesApi } from '../../kubernetes/api/api.ts';
import { Events } from '../../kubernetes/events/events.ts';
import { guardsIn, shownIn } from '../../kubernetes/guards/guard-resource.ts';
import { Slots } from '../../sharing/slots.ts';
import { explained, isFromCluster, openClusterGuards } from '../cluster-guards.ts';
import type { Surroundings } from '../streams.ts';
import type { Clusters } from './clusters.ts';

const LOOK_MS = 10_000;
const AT_ONCE = 8;
const EVENT_MS = 5_000;

/** Of EtcdGuard objects; one that is being deleted guards nothing and is left out. */
export async function kubernetesClusters(
  config: Extract<GuardsConfig, { kind: 'cluster' }>,
  wanted: string | null,
  environment: Surroundings['environment'],
): Promise<Clusters> {
  const guards = await openClusterGuards(config, environment);
  const namespace = wanted ?? guards.namespace;
  const looks = new Slots(AT_ONCE);
  return {
    namespace,
    source: guards.source,
    async find() {
      const endsAtMs = performance.now() + LOOK_MS;
      const left = (): number => Math.max(0, endsAtMs - performance.now());
      try {
        const objects = await guards.api.list(guardsIn(namespace), {}, LOOK_MS);
        const guarding = objects.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
        return await Promise.all(
          guarding.map((object) =>
            looks.run(async () => ({
              cluster: (await guards.reader.look(object, left)).cluster,
              recorded: shownIn(object).members ?? [],
            })),
          ),
        );
      } catch (error) {
        throw isFromCluster(error) ? new Error(explained(error), { cause: error }) : error;
      }
    },
    announce: (announcement) => announceOnce(guards.api, announcement),
    close: () => guards.close(),
  };
}

async function announceOnce(
  api: KubernetesApi,
  announcement: Announcement,
): Promise<string | null> {
  let failure: string | null = null;
  const events = new Events({
    api,
    instance: `${hostname()}_${process.pid}`,
    nowMs: () => Date.now(),
    observer: {
      onFailing: (error) => (failure = explained(error)),
      onWrittenAgain: () => undefined,
      onDropped: () => (failure ??= 'the API server did not answer in time'),
    },
  });
  events.announce(announcement);
  await events.close(EVENT_MS);
  return failure;
}
