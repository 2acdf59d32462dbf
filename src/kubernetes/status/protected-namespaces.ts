import { isDeepStrictEqual } from 'node:util';
import { reportable, type ApiError, type KubernetesApi } from '../api/api.ts';
import { API_MS } from '../guards/cluster-reader.ts';
import {
  NAMESPACES,
  readScope,
  unprotectedIn,
  type Scope,
  type Unprotected,
} from '../guards/protection.ts';
import { selectorText } from '../guards/selector-text.ts';

/** What happens to namespaces. */
export interface NamespaceEvents {
  /** The webhook is asked there now, or no longer; null: perhaps anywhere. */
  readonly onChanged: (namespace: string | null) => void;
  readonly onFailed: (error: ApiError) => void;
}

/** How often the webhook's configuration is read: nobody may watch it by its name alone. */
const CONFIGURATION_MS = 30_000;
/** The same while there is none: somebody may be installing it. */
const MISSING_MS = 2_000;
/** For how long anything waits for it to be known. */
const SETTLE_MS = 5_000;

/**
 * The namespaces in which the webhook is asked, for any number of guards by one watch, in which the
 * API server itself leaves out all others, and one read of the webhook's configuration every 30 s.
 */
export class ProtectedNamespaces {
  readonly #api: KubernetesApi;
  readonly #configuration: string;
  readonly #events: NamespaceEvents;
  #scope: Scope | null = null;
  #selected: readonly SelectedNamespaces[] = [];
  #timer: NodeJS.Timeout | undefined;
  #patience: NodeJS.Timeout | undefined;
  /** Ends what began before it was stopped. */
  #run = 0;
  #settling = Promise.withResolvers<void>();
  #isSettled = false;

  constructor(api: KubernetesApi, configuration: string, events: NamespaceEvents) {
    this.#api = api;
    this.#configuration = configuration;
    this.#events = events;
  }

  start(): void {
    this.#run += 1;
    this.#settling = Promise.withResolvers<void>();
    this.#isSettled = false;
    this.#patience = setTimeout(() => this.#settle(), SETTLE_MS);
    this.#patience.unref();
    void this.#follow(this.#run);
  }

  stop(): void {
    this.#run += 1;
    clearTimeout(this.#timer);
    this.#stopWatches();
    this.#scope = null;
    this.#settle();
  }

  /** Resolves once it is known, or is known not to be known; never rejects. */
  get settled(): Promise<void> {
    return this.#settling.promise;
  }

  /** null: deletions there are judged, as far as is known. */
  unprotected(namespace: string): Unprotected | null {
    const scope = this.#scope;
    if (scope === null) return null;
    if (this.#selected.some(({ names }) => names === null || names.has(namespace))) return null;
    return unprotectedIn(scope, { name: namespace, labels: null });
  }

  async #follow(run: number): Promise<void> {
    const scope = await this.#read();
    if (run !== this.#run) return;
    if (scope !== null) this.#use(scope);
    else this.#settle();
    const missing = this.#scope?.selectors.length === 0;
    const nextMs = missing ? MISSING_MS : CONFIGURATION_MS;
    this.#timer = setTimeout(() => void this.#follow(run), nextMs);
    this.#timer.unref();
  }

  /** null: it stays as it is. */
  async #read(): Promise<Scope | null> {
    try {
      return await readScope(this.#api, this.#configuration, API_MS);
    } catch (error) {
      this.#events.onFailed(
        reportable(error, 'the configuration of the webhook could not be used'),
      );
      return null;
    }
  }

  #use(scope: Scope): void {
    if (isDeepStrictEqual(scope, this.#scope)) return;
    this.#stopWatches();
    this.#scope = scope;
    const events: NamespaceEvents = {
      onChanged: (namespace) => {
        // Whoever has waited for it needs not be told.
        if (this.#isSettled) this.#events.onChanged(namespace);
        this.#settle();
      },
      onFailed: (error) => {
        this.#settle();
        this.#events.onFailed(error);
      },
    };
    this.#selected = scope.selectors.map(
      (selector) => new SelectedNamespaces(this.#api, selectorText(selector), events),
    );
    if (scope.selectors.length === 0) events.onChanged(null);
  }

  #settle(): void {
    clearTimeout(this.#patience);
    this.#isSettled = true;
    this.#settling.resolve();
  }

  #stopWatches(): void {
    for (const selected of this.#selected) selected.stop();
    this.#selected = [];
  }
}

/** Those that one selector selects, by name. */
class SelectedNamespaces {
  readonly #events: NamespaceEvents;
  readonly #watch: { stop(): void };
  #names: Set<string> | null = null;

  constructor(api: KubernetesApi, labelSelector: string, events: NamespaceEvents) {
    this.#events = events;
    const options = labelSelector === '' ? {} : { labelSelector };
    this.#watch = api.watch(NAMESPACES, options, {
      onListed: (objects) => this.#listed(new Set(objects.map(({ metadata }) => metadata.name))),
      onChanged: ({ metadata: { name } }) => {
        if (this.#names === null || this.#names.has(name)) return;
        this.#names.add(name);
        events.onChanged(name);
      },
      onGone: ({ metadata: { name } }) => {
        if (this.#names?.delete(name) === true) events.onChanged(name);
      },
      onFailed: events.onFailed,
    });
  }

  /** null until they have been listed. */
  get names(): ReadonlySet<string> | null {
    return this.#names;
  }

  stop(): void {
    this.#watch.stop();
  }

  #listed(names: Set<string>): void {
    const before = this.#names;
    this.#names = names;
    if (before === null) return this.#events.onChanged(null);
    for (const name of new Set([...before, ...names])) {
      if (before.has(name) !== names.has(name)) this.#events.onChanged(name);
    }
  }
}
