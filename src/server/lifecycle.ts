import type { Server } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { trackConnections, type Connections } from './connections.ts';
import { type ListenAddress, formatAddress, listenOn } from './listen.ts';
import type { WebhookServer } from './webhook-server.ts';

/** The two servers of the process. */
export interface ServingServers {
  readonly webhook: WebhookServer;
  readonly observability: Server | TlsServer;
}

/** The servers, and where they are to listen. */
export interface ServerSetup extends ServingServers {
  readonly listen: ListenAddress;
  readonly metricsListen: ListenAddress;
}

/** Both servers while they run; `https` and `http` are what was bound, as HOST:PORT. */
export interface RunningServers {
  readonly https: string;
  readonly http: string;
  /**
   * Turns unready at once, goes on serving for `delayMs`, then lets requests in flight finish and
   * resolves; what is still open `deadlineMs` after the delay is cut off. Safe to call twice.
   */
  shutdown(delayMs: number, deadlineMs?: number): Promise<void>;
}

/** With a delay of 5 s before it, below the 30 s that Kubernetes grants a pod by default. */
const DEADLINE_MS = 20_000;
const SWEEP_MS = 50;
/** A connection this young may be about to send its first request. */
const UNUSED_MS = 1_000;

/** Binds both ports, or neither: throws a ServerError that names the address at fault. */
export async function startServers(setup: ServerSetup): Promise<RunningServers> {
  const { webhook, observability } = setup;
  const open = trackConnections(observability);
  const https = await listenOn(webhook.server, setup.listen);
  try {
    const http = await listenOn(observability, setup.metricsListen);
    let stopping: Promise<void> | undefined;
    return {
      https: formatAddress(https),
      http: formatAddress(http),
      shutdown(delayMs, deadlineMs = DEADLINE_MS) {
        stopping ??= stop({ ...setup, open }, delayMs, deadlineMs);
        return stopping;
      },
    };
  } catch (error) {
    webhook.server.close();
    throw error;
  }
}

/** `open` are connections to the metrics port. */
async function stop(
  { webhook, observability, open }: ServingServers & { readonly open: Connections },
  delayMs: number,
  deadlineMs: number,
): Promise<void> {
  webhook.drain();
  if (delayMs > 0) await sleep(delayMs);
  await closeWebhook(webhook, deadlineMs);
  // Last, so that probes and Prometheus get answers as long as there is anything to ask about.
  await new Promise<void>((resolve) => {
    observability.close(() => {
      resolve();
    });
    // With TLS, also those whose handshake has not ended: Node's own list lacks them.
    open.closeAll();
  });
}

function closeWebhook(webhook: WebhookServer, deadlineMs: number): Promise<void> {
  const { server, connections } = webhook;
  return new Promise((resolve) => {
    const deadline = setTimeout(() => {
      connections.closeAll();
    }, deadlineMs);
    // Again and again: a connection may become idle only after its last answer has gone out.
    const sweep = setInterval(() => {
      server.closeIdleConnections();
      connections.closeUnused(UNUSED_MS);
    }, SWEEP_MS);
    server.close(() => {
      clearTimeout(deadline);
      clearInterval(sweep);
      resolve();
    });
  });
}
