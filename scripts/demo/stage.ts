import type { Guard } from './guard.ts';

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

/** What the guard counts of members that vote. */
export interface Health {
  readonly voters: number;
  readonly healthy: number;
}

/** Who was what when the suggestions were made: it changes as they are tried. */
export interface Pods {
  readonly leader: string;
  readonly followers: readonly [string, string];
}

/** A line for a shell, and what it shows. */
export interface Suggestion {
  readonly line: string;
  readonly shows: string;
}

/** Where the demo plays: with an API server, or with the reviews that one would send. */
export interface Stage {
  readonly guard: Guard;
  /** Shows what makes pods guarded, until it does. */
  protect(): Promise<void>;
  /** Shows the cluster as the guard sees it, which has to be like this. */
  showCluster(leader: string, health: Health): Promise<void>;
  /** As `kubectl delete pod` does it; ends once an allowed one is gone. */
  deletePod(pod: string): Promise<Attempt>;
  /** The same for two pods at the same moment. */
  deleteBoth(pods: readonly [string, string]): Promise<readonly [Attempt, Attempt]>;
  /** Of two at the same moment: shows how every replica knew that this one was going, where that can be seen. */
  showReservation(pod: string): Promise<void>;
  /** As `kubectl drain` does it, for the node of this pod; ends once an allowed one is gone. */
  drain(pod: string): Promise<Attempt>;
  /** A delete as a dry run, which is not shown. */
  dryRun(pod: string): Promise<Attempt>;
  presence(pod: string): Promise<Presence>;
  /** Shows what others find of it afterwards, these reasons among them, if they do. */
  showEvents(reasons: readonly string[]): Promise<void>;
  /** Brings a pod back that went, and its member with it, until all members are healthy. */
  bringBack(pod: string): Promise<void>;
  /** To try afterwards; each works at any time, after any other. */
  suggestions(pods: Pods): readonly Suggestion[];
  /** Until the signal: pods that go come back after a while. */
  keepRunning(signal: AbortSignal): Promise<void>;
  /** The stage, and the guard with it. */
  stop(): Promise<void>;
}
