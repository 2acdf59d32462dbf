/** Kinds of reviews whose cost can be looked into. */
export const PROFILED = ['refused', 'spared', 'unguarded'] as const;
export type Profiled = (typeof PROFILED)[number];
