/** What an attempt to take a pod away came to. */
export interface Attempt {
  readonly allowed: boolean;
  /** What the caller got to read. */
  readonly text: string;
  /** How the caller sees the outcome: `exit code 1`. */
  readonly outcome: string;
}

/** Terminating pods are `going`. */
export type Presence = 'there' | 'going' | 'gone';

/** Where the demo plays: with an API server, or with the reviews that one would send. */
export interface Stage {
  /** As `kubectl delete pod` does it; ends once an allowed one is gone. */
  deletePod(pod: string): Promise<Attempt>;
  /** As `kubectl drain` does it, for the node of this pod; ends once an allowed one is gone. */
  drain(pod: string): Promise<Attempt>;
  /** A delete as a dry run, which is not shown. */
  dryRun(pod: string): Promise<Attempt>;
  presence(pod: string): Promise<Presence>;
  /** Brings a pod back that went, and its member with it. */
  bringBack(pod: string): Promise<void>;
  /** Commands to try afterwards. */
  suggestions(leader: string, follower: string): readonly string[];
  /** Until the signal: pods that go come back after a while. */
  keepRunning(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}
