import { setTimeout as delay } from 'node:timers/promises';
import { REFUSED } from './admission-webhook.ts';
import type { EtcdMember } from './etcd-cluster.ts';
import type { GuardedEtcd } from './guarded-cluster.ts';
import type { KubeApiserver } from './kube-apiserver.ts';
import { KubeError, type KubeObject } from './kube-client.ts';
import { until } from './until.ts';

/** Requests of a stream, and what was wrong while it ran. */
export interface StreamCounts {
  /** Dry runs that were decided, either way. */
  readonly asked: number;
  /** Pods that really went: by a DELETE, by an eviction. */
  readonly deleted: number;
  readonly evicted: number;
  /** Those that the guard kept. */
  readonly refused: number;
  /** Values written to etcd meanwhile. */
  readonly written: number;
}

/** What became of a request. `moot`: there was nothing to decide, or it is among the faults. */
type Outcome = 'allowed' | 'refused' | 'moot';

/** Of the API server itself: the pod is gone, or another of its name is there. */
const OF_NOBODY: ReadonlySet<number> = new Set([404, 409]);
/** While leadership moves a write may fail; without a quorum it does so for as long as that lasts. */
const WRITE_MS = 8_000;

/**
 * Deletes and evicts members through the API server without a pause, in dry runs and for real, brings
 * back what is gone, and writes to etcd all the while.
 */
export class ReviewStream {
  /** Requests that nobody decided, pairs of voters that were away at one time, writes that were lost. */
  readonly faults: string[] = [];
  readonly #api: KubeApiserver;
  readonly #etcd: GuardedEtcd;
  readonly #stopped = new AbortController();
  readonly #turns = { ask: 0, take: 0 };
  readonly #counts = { asked: 0, deleted: 0, evicted: 0, refused: 0, written: 0 };
  readonly #pods = new Map<string, KubeObject>();
  readonly #running: readonly Promise<void>[];

  private constructor(api: KubeApiserver, etcd: GuardedEtcd) {
    this.#api = api;
    this.#etcd = etcd;
    this.#running = [
      this.#watch(),
      this.#loop(() => this.#ask(0)),
      this.#loop(() => this.#ask(1)),
      this.#loop(() => this.#take('deleted')),
      this.#loop(() => this.#take('evicted')),
      this.#loop(() => this.#write()),
    ];
  }

  static start(api: KubeApiserver, etcd: GuardedEtcd): ReviewStream {
    return new ReviewStream(api, etcd);
  }

  get counts(): StreamCounts {
    return { ...this.#counts };
  }

  /** Waits until that much more has happened. */
  async goesOn(more: Partial<StreamCounts>): Promise<void> {
    const before = this.counts;
    const behind = (): readonly string[] =>
      Object.entries({ asked: 0, deleted: 0, evicted: 0, ...more })
        .filter(([key, count]) => this.#count(key) - countIn(before, key) < count)
        .map(([key]) => key);
    const what = `the stream goes on by ${JSON.stringify(more)}`;
    await until(what, () => behind().length === 0, { timeoutMs: 90_000 });
  }

  /** Resolves when every request that was begun is answered, and every member is back. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.all(this.#running);
    await this.#etcd.bringBack(...this.#etcd.etcd.members);
  }

  #count(key: string): number {
    return countIn(this.#counts, key);
  }

  async #loop(step: () => Promise<void>): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      try {
        await step();
      } catch (error) {
        this.faults.push(String(error));
      }
      await delay(20, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Each member in turn, so that none is asked for again and again while it is away. */
  #next(what: 'ask' | 'take', shift = 0): EtcdMember {
    const { members } = this.#etcd.etcd;
    const member = members[(this.#turns[what] + shift) % members.length];
    if (member === undefined) throw new Error('no members');
    this.#turns[what] += 1;
    return member;
  }

  async #ask(shift: number): Promise<void> {
    const { name } = this.#next('ask', shift);
    const outcome = await this.#request(() =>
      this.#api.admin.delete(this.#etcd.podPath(name), { dryRun: ['All'] }),
    );
    if (outcome !== 'moot') this.#counts.asked += 1;
  }

  /** Of any member, also of the leader, which an eviction moves. */
  async #take(how: 'deleted' | 'evicted'): Promise<void> {
    const member = this.#next('take');
    const outcome = await this.#request(() =>
      how === 'deleted'
        ? this.#api.admin.delete(this.#etcd.podPath(member.name))
        : this.#etcd.evict(member.name),
    );
    if (outcome === 'refused') this.#counts.refused += 1;
    if (outcome !== 'allowed') return;
    this.#counts[how] += 1;
    // Somebody else may take it again as soon as it is healthy, and bring it back at the same time.
    await until(`${member.name} is brought back`, () => this.#replaced(member));
  }

  async #replaced(member: EtcdMember): Promise<true> {
    await this.#etcd.replace(member);
    return true;
  }

  /** Anything but an answer of the guard is a fault, unless the pod was not there to be decided on. */
  async #request(send: () => Promise<void>): Promise<Outcome> {
    try {
      await send();
      return 'allowed';
    } catch (error) {
      if (isRefusal(error)) return 'refused';
      if (!isOfNobody(error)) this.faults.push(`not decided: ${String(error)}`);
      return 'moot';
    }
  }

  async #write(): Promise<void> {
    const value = String(this.#counts.written);
    const write = async (): Promise<true> => {
      await this.#etcd.etcd.put('stream', value);
      return true;
    };
    await until(`write ${value}`, write, { timeoutMs: WRITE_MS });
    this.#counts.written += 1;
  }

  /** Looks at each voter that is going whether another one is away. */
  async #watch(): Promise<void> {
    const handlers = {
      synced: (pods: readonly KubeObject[]) => pods.forEach((pod) => this.#changed(pod)),
      changed: (pod: KubeObject) => this.#changed(pod),
      deleted: ({ metadata }: KubeObject) => void this.#pods.delete(metadata.name),
    };
    const path = `/api/v1/namespaces/${this.#etcd.namespace}/pods`;
    const { signal } = this.#stopped;
    await this.#api.admin.watch(path, handlers, signal).catch((error: unknown) => {
      if (!signal.aborted) this.faults.push(`the watch ended: ${String(error)}`);
    });
  }

  #changed(pod: KubeObject): void {
    const { name, uid } = pod.metadata;
    const before = this.#pods.get(name);
    this.#pods.set(name, pod);
    const isNews = before?.metadata.uid !== uid || !isGoing(before);
    if (!isGoing(pod) || !isNews) return;
    const others = this.#etcd.etcd.members.filter((member) => member.name !== name);
    for (const other of others.filter((member) => this.#isAway(member))) {
      this.faults.push(`${name} goes while ${other.name} is away`);
    }
  }

  #isAway({ name, process }: EtcdMember): boolean {
    const pod = this.#pods.get(name);
    return pod === undefined || isGoing(pod) || !process.running;
  }
}

function countIn(counts: StreamCounts, key: string): number {
  return Number(new Map(Object.entries(counts)).get(key) ?? 0);
}

function isGoing(pod: KubeObject | undefined): boolean {
  return pod?.metadata.deletionTimestamp !== undefined;
}

function isOfNobody(error: unknown): boolean {
  return error instanceof KubeError && OF_NOBODY.has(error.code);
}

function isRefusal(error: unknown): boolean {
  if (!(error instanceof KubeError)) return false;
  return (error.code === 403 || error.code === 429) && error.message.startsWith(REFUSED);
}
