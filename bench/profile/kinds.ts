/** Reviews whose cost can be looked into; and a hundred guards that nobody asks about. */
export const PROFILED = ['refused', 'spared', 'unguarded', 'idle'] as const;
export type Profiled = (typeof PROFILED)[number];
