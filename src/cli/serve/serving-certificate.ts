import type { CertificatePlace } from '../../certificates/keeper.ts';
import { CertificateKeeper } from '../../certificates/keeper.ts';
import { keepLooking } from '../../certificates/follow.ts';
import type { Registration } from '../../certificates/trusting-configuration.ts';
import type { ServeConfig } from '../../config.ts';
import type { KubernetesApi } from '../../kubernetes/api/api.ts';
import {
  loadCertificate,
  watchCertificate,
  type CertificateFiles,
  type ServingCertificate,
} from '../../server/certificate.ts';
import { selfSignedCertificate } from '../../server/self-signed.ts';
import type { WebhookServer } from '../../server/webhook-server.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Recorder } from '../../telemetry/recorder.ts';

/** A cluster that keeps the certificate. */
export interface CertificateCluster {
  readonly api: KubernetesApi;
  /** Where our Secret and our Service are. */
  readonly namespace: string;
  /** Webhook configurations besides the one that guards. */
  readonly others: readonly Registration[];
}

/** Where the certificate comes from. */
export interface ServingCertificates {
  /** null: it takes a while, see `follow`. */
  readonly first: ServingCertificate | null;
  /** Has the webhook serve the first, and whatever comes to take its place. */
  follow(webhook: WebhookServer): FollowedCertificates;
}

/** A certificate that is looked after. */
export interface FollowedCertificates {
  /** Resolves once there is one to serve. */
  readonly served: Promise<void>;
  stop(): void;
}

interface Telling {
  readonly recorder: Recorder;
  readonly log: Logger;
}

/** From files, else kept in the cluster, else made for this process; throws a ServerError. */
export async function servingCertificates(
  { tls, certificate }: ServeConfig,
  cluster: CertificateCluster | null,
  telling: Telling,
): Promise<ServingCertificates> {
  if (tls !== null) return fromFiles(tls, telling);
  if (cluster === null) return madeHere(telling);
  return keptInCluster(
    cluster.api,
    {
      ...certificate,
      namespace: certificate.namespace ?? cluster.namespace,
      others: cluster.others,
    },
    telling,
  );
}

async function fromFiles(
  files: CertificateFiles,
  { recorder, log }: Telling,
): Promise<ServingCertificates> {
  const first = await loadCertificate(files);
  recorder.certificateExpires(first.notAfter);
  return {
    first,
    follow(webhook) {
      const watch = watchCertificate(files, first, {
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
      return { served: Promise.resolve(), stop: () => watch.stop() };
    },
  };
}

async function madeHere({ recorder, log }: Telling): Promise<ServingCertificates> {
  const first = await selfSignedCertificate();
  const caBundle = Buffer.from(first.cert).toString('base64');
  log.info(
    { caBundle, notAfter: first.notAfter },
    'no --tls-cert: serving a self-signed certificate',
  );
  recorder.certificateExpires(first.notAfter);
  return { first, follow: () => ({ served: Promise.resolve(), stop: () => undefined }) };
}

function keptInCluster(
  api: KubernetesApi,
  place: CertificatePlace,
  { recorder, log }: Telling,
): ServingCertificates {
  return {
    first: null,
    follow(webhook) {
      const { promise: served, resolve } = Promise.withResolvers<void>();
      const keeper = new CertificateKeeper({
        api,
        place,
        log,
        serve(certificate) {
          webhook.useCertificate(certificate);
          recorder.certificateExpires(certificate.notAfter);
          resolve();
        },
        onUnusable: () => recorder.reloadFailed('certificate'),
        nowMs: () => Date.now(),
        monotonicMs: () => performance.now(),
      });
      const looking = keepLooking(keeper, (error) => {
        log.error({ err: error }, 'could not look after the certificate');
      });
      return { served, stop: () => looking.stop() };
    },
  };
}
