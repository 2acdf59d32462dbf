import type { X509Certificate } from 'node:crypto';
import type { KubernetesObject } from '../kubernetes/api/api.ts';
import { certificatesIn, isSame, pemOf } from './pem.ts';

/** The Service through which the API server reaches us. */
export interface Service {
  readonly namespace: string;
  readonly name: string;
}

/** A webhook of ours, as its configuration has it now. */
export interface Webhook {
  readonly name: string;
  /** What its caBundle holds; `clean` is false if something in it is no certificate. */
  readonly trusted: readonly X509Certificate[];
  readonly clean: boolean;
  /** Under this name the API server asks for us where it goes by URL. */
  readonly host: string | null;
}

/**
 * The webhooks of a configuration that are ours: all of it is, but for those that name another
 * Service. One with a URL is ours: that is how a guard outside of the cluster is registered.
 */
export function webhooksOf(configuration: KubernetesObject, service: Service): readonly Webhook[] {
  return webhooksIn(configuration)
    .filter((webhook) => isOurs(webhook, service))
    .map((webhook) => {
      const client = recordIn(webhook, 'clientConfig');
      const bundle = Buffer.from(textIn(client, 'caBundle'), 'base64').toString();
      const { certificates, clean } = certificatesIn(bundle);
      const url = textIn(client, 'url');
      return {
        name: textIn(webhook, 'name'),
        trusted: certificates,
        clean,
        host: url !== '' && URL.canParse(url) ? hostOf(url) : null,
      };
    });
}

/** Whether it trusts exactly these; their order means nothing. */
export function trustsExactly(
  { trusted, clean }: Webhook,
  authorities: readonly X509Certificate[],
): boolean {
  return (
    clean &&
    trusted.length === authorities.length &&
    authorities.every((authority) => trusted.some((one) => isSame(one, authority)))
  );
}

/** A merge patch that makes our webhooks trust these, and fails if anything has changed meanwhile. */
export function bundlePatch(
  configuration: KubernetesObject,
  service: Service,
  authorities: readonly X509Certificate[],
): unknown {
  const caBundle = Buffer.from(pemOf(authorities)).toString('base64');
  return {
    metadata: { resourceVersion: configuration.metadata.resourceVersion },
    webhooks: webhooksIn(configuration).map((webhook) =>
      isOurs(webhook, service)
        ? { ...webhook, clientConfig: { ...recordIn(webhook, 'clientConfig'), caBundle } }
        : webhook,
    ),
  };
}

type Fields = Readonly<Record<string, unknown>>;

function webhooksIn({ webhooks }: KubernetesObject): readonly Fields[] {
  return Array.isArray(webhooks) ? webhooks.filter((webhook) => isRecord(webhook)) : [];
}

function isOurs(webhook: Fields, { namespace, name }: Service): boolean {
  const client = recordIn(webhook, 'clientConfig');
  if (!isRecord(client['service'])) return textIn(client, 'url') !== '';
  const { service } = client;
  return service['namespace'] === namespace && service['name'] === name;
}

function recordIn(fields: Fields, key: string): Fields {
  const value = fields[key];
  return isRecord(value) ? value : {};
}

function textIn(fields: Fields, key: string): string {
  const value = fields[key];
  return typeof value === 'string' ? value : '';
}

function isRecord(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Without the brackets of an IPv6 address and the dot that ends an absolute name. */
function hostOf(url: string): string {
  return new URL(url).hostname.replaceAll(/^\[|[\].]$/g, '');
}
