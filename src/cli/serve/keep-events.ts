import { hostname } from 'node:os';
import type { Announce } from '../../admission/announce.ts';
import type { KubernetesApi } from '../../kubernetes/api/api.ts';
import { Events } from '../../kubernetes/events/events.ts';
import type { Logger } from '../../telemetry/logger.ts';

/** What becomes Events is announced here. */
export interface KeptEvents {
  readonly announce: Announce;
  /** Ends within two seconds, with what could be written by then. */
  close(): Promise<void>;
}

const LAST_EVENTS_MS = 2_000;

/** Nothing that goes wrong here keeps a review from being answered. */
export function keepEvents(api: KubernetesApi, log: Logger): KeptEvents {
  const events = new Events({
    api,
    // Replicas have host names of their own, except where they are processes of one machine.
    instance: `${hostname()}_${process.pid}`,
    nowMs: () => Date.now(),
    observer: {
      onFailing: (error) =>
        log.warn({ err: error }, 'could not write Events; no answer depends on them'),
      onWrittenAgain: () => log.info('Events are written again'),
      onDropped: ({ reason, message }, dropped) =>
        log.debug({ reason, message, dropped }, 'an Event was not written'),
    },
  });
  return {
    announce: (announcement) => events.announce(announcement),
    close: () => events.close(LAST_EVENTS_MS),
  };
}
