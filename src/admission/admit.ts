import { getsHandOff } from '../decision/hand-off.ts';
import type { Guard } from '../decision/situation.ts';
import type { Turns } from '../sharing/turns.ts';
import type { GuardLabels, HandOffOutcome, Recorder } from '../telemetry/recorder.ts';
import type { Logger } from '../telemetry/logger.ts';
import {
  announcementOfFailure,
  announcementsOf,
  type Announce,
  type Announcement,
} from './announce.ts';
import { deadlineFor } from './deadline.ts';
import type { Decided, KeepDecision } from './decided.ts';
import { dryRunNotice } from './dry-run-notice.ts';
import { GuardSourceError } from './guard-source.ts';
import { hear, type GuardedRequest, type HearingContext, type Judgement } from './hearing.ts';
import {
  allowed,
  denied,
  errored,
  malformedReply,
  unusable,
  type Asked,
  type AuditNotes,
  type Reply,
  type ReviewAnswer,
} from './response.ts';
import { decodeReview, type AdmissionRequest, type ReviewContext } from './review.ts';

/** What answering reviews needs from outside. */
export interface AdmitContext extends HearingContext {
  readonly turns: Pick<Turns, 'take'>;
  readonly recorder: Recorder;
  readonly log: Logger;
  readonly announce: Announce;
  /** Absent: nobody keeps the last decisions. */
  readonly keepDecision?: KeepDecision;
  /** Milliseconds of a clock that never goes back; the one that `arrivedAtMs` was read from. */
  readonly monotonicMs: () => number;
}

/** A review that takes a pod away, without the body that it came in. */
interface Review {
  readonly asked: Asked;
  readonly request: GuardedRequest;
  readonly at: ReviewContext;
}

const OUR_FAILURE =
  'etcd-guard failed to judge this request, so it is refused. Its log has the cause; try again.';

const NO_GUARD: GuardLabels = { namespace: '', guard: '' };

/** Answers AdmissionReviews: decodes, hears, responds; counts and logs each one. Never rejects or throws. */
export function createReviewHandler(
  context: AdmitContext,
): (review: unknown, at: ReviewContext) => Reply | Promise<Reply> {
  // Not async itself: while etcd is waited for, nothing may hold on to the review, which is large.
  return (review, at) => {
    const decoded = decodeReview(review);
    switch (decoded.kind) {
      case 'malformed':
        context.recorder.badRequest();
        return malformedReply(decoded.error);
      case 'unusable':
        context.recorder.badRequest();
        return reply(unusable(decoded, decoded.error));
      case 'request': {
        const { apiVersion, request } = decoded;
        const asked = { apiVersion, uid: request.uid };
        if (!takesAPod(request)) return reply(allowed(asked));
        return answer({ asked, request, at }, context);
      }
    }
  };
}

function takesAPod(request: AdmissionRequest): request is GuardedRequest {
  return request.subject.kind !== 'other';
}

function reply(body: ReviewAnswer): Reply {
  return { status: 200, body };
}

function answer(review: Review, context: AdmitContext): Reply | Promise<Reply> {
  const { request, at } = review;
  context.recorder.reviewStarted();
  try {
    const deadline = deadlineFor(at.timeoutMs, at.arrivedAtMs, context.monotonicMs);
    const judgement = hear(request, context, deadline);
    if (judgement instanceof Promise) return answerLater(review, judgement, context);
    return conclude(review, judgement, context);
  } catch (error) {
    return fail(review, error, context);
  }
}

async function answerLater(
  review: Review,
  hearing: Promise<Judgement>,
  context: AdmitContext,
): Promise<Reply> {
  try {
    return conclude(review, await hearing, context);
  } catch (error) {
    return fail(review, error, context);
  }
}

function conclude(
  { asked, request, at }: Review,
  judgement: Judgement,
  context: AdmitContext,
): Reply {
  const answered = reply(respond(asked, request, judgement));
  account(request, judgement, at, context);
  return answered;
}

function fail({ asked, request, at }: Review, error: unknown, context: AdmitContext): Reply {
  accountFailure(request, at, context);
  const message = error instanceof GuardSourceError ? error.message : OUR_FAILURE;
  const failed = { guard: null, decision: 'error', reason: 'InternalError', message } as const;
  tell(context, () => {
    context.log.error({ ...described(request), err: error }, 'could not decide');
    context.keepDecision?.({ ...whatOf(request), ...failed });
    announceAll(announcementOfFailure(request, message), context);
  });
  return reply(errored(asked, message));
}

function respond(asked: Asked, request: GuardedRequest, judgement: Judgement): ReviewAnswer {
  const { verdict, guard } = judgement;
  const { warnings } = verdict;
  const notes = guard === null ? { warnings } : { warnings, audit: auditOf(verdict, guard) };
  if (verdict.kind === 'deny') {
    const operation = request.subject.kind;
    return denied(asked, { operation, message: verdict.message, ...notes });
  }
  if (guard === null || !request.dryRun) return allowed(asked, notes);
  const notice = dryRunNotice(request.name, verdict.reason);
  return allowed(asked, { ...notes, warnings: [notice, ...warnings] });
}

function auditOf({ kind, reason, member }: Judgement['verdict'], guard: Guard): AuditNotes {
  return {
    decision: kind,
    reason,
    guard: `${guard.namespace}/${guard.name}`,
    ...(member && { member }),
  };
}

function account(
  request: GuardedRequest,
  judgement: Judgement,
  at: ReviewContext,
  context: AdmitContext,
): void {
  const { recorder, log, monotonicMs } = context;
  const { verdict, guard } = judgement;
  const durationMs = monotonicMs() - at.arrivedAtMs;
  const labels = labelsOf(guard);
  const outcome = handOffOutcome(request, judgement);
  const { kind: decision, reason } = verdict;
  recorder.reviewEnded({
    operation: request.subject.kind,
    decision,
    reason,
    guard: labels,
    dryRun: request.dryRun,
    seconds: durationMs / 1000,
  });
  if (outcome !== null) recorder.handOff(labels, outcome);
  if (guard === null && !log.isLevelEnabled('debug')) return;
  tell(context, () => report(request, judgement, { outcome, durationMs }, context));
}

function report(
  request: GuardedRequest,
  judgement: Judgement,
  { outcome, durationMs }: { readonly outcome: HandOffOutcome | null; readonly durationMs: number },
  context: AdmitContext,
): void {
  const { log } = context;
  const { verdict, guard } = judgement;
  const { kind: decision, reason, message } = verdict;
  const line = {
    ...described(request),
    guard: guard === null ? null : `${guard.namespace}/${guard.name}`,
    decision,
    reason,
    ...(outcome !== null && { handOff: outcome }),
    ...(needsWords(verdict) && { member: verdict.member, message: verdict.message }),
    durationMs: Math.round(durationMs * 1000) / 1000,
  };
  if (guard === null) {
    // Most pods of a cluster are not etcd: their lines would drown the ones that matter.
    log.debug(line, 'decided');
    return;
  }
  log.info(line, 'decided');
  context.keepDecision?.({ ...whatOf(request), guard, decision, reason, message });
  announceAll(announcementsOf(request, judgement, outcome), context);
}

/** Whatever comes of it: the review is answered and counted, and stays so. */
function tell({ log }: AdmitContext, telling: () => void): void {
  try {
    telling();
  } catch (error) {
    try {
      log.error({ err: error }, 'could not announce a decision');
    } catch {
      // Nobody is left to be told.
    }
  }
}

function announceAll(told: readonly Announcement[], { announce }: AdmitContext): void {
  for (const one of told) announce(one);
}

/** Whoever reads the log after the caller has gone should not have to guess. */
function needsWords({ kind, reason }: Judgement['verdict']): boolean {
  return kind === 'deny' || reason === 'BreakGlass' || reason === 'Unverifiable';
}

/** Refused: the caller was entitled to a hand-off, but the leader could not be spared as a follower. */
function handOffOutcome(
  { subject, user, dryRun }: GuardedRequest,
  { verdict, guard, handOff }: Judgement,
): HandOffOutcome | null {
  if (handOff.kind !== 'none') return handOff.kind;
  if (guard === null || dryRun || verdict.kind !== 'deny') return null;
  if (verdict.reason !== 'LeaderProtected') return null;
  const caller = { user: user.name, groups: user.groups };
  return getsHandOff(guard.policy, subject.kind, caller) ? 'refused' : null;
}

function accountFailure(
  request: GuardedRequest,
  at: ReviewContext,
  { recorder, monotonicMs }: AdmitContext,
): void {
  const durationMs = monotonicMs() - at.arrivedAtMs;
  recorder.reviewEnded({
    operation: request.subject.kind,
    decision: 'error',
    reason: 'InternalError',
    guard: NO_GUARD,
    dryRun: request.dryRun,
    seconds: durationMs / 1000,
  });
}

function whatOf({
  subject,
  namespace,
  name,
  dryRun,
}: GuardedRequest): Pick<Decided, 'operation' | 'namespace' | 'pod' | 'dryRun'> {
  return { operation: subject.kind, namespace, pod: name, dryRun };
}

function described({ uid, subject, namespace, name, user, dryRun }: GuardedRequest) {
  return {
    requestId: uid,
    operation: subject.kind,
    namespace,
    pod: name,
    user: user.name,
    ...(dryRun && { dryRun }),
  };
}

function labelsOf(guard: Guard | null): GuardLabels {
  return guard === null ? NO_GUARD : { namespace: guard.namespace, guard: guard.name };
}
