import { ApiError, type KubernetesApi } from '../kubernetes/api/api.ts';
import type { ServingCertificate } from '../server/certificate.ts';
import { Attention, type CertificateLog } from './attention.ts';
import { carryOut, type Change } from './carry-out.ts';
import { isSame, nameOf } from './pem.ts';
import { nextStep, type Situation } from './plan.ts';
import { SecretStore, type SecretReading } from './secret-store.ts';
import type { Serving, Stored } from './stored.ts';
import type { Registration } from './trusting-configuration.ts';
import { hasExpired, LIFETIMES, type Lifetimes } from './validity.ts';
import type { Service } from './webhook-configuration.ts';
import { WebhookTrust, type Configuration } from './webhook-trust.ts';

/** Where the certificate is kept, and who is to trust it. */
export interface CertificatePlace {
  /** Of the Secret and of the Service. */
  readonly namespace: string;
  readonly secret: string;
  readonly service: string;
  /** The name of the ValidatingWebhookConfiguration. */
  readonly configuration: string;
  /** What else has the API server ask us. */
  readonly others?: readonly Registration[];
}

/** What a keeper needs. */
export interface KeeperOptions {
  readonly api: KubernetesApi;
  readonly place: CertificatePlace;
  readonly log: CertificateLog;
  /** Called with the first certificate, and with each that takes its place. */
  readonly serve: (certificate: ServingCertificate) => void;
  /** Told once of each content of the Secret that can't be used. */
  readonly onUnusable?: () => void;
  /** Wall clock and monotonic clock, in milliseconds. */
  readonly nowMs: () => number;
  readonly monotonicMs: () => number;
  readonly lifetimes?: Lifetimes;
  /** How long callers must have trusted an authority before anything is served from it. */
  readonly settleMs?: number;
}

/** API servers see a changed webhook configuration within a second; this is for slow ones. */
const SETTLE_MS = 15_000;
const POLL_MS = 5_000;
/** While there is nothing to serve. */
const IMPATIENT_MS = 500;
const WITHIN_MS = 5_000;
/** From no Secret to a trusted certificate it takes three writes; others may be first at each. */
const ROUNDS = 8;

/** Keeps the certificate of one replica: made, shared, trusted, renewed, served. */
export class CertificateKeeper {
  readonly #options: KeeperOptions;
  readonly #service: Service;
  readonly #lifetimes: Lifetimes;
  readonly #attention: Attention;
  readonly #secret: SecretStore;
  readonly #trust: WebhookTrust;
  #served: Serving | null = null;
  #remembered: Stored | null = null;

  constructor(options: KeeperOptions) {
    const { api, place, log, monotonicMs, lifetimes = LIFETIMES, settleMs = SETTLE_MS } = options;
    const { namespace, secret, service, configuration, others = [] } = place;
    this.#options = options;
    this.#service = { namespace, name: service };
    this.#lifetimes = lifetimes;
    this.#attention = new Attention(log);
    const common = { api, withinMs: WITHIN_MS, monotonicMs, attention: this.#attention };
    this.#secret = new SecretStore({
      ...common,
      namespace,
      name: secret,
      onUnusable: () => options.onUnusable?.(),
    });
    this.#trust = new WebhookTrust({
      ...common,
      registrations: [
        {
          kind: 'ValidatingWebhookConfiguration',
          name: configuration,
          without: 'nothing is guarded',
        },
        ...others,
      ],
      service: this.#service,
      settleMs,
      log,
    });
  }

  /** Looks at everything once and does what is due; resolves with the time until the next look. */
  async look(): Promise<number> {
    try {
      for (let round = 0; round < ROUNDS; round += 1) {
        if ((await this.#round()) === 'done') break;
      }
      this.#attention.over('api-server');
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#attention.needed('api-server', error.message);
    }
    return this.#served === null ? IMPATIENT_MS : POLL_MS;
  }

  /**
   * The configuration is read before the Secret, and written only as it was read: so no caBundle that
   * rests on an older Secret can replace one that rests on a newer.
   */
  async #round(): Promise<'again' | 'done'> {
    const configuration = await this.#trust.read();
    const reading = await this.#secret.read();
    if (reading === null) return 'done';
    if (reading.stored !== null) {
      this.#switchTo(reading.stored, configuration);
      const changed = await this.#advance(reading, reading.stored, configuration);
      if (changed !== 'nothing') return changed;
    }
    const { authorities } = reading.stored ?? this.#remembered ?? { authorities: [] };
    return (await this.#trust.spread(configuration, authorities)) ? 'again' : 'done';
  }

  /** Serves what the Secret holds, as soon as those who trust what we serve now trust that too. */
  #switchTo(stored: Stored, configuration: Configuration): void {
    const { serving } = stored;
    if (serving === null) return;
    if (stored.key !== null) this.#remembered = stored;
    const { certificate, leaf, issuer } = serving;
    if (this.#served?.certificate.fingerprint === certificate.fingerprint) return;
    if (!this.#mayServe(serving, configuration)) {
      this.#attention.waiting(
        'hand-over',
        `not serving the new certificate before the webhooks have trusted ${nameOf(issuer)} for a while`,
      );
      return;
    }
    this.#served = serving;
    this.#options.serve(certificate);
    this.#attention.over('hand-over');
    const { notAfter } = certificate;
    const fields = { notAfter, names: leaf.subjectAltName, authority: nameOf(issuer) };
    this.#options.log.info(fields, 'serving a new certificate');
  }

  #mayServe({ issuer }: Serving, configuration: Configuration): boolean {
    const served = this.#served;
    if (served === null) {
      // Another replica may be trusted where we are not: then it has to be asked, and not we.
      const isAlone = this.#trust.trusted.every((one) => isSame(one, issuer));
      return this.#trust.isTrusted(issuer) || isAlone || this.#trust.isPowerless(configuration);
    }
    return (
      isSame(served.issuer, issuer) ||
      hasExpired(served.leaf, this.#options.nowMs()) ||
      this.#trust.isSettled(issuer)
    );
  }

  /** Makes the next change to the Secret, if one is due and may be made. */
  async #advance(
    reading: SecretReading,
    stored: Stored,
    configuration: Configuration,
  ): Promise<'nothing' | 'again' | 'done'> {
    const situation = this.#situation(stored, configuration);
    const step = nextStep(situation);
    if (step.kind === 'none' || step.kind === 'wait') {
      this.#secret.settled();
      return 'nothing';
    }
    if (!this.#secret.mayWrite()) return 'nothing';
    const next = await carryOut(step, situation);
    const consequence =
      this.#served === null
        ? 'not ready: a certificate that is not shared would break the other replicas'
        : `serving the old certificate until ${this.#served.leaf.validToDate.toISOString()}`;
    const outcome = await this.#secret.write(reading, next, consequence);
    if (outcome === 'written') this.#tell(step, next);
    if (outcome !== 'failed') return 'again';
    // The webhooks must not lose the authority that we serve from.
    return step.kind === 'adopt' ? 'done' : 'nothing';
  }

  #situation(stored: Stored, configuration: Configuration): Situation {
    return {
      stored,
      served: this.#served,
      remembered: this.#remembered,
      names: this.#names(stored, configuration),
      lifetimes: this.#lifetimes,
      nowMs: this.#options.nowMs(),
      isSettled: (authority) => this.#trust.isSettled(authority),
      trusted: this.#trust.trusted,
      powerless: this.#trust.isPowerless(configuration),
    };
  }

  /** Of the Service, and of webhooks with a URL; while these can't be read, those that it had. */
  #names({ serving }: Stored, configuration: Configuration): readonly string[] {
    const { namespace, name } = this.#service;
    const service = `${name}.${namespace}.svc`;
    const hosts =
      configuration.kind === 'found'
        ? configuration.webhooks.flatMap(({ host }) => (host === null ? [] : [host]))
        : namesOf(serving);
    const names = [service, `${service}.cluster.local`, `${name}.${namespace}`, name, ...hosts];
    return [...new Set(names)];
  }

  #tell(step: Change, { authorities, serving }: Stored): void {
    const { log } = this.#options;
    const [signer] = authorities;
    const secret = this.#secret.named;
    const fields = { secret, ...(signer !== undefined && { authority: nameOf(signer) }) };
    switch (step.kind) {
      case 'restore':
        log.warn(fields, 'put the certificate that is served back into the Secret');
        return;
      case 'adopt':
        log.warn(
          { secret, authorities: step.authorities.map(nameOf) },
          'the Secret had lost an authority that is in use: it stays trusted',
        );
        return;
      case 'new-authority':
        log.info(
          { ...fields, why: step.why, notAfter: signer?.validToDate },
          'made a new authority',
        );
        return;
      case 'issue': {
        const { notAfter } = serving?.certificate ?? {};
        log.info({ ...fields, why: step.why, notAfter }, 'issued a new certificate');
        return;
      }
      case 'retire':
        log.info({ ...fields, retired: step.authorities.map(nameOf) }, 'dropped old authorities');
    }
  }
}

/** Its DNS names and IP addresses. */
function namesOf(serving: Serving | null): readonly string[] {
  const listed = serving?.leaf.subjectAltName?.split(', ') ?? [];
  return listed.map((one) => one.replace(/^(DNS|IP Address):/, ''));
}
