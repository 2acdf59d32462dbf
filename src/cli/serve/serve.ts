import { hostname } from 'node:os';
import { createReviewHandler } from '../../admission/admit.ts';
import type { ServeConfig } from '../../config.ts';
import { DecisionLog } from '../../page/decision-log.ts';
import { StatusPage } from '../../page/status-page.ts';
import { ServerError } from '../../server/error.ts';
import { startServers } from '../../server/lifecycle.ts';
import { createObservabilityServer } from '../../server/observability-server.ts';
import { createReadiness } from '../../server/readiness.ts';
import { WebhookServer, type WebhookOptions } from '../../server/webhook-server.ts';
import { createLogger, type DestinationStream, type Logger } from '../../telemetry/logger.ts';
import { prettyLog } from '../../telemetry/pretty-log.ts';
import { Recorder } from '../../telemetry/recorder.ts';
import { systemClock } from '../../sharing/clock.ts';
import { Turns } from '../../sharing/turns.ts';
import { usageExit, type Backend } from '../backend.ts';
import { accessOf } from './access.ts';
import type { openCluster as OpenClusterFunction } from './serve-cluster.ts';
import { keepTraces, type Traces } from './keep-traces.ts';
import { openGuardFiles } from './serve-files.ts';
import { RefusedRequests } from './refused-requests.ts';
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
  const { streams } = around;
  try {
    await open(config, createLogger(config.logLevel, logDestination(config, streams)), around);
    return 0;
  } catch (error) {
    if (!(error instanceof ServerError)) return usageExit(error, streams);
    streams.err(`etcd-guard: ${error.message}\n`);
    return 1;
  }
}

async function open(config: ServeConfig, log: Logger, around: ServeSurroundings): Promise<void> {
  const { streams, version, environment } = around;
  const { guards, roleLabels, capabilities } = config;
  const recorder = new Recorder(version);
  const traces = await keepTraces(environment, { version, log });
  const observers = { recorder, log, traces };
  const backend =
    guards.kind === 'files'
      ? await openGuardFiles(guards.files, observers)
      : await openCluster(guards.kubeconfig, {
          ...observers,
          environment,
          roleLabels,
          capabilities,
          webhookConfiguration: config.certificate.configuration,
        });
  const replica = environment['POD_NAME'] || hostname();
  await run(config, backend, { streams, version, replica, ...observers });
}

/** A line is written before the answer that it tells of: none that was given is without one. */
function logDestination({ logFormat }: ServeConfig, { out, terminal }: Streams): DestinationStream {
  const format = logFormat ?? (terminal === null ? 'json' : 'pretty');
  return format === 'json' ? { write: out } : prettyLog(out, { color: terminal?.color ?? false });
}

interface Running {
  readonly streams: Streams;
  readonly version: string;
  /** What people know this process by. */
  readonly replica: string;
  readonly recorder: Recorder;
  readonly log: Logger;
  readonly traces: Traces;
}

async function run(config: ServeConfig, backend: Backend, around: Running): Promise<void> {
  const { streams, version, recorder, log } = around;
  const certificates = await servingCertificates(config, backend.certificates ?? null, around);
  const access = await accessOf(config, around);
  const decisions = config.statusPage ? new DecisionLog(() => Date.now()) : null;
  const serving = { certificate: certificates.first, clients: access.clients };
  const refused = new RefusedRequests(log, systemClock);
  const webhook = webhookServer(serving, { ...backend, decisions, refused }, around);
  const readiness = createReadiness(webhook);
  recorder.readyAtScrape(async () => (await readiness()).ready);
  const page = statusPage({ decisions, backend, readiness }, around);
  const observability = createObservabilityServer({
    page,
    metrics: recorder,
    readiness,
    version,
    ...(access.metricsCertificate && { certificate: access.metricsCertificate }),
    ...(access.metricsToken && { admits: (given) => access.metricsToken?.admits(given) ?? false }),
    onFailed: (error) => log.error({ err: error }, 'could not answer on the metrics port'),
  });
  const { listen, metricsListen } = config;
  const servers = await startServers({ webhook, observability, listen, metricsListen });
  const certificate = certificates.follow(webhook);
  const files = access.follow({ webhook, observability });
  const running = backend.start();
  const stopped = aborted(streams.stop);
  await Promise.race([certificate.served, stopped]);
  if (!streams.stop.aborted) {
    log.info({ https: servers.https, http: servers.http }, 'listening');
  }
  await stopped;
  log.info({ delayMs: config.shutdownDelayMs }, 'stopping');
  certificate.stop();
  files.stop();
  await servers.shutdown(config.shutdownDelayMs);
  refused.close();
  page?.stop();
  running.stop();
  await backend.close();
  await around.traces.close();
  log.info('stopped');
}

interface Reviewing extends Backend {
  readonly decisions: DecisionLog | null;
  readonly refused: RefusedRequests;
}

function webhookServer(
  serving: Pick<WebhookOptions, 'certificate' | 'clients'>,
  { source, announce, others, decisions, refused }: Reviewing,
  { recorder, log, traces }: Running,
): WebhookServer {
  const handle = createReviewHandler({
    guards: source,
    recorder,
    log,
    announce,
    ...(decisions !== null && { keepDecision: (decided) => decisions.add(decided) }),
    turns: new Turns(systemClock),
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
  });
  return new WebhookServer({
    ...serving,
    handle: traces.reviews(handle),
    others: new Map([...(others ?? [])].map(([path, other]) => [path, traces.reviews(other)])),
    events: {
      onBadRequest(kind) {
        recorder.badRequest();
        refused.note(kind);
      },
      onHandlerFailed: (error) => log.error({ err: error }, 'could not answer a review'),
    },
  });
}

function statusPage(
  {
    decisions,
    backend: { status },
    readiness,
  }: {
    readonly decisions: DecisionLog | null;
    readonly backend: Backend;
    readonly readiness: ReturnType<typeof createReadiness>;
  },
  { version, replica }: Running,
): StatusPage | null {
  if (decisions === null) return null;
  return new StatusPage({
    source: status,
    looksPerSecond: status.looksPerSecond,
    decisions,
    version,
    replica,
    async unready() {
      const found = await readiness();
      return found.ready ? null : found.why;
    },
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
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
