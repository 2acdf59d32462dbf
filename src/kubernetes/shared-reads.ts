import { systemClock, type Clock } from '../sharing/clock.ts';
import { SharedRounds, type RoundKind } from '../sharing/shared-rounds.ts';
import type { KubernetesApi, ListOptions, Resource } from './api.ts';
import { noAnswer, type Subject } from './api-failure.ts';

/** What was read, or why it could not be. */
type Outcome<T> = { readonly value: T } | { readonly error: unknown };

/** The reading half of the API server's port. */
export type KubernetesReads = Pick<KubernetesApi, 'get' | 'list'>;

/**
 * Live reads that callers who wait at the same time share: none gets a read that began before its
 * call, so what it sees is as fresh as if it had read alone.
 */
export class SharedReads implements KubernetesReads {
  readonly #api: KubernetesReads;
  readonly #clock: Clock;
  readonly #gets = new Map<
    string,
    SharedRounds<Outcome<Awaited<ReturnType<KubernetesReads['get']>>>>
  >();
  readonly #lists = new Map<
    string,
    SharedRounds<Outcome<Awaited<ReturnType<KubernetesReads['list']>>>>
  >();

  constructor(api: KubernetesReads, clock: Clock = systemClock) {
    this.#api = api;
    this.#clock = clock;
  }

  get(resource: Resource, name: string, withinMs: number): ReturnType<KubernetesReads['get']> {
    const read = (ms: number): ReturnType<KubernetesReads['get']> =>
      this.#api.get(resource, name, ms);
    const key = JSON.stringify([resource, name]);
    return this.#join(this.#gets, key, {
      subject: { verb: 'get', resource, name },
      read,
      withinMs,
    });
  }

  list(
    resource: Resource,
    options: ListOptions,
    withinMs: number,
  ): ReturnType<KubernetesReads['list']> {
    const read = (ms: number): ReturnType<KubernetesReads['list']> =>
      this.#api.list(resource, options, ms);
    const key = JSON.stringify([resource, options]);
    return this.#join(this.#lists, key, { subject: { verb: 'list', resource }, read, withinMs });
  }

  async #join<T>(
    rounds: Map<string, SharedRounds<Outcome<T>>>,
    key: string,
    { subject, read, withinMs }: Wanted<T>,
  ): Promise<T> {
    const shared =
      rounds.get(key) ?? new SharedRounds(readsOf(subject, read, this.#clock), this.#clock);
    rounds.set(key, shared);
    try {
      const outcome = await shared.join(withinMs);
      if ('error' in outcome) throw outcome.error;
      return outcome.value;
    } finally {
      if (shared.idle && rounds.get(key) === shared) rounds.delete(key);
    }
  }
}

interface Wanted<T> {
  readonly subject: Subject;
  readonly read: (withinMs: number) => Promise<T>;
  readonly withinMs: number;
}

function readsOf<T>(
  subject: Subject,
  read: (withinMs: number) => Promise<T>,
  clock: Clock,
): RoundKind<Outcome<T>> {
  const nothing = (withinMs: number): Outcome<T> => ({ error: noAnswer(subject, withinMs) });
  return {
    nothing,
    begin(untilMs) {
      let outcome: Outcome<T> | null = null;
      const reading = read(untilMs - clock.now()).then(
        (value) => (outcome = { value }),
        (error: unknown) => (outcome = { error }),
      );
      return {
        ended: reading,
        snapshot: (withinMs) => outcome ?? nothing(withinMs),
        // Its own deadline is the latest of all who waited, and has passed.
        giveUp: () => undefined,
      };
    },
  };
}
