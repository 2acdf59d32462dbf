import type { X509Certificate } from 'node:crypto';
import {
  ApiError,
  type KubernetesApi,
  type KubernetesObject,
  type Resource,
} from '../kubernetes/api/api.ts';
import type { Attention, CertificateLog } from './attention.ts';
import { Pacing } from './pacing.ts';
import { nameOf } from './pem.ts';
import { Trust } from './trust.ts';
import {
  bundlePatch,
  trustsExactly,
  webhooksOf,
  type Service,
  type Webhook,
} from './webhook-configuration.ts';

/** `absent`: there is none, or no webhook in it is ours. `closed`: we may not read it. */
export type Configuration =
  | {
      readonly kind: 'found';
      readonly object: KubernetesObject;
      readonly webhooks: readonly Webhook[];
    }
  | { readonly kind: 'absent' | 'closed' };

/** What it takes to follow and to write a webhook configuration. */
export interface WebhookTrustOptions {
  readonly api: KubernetesApi;
  readonly configuration: string;
  readonly service: Service;
  readonly settleMs: number;
  readonly withinMs: number;
  readonly monotonicMs: () => number;
  readonly attention: Attention;
  readonly log: CertificateLog;
}

const CONFIGURATIONS: Resource = {
  prefix: '/apis/admissionregistration.k8s.io/v1',
  plural: 'validatingwebhookconfigurations',
  namespace: null,
};

/** The caBundle of our webhooks: whom the API server trusts, and what we do to have it trust us. */
export class WebhookTrust {
  readonly #options: WebhookTrustOptions;
  readonly #trust: Trust;
  readonly #pacing = new Pacing({ burst: 5, firstMs: 10_000, longestMs: 300_000 });
  /** The API server refuses our writes. */
  #refused = false;

  constructor(options: WebhookTrustOptions) {
    this.#options = options;
    this.#trust = new Trust(options.settleMs);
  }

  /** Rejects with an ApiError where the API server can't be asked. */
  async read(): Promise<Configuration> {
    const configuration = await this.#get();
    const webhooks = configuration.kind === 'found' ? configuration.webhooks : null;
    this.#trust.observe(webhooks, this.#options.monotonicMs());
    return configuration;
  }

  isTrusted(authority: X509Certificate): boolean {
    return this.#trust.isTrusted(authority);
  }

  isSettled(authority: X509Certificate): boolean {
    return this.#trust.isSettled(authority, this.#options.monotonicMs());
  }

  /** Authorities of guards that are trusted now. */
  get trusted(): readonly X509Certificate[] {
    return this.#trust.ours;
  }

  /** Nobody asks us, or whom callers trust is out of our hands. */
  isPowerless({ kind }: Configuration): boolean {
    return kind !== 'found' || this.#refused;
  }

  /** Makes the caBundle trust exactly these; true if it had to be written. */
  async spread(
    configuration: Configuration,
    authorities: readonly X509Certificate[],
  ): Promise<boolean> {
    if (configuration.kind !== 'found' || authorities.length === 0) return false;
    const { attention, monotonicMs } = this.#options;
    const wrong = configuration.webhooks.filter((webhook) => !trustsExactly(webhook, authorities));
    if (wrong.length === 0) {
      this.#refused = false;
      // In a quarrel it is right for a moment after each of our writes.
      if (this.#pacing.waitMs(monotonicMs()) === 0) attention.over('webhook-configuration');
      return false;
    }
    if (this.#pacing.waitMs(monotonicMs()) > 0) {
      attention.needed(
        'webhook-configuration',
        `somebody else keeps changing the caBundle of ${this.#named}: writing it less and less often; if it is cert-manager, use --tls-cert and --tls-key`,
      );
      return false;
    }
    return this.#write(configuration.object, wrong, authorities);
  }

  get #named(): string {
    return `ValidatingWebhookConfiguration ${this.#options.configuration}`;
  }

  async #get(): Promise<Configuration> {
    const { api, configuration, service, withinMs, attention } = this.#options;
    const about = 'webhook-configuration';
    let object: KubernetesObject | null;
    try {
      object = await api.get(CONFIGURATIONS, configuration, withinMs);
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'forbidden') throw error;
      attention.needed(about, `${error.message}; the caBundle is left to you`);
      return { kind: 'closed' };
    }
    if (object === null) {
      attention.needed(about, `there is no ${this.#named}: nothing is guarded until there is`);
      return { kind: 'absent' };
    }
    const webhooks = webhooksOf(object, service);
    if (webhooks.length > 0) return { kind: 'found', object, webhooks };
    attention.needed(
      about,
      `no webhook of ${this.#named} names the Service ${service.namespace}/${service.name} or a URL: nothing is guarded`,
    );
    return { kind: 'absent' };
  }

  async #write(
    object: KubernetesObject,
    wrong: readonly Webhook[],
    authorities: readonly X509Certificate[],
  ): Promise<boolean> {
    const { api, configuration, service, withinMs, attention, log, monotonicMs } = this.#options;
    try {
      const patch = bundlePatch(object, service, authorities);
      await api.patch(CONFIGURATIONS, configuration, patch, withinMs);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.code === 'conflict' || error.code === 'not-found') return true;
      this.#refused = error.code === 'forbidden' || error.code === 'refused';
      attention.needed('webhook-configuration', error.message);
      return false;
    }
    this.#pacing.written(monotonicMs());
    this.#refused = false;
    log.info(
      {
        configuration,
        webhooks: wrong.map(({ name }) => name),
        authorities: authorities.map(nameOf),
        before: wrong.map(({ trusted }) => trusted.map(nameOf).join('; ')),
      },
      'wrote the caBundle',
    );
    return true;
  }
}
