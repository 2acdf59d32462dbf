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

/** How a state was come to; states themselves are let go once all that follows from them is known. */
interface Trail {
  readonly label: string;
  readonly before: Trail | null;
}

interface Visit<S> {
  readonly state: S;
  readonly trail: Trail | null;
}

/** Visits every state that can be reached, the nearest first, until one is broken. Throws beyond `limit`. */
export function explore<S>(model: Model<S>, limit: number): Explored {
  const seen = new Set([model.key(model.start)]);
  let steps = 0;
  const beyond = ({ state, trail }: Visit<S>): readonly Visit<S>[] => {
    const possible = model.steps(state);
    steps += possible.length;
    return possible
      .filter(({ next }) => seen.size < seen.add(model.key(next)).size)
      .map(({ label, next }) => ({ state: next, trail: { label, before: trail } }));
  };
  let frontier: readonly Visit<S>[] = [{ state: model.start, trail: null }];
  while (frontier.length > 0) {
    const next: Visit<S>[] = [];
    for (const visit of frontier) {
      const wrong = model.broken(visit.state);
      if (wrong !== null) {
        return { states: seen.size, steps, counterexample: [...labelsOf(visit.trail), wrong] };
      }
      next.push(...beyond(visit));
    }
    if (seen.size > limit) throw new Error(`more than ${limit} states`);
    frontier = next;
  }
  return { states: seen.size, steps, counterexample: null };
}

/** The state at the end of these steps from the start, by their labels. Throws where there is none of that name. */
export function walk<S>({ start, steps }: Model<S>, labels: readonly string[]): S {
  return labels.reduce((state, label) => {
    const possible = steps(state);
    const step = possible.find((one) => one.label === label);
    if (step !== undefined) return step.next;
    throw new Error(`not ${label}, but ${possible.map((one) => one.label).join(', ')}`);
  }, start);
}

function labelsOf(trail: Trail | null): string[] {
  const labels: string[] = [];
  for (let at = trail; at !== null; at = at.before) labels.unshift(at.label);
  return labels;
}
