import {
  ApiError,
  type KubernetesApi,
  type KubernetesObject,
  type Resource,
} from '../kubernetes/api/api.ts';
import type { Attention } from './attention.ts';
import { Pacing } from './pacing.ts';
import { decodeSecret, MARK, NOTHING, secretContent, type Stored } from './stored.ts';

/** What it takes to share a certificate through a Secret. */
export interface SecretStoreOptions {
  readonly api: KubernetesApi;
  readonly namespace: string;
  readonly name: string;
  readonly withinMs: number;
  readonly monotonicMs: () => number;
  readonly attention: Attention;
  /** Told once of each content that can't be used. */
  readonly onUnusable: () => void;
}

/** The Secret as it was read; `stored` is null where it is somebody else's. */
export interface SecretReading {
  /** null: there is none. */
  readonly object: KubernetesObject | null;
  readonly stored: Stored | null;
}

/** The Secret that replicas share; whoever is second at writing reads what the first has written. */
export class SecretStore {
  readonly #options: SecretStoreOptions;
  readonly #resource: Resource;
  readonly #pacing = new Pacing({ burst: 8, firstMs: 10_000, longestMs: 300_000 });
  #last: SecretReading | null = null;

  constructor(options: SecretStoreOptions) {
    this.#options = options;
    this.#resource = { prefix: '/api/v1', plural: 'secrets', namespace: options.namespace };
  }

  /** As messages name it. */
  get named(): string {
    return `Secret ${this.#options.namespace}/${this.#options.name}`;
  }

  /** null: it can't be read. */
  async read(): Promise<SecretReading | null> {
    const { api, name, withinMs, attention } = this.#options;
    try {
      const object = await api.get(this.#resource, name, withinMs);
      this.#last = isSame(object, this.#last?.object)
        ? this.#last
        : { object, stored: this.#decode(object) };
      return this.#last;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      attention.needed('secret', error.message);
      this.#last = null;
      return null;
    }
  }

  /** `lost`: others have written meanwhile. `failed`: said why, with these words after it. */
  async write(
    { object }: SecretReading,
    stored: Stored,
    consequence: string,
  ): Promise<'written' | 'lost' | 'failed'> {
    const { attention, monotonicMs } = this.#options;
    try {
      await this.#put(object, stored);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.code === 'conflict' || error.code === 'exists') return 'lost';
      // Deleted between reading and writing; where it was to be created, its namespace is missing.
      if (error.code === 'not-found' && object !== null) return 'lost';
      attention.needed('secret-writes', `${error.message} (${consequence})`);
      return 'failed';
    }
    this.#pacing.written(monotonicMs());
    return 'written';
  }

  /** False while others undo what we write. */
  mayWrite(): boolean {
    const { attention, monotonicMs } = this.#options;
    if (this.#pacing.waitMs(monotonicMs()) === 0) return true;
    attention.needed(
      'secret-writes',
      `somebody else keeps changing ${this.named}: writing it less and less often`,
    );
    return false;
  }

  /** There is nothing to write. */
  settled(): void {
    const { attention, monotonicMs } = this.#options;
    if (this.#pacing.waitMs(monotonicMs()) === 0) attention.over('secret-writes');
  }

  async #put(object: KubernetesObject | null, stored: Stored): Promise<void> {
    const { api, namespace, name, withinMs } = this.#options;
    const { labels, annotations, data } = secretContent(stored, object);
    if (object === null) {
      const metadata = { name, namespace, labels, annotations };
      const made = { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata, data };
      await api.create(this.#resource, made, withinMs);
    } else {
      const metadata = { ...object.metadata, labels, annotations };
      await api.replace(this.#resource, { ...object, metadata, data }, { withinMs });
    }
  }

  #decode(object: KubernetesObject | null): Stored | null {
    if (object === null) {
      this.#options.attention.over('secret');
      return NOTHING;
    }
    const decoded = decodeSecret(object);
    if (decoded.kind === 'foreign') {
      this.#unusable(
        `${this.named} is not etcd-guard's: delete it, or label it ${MARK} to have it replaced, or name another with --certificate-secret`,
      );
      return null;
    }
    const { stored, faults } = decoded;
    if (faults.length === 0) this.#options.attention.over('secret');
    else this.#unusable(`${this.named}: ${faults.join('; ')}`);
    return stored;
  }

  #unusable(why: string): void {
    if (this.#options.attention.needed('secret', why)) this.#options.onUnusable();
  }
}

/** Most looks find what the one before has found, and parsing it takes longer than reading it. */
function isSame(one: KubernetesObject | null, other: KubernetesObject | null | undefined): boolean {
  if (one === null || !other) return false;
  const [now, before] = [one.metadata, other.metadata];
  return now.uid === before.uid && now.resourceVersion === before.resourceVersion;
}
