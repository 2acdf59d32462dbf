/** Where a command writes, and what it may ask of its surroundings; given by `main.ts`. */
export interface Streams {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** stdout is a terminal; null: it is not, and may be a file or a program. */
  readonly terminal: Terminal | null;
  /** Puts a question to whoever sits there, null if nobody does; resolves with null if it is not answered. */
  readonly ask: ((question: string) => Promise<string | null>) | null;
  /** Aborted when the user or the system asks the program to stop. */
  readonly stop: AbortSignal;
}

/** A terminal that understands cursor movement. */
export interface Terminal {
  /** Its user has nothing against colours. */
  readonly color: boolean;
  /** As it is now: users change it. */
  size(): { readonly columns: number; readonly rows: number };
  /** Runs whenever the size has changed, until what it returns is called. */
  onResized(run: () => void): () => void;
}

/** What a command is given besides its command line. */
export interface Surroundings {
  readonly streams: Streams;
  /** For the Kubernetes configuration: KUBECONFIG, HOME and the like. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}
