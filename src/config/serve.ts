import type { ListenAddress } from '../server/listen.ts';
import { LOG_LEVELS, type LogLevel } from '../telemetry/logger.ts';
import type { Command, Options } from './command.ts';
import { GUARDS, guardsConfig, type GuardsConfig } from './meant.ts';
import { duration, flag, list, listenAddress, objectName, oneOf, text } from './values.ts';
import type { Given } from './values.ts';

const CAPABILITIES = ['exclusive-locks', 'injection'] as const;
const LOG_FORMATS = ['json', 'pretty'] as const;
const ON_OFF = ['on', 'off'] as const;

/** Something that a component of the installation turns on, by the flag of this name. */
export type CapabilityName = (typeof CAPABILITIES)[number];

/** `etcd-guard serve`. */
export interface ServeConfig {
  readonly command: 'serve';
  readonly guards: GuardsConfig;
  readonly listen: ListenAddress;
  readonly metricsListen: ListenAddress;
  /** null: a certificate is made: in memory with guards from files, else kept in the cluster. */
  readonly tls: { readonly certFile: string; readonly keyFile: string } | null;
  /** Whose certificates callers must have, and which names; null: whoever reaches us may ask. */
  readonly clients: { readonly caFile: string; readonly names: readonly string[] } | null;
  /** null: plain HTTP. */
  readonly metricsTls: { readonly certFile: string; readonly keyFile: string } | null;
  /** null: whoever reaches the metrics port may read. */
  readonly metricsTokenFile: string | null;
  /** Names of what a certificate that is kept in the cluster has to do with. */
  readonly certificate: {
    readonly secret: string;
    readonly service: string;
    /** Of the ValidatingWebhookConfiguration. */
    readonly configuration: string;
    /** Of the Secret and the Service; null: where we run. */
    readonly namespace: string | null;
  };
  readonly logLevel: LogLevel;
  /** null: pretty on a terminal, else JSON. */
  readonly logFormat: (typeof LOG_FORMATS)[number] | null;
  readonly shutdownDelayMs: number;
  /** Whether members' pods are labelled with their role. */
  readonly roleLabels: boolean;
  /** Whether there is a page for people at `/` of the plain HTTP port. */
  readonly statusPage: boolean;
  /** What is answered besides deletions of etcd pods; only in a cluster. */
  readonly capabilities: readonly CapabilityName[];
}

const OPTIONS: Options = {
  ...GUARDS,
  listen: { type: 'string' },
  'metrics-listen': { type: 'string' },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  'client-ca': { type: 'string' },
  'client-name': { type: 'string', multiple: true },
  'metrics-tls-cert': { type: 'string' },
  'metrics-tls-key': { type: 'string' },
  'metrics-token-file': { type: 'string' },
  'certificate-secret': { type: 'string' },
  'webhook-configuration': { type: 'string' },
  service: { type: 'string' },
  namespace: { type: 'string', short: 'n' },
  'log-level': { type: 'string', values: LOG_LEVELS },
  'log-format': { type: 'string', values: LOG_FORMATS },
  'shutdown-delay': { type: 'string' },
  'role-labels': { type: 'boolean' },
  'exclusive-locks': { type: 'boolean' },
  injection: { type: 'boolean' },
  'status-page': { type: 'string', values: ON_OFF },
};

/** `etcd-guard serve`, as it is read. */
export const SERVE: Command<ServeConfig> = { options: OPTIONS, read };

function read(given: Given): ServeConfig {
  const guards = guardsConfig(given);
  return {
    command: 'serve',
    guards,
    listen: listenAddress(given, 'listen', '0.0.0.0:8443'),
    metricsListen: listenAddress(given, 'metrics-listen', '0.0.0.0:8080'),
    tls: tlsFiles(given, 'tls'),
    clients: clients(given),
    metricsTls: tlsFiles(given, 'metrics-tls'),
    metricsTokenFile: text(given, 'metrics-token-file') ?? null,
    certificate: {
      secret: objectName(given, 'certificate-secret') ?? 'etcd-guard-tls',
      service: objectName(given, 'service') ?? 'etcd-guard',
      configuration: objectName(given, 'webhook-configuration') ?? 'etcd-guard',
      namespace: objectName(given, 'namespace'),
    },
    logLevel: oneOf(given, 'log-level', LOG_LEVELS) ?? 'info',
    logFormat: oneOf(given, 'log-format', LOG_FORMATS),
    shutdownDelayMs: duration(given, 'shutdown-delay', '5s'),
    roleLabels: clusterFlag(given, 'role-labels', guards),
    statusPage: oneOf(given, 'status-page', ON_OFF) !== 'off',
    capabilities: CAPABILITIES.filter((name) => clusterFlag(given, name, guards)),
  };
}

/** Whether it is asked for; only guards from a cluster have it. */
function clusterFlag(
  given: Given,
  name: CapabilityName | 'role-labels',
  { kind }: GuardsConfig,
): boolean {
  const asked = flag(given, name);
  if (asked && kind === 'files') given.problems.push(`--guards and --${name} exclude each other`);
  return asked;
}

function tlsFiles(given: Given, prefix: 'tls' | 'metrics-tls'): ServeConfig['tls'] {
  const certFile = text(given, `${prefix}-cert`);
  const keyFile = text(given, `${prefix}-key`);
  if (certFile !== undefined && keyFile !== undefined) return { certFile, keyFile };
  const isToldOf = given.valueless.has(`${prefix}-cert`) || given.valueless.has(`${prefix}-key`);
  if (certFile !== keyFile && !isToldOf) {
    given.problems.push(`--${prefix}-cert and --${prefix}-key go together`);
  }
  return null;
}

function clients(given: Given): ServeConfig['clients'] {
  const caFile = text(given, 'client-ca');
  const names = list(given, 'client-name');
  if (caFile !== undefined) return { caFile, names: names ?? [] };
  // Names alone would look as if they kept anybody out.
  const isToldOf = given.valueless.has('client-ca');
  if (names !== null && !isToldOf) given.problems.push('--client-name needs --client-ca');
  return null;
}
