import type { ServeConfig } from '../../config.ts';
import { BearerToken } from '../../server/bearer-token.ts';
import {
  loadCertificate,
  secureContextOf,
  watchCertificate,
  type ServingCertificate,
} from '../../server/certificate.ts';
import { loadClientAuthority, watchClientAuthority } from '../../server/client-authority.ts';
import type { FileWatch } from '../../server/follow-files.ts';
import type { ServingServers } from '../../server/lifecycle.ts';
import type { AllowedClients } from '../../server/webhook-server.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Recorder } from '../../telemetry/recorder.ts';

/** Who may ask for reviews, and who may read what on the metrics port. */
export interface Access {
  readonly clients: AllowedClients | null;
  /** null: plain HTTP. */
  readonly metricsCertificate: ServingCertificate | null;
  /** null: whoever reaches it. */
  readonly metricsToken: BearerToken | null;
  /** Has the servers heed new versions of the files. */
  follow(servers: ServingServers): FileWatch;
}

interface Telling {
  readonly recorder: Recorder;
  readonly log: Logger;
}

/** Reads the files that the configuration names; throws a ServerError. */
export async function accessOf(config: ServeConfig, telling: Telling): Promise<Access> {
  const { clients, metricsTls, metricsTokenFile } = config;
  const authority = clients && (await loadClientAuthority(clients.caFile));
  const metricsCertificate = metricsTls && (await loadCertificate(metricsTls));
  const metricsToken = metricsTokenFile === null ? null : await BearerToken.load(metricsTokenFile);
  return {
    clients: clients && authority && { authority, names: clients.names },
    metricsCertificate,
    metricsToken,
    follow({ webhook, observability }) {
      const watches: FileWatch[] = [];
      if (clients && authority) {
        const events = told(
          'authority of clients',
          telling,
          webhook.useClientAuthority.bind(webhook),
        );
        watches.push(watchClientAuthority(clients.caFile, authority, events));
      }
      if (metricsTls && metricsCertificate && 'setSecureContext' in observability) {
        const events = told(
          'certificate of the metrics port',
          telling,
          (next: ServingCertificate) => observability.setSecureContext(secureContextOf(next)),
        );
        watches.push(watchCertificate(metricsTls, metricsCertificate, events));
      }
      if (metricsToken) {
        watches.push(
          metricsToken.follow(told('token of the metrics port', telling, () => undefined)),
        );
      }
      return { stop: () => watches.forEach((watch) => watch.stop()) };
    },
  };
}

/** Says what became of a new version of a file, and has it used. */
function told<T>(what: string, { recorder, log }: Telling, use: (value: T) => void) {
  return {
    onReloaded(value: T) {
      use(value);
      log.info(`the new ${what} is in force`);
    },
    onReloadFailed(error: Error) {
      recorder.reloadFailed('access');
      log.error({ err: error }, `the new ${what} is unusable: keeping the old one`);
    },
  };
}
