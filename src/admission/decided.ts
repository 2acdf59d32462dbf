import type { Guard, Operation, Reason } from '../decision/situation.ts';

/** One answered review of a guarded pod, or one that could not be judged, for people. */
export interface Decided {
  readonly operation: Operation;
  readonly namespace: string;
  readonly pod: string;
  /** null: it could not be judged, not even whether a guard selects the pod. */
  readonly guard: Pick<Guard, 'namespace' | 'name'> | null;
  readonly decision: 'allow' | 'deny' | 'error';
  readonly reason: Reason | 'InternalError';
  readonly message: string;
  readonly dryRun: boolean;
}

/** The port to whoever keeps the last decisions; returns at once. */
export type KeepDecision = (decided: Decided) => void;
