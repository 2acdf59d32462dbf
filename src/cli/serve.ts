import { createReviewHandler } from '../admission/admit.ts';
import type { ServeConfig } from '../config.ts';
import { connectEtcd } from '../etcd/connect.ts';
import { problemText } from '../guards/document.ts';
import { loadGuardFiles, type LoadedGuard } from '../guards/file-guards.ts';
import { FileSource } from '../guards/file-source.ts';
import { followGuardFiles } from '../guards/follow.ts';
import { refreshClusters } from '../guards/refresh.ts';
import {
  loadCertificate,
  watchCertificate,
  type ServingCertificate,
} from '../server/certificate.ts';
import { ServerError } from '../server/error.ts';
import { startServers } from '../server/lifecycle.ts';
import { createObservabilityServer } from '../server/observability-server.ts';
import { createReadiness } from '../server/readiness.ts';
import { selfSignedCertificate } from '../server/self-signed.ts';
import { WebhookServer } from '../server/webhook-server.ts';
import { createLogger, type Logger } from '../telemetry/logger.ts';
import { Recorder, type GuardLabels } from '../telemetry/recorder.ts';
import type { Streams } from './streams.ts';

/** `etcd-guard serve`: runs until it is asked to stop; resolves with the exit code. */
export async function serve(
  config: ServeConfig,
  streams: Streams,
  version: string,
): Promise<number> {
  const loaded = await loadGuardFiles(config.guards);
  if (loaded.problems !== undefined) {
    for (const problem of loaded.problems) streams.err(`etcd-guard: ${problemText(problem)}\n`);
    return 2;
  }
  try {
    await run(config, loaded.guards, { streams, version });
    return 0;
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    streams.err(`etcd-guard: ${error.message}\n`);
    return 1;
  }
}

async function run(
  config: ServeConfig,
  guards: readonly LoadedGuard[],
  { streams, version }: { readonly streams: Streams; readonly version: string },
): Promise<void> {
  const log = createLogger(config.logLevel);
  const recorder = new Recorder(version);
  const source = guardSource(guards, recorder);
  const certificate = await firstCertificate(config, log);
  recorder.certificateExpires(certificate.notAfter);
  const webhook = webhookServer(certificate, { source, recorder, log });
  const observability = createObservabilityServer({
    metrics: recorder.registry,
    readiness: createReadiness(webhook),
    version,
    onFailed: (error) => log.error({ err: error }, 'could not answer on the metrics port'),
  });
  const { listen, metricsListen } = config;
  const servers = await startServers({ webhook, observability, listen, metricsListen });
  const running = [
    refreshClusters(source),
    followGuards(config, guards, { source, recorder, log }),
    followCertificate(config, webhook, { recorder, log }),
  ];
  log.info({ https: servers.https, http: servers.http }, 'listening');
  await aborted(streams.stop);
  log.info({ delayMs: config.shutdownDelayMs }, 'stopping');
  await servers.shutdown(config.shutdownDelayMs);
  for (const one of running) one.stop();
  source.close();
  log.info('stopped');
}

interface Parts {
  readonly source: FileSource;
  readonly recorder: Recorder;
  readonly log: Logger;
}

function guardSource(guards: readonly LoadedGuard[], recorder: Recorder): FileSource {
  const source = new FileSource(guards, {
    connect: (settings) => connectEtcd(settings, recorder),
    monotonicMs: () => performance.now(),
    viewed: ({ namespace, name }, view) => recorder.cluster({ namespace, guard: name }, view),
  });
  recorder.readAtScrape(() =>
    source.guards.map(({ guard, ledger, loaded }) => ({
      namespace: guard.namespace,
      guard: guard.name,
      reservations: ledger.size,
      pods: Object.keys(loaded.document.spec.members.addresses).length,
    })),
  );
  for (const one of guards) recorder.addGuard(labelsOf(one));
  return source;
}

function labelsOf({ document: { metadata } }: LoadedGuard): GuardLabels {
  return { namespace: metadata.namespace, guard: metadata.name };
}

function webhookServer(
  certificate: ServingCertificate,
  { source, recorder, log }: Parts,
): WebhookServer {
  const handle = createReviewHandler({
    guards: source,
    recorder,
    log,
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
  });
  return new WebhookServer({
    certificate,
    handle,
    events: {
      onBadRequest: () => recorder.badRequest(),
      onHandlerFailed: (error) => log.error({ err: error }, 'could not answer a review'),
    },
  });
}

async function firstCertificate({ tls }: ServeConfig, log: Logger): Promise<ServingCertificate> {
  if (tls !== null) return loadCertificate(tls);
  const made = await selfSignedCertificate();
  const caBundle = Buffer.from(made.cert).toString('base64');
  log.info(
    { caBundle, notAfter: made.notAfter },
    'no --tls-cert: serving a self-signed certificate',
  );
  return made;
}

function followCertificate(
  { tls }: ServeConfig,
  webhook: WebhookServer,
  { recorder, log }: Pick<Parts, 'recorder' | 'log'>,
): { stop(): void } {
  if (tls === null) return { stop: () => undefined };
  return watchCertificate(tls, webhook.certificate, {
    onReloaded(certificate) {
      webhook.useCertificate(certificate);
      recorder.certificateExpires(certificate.notAfter);
      log.info({ notAfter: certificate.notAfter }, 'serving a new certificate');
    },
    onReloadFailed(error) {
      recorder.reloadFailed('certificate');
      log.error({ err: error }, 'the new certificate is unusable: keeping the old one');
    },
  });
}

function followGuards(
  { guards: files }: ServeConfig,
  initial: readonly LoadedGuard[],
  { source, recorder, log }: Parts,
): { stop(): void } {
  let known = initial.map(labelsOf);
  return followGuardFiles(files, initial, {
    onLoaded(guards) {
      source.replace(guards);
      const now = guards.map(labelsOf);
      for (const labels of now) recorder.addGuard(labels);
      for (const labels of known.filter((one) => !now.some((other) => same(one, other)))) {
        recorder.removeGuard(labels);
      }
      known = now;
      log.info({ guards: now.length }, 'guards reloaded');
    },
    onBroken(problems) {
      recorder.reloadFailed('guards');
      log.error(
        { problems: problems.map(problemText) },
        'the new guard files are unusable: keeping the old ones',
      );
    },
  });
}

function same(a: GuardLabels, b: GuardLabels): boolean {
  return a.namespace === b.namespace && a.guard === b.guard;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
