import type { X509Certificate } from 'node:crypto';
import { isOurs, isSame } from './pem.ts';
import type { Webhook } from './webhook-configuration.ts';

/** Our webhooks as just read; null: there are none, or we may not know. */
export type Observed = readonly Webhook[] | null;

/** Which authorities callers trust, and since when we have seen that they do. */
export class Trust {
  readonly #settleMs: number;
  readonly #sinceMs = new Map<string, number>();
  #observed: Observed = null;

  /** API servers follow their configurations by a watch: `settleMs` is what they are given for it. */
  constructor(settleMs: number) {
    this.#settleMs = settleMs;
  }

  observe(observed: Observed, nowMs: number): void {
    this.#observed = observed;
    const [first, ...others] = observed ?? [];
    const everywhere = (first?.trusted ?? []).filter((authority) =>
      others.every(({ trusted }) => trusted.some((one) => isSame(one, authority))),
    );
    const now = new Set(everywhere.map(({ fingerprint256 }) => fingerprint256));
    for (const known of this.#sinceMs.keys()) if (!now.has(known)) this.#sinceMs.delete(known);
    for (const one of now) if (!this.#sinceMs.has(one)) this.#sinceMs.set(one, nowMs);
  }

  /** All our webhooks trust it. */
  isTrusted({ fingerprint256 }: X509Certificate): boolean {
    return this.#sinceMs.has(fingerprint256);
  }

  /** All our webhooks trust it, and have done so for long enough. */
  isSettled({ fingerprint256 }: X509Certificate, nowMs: number): boolean {
    const sinceMs = this.#sinceMs.get(fingerprint256);
    return sinceMs !== undefined && nowMs - sinceMs >= this.#settleMs;
  }

  /** Authorities of guards that some webhook of ours trusts; whoever serves may serve from them. */
  get ours(): readonly X509Certificate[] {
    const all = (this.#observed ?? []).flatMap(({ trusted }) => trusted).filter(isOurs);
    return all.filter((one, index) => all.findIndex((other) => isSame(one, other)) === index);
  }
}
