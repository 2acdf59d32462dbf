/** What a logger has to be able to do here. */
export interface CertificateLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** What can be wrong, one at a time each. */
export type Topic =
  | 'api-server'
  | 'secret'
  | 'secret-writes'
  | 'webhook-configuration'
  /** One beside the guard's own. */
  | `webhook-configuration ${string}`
  | 'hand-over';

/** Tells of each problem once, and of its end. */
export class Attention {
  readonly #log: CertificateLog;
  readonly #problems = new Map<Topic, string>();

  constructor(log: CertificateLog) {
    this.#log = log;
  }

  /** True if this is new. */
  needed(about: Topic, why: string): boolean {
    const isNew = this.#isNew(about, why);
    if (isNew) this.#log.error({ about, why }, 'the certificate needs attention');
    return isNew;
  }

  /** For what passes by itself. */
  waiting(about: Topic, why: string): void {
    if (this.#isNew(about, why)) this.#log.info({ about, why }, 'waiting');
  }

  over(about: Topic): void {
    if (this.#problems.delete(about)) this.#log.info({ about }, 'that is over');
  }

  #isNew(about: Topic, why: string): boolean {
    if (this.#problems.get(about) === why) return false;
    this.#problems.set(about, why);
    return true;
  }
}
