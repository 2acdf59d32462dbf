/** What is known of a piece of work. */
export type Attributes = Readonly<Record<string, string | number | boolean>>;

/** How a piece of work came out. */
export interface Outcome {
  readonly attributes: Attributes;
  readonly failed: boolean;
}

/** The port to whoever keeps traces; a failure there is nobody's concern here. */
export interface Tracing {
  /** Traces a request that somebody made of us: the work that follows from it is part of it. */
  request<T>(name: string, work: () => Promise<T>, outcome: (result: T) => Outcome): Promise<T>;
  /** Traces a part of such work; what nobody has asked for is not traced. */
  part<T>(name: string, work: () => Promise<T>, outcome: (result: T) => Outcome): Promise<T>;
  /** A request to somebody else, as part of such work, that has just ended after so many seconds. */
  asked(name: string, seconds: number, outcome: Outcome): void;
  /** What is run later by what this returns is part of what is being traced now. */
  readonly keepContext: () => <R>(run: () => R) => R;
  /** Ends within a few seconds, with what could be sent by then. */
  close(): Promise<void>;
}
