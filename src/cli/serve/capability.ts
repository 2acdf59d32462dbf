import type { Announce } from '../../admission/announce.ts';
import type { Registration } from '../../certificates/trusting-configuration.ts';
import type { CapabilityName } from '../../config.ts';
import type { KubernetesApi } from '../../kubernetes/api/api.ts';
import type { ResourceDiscovery } from '../../kubernetes/api/discovery.ts';
import type { ReviewHandler } from '../../server/webhook-server.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Recorder } from '../../telemetry/recorder.ts';

/** Something that is answered besides deletions of etcd pods. */
export interface Capability {
  /** Where the API server asks for it. */
  readonly path: string;
  readonly handle: ReviewHandler;
  /** What has the API server ask for it, and is to trust our certificate. */
  readonly registration?: Registration;
  /** Called in turn with `onLost`, on the one replica that writes what all share. */
  onHeld(): void;
  onLost(): void;
  /** Ends within a few seconds; never rejects. */
  close(): Promise<void>;
}

/** What a capability is made from. */
export interface CapabilityContext {
  readonly api: KubernetesApi;
  readonly discovery: ResourceDiscovery;
  readonly announce: Announce;
  readonly recorder: Recorder;
  readonly log: Logger;
  /** Name of the guard's own webhook configuration; those of capabilities begin with it. */
  readonly webhookConfiguration: string;
  /** Asked right before a write of what one replica writes for all. */
  readonly mayWrite: () => boolean;
}

/** Each is loaded only where it is turned on. */
const OPEN: Readonly<Record<CapabilityName, (context: CapabilityContext) => Promise<Capability>>> =
  {
    'exclusive-locks': async (context) => (await import('./serve-locks.ts')).serveLocks(context),
    injection: async (context) => (await import('./serve-injection.ts')).serveInjection(context),
  };

/** Those that are turned on. */
export function openCapabilities(
  names: readonly CapabilityName[],
  context: CapabilityContext,
): Promise<readonly Capability[]> {
  return Promise.all(names.map((name) => OPEN[name](context)));
}
