import type { ReviewVersion } from './envelope.ts';

/** The part of a review that its answer repeats. */
export interface Asked {
  readonly apiVersion: ReviewVersion;
  readonly uid: string;
}

/** For the API server's audit log; values should not change between two reviews of one request. */
export interface AuditNotes {
  readonly decision?: string;
  readonly reason?: string;
  readonly guard?: string;
  readonly member?: string;
  readonly lock?: string;
}

/** What may accompany any answer: `warnings` are shown by kubectl, `audit` goes to the audit log. */
export interface Notes {
  readonly warnings?: readonly string[];
  readonly audit?: AuditNotes;
}

/** A refusal; `operation` decides which HTTP code makes its caller behave (fail, or retry later). */
export interface Refusal extends Notes {
  readonly operation: 'delete' | 'eviction';
  readonly message: string;
}

/** A metav1.Status in its JSON form. */
export interface ResponseStatus {
  readonly status: 'Failure';
  readonly message: string;
  readonly reason: 'Forbidden' | 'TooManyRequests' | 'BadRequest' | 'InternalError';
  readonly code: 403 | 429 | 400 | 500;
  readonly details?: {
    readonly causes: readonly { readonly reason: string; readonly message?: string }[];
  };
}

/** An answered AdmissionReview in its JSON form, ready to be sent with HTTP 200. */
export interface ReviewAnswer {
  readonly apiVersion: ReviewVersion;
  readonly kind: 'AdmissionReview';
  readonly response: {
    readonly uid: string;
    readonly allowed: boolean;
    readonly status?: ResponseStatus;
    readonly warnings?: readonly string[];
    readonly auditAnnotations?: Readonly<Record<string, string>>;
    /** Base64 of a JSON Patch. */
    readonly patch?: string;
    readonly patchType?: 'JSONPatch';
  };
}

/** An HTTP answer whose body is still to be serialised. */
export interface Reply {
  readonly status: number;
  readonly body: unknown;
}

/** The API server cuts warnings to 256 runes each once all together are long; UTF-16 units are never fewer. */
const MAX_WARNING_UNITS = 256;

/** Lets the request through. */
export function allowed(asked: Asked, notes: Notes = {}): ReviewAnswer {
  return answer(asked, undefined, notes);
}

/** Lets the request through, changed by a JSON Patch (RFC 6902); without operations as it is. */
export function patched(asked: Asked, operations: readonly unknown[], notes: Notes): ReviewAnswer {
  const plain = allowed(asked, notes);
  if (operations.length === 0) return plain;
  const patch = Buffer.from(JSON.stringify(operations)).toString('base64');
  return { ...plain, response: { ...plain.response, patch, patchType: 'JSONPatch' } };
}

/**
 * Refuses: a DELETE with 403, which ends it, an eviction with 429, which drains and autoscalers
 * retry in their own time as they do for a PodDisruptionBudget.
 */
export function denied(asked: Asked, refusal: Refusal): ReviewAnswer {
  const { message, audit } = refusal;
  // For programs: a client sees no audit annotations.
  const why = audit?.reason === undefined ? [] : [{ reason: audit.reason }];
  // Never details.retryAfterSeconds: client-go would retry ten times without telling anyone.
  const status: ResponseStatus =
    refusal.operation === 'delete'
      ? {
          status: 'Failure',
          message,
          reason: 'Forbidden',
          code: 403,
          ...(why.length > 0 && { details: { causes: why } }),
        }
      : {
          status: 'Failure',
          message,
          reason: 'TooManyRequests',
          code: 429,
          details: { causes: [{ reason: 'DisruptionBudget', message }, ...why] },
        };
  return answer(asked, status, refusal);
}

/** Refuses a review that has a uid but nothing that could be judged. */
export function unusable(asked: Asked, message: string, notes: Notes = {}): ReviewAnswer {
  return answer(asked, { status: 'Failure', message, reason: 'BadRequest', code: 400 }, notes);
}

/** Refuses because of our own failure; `message` is a plain sentence, never an error's own text. */
export function errored(asked: Asked, message: string, notes: Notes = {}): ReviewAnswer {
  return answer(asked, { status: 'Failure', message, reason: 'InternalError', code: 500 }, notes);
}

/** What a body without a uid to echo gets. */
export function malformedReply(error: string): Reply {
  return { status: 400, body: { error } };
}

function answer(asked: Asked, status: ResponseStatus | undefined, notes: Notes): ReviewAnswer {
  const warnings = notes.warnings?.map(warning).filter((text) => text !== '') ?? [];
  const auditAnnotations = auditAnnotationsOf(notes.audit);
  return {
    apiVersion: asked.apiVersion,
    kind: 'AdmissionReview',
    response: {
      uid: asked.uid,
      allowed: status === undefined,
      ...(status && { status }),
      ...(warnings.length > 0 && { warnings }),
      ...(auditAnnotations && { auditAnnotations }),
    },
  };
}

/** The API server drops a warning with control characters, which a user's own text may contain. */
function warning(text: string): string {
  const line = text
    .toWellFormed()
    .replaceAll(/\p{Cc}+/gu, ' ')
    .trim();
  if (line.length <= MAX_WARNING_UNITS) return line;
  const cut = line.slice(0, MAX_WARNING_UNITS - 1);
  const splitsPair = !cut.isWellFormed();
  return `${splitsPair ? cut.slice(0, -1) : cut}…`;
}

/** The API server puts the webhook's name and a slash before each key, so keys hold none. */
function auditAnnotationsOf(
  audit: AuditNotes | undefined,
): Readonly<Record<string, string>> | undefined {
  if (audit === undefined) return undefined;
  const annotations: Record<string, string> = {};
  for (const key of ['decision', 'reason', 'guard', 'member', 'lock'] as const) {
    const value = audit[key];
    if (value !== undefined && value !== '') annotations[key] = value;
  }
  return Object.keys(annotations).length > 0 ? annotations : undefined;
}
