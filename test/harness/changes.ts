type Fields = Readonly<Record<string, unknown>>;

/**
 * The patch that `kubectl apply` would send to an object as it is: what is said now, and null for what was
 * said before and no more. Undefined if nothing would change. Lists are sent whole: a merge patch
 * replaces them, a strategic one merges them by their keys.
 */
export function changesTo(live: Fields, said: Fields, saidBefore: Fields = {}): Fields | undefined {
  const gone = Object.keys(saidBefore).filter((name) => !(name in said) && name in live);
  const changed = Object.entries(said).flatMap(([name, value]) => {
    const change = changeOf(live[name], value, saidBefore[name]);
    return change === undefined ? [] : [[name, change] as const];
  });
  const changes = [...gone.map((name) => [name, null] as const), ...changed];
  return changes.length === 0 ? undefined : Object.fromEntries(changes);
}

function changeOf(live: unknown, said: unknown, saidBefore: unknown): unknown {
  if (isFields(said) && isFields(live)) {
    return changesTo(live, said, isFields(saidBefore) ? saidBefore : {});
  }
  return holds(live, said) ? undefined : said;
}

/** Whether it is there, beside what the API server has added. */
function holds(live: unknown, said: unknown): boolean {
  if (Array.isArray(said)) {
    return (
      Array.isArray(live) &&
      live.length === said.length &&
      said.every((one, index) => holds(live[index], one))
    );
  }
  if (!isFields(said)) return live === said;
  return isFields(live) && Object.entries(said).every(([name, value]) => holds(live[name], value));
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
