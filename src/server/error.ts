/** What went wrong, for callers that branch on it. */
export type ServerErrorCode =
  | 'address-in-use'
  | 'address-unusable'
  | 'file-unreadable'
  | 'certificate-invalid'
  | 'token-invalid';

/** A failure to serve; `message` is a sentence for the operator, `cause` the system's own error. */
export class ServerError extends Error {
  readonly code: ServerErrorCode;

  constructor(code: ServerErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'ServerError';
    this.code = code;
  }
}

/** The sentence of an unknown error, for use inside a message. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
