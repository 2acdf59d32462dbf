import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { deadlineFor } from '../../src/admission/deadline.ts';
import { hear } from '../../src/admission/hearing.ts';
import { quorumOf } from '../../src/decision/quorum.ts';
import { viewOf } from '../../src/decision/cluster-view.ts';
import type { FileSource } from '../../src/guards/file-source.ts';
import { FakeEtcd } from '../fakes/etcd.ts';
import { endingAfterReserve, loadedGuard, sourceOf } from '../fakes/guards.ts';
import { Interleaving, moves, type Moves } from '../fakes/interleaving.ts';
import { deletion, eviction } from '../fakes/requests.ts';

const TIMEOUT_MS = 1_000;
const RUNS = 400;
const nowMs = (): number => performance.now();

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

type Action =
  | { readonly kind: 'delete' | 'evict'; readonly member: number }
  /** An eviction by a process that ends as soon as it has written an entry. */
  | { readonly kind: 'killed'; readonly member: number }
  | Moves
  /** Looks at the cluster without a review, as the process does by itself. */
  | { readonly kind: 'look' }
  | { readonly kind: 'elect'; readonly member: number }
  | { readonly kind: 'pass'; readonly ms: number };

const member = fc.oneof({ arbitrary: fc.nat({ max: 2 }), weight: 2 }, fc.nat({ max: 6 }));
const reviews: fc.Arbitrary<Action> = fc.record({
  kind: fc.constantFrom('delete', 'evict'),
  member,
});
const disturbances: readonly fc.Arbitrary<Action>[] = [
  moves,
  fc.record({ kind: fc.constant('look') }),
  fc.record({ kind: fc.constant('killed'), member: fc.nat({ max: 1 }) }),
  // By then a hand-off of one that was killed is nobody's.
  fc.record({ kind: fc.constant('pass'), ms: fc.constantFrom(10, 50, 300, 700, 36_000) }),
];
const election: fc.Arbitrary<Action> = fc.record({ kind: fc.constant('elect'), member });

/**
 * A cluster, its guard, and the API server behind it: what was let go is deleted at some later
 * moment, and comes back at a still later one.
 */
class World {
  readonly etcd: FakeEtcd;
  readonly source: FileSource;
  readonly #steps: Interleaving;
  readonly #elections: boolean;
  readonly #pods: readonly string[];
  /** Which incarnation of a pod is there now. */
  readonly #incarnations = new Map<string, number>();
  /** Pods that were let go and are still there. */
  readonly #going = new Set<string>();

  /** Where leadership changes by itself, no guard can know who leads at the next moment. */
  constructor(size: number, scheduler: fc.Scheduler, elections: boolean) {
    this.#steps = new Interleaving(scheduler);
    this.#elections = elections;
    this.#pods = Array.from({ length: size }, (_, index) => `etcd-${index}`);
    this.etcd = new FakeEtcd(this.#pods);
    this.etcd.hold = (call, at) => this.#steps.step(`${call} ${at}`);
    this.source = sourceOf(this.etcd, loadedGuard({ pods: this.#pods }));
  }

  /** Returns all that went wrong. */
  run(actions: readonly Action[]): Promise<readonly string[]> {
    return this.#steps.run(actions, (action) => this.#act(action));
  }

  /** Pods whose members are down, or may be at any moment. */
  #gone(): ReadonlySet<string> {
    const down = this.etcd.members.filter(({ running }) => !running).map(({ pod }) => pod);
    return new Set([...this.#going, ...down]);
  }

  async #act(action: Action): Promise<void> {
    switch (action.kind) {
      case 'delete':
      case 'evict':
        return this.#review(action.kind, this.#podAt(action.member));
      case 'killed':
        return this.#beginAndEnd(this.#podAt(action.member));
      case 'moves':
        this.etcd.whenMoved = action.whenMoved;
        return;
      case 'look':
        return this.#look();
      case 'elect':
        if (this.etcd.member(this.#podAt(action.member)).running) {
          this.etcd.lead(this.#podAt(action.member));
        }
        return;
      case 'pass':
        await vi.advanceTimersByTimeAsync(action.ms);
    }
  }

  #podAt(index: number): string {
    return `etcd-${index % this.#pods.length}`;
  }

  async #review(kind: 'delete' | 'evict', pod: string): Promise<void> {
    const incarnation = this.#incarnations.get(pod) ?? 0;
    const request = kind === 'delete' ? deletion(pod) : eviction(pod);
    const deadline = deadlineFor(TIMEOUT_MS, nowMs(), nowMs);
    const { verdict } = await hear(request, { guards: this.source, nowMs }, deadline);
    this.#steps.log(`${kind} ${pod}: ${verdict.kind} ${verdict.reason}`);
    // The API server deletes the pod that it showed, or asks again. One that is down already
    // can't be lost once more.
    const there = (this.#incarnations.get(pod) ?? 0) === incarnation;
    if (verdict.kind !== 'allow' || !there || !this.etcd.member(pod).running) return;
    this.#going.add(pod);
    this.#check();
    await this.#steps.step(`delete ${pod}`);
    if ((this.#incarnations.get(pod) ?? 0) !== incarnation) return;
    this.#incarnations.set(pod, incarnation + 1);
    this.etcd.stop(pod);
    this.#going.delete(pod);
    this.#steps.log(`${pod} is down`);
    await this.#steps.step(`start ${pod}`);
    this.etcd.start(pod);
    this.#steps.log(`${pod} is back`);
  }

  async #beginAndEnd(pod: string): Promise<void> {
    const deadline = deadlineFor(TIMEOUT_MS, nowMs(), nowMs);
    const guards = endingAfterReserve(this.source);
    await hear(eviction(pod), { guards, nowMs }, deadline);
  }

  async #look(): Promise<void> {
    const [guard] = this.source.guards;
    const cluster = guard?.clusterFor(null);
    if (cluster === undefined) return;
    const { etcd, endpoints, pods, reservations } = cluster;
    const answers = await etcd.ask(endpoints, 2_000);
    const { maxRaftLag } = cluster.guard.policy;
    cluster.observed(answers, viewOf({ pods, answers, proof: null, reservations, maxRaftLag }));
  }

  #check(): void {
    const gone = this.#gone();
    if (this.#pods.length - gone.size < quorumOf(this.#pods.length))
      this.#steps.fault('too many go');
    if (!this.#elections && gone.has(this.etcd.leader ?? '')) this.#steps.fault('the leader goes');
    const entries = this.source.guards.flatMap(({ ledger }) => ledger.read('').reservations);
    const candidates = this.etcd.members.filter(({ id }) =>
      entries.some(({ handOffTo }) => handOffTo === id),
    );
    if (candidates.some(({ pod }) => this.#going.has(pod))) this.#steps.fault('a candidate goes');
  }
}

const sizes = fc.constantFrom(3, 3, 5, 5, 7);
const script = (kinds: readonly fc.Arbitrary<Action>[]): fc.Arbitrary<Action[]> =>
  fc.array(fc.oneof({ arbitrary: reviews, weight: 6 }, ...kinds), {
    minLength: 2,
    maxLength: 24,
    size: 'max',
  });

describe('concurrent reviews, in whatever order their steps come', { timeout: 60_000 }, () => {
  it('never let go more than the quorum spares, a candidate, or the leader', async () => {
    const actions = script(disturbances);
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), sizes, actions, async (scheduler, size, given) => {
        expect(await new World(size, scheduler, false).run(given)).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });

  it('nor more than the quorum spares while leadership changes by itself', async () => {
    const actions = script([...disturbances, election]);
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), sizes, actions, async (scheduler, size, given) => {
        expect(await new World(size, scheduler, true).run(given)).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });
});
