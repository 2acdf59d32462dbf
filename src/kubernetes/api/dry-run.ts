import { z } from 'zod';
import { noticedReason } from '../../admission/dry-run-notice.ts';
import { REASONS, type Operation, type Reason } from '../../decision/situation.ts';
import {
  parseJson,
  refusal,
  saysNoSuchObject,
  statusOf,
  type Answer,
  type Subject,
} from './api-failure.ts';
import type { Resource } from './api.ts';
import type { Call } from './transport.ts';

/** Which pod would be taken away, and how. */
export interface DryRunRequest {
  readonly namespace: string;
  readonly name: string;
  /** The pod that is meant, and none that has come after it. */
  readonly uid: string;
  readonly operation: Operation;
}

/** What all of admission said, the guard's webhook among others. */
export type DryRunAnswer =
  | {
      readonly kind: 'allowed';
      readonly warnings: readonly string[];
      /** The guard's; null: no guard was asked, or none selects the pod. */
      readonly reason: Reason | null;
    }
  | {
      readonly kind: 'refused';
      /** null: it was not the guard who refused. */
      readonly reason: Reason | null;
      readonly message: string;
      readonly warnings: readonly string[];
    }
  /** It would be refused, because whoever has to be asked gave no answer. */
  | { readonly kind: 'unanswered'; readonly message: string }
  /** There is no such pod any more. */
  | { readonly kind: 'gone' };

/** Sends one request, once. */
type Send = (call: Call) => Promise<Answer>;

/** What is asked, in the words of RBAC. */
export function dryRunSubject({ namespace, name, operation }: DryRunRequest): Subject {
  const resource: Resource = { prefix: '/api/v1', plural: 'pods', namespace };
  return operation === 'delete'
    ? { verb: 'delete', resource, name }
    : { verb: 'create', resource, name, subresource: 'eviction' };
}

/** Rejects with an ApiError where the caller may not ask, or nobody answers. */
export async function dryRun(request: DryRunRequest, send: Send): Promise<DryRunAnswer> {
  const subject = dryRunSubject(request);
  const call =
    request.operation === 'delete' ? deletion(request) : await eviction(request, subject, send);
  const answer = await send({ ...call, subject });
  return read(answer, request, subject);
}

/** Said twice, since whichever of the two a proxy loses, the pod must stay. */
const DRY = { query: '?dryRun=All', option: { dryRun: ['All'] } };

function deletion(request: DryRunRequest): Omit<Call, 'subject'> {
  return {
    method: 'DELETE',
    path: `${pathOf(request)}${DRY.query}`,
    body: { apiVersion: 'v1', kind: 'DeleteOptions', ...deleteOptions(request) },
  };
}

async function eviction(
  request: DryRunRequest,
  subject: Subject,
  send: Send,
): Promise<Omit<Call, 'subject'>> {
  const { namespace, name } = request;
  return {
    method: 'POST',
    path: `${pathOf(request)}/eviction${DRY.query}`,
    body: {
      apiVersion: await evictionVersion(subject, send),
      kind: 'Eviction',
      metadata: { name, namespace },
      deleteOptions: deleteOptions(request),
    },
  };
}

function deleteOptions({ uid }: DryRunRequest): object {
  return { ...DRY.option, preconditions: { uid } };
}

function pathOf({ namespace, name }: DryRunRequest): string {
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`;
}

const resourcesSchema = z.object({
  resources: z.array(
    z.object({ name: z.string(), group: z.string().optional(), version: z.string().optional() }),
  ),
});

/** policy/v1 from Kubernetes 1.22 on, policy/v1beta1 before. */
async function evictionVersion(subject: Subject, send: Send): Promise<string> {
  const answer = await send({ subject, method: 'GET', path: '/api/v1' });
  const list = resourcesSchema.safeParse(parseJson(answer.text)).data;
  const found = list?.resources.find(({ name }) => name === 'pods/eviction');
  return `${found?.group ?? 'policy'}/${found?.version ?? 'v1'}`;
}

const causesSchema = z.object({
  details: z.object({ causes: z.array(z.object({ reason: z.string().optional() })) }),
});

const BY_WEBHOOK = /^admission webhook ".*?" denied the request: /s;
const NO_WEBHOOK = /failed (calling|to call) webhook/;
/** Another pod has taken the name. */
const ANOTHER_POD = /UID in (the )?precondition/i;
/** RBAC's way to say it; admission says 403 too. */
const NO_RIGHT = / cannot \w+ resource /;

function read(answer: Answer, { name }: DryRunRequest, subject: Subject): DryRunAnswer {
  if (answer.status < 300) {
    const warnings = warningsIn(answer);
    const reasons = warnings.map(noticedReason);
    return {
      kind: 'allowed',
      warnings: warnings.filter((_warning, at) => reasons[at] === null),
      reason: reasons.find((reason) => reason !== null) ?? null,
    };
  }
  if (saysNoSuchObject(answer, name)) return { kind: 'gone' };
  const content = parseJson(answer.text);
  const said = printable(statusOf(content)?.message ?? '');
  if (answer.status === 409 && ANOTHER_POD.test(said)) return { kind: 'gone' };
  const refused = refusedBy(answer, said, causesIn(content));
  if (refused === null) throw refusal(subject, answer);
  return refused;
}

/** null: it was not admission who refused. */
function refusedBy(answer: Answer, said: string, causes: ReadonlySet<string>): DryRunAnswer | null {
  const message = said.replace(BY_WEBHOOK, '');
  const byWebhook = message !== said;
  if (NO_WEBHOOK.test(said) || (byWebhook && answer.status >= 500)) {
    return { kind: 'unanswered', message };
  }
  const warnings = warningsIn(answer);
  if (byWebhook) {
    const reason = REASONS.find((one) => causes.has(one)) ?? null;
    return { kind: 'refused', reason, message, warnings };
  }
  const byOthers = causes.has('DisruptionBudget') || isPolicy(answer, said);
  return byOthers ? { kind: 'refused', reason: null, message, warnings } : null;
}

function causesIn(status: unknown): ReadonlySet<string> {
  const causes = causesSchema.safeParse(status).data?.details.causes ?? [];
  return new Set(causes.flatMap(({ reason }) => reason ?? []));
}

/** Admission built into the API server: a quota, a ValidatingAdmissionPolicy. */
function isPolicy({ status }: Answer, said: string): boolean {
  return status === 422 || (status === 403 && !NO_RIGHT.test(said));
}

/** `299 - "text"`, as often as there are warnings; Node joins headers of one name by commas. */
function warningsIn({ headers }: Answer): readonly string[] {
  const { warning: header = '' } = headers;
  const found = header.matchAll(/\d{3} \S+ "((?:[^"\\]|\\.)*)"/g);
  return [...found].map(([, text = '']) => printable(text.replaceAll(/\\(.)/g, '$1')));
}

/** Whole, but nothing that could move a terminal's cursor. */
function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim();
}
