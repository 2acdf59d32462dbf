import { CONNECTION_REFUSED } from '../decision/situation.ts';

/** Why a request to a member brought no answer of the kind that was asked for. */
export interface Failure {
  /** Only `timeout` and `unreachable` mean that nothing answered. */
  readonly kind: 'timeout' | 'unreachable' | 'refused';
  /** For an operator; etcd's own words without their `etcdserver: `. */
  readonly words: string;
  /** What it says about the connection that the request was sent over. */
  readonly connection: 'fine' | 'lost' | 'not-tried';
}

/** What a request brought; nothing in `src/etcd` throws because of a member. */
export type Outcome<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly failure: Failure };

/** Words for a deadline that passed. */
export function noAnswerWithin(ms: number): string {
  return `no answer within ${(ms / 1000).toFixed(1)} s`;
}

/** The deadline of a request passed. */
export const TIMED_OUT: Failure = {
  kind: 'timeout',
  words: 'no answer in time',
  connection: 'lost',
};

const GRPC_ERROR = /^(?<code>\d+) [A-Z_]+: (?<details>.*)$/s;

// grpc-js gives most causes as text only.
const UNREACHABLE: readonly (readonly [RegExp, string])[] = [
  [/ECONNREFUSED/, CONNECTION_REFUSED],
  [/ECONNRESET|EPIPE|ECONNABORTED/, 'connection reset'],
  [/ETIMEDOUT/, 'connection timed out'],
  [/EHOSTUNREACH|ENETUNREACH|EHOSTDOWN/, 'no route to it'],
  [/ENOTFOUND|EAI_AGAIN|ENODATA|Name resolution failed/, 'name does not resolve'],
  [/^Connection dropped/, 'connection lost'],
];

// Closed on our side, or (null) found to be failing by a channel that did not see the reason.
const NOT_TRIED =
  /^(?:Channel closed before call started|The channel has been closed|No connection established\. Last error: null)/;

const PROTOCOL: readonly (readonly [RegExp, string])[] = [
  [/wrong version number|packet length too long/, 'TLS: it answers without TLS'],
  [
    /disconnected before secure TLS/,
    'TLS: it closed the connection during the handshake (does it speak TLS?)',
  ],
  [/^Failed to connect/, 'it closed the connection at once (does it want TLS?)'],
  [/^Protocol error/, 'it does not speak gRPC'],
];

/** Reads what etcd3 threw; what is not recognised counts as an answer, since silence can help to allow. */
export function failureOf(error: unknown): Failure {
  const { code, details } = grpcError(error);
  const own = /^etcdserver: (?<words>.*)$/s.exec(details)?.groups?.['words'];
  if (own !== undefined) return { kind: 'refused', words: oneLine(own), connection: 'fine' };
  if (code === '4') return TIMED_OUT;
  if (NOT_TRIED.test(details)) {
    return { kind: 'refused', words: 'the request could not be sent', connection: 'not-tried' };
  }
  return transportFailure(code, stripped(details));
}

/** Reads what dns.lookup rejected with. */
export function failureOfLookUp(error: unknown): Failure {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ENOTFOUND' || code === 'ENODATA') return unresolved('name does not resolve');
  if (code === 'EAI_AGAIN') return unresolved('name does not resolve (no name server answers)');
  return { kind: 'refused', words: `name look-up failed: ${code}`, connection: 'fine' };
}

function unresolved(words: string): Failure {
  return { kind: 'unreachable', words, connection: 'lost' };
}

/** etcd3 keeps of a gRPC error only its text: code, name of the code, details. */
function grpcError(error: unknown): { readonly code: string; readonly details: string } {
  const message = error instanceof Error ? error.message : String(error);
  const groups = GRPC_ERROR.exec(message)?.groups;
  return { code: groups?.['code'] ?? '', details: groups?.['details'] ?? message };
}

function transportFailure(code: string, cause: string): Failure {
  // 1 CANCELLED, 13 INTERNAL, 14 UNAVAILABLE: what grpc-js makes of a connection that broke.
  const connection = ['1', '13', '14'].includes(code) ? 'lost' : 'fine';
  if (connection === 'lost') {
    const unreachable = UNREACHABLE.find(([pattern]) => pattern.test(cause));
    if (unreachable !== undefined)
      return { kind: 'unreachable', words: unreachable[1], connection };
  }
  const protocol = PROTOCOL.find(([pattern]) => pattern.test(cause));
  if (protocol !== undefined) return { kind: 'refused', words: protocol[1], connection };
  const alert = /SSL routines:.*?\balert (?<alert>[a-z ]+)/.exec(cause)?.groups?.['alert'];
  if (alert !== undefined) {
    return { kind: 'refused', words: `TLS: it refuses our side (${alert})`, connection };
  }
  const tls = /certificate|SSL routines|\bTLS\b|altnames|\balert\b/i.test(cause);
  return { kind: 'refused', words: tls ? `TLS: ${cause}` : cause, connection };
}

function stripped(details: string): string {
  const cause = details
    .replace(/^No connection established\. Last error: /, '')
    .replace(/\.? Resolution note:.*$/s, '')
    .replace(/; if the root CA is installed locally.*$/s, '')
    .replace(/^Error(?: \[[A-Z_]+\])?: /, '')
    .replace(/ \(\d{4}-\d\d-\d\dT[\d:.]+Z\)$/, '');
  return oneLine(cause);
}

/** What a stranger says ends up in terminals: nothing that would move the cursor or turn the text around. */
function oneLine(text: string): string {
  return text
    .slice(0, 1_000)
    .replaceAll(/[\s\p{Cc}\p{Cf}]+/gu, ' ')
    .trim()
    .slice(0, 200)
    .toWellFormed();
}
