import type { X509Certificate } from 'node:crypto';
import { Trust } from './trust.ts';
import {
  TrustingConfiguration,
  type Found,
  type Registration,
  type TrustOptions,
} from './trusting-configuration.ts';
import type { Webhook } from './webhook-configuration.ts';

/** All configurations as they were read together; `absent` and `closed` are what the first one is. */
export type Configuration =
  | {
      readonly kind: 'found';
      /** In the order of the registrations. */
      readonly each: readonly Found[];
      readonly webhooks: readonly Webhook[];
    }
  | { readonly kind: 'absent' | 'closed' };

/** What it takes to follow and to write them. */
export interface WebhookTrustOptions extends TrustOptions {
  /** The first is the one without which there is nothing to do. */
  readonly registrations: readonly [Registration, ...(readonly Registration[])];
  readonly settleMs: number;
}

/** The caBundles of our webhooks: whom the API server trusts, and what we do to have it trust us. */
export class WebhookTrust {
  readonly #monotonicMs: () => number;
  readonly #trust: Trust;
  readonly #each: readonly TrustingConfiguration[];

  constructor({ registrations, settleMs, ...options }: WebhookTrustOptions) {
    this.#monotonicMs = options.monotonicMs;
    this.#trust = new Trust(settleMs);
    this.#each = registrations.map(
      (registration, index) => new TrustingConfiguration(registration, options, index === 0),
    );
  }

  /** Rejects with an ApiError where the API server can't be asked. */
  async read(): Promise<Configuration> {
    const each = await Promise.all(this.#each.map((one) => one.read()));
    const configuration = together(each);
    const webhooks = configuration.kind === 'found' ? this.#inOurHands(each) : null;
    this.#trust.observe(webhooks, this.#monotonicMs());
    return configuration;
  }

  isTrusted(authority: X509Certificate): boolean {
    return this.#trust.isTrusted(authority);
  }

  isSettled(authority: X509Certificate): boolean {
    return this.#trust.isSettled(authority, this.#monotonicMs());
  }

  /** Authorities of guards that are trusted now. */
  get trusted(): readonly X509Certificate[] {
    return this.#trust.ours;
  }

  /** Nobody asks us, or whom callers trust is out of our hands. */
  isPowerless(configuration: Configuration): boolean {
    if (configuration.kind !== 'found') return true;
    return this.#each.every(
      (one, index) => one.refused || configuration.each[index]?.kind !== 'found',
    );
  }

  /** Makes the caBundles trust exactly these; true if any had to be written. */
  async spread(
    configuration: Configuration,
    authorities: readonly X509Certificate[],
  ): Promise<boolean> {
    if (configuration.kind !== 'found' || authorities.length === 0) return false;
    const { each } = configuration;
    const written = await Promise.all(
      this.#each.map(async (one, index) => {
        const found = each[index];
        return found !== undefined && one.spread(found, authorities);
      }),
    );
    return written.includes(true);
  }

  /** One whose caBundle may not be written must not hold up the others; alone, it is all there is. */
  #inOurHands(each: readonly Found[]): readonly Webhook[] {
    const ours = each.filter((_, index) => this.#each[index]?.refused === false);
    const webhooks = webhooksIn(ours);
    return webhooks.length > 0 ? webhooks : webhooksIn(each);
  }
}

function together(each: readonly Found[]): Configuration {
  const [main] = each;
  const webhooks = webhooksIn(each);
  if (webhooks.length > 0) return { kind: 'found', each, webhooks };
  return { kind: main?.kind === 'closed' ? 'closed' : 'absent' };
}

function webhooksIn(each: readonly Found[]): readonly Webhook[] {
  return each.flatMap((found) => (found.kind === 'found' ? found.webhooks : []));
}
