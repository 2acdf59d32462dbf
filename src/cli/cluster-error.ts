import { GuardSourceError } from '../admission/guard-source.ts';
import { ApiError } from '../kubernetes/api/api.ts';

const WHAT_HELPS: Readonly<Partial<Record<ApiError['code'], string>>> = {
  forbidden: 'docs/command-line.md lists the rights that this takes; --context chooses other ones.',
  'not-found': 'Is this the right cluster? --context chooses another one.',
  unreachable: 'Is it up, and is it the one that you mean? --context chooses another one.',
  timeout: 'Try again once it answers.',
};

/** What to print for whatever keeps a command from an answer. */
export function explained(error: unknown): string {
  const cause = error instanceof GuardSourceError ? error.cause : error;
  if (cause instanceof ApiError) {
    const helps = WHAT_HELPS[cause.code];
    return helps === undefined ? cause.message : `${cause.message}. ${helps}`;
  }
  return error instanceof Error ? error.message : String(error);
}

/** Those errors that say something about the cluster rather than about this program. */
export function isFromCluster(error: unknown): error is ApiError | GuardSourceError {
  return error instanceof ApiError || error instanceof GuardSourceError;
}

/** As a sentence of its own. */
export function sentence(message: string): string {
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
}
