import type { GuardSource, NewReservation } from '../../src/admission/guard-source.ts';
import { FileSource } from '../../src/guards/file-source.ts';
import type { LoadedGuard } from '../../src/guards/file-guards.ts';
import { parseGuards, type GuardDocument } from '../../src/guards/document.ts';
import type { Policy } from '../../src/decision/situation.ts';
import type { EtcdCluster } from '../../src/etcd/port.ts';
import { addressOf } from './etcd.ts';

/** What a guard for a test differs in. */
export interface GuardOptions {
  readonly namespace?: string;
  readonly name?: string;
  readonly pods?: readonly string[];
  readonly selector?: GuardDocument['spec']['selector'];
  readonly policy?: Partial<Policy>;
  readonly settingsKey?: string;
}

/** A guard as it comes from a file, `default/etcd` unless told otherwise. */
export function loadedGuard(options: GuardOptions): LoadedGuard {
  const { namespace = 'default', name = 'etcd', pods = [], selector, policy = {} } = options;
  const parsed = parseGuards(
    'guards.json',
    JSON.stringify({
      apiVersion: 'etcd-guard.io/v1alpha1',
      kind: 'EtcdGuard',
      metadata: { namespace, name },
      spec: {
        selector,
        members: { addresses: Object.fromEntries(pods.map((pod) => [pod, addressOf(pod)])) },
        policy,
      },
    }),
  );
  const [first] = parsed.guards ?? [];
  if (first === undefined) throw new Error(JSON.stringify(parsed.problems));
  const settingsKey = options.settingsKey ?? 'plain';
  return { document: first.guard, settings: { tls: null, auth: null }, settingsKey };
}

/** Guards in memory mode over the given cluster; time is `performance.now()`, real or faked. */
export function sourceOf(etcd: EtcdCluster, ...guards: readonly LoadedGuard[]): FileSource {
  return new FileSource(guards, {
    connect: () => etcd,
    monotonicMs: () => performance.now(),
    activeMs: () => 0,
    viewed: () => undefined,
  });
}

/** As it is for a process that is killed when it has written its entry. */
export function endingAfterReserve(source: GuardSource): GuardSource {
  return {
    async read(subject) {
      const found = await source.read(subject, 1_000);
      const clusters = found.clusters.map((cluster) => ({
        ...cluster,
        async reserve(entry: NewReservation) {
          await cluster.reserve(entry);
          return new Promise<never>(() => undefined);
        },
      }));
      return { ...found, clusters };
    },
  };
}
