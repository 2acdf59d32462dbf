/** Milliseconds that this process has not spent waiting; only differences mean anything. */
export type ActiveMs = () => number;

export const activeOfThisProcess: ActiveMs = () => performance.eventLoopUtilization().active;
