/** Where a command writes, and what it may ask of its surroundings; given by `main.ts`. */
export interface Streams {
  out(text: string): void;
  err(text: string): void;
  /** stdout is a terminal. */
  readonly terminal: boolean;
  /** Aborted when the user or the system asks the program to stop. */
  readonly stop: AbortSignal;
}

/** What a command is given besides its command line. */
export interface Surroundings {
  readonly streams: Streams;
  /** For the Kubernetes configuration: KUBECONFIG, HOME and the like. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}
