import type { GuardSource } from '../admission/guard-source.ts';

/** Where `serve` has its guards from. */
export interface Backend {
  readonly source: GuardSource;
  /** What goes on beside the reviews, from the moment that these are served. */
  start(): { stop(): void };
  close(): void;
}

/** What the user gave can't be used; a line for each reason. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    super(lines.join('; '));
    this.lines = lines;
  }
}
