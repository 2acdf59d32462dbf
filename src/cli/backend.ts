import type { Announce } from '../admission/announce.ts';
import type { GuardSource } from '../admission/guard-source.ts';
import type { StatusSource } from '../page/port.ts';
import type { ReviewHandler } from '../server/webhook-server.ts';
import type { Streams } from './streams.ts';
import type { CertificateCluster } from './serve/serving-certificate.ts';

/** Where `serve` has its guards from. */
export interface Backend {
  readonly source: GuardSource;
  readonly announce: Announce;
  /** What is answered beside `/validate`, by path: one for each capability that is turned on. */
  readonly others?: ReadonlyMap<string, ReviewHandler>;
  /** What the status page shows. */
  readonly status: StatusSource & { readonly looksPerSecond: number };
  /** Where a certificate can be kept; absent with guards from files. */
  readonly certificates?: CertificateCluster;
  /** What goes on beside the reviews, from the moment that these are served. */
  start(): { stop(): void };
  /** Ends within a few seconds, whoever does not answer. */
  close(): Promise<void> | void;
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

/** Tells what the user gave wrong, and gives the exit code; whatever is no UsageError is thrown on. */
export function usageExit(error: unknown, { err }: Pick<Streams, 'err'>): 2 {
  if (!(error instanceof UsageError)) throw error;
  for (const line of error.lines) err(`etcd-guard: ${line}\n`);
  return 2;
}
