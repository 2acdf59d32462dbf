import { viewBeforeProof } from '../../decision/cluster-view.ts';
import type { Answer } from '../../decision/situation.ts';
import { IN_SYNC } from '../../injection/injection.ts';
import { ApiError, type KubernetesApi } from '../api/api.ts';
import { API_MS, podsIn, type Look } from '../guards/cluster-reader.ts';
import type { LivePod } from '../guards/live-pod.ts';
import { standingOf, type Standing } from './in-sync.ts';

/** What setting conditions needs from outside. */
export interface ReadinessGateContext {
  readonly api: KubernetesApi;
  /** Asked right before each write. */
  readonly mayWrite: () => boolean;
  /** Wall clock, milliseconds since the epoch. */
  readonly nowMs: () => number;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicMs: () => number;
  readonly onFailed: (error: ApiError) => void;
}

/**
 * A pod that is ready stays so until its member has been unfit for this long: unready it is taken out of
 * Services, and a burst of writes between two answers looks like a member that is behind.
 */
export const UNFIT_MS = 10_000;

/** Sets the condition that the readiness gate of members' pods waits for. */
export class ReadinessGates {
  readonly #context: ReadinessGateContext;
  /** By guard, then by pod: since when a member whose pod is ready has been seen unfit. */
  readonly #unfitSince = new Map<string, ReadonlyMap<string, number>>();

  constructor(context: ReadinessGateContext) {
    this.#context = context;
  }

  /** Nothing that was seen before counts any more. */
  clear(): void {
    this.#unfitSince.clear();
  }

  forget(guard: string): void {
    this.#unfitSince.delete(guard);
  }

  /** Writes what has changed; true while some pod waits, so that it should be looked at again soon. */
  async follow(
    guard: string,
    { cluster, reading }: Look,
    answers: ReadonlyMap<string, Answer>,
  ): Promise<boolean> {
    const gated = (reading?.live ?? []).filter(isGated);
    if (gated.length === 0) {
      this.forget(guard);
      return false;
    }
    // A reservation is a matter of ours: the member is as fit as it was.
    const view = viewBeforeProof({ ...cluster, reservations: [] }, answers);
    const seen = gated.map((pod) => ({
      pod,
      standing: standingOf(answers.get(pod.snapshot.name), view),
    }));
    const unfitSince = this.#unfit(guard, seen);
    for (const { pod, standing } of seen) {
      if (this.#stays(pod, standing, unfitSince)) continue;
      await this.#write(pod, this.#condition(pod, standing));
    }
    return seen.some(waits);
  }

  /** Since when pods that are ready have been seen unfit. */
  #unfit(guard: string, seen: readonly Seen[]): ReadonlyMap<string, number> {
    const before = this.#unfitSince.get(guard);
    const now = this.#context.monotonicMs();
    const unfit = seen.filter(({ pod, standing }) => isReady(pod) && standing.kind === 'bad');
    const since = new Map(unfit.map(({ pod: { uid } }) => [uid, before?.get(uid) ?? now]));
    this.#unfitSince.set(guard, since);
    return since;
  }

  /** Whether the condition stays as it is. */
  #stays(pod: LivePod, standing: Standing, unfitSince: ReadonlyMap<string, number>): boolean {
    if (isReady(pod) && standing.kind !== 'good') {
      // That nobody could ask is no reason to take a pod out of service.
      const since = unfitSince.get(pod.uid);
      return since === undefined || this.#context.monotonicMs() - since < UNFIT_MS;
    }
    return pod.inSync?.status === statusOf(standing) && pod.inSync.reason === standing.reason;
  }

  #condition({ inSync }: LivePod, standing: Standing): Condition {
    const { reason, message } = standing;
    const status = statusOf(standing);
    const lastTransitionTime = new Date(this.#context.nowMs()).toISOString();
    const changed = inSync?.status !== status;
    return { type: IN_SYNC, status, reason, message, ...(changed && { lastTransitionTime }) };
  }

  async #write({ snapshot, uid }: LivePod, condition: Condition): Promise<void> {
    const { api, mayWrite, onFailed } = this.#context;
    if (!mayWrite()) return;
    // The uid makes it fail for a pod that has taken the other's name meanwhile.
    const patch = { metadata: { uid }, status: { conditions: [condition] } };
    try {
      await api.patchStatus(podsIn(snapshot.namespace), snapshot.name, patch, API_MS);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.code !== 'not-found' && error.code !== 'conflict') onFailed(error);
    }
  }
}

/** A pod condition; a time that stays is left out. */
interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
  readonly lastTransitionTime?: string;
}

/** A pod that is to stay, and how its member is. */
interface Seen {
  readonly pod: LivePod;
  readonly standing: Standing;
}

function isGated({ inSync, snapshot }: LivePod): boolean {
  return inSync !== undefined && !snapshot.terminating;
}

/** It may become ready, or unready, without anything else being heard of it. */
function waits({ pod, standing: { kind } }: Seen): boolean {
  return isReady(pod) ? kind === 'bad' : kind !== 'good';
}

function statusOf({ kind }: Standing): Condition['status'] {
  return kind === 'good' ? 'True' : 'False';
}

/** As far as the gate goes. */
function isReady({ inSync }: LivePod): boolean {
  return inSync?.status === 'True';
}
