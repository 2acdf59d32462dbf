/** A step from one state to the next, and what it is called. */
export interface Step<S> {
  readonly label: string;
  readonly next: S;
}

/** What can be explored: all steps from every state, and what must hold in each. */
export interface Model<S> {
  readonly start: S;
  readonly steps: (state: S) => readonly Step<S>[];
  /** The same text for states that differ in nothing that matters. */
  readonly key: (state: S) => string;
  /** What is wrong with the state; null: nothing. */
  readonly broken: (state: S) => string | null;
}

/** What exploring came to. */
export interface Explored {
  readonly states: number;
  readonly steps: number;
  /** The shortest way to a state in which something is wrong, or null: there is none. */
  readonly counterexample: readonly string[] | null;
}

interface Visit<S> {
  readonly state: S;
  readonly label: string;
  readonly before: Visit<S> | null;
}

/** Visits every state that can be reached, the nearest first, until one is broken. Throws beyond `limit`. */
export function explore<S>(model: Model<S>, limit: number): Explored {
  const seen = new Set([model.key(model.start)]);
  const queue: Visit<S>[] = [{ state: model.start, label: 'at first', before: null }];
  let steps = 0;
  for (const visit of queue) {
    const wrong = model.broken(visit.state);
    if (wrong !== null) {
      return { states: seen.size, steps, counterexample: [...wayTo(visit), wrong] };
    }
    for (const { label, next } of model.steps(visit.state)) {
      steps += 1;
      const key = model.key(next);
      if (seen.has(key)) continue;
      seen.add(key);
      queue.push({ state: next, label, before: visit });
    }
    if (seen.size > limit) throw new Error(`more than ${limit} states`);
  }
  return { states: seen.size, steps, counterexample: null };
}

function wayTo<S>(visit: Visit<S>): string[] {
  const labels: string[] = [];
  for (let at: Visit<S> | null = visit; at !== null; at = at.before) labels.unshift(at.label);
  return labels;
}
