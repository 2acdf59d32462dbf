import { decodeEnvelope } from '../admission/envelope.ts';
import { GuardSourceError } from '../admission/guard-source.ts';
import { recordOf, type Json } from '../admission/json.ts';
import {
  allowed,
  denied,
  errored,
  malformedReply,
  type Asked,
  type Reply,
} from '../admission/response.ts';
import type { ReviewContext } from '../admission/review.ts';
import {
  changeIn,
  factsOf,
  identityOf,
  resourceName,
  type Change,
  type ObjectPlace,
} from './change.ts';
import { isEssential, type KnownChange } from './essential.ts';
import { concerns, judgeChange, type LockVerdict } from './judge.ts';
import type { Lock } from './lock.ts';

/** Where locks and what they hold are read; live, and rejecting with a GuardSourceError. */
export interface LockSource {
  locksIn(namespace: string, withinMs: number): Promise<readonly Lock[]>;
  /** null: there is no such object. */
  read(place: ObjectPlace, withinMs: number): Promise<Json | null>;
}

/** Told of every change that was judged; must not throw. */
export interface LockObserver {
  judged(change: Change, verdict: LockVerdict): void;
  failed(change: Change | null, error: unknown): void;
}

/** What answering reviews of locked objects needs from outside. */
export interface LockContext {
  readonly source: LockSource;
  readonly observer: LockObserver;
  /** What to warn of whoever writes this ExclusiveLock. */
  readonly adviceOn: (lock: Json, nowMs: number) => readonly string[];
  /** Wall clock, milliseconds since the epoch. */
  readonly nowMs: () => number;
}

const OUR_FAILURE =
  'etcd-guard failed to judge this request by the ExclusiveLocks here, so it is refused. Its log has the cause; try again.';

/** Of the time allowed, what reading may take; two reads in turn at most. */
const SHARE = 0.4;

/** Answers AdmissionReviews by the locks of their namespace. Never rejects. */
export function createLockHandler(
  context: LockContext,
): (review: unknown, at: ReviewContext) => Promise<Reply> {
  return (review, at) => {
    const envelope = decodeEnvelope(review);
    if (envelope.kind === 'malformed') {
      context.observer.failed(null, new Error(envelope.error));
      return Promise.resolve(malformedReply(envelope.error));
    }
    const { apiVersion, uid, request } = envelope;
    const asked = { apiVersion, uid };
    const change = changeIn(uid, request);
    if (change === null) return Promise.resolve({ status: 200, body: allowed(asked) });
    const written = isLock(change) ? recordOf(request['object']) : null;
    const advice = written === null ? [] : context.adviceOn(written, context.nowMs());
    return answer({ asked, advice }, change, at, context);
  };
}

/** Who answers, and what to say besides to whoever may pass. */
interface Answering {
  readonly asked: Asked;
  readonly advice: readonly string[];
}

function isLock({ place, subresource, operation }: Change): boolean {
  return (
    operation !== 'DELETE' &&
    subresource === '' &&
    resourceName(place) === 'exclusivelocks.etcd-guard.io'
  );
}

async function answer(
  { asked, advice }: Answering,
  change: Change,
  { timeoutMs }: ReviewContext,
  context: LockContext,
): Promise<Reply> {
  try {
    const { verdict, known } = await judged(change, timeoutMs * SHARE, context);
    context.observer.judged(known, verdict);
    return { status: 200, body: respond(asked, verdict, advice) };
  } catch (error) {
    context.observer.failed(change, error);
    const message = error instanceof GuardSourceError ? error.message : OUR_FAILURE;
    return { status: 200, body: errored(asked, message) };
  }
}

const NOT_LOCKED: LockVerdict & { readonly kind: 'allow' } = {
  kind: 'allow',
  reason: 'NotLocked',
  warnings: [],
  locks: [],
};

/** A verdict, and the change with what had to be read for it. */
interface Judged {
  readonly verdict: LockVerdict;
  readonly known: Change;
}

async function judged(
  change: Change,
  withinMs: number,
  { source, nowMs }: LockContext,
): Promise<Judged> {
  const as = (verdict: LockVerdict, known: Change = change): Judged => ({ verdict, known });
  // Before anything is read: kubelets and controllers write status all the time.
  if (isKnown(change) && isEssential(change)) return as({ ...NOT_LOCKED, reason: 'Essential' });
  const locks = await source.locksIn(change.place.namespace, withinMs);
  const concerned = locks.filter((lock) => concerns(lock, change, nowMs()));
  if (concerned.length === 0) return as(NOT_LOCKED);
  if (isKnown(change)) return as(judgeChange(change, concerned, nowMs()));
  const object = await source.read(change.place, withinMs);
  // The API server says itself that there is none.
  if (object === null) return as(NOT_LOCKED);
  const known = { ...change, before: factsOf(object), object: identityOf(object) };
  return as(judgeChange(known, concerned, nowMs()), known);
}

function isKnown(change: Change): change is KnownChange {
  return change.before !== 'unread';
}

function respond(asked: Asked, verdict: LockVerdict, advice: readonly string[]) {
  const lock = verdict.kind === 'deny' ? verdict.lock : verdict.locks[0];
  const audit = {
    decision: verdict.kind,
    reason: verdict.reason,
    ...(lock !== undefined && { lock: `${lock.namespace}/${lock.name}` }),
  };
  const warnings = verdict.kind === 'allow' ? [...verdict.warnings, ...advice] : verdict.warnings;
  const notes = { warnings, ...(lock !== undefined && { audit }) };
  if (verdict.kind === 'allow') return allowed(asked, notes);
  // 403 for an eviction too: a lock stands until somebody ends it, so that retrying is no use.
  return denied(asked, { operation: 'delete', message: verdict.message, ...notes });
}
