import { createReviewHandler } from '../../admission/admit.ts';
import type { ServeConfig } from '../../config.ts';
import type { ServingCertificate } from '../../server/certificate.ts';
import { ServerError } from '../../server/error.ts';
import { startServers } from '../../server/lifecycle.ts';
import { createObservabilityServer } from '../../server/observability-server.ts';
import { createReadiness } from '../../server/readiness.ts';
import { WebhookServer } from '../../server/webhook-server.ts';
import { createLogger, type Logger } from '../../telemetry/logger.ts';
import { Recorder } from '../../telemetry/recorder.ts';
import { UsageError, type Backend } from '../backend.ts';
import type { openCluster as OpenClusterFunction } from './serve-cluster.ts';
import { openGuardFiles } from './serve-files.ts';
import { servingCertificates } from './serving-certificate.ts';
import type { Streams } from '../streams.ts';

type OpenCluster = typeof OpenClusterFunction;

/** What `serve` is given besides its command line. */
export interface ServeSurroundings {
  readonly streams: Streams;
  readonly version: string;
  /** For the Kubernetes configuration: KUBECONFIG, HOME and the like. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** `etcd-guard serve`: runs until it is asked to stop; resolves with the exit code. */
export async function serve(config: ServeConfig, around: ServeSurroundings): Promise<number> {
  const { streams, version, environment } = around;
  const log = createLogger(config.logLevel);
  const recorder = new Recorder(version);
  try {
    const { guards } = config;
    const backend =
      guards.kind === 'files'
        ? await openGuardFiles(guards.files, { recorder, log })
        : await openCluster(guards.kubeconfig, {
            recorder,
            log,
            environment,
            roleLabels: config.roleLabels,
            webhookConfiguration: config.certificate.configuration,
          });
    await run(config, backend, { streams, version, recorder, log });
    return 0;
  } catch (error) {
    if (error instanceof UsageError) {
      for (const line of error.lines) streams.err(`etcd-guard: ${line}\n`);
      return 2;
    }
    if (!(error instanceof ServerError)) throw error;
    streams.err(`etcd-guard: ${error.message}\n`);
    return 1;
  }
}

interface Running {
  readonly streams: Streams;
  readonly version: string;
  readonly recorder: Recorder;
  readonly log: Logger;
}

async function run(config: ServeConfig, backend: Backend, around: Running): Promise<void> {
  const { streams, version, recorder, log } = around;
  const certificates = await servingCertificates(config, backend.certificates ?? null, around);
  const webhook = webhookServer(certificates.first, backend, around);
  const readiness = createReadiness(webhook);
  recorder.readyAtScrape(async () => (await readiness()).ready);
  const observability = createObservabilityServer({
    metrics: recorder,
    readiness,
    version,
    onFailed: (error) => log.error({ err: error }, 'could not answer on the metrics port'),
  });
  const { listen, metricsListen } = config;
  const servers = await startServers({ webhook, observability, listen, metricsListen });
  const certificate = certificates.follow(webhook);
  const running = backend.start();
  const stopped = aborted(streams.stop);
  await Promise.race([certificate.served, stopped]);
  if (!streams.stop.aborted) {
    log.info({ https: servers.https, http: servers.http }, 'listening');
  }
  await stopped;
  log.info({ delayMs: config.shutdownDelayMs }, 'stopping');
  certificate.stop();
  await servers.shutdown(config.shutdownDelayMs);
  running.stop();
  await backend.close();
  log.info('stopped');
}

function webhookServer(
  certificate: ServingCertificate | null,
  { source, announce }: Backend,
  { recorder, log }: Running,
): WebhookServer {
  const handle = createReviewHandler({
    guards: source,
    recorder,
    log,
    announce,
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
  });
  return new WebhookServer({
    certificate,
    handle,
    events: {
      onBadRequest(kind) {
        recorder.badRequest();
        log.warn({ kind }, 'refused what is no review');
      },
      onHandlerFailed: (error) => log.error({ err: error }, 'could not answer a review'),
    },
  });
}

/** Loaded only here: client-node costs four tenths of a second and 40 MiB. */
async function openCluster(
  kubeconfig: string | null,
  context: Parameters<OpenCluster>[1],
): Promise<Backend> {
  return (await import('./serve-cluster.ts')).openCluster(kubeconfig, context);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
