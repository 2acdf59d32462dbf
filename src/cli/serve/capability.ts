import type { Announce } from '../../admission/announce.ts';
import type { CapabilityName } from '../../config.ts';
import type { KubernetesApi } from '../../kubernetes/api/api.ts';
import type { ReviewHandler } from '../../server/webhook-server.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Recorder } from '../../telemetry/recorder.ts';

/** Something that is answered besides deletions of etcd pods. */
export interface Capability {
  /** Where the API server asks for it. */
  readonly path: string;
  readonly handle: ReviewHandler;
  /** Called in turn with `onLost`, on the one replica that writes what all share. */
  onHeld(): void;
  onLost(): void;
  /** Ends within a few seconds; never rejects. */
  close(): Promise<void>;
}

/** What a capability is made from. */
export interface CapabilityContext {
  readonly api: KubernetesApi;
  readonly announce: Announce;
  readonly recorder: Recorder;
  readonly log: Logger;
  /** Asked right before a write of what one replica writes for all. */
  readonly mayWrite: () => boolean;
}

/** Each is loaded only where it is turned on. */
const OPEN: Readonly<Record<CapabilityName, (context: CapabilityContext) => Promise<Capability>>> =
  {
    'exclusive-locks': async (context) => (await import('./serve-locks.ts')).serveLocks(context),
  };

/** Those that are turned on. */
export function openCapabilities(
  names: readonly CapabilityName[],
  context: CapabilityContext,
): Promise<readonly Capability[]> {
  return Promise.all(names.map((name) => OPEN[name](context)));
}
