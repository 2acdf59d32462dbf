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
import {
  bundlePatch,
  trustsExactly,
  webhooksOf,
  type Service,
  type Webhook,
} from './webhook-configuration.ts';

/** A webhook configuration that has the API server ask us. */
export interface Registration {
  readonly kind: 'ValidatingWebhookConfiguration' | 'MutatingWebhookConfiguration';
  readonly name: string;
  /** What follows where it is not there, as in "nothing is guarded". */
  readonly without: string;
}

/** `absent`: there is none, or no webhook in it is ours. `closed`: we may not read it. */
export type Found =
  | {
      readonly kind: 'found';
      readonly object: KubernetesObject;
      readonly webhooks: readonly Webhook[];
    }
  | { readonly kind: 'absent' | 'closed' };

/** What it takes to follow and to write webhook configurations. */
export interface TrustOptions {
  readonly api: KubernetesApi;
  readonly service: Service;
  readonly withinMs: number;
  readonly monotonicMs: () => number;
  readonly attention: Attention;
  readonly log: CertificateLog;
}

const PLURALS: Readonly<Record<Registration['kind'], string>> = {
  ValidatingWebhookConfiguration: 'validatingwebhookconfigurations',
  MutatingWebhookConfiguration: 'mutatingwebhookconfigurations',
};

/** One webhook configuration, and whom its webhooks trust. */
export class TrustingConfiguration {
  readonly #registration: Registration;
  readonly #options: TrustOptions;
  readonly #resource: Resource;
  readonly #topic: `webhook-configuration ${string}` | 'webhook-configuration';
  readonly #pacing = new Pacing({ burst: 5, firstMs: 10_000, longestMs: 300_000 });
  #refused = false;

  constructor(registration: Registration, options: TrustOptions, isMain: boolean) {
    this.#registration = registration;
    this.#options = options;
    this.#resource = {
      prefix: '/apis/admissionregistration.k8s.io/v1',
      plural: PLURALS[registration.kind],
      namespace: null,
    };
    this.#topic = isMain ? 'webhook-configuration' : `webhook-configuration ${registration.name}`;
  }

  /** The API server refuses our writes. */
  get refused(): boolean {
    return this.#refused;
  }

  /** Rejects with an ApiError where the API server can't be asked. */
  async read(): Promise<Found> {
    const { api, service, withinMs, attention } = this.#options;
    const { name, without } = this.#registration;
    let object: KubernetesObject | null;
    try {
      object = await api.get(this.#resource, name, withinMs);
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'forbidden') throw error;
      attention.needed(this.#topic, `${error.message}; the caBundle is left to you`);
      return { kind: 'closed' };
    }
    if (object === null) {
      attention.needed(this.#topic, `there is no ${this.#named}: ${without} until there is`);
      return { kind: 'absent' };
    }
    const webhooks = webhooksOf(object, service);
    if (webhooks.length > 0) return { kind: 'found', object, webhooks };
    attention.needed(
      this.#topic,
      `no webhook of ${this.#named} names the Service ${service.namespace}/${service.name} or a URL: ${without}`,
    );
    return { kind: 'absent' };
  }

  /** Makes the caBundle trust exactly these; true if it had to be written. */
  async spread(found: Found, authorities: readonly X509Certificate[]): Promise<boolean> {
    if (found.kind !== 'found') return false;
    const { attention, monotonicMs } = this.#options;
    const wrong = found.webhooks.filter((webhook) => !trustsExactly(webhook, authorities));
    if (wrong.length === 0) {
      this.#refused = false;
      // In a quarrel it is right for a moment after each of our writes.
      if (this.#pacing.waitMs(monotonicMs()) === 0) attention.over(this.#topic);
      return false;
    }
    if (this.#pacing.waitMs(monotonicMs()) > 0) {
      attention.needed(
        this.#topic,
        `somebody else keeps changing the caBundle of ${this.#named}: writing it less and less often; if it is cert-manager, use --tls-cert and --tls-key`,
      );
      return false;
    }
    return this.#write(found.object, wrong, authorities);
  }

  get #named(): string {
    return `${this.#registration.kind} ${this.#registration.name}`;
  }

  async #write(
    object: KubernetesObject,
    wrong: readonly Webhook[],
    authorities: readonly X509Certificate[],
  ): Promise<boolean> {
    const { api, service, withinMs, attention, log, monotonicMs } = this.#options;
    const { name } = this.#registration;
    try {
      const patch = bundlePatch(object, service, authorities);
      await api.patch(this.#resource, name, patch, withinMs);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.code === 'conflict' || error.code === 'not-found') return true;
      this.#refused = error.code === 'forbidden' || error.code === 'refused';
      attention.needed(this.#topic, error.message);
      return false;
    }
    this.#pacing.written(monotonicMs());
    this.#refused = false;
    log.info(
      {
        configuration: name,
        webhooks: wrong.map((webhook) => webhook.name),
        authorities: authorities.map(nameOf),
        before: wrong.map(({ trusted }) => trusted.map(nameOf).join('; ')),
      },
      'wrote the caBundle',
    );
    return true;
  }
}
