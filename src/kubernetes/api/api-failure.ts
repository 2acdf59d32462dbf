import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import { ApiError, type Resource } from './api.ts';

/** What is asked of the API server, in the words of its RBAC. */
export interface Subject {
  readonly verb: 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete';
  readonly resource: Resource;
  readonly name?: string;
  readonly subresource?: 'status' | 'eviction';
}

/** An answer of the API server, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

const statusSchema = z.object({
  kind: z.literal('Status'),
  code: z.number().optional().catch(undefined),
  reason: z.string().optional().catch(undefined),
  message: z.string().optional().catch(undefined),
  details: z.object({ name: z.string().optional() }).optional().catch(undefined),
});

/** A metav1.Status, which is what the API server answers when it refuses. */
export type Status = z.infer<typeof statusSchema>;

/** null: this is no Status. */
export function statusOf(value: unknown): Status | null {
  return statusSchema.safeParse(value).data ?? null;
}

/** undefined: this is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `get pods/etcd-0 in namespace default` */
export function describeSubject({ verb, resource, name, subresource }: Subject): string {
  const what = `${resource.plural}${groupOf(resource, '.')}`;
  const which = name === undefined ? '' : ` ${name}`;
  const part = subresource === undefined ? '' : ` (${subresource})`;
  return `${verb} ${what}${which}${part}${placeOf(resource)}`;
}

function placeOf({ namespace }: Resource): string {
  return namespace === null ? '' : ` in namespace ${namespace}`;
}

function groupOf({ prefix }: Resource, before: string): string {
  const [, root, group] = prefix.split('/');
  return root === 'apis' && group !== undefined ? `${before}${group}` : '';
}

/** Whether a 404 speaks of this very object, and not of a missing kind or namespace. */
export function saysNoSuchObject(answer: Answer, name: string): boolean {
  if (answer.status !== 404) return false;
  return statusOf(parseJson(answer.text))?.details?.name === name;
}

/** The error for an answer of 300 or above. */
export function refusal(subject: Subject, answer: Answer): ApiError {
  const status = statusOf(parseJson(answer.text));
  const said = oneLine(status?.message ?? answer.text) || `HTTP ${answer.status}`;
  const asked = describeSubject(subject);
  switch (answer.status) {
    case 401:
      return new ApiError(
        'forbidden',
        `the API server does not accept our credentials (${asked}: ${said})`,
      );
    case 403:
      return new ApiError('forbidden', forbidden(subject, said));
    case 404:
      return new ApiError('not-found', notFound(subject, status, said));
    case 409:
      return status?.reason === 'AlreadyExists'
        ? new ApiError('exists', `can't ${asked}: ${said}`)
        : new ApiError('conflict', `can't ${asked}: ${said}`);
    default:
      return new ApiError(
        'refused',
        `the API server refused to ${asked} with HTTP ${answer.status}: ${said}`,
      );
  }
}

/** RBAC's refusals name the permission to grant; an admission webhook or a quota says 403 too. */
function forbidden(subject: Subject, said: string): string {
  if (!/ cannot \w+ /.test(said)) return `may not ${describeSubject(subject)}: ${said}`;
  const { verb, resource, subresource } = subject;
  const part = subresource === undefined ? '' : `/${subresource}`;
  const what = `"${verb}" on "${resource.plural}${part}"`;
  const group = groupOf(resource, ' of API group ');
  const place = resource.namespace === null ? ' in all namespaces' : placeOf(resource);
  return `missing permission ${what}${group}${place}: ${said}`;
}

function notFound(subject: Subject, status: Status | null, said: string): string {
  const asked = describeSubject(subject);
  if (status?.details?.name !== undefined) return `can't ${asked}: ${said}`;
  const { prefix, plural } = subject.resource;
  return `can't ${asked}: the API server does not serve ${plural} at ${prefix}; is their CustomResourceDefinition installed? (${said})`;
}

/** The error for a connection that could not be made or broke. */
export function unreachable(subject: Subject, server: string, error: unknown): ApiError {
  const why = reasonOf(error);
  return new ApiError(
    'unreachable',
    `can't reach the API server at ${server} (${describeSubject(subject)}): ${why}`,
    error,
  );
}

/** The system's own words: an AggregateError of several addresses has only a code. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const message = oneLine(error.message);
  if (message === '') return code || error.name;
  return code === '' || message.includes(code) ? message : `${message} (${code})`;
}

/** The error for an answer that did not come in time. */
export function noAnswer(subject: Subject, withinMs: number): ApiError {
  const asked = describeSubject(subject);
  return new ApiError(
    'timeout',
    `no answer from the API server within ${Math.max(0, Math.round(withinMs))} ms (${asked})`,
  );
}

/** The error for an answer that came in time and makes no sense. */
export function nonsense(subject: Subject, what: string): ApiError {
  return new ApiError(
    'refused',
    `the API server's answer to ${describeSubject(subject)} is ${what}`,
  );
}

const LONGEST = 400;

/** A foreign text made fit for a message: one line, bounded, no tokens in it. */
export function oneLine(text: string): string {
  const line = text
    .slice(0, 4 * LONGEST)
    .replaceAll(/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, '$1 …')
    .replaceAll(/\beyJ[\w-]+(\.[\w-]+)*/g, '…')
    .replaceAll(/-----BEGIN [^-]*KEY-----.*?(-----END [^-]*-----|$)/gs, '…')
    .replaceAll(/[\s\p{Cc}]+/gu, ' ')
    .trim();
  return line.length <= LONGEST ? line : `${line.slice(0, LONGEST)}…`;
}
