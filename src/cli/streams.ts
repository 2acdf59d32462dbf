/** Where a command writes, and what it may ask of its surroundings; given by `main.ts`. */
export interface Streams {
  out(text: string): void;
  err(text: string): void;
  /** stdout is a terminal. */
  readonly terminal: boolean;
  /** Aborted when the user or the system asks the program to stop. */
  readonly stop: AbortSignal;
}
