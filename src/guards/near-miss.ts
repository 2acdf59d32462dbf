/** How many letters have to be changed, added or left out. */
export function distanceBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (const [i, letter] of Array.from(a).entries()) {
    const next = [i + 1];
    for (const [j, other] of Array.from(b).entries()) {
      const changed = (row[j] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(changed, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}

const MOST = 2;
const SHORTEST = 4;

/** What is known at each place that a name can be misspelt. */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  '': ['apiVersion', 'kind', 'metadata', 'spec', 'status'],
  spec: ['selector', 'members', 'policy', 'inject'],
  'spec.selector': ['matchLabels', 'matchExpressions'],
  'spec.members': ['port', 'tls', 'auth', 'addresses'],
  'spec.members.tls': ['caFile', 'certFile', 'keyFile', 'serverName'],
  'spec.members.auth': ['usernameFile', 'passwordFile'],
  'spec.policy': ['leader', 'handOff', 'quorum', 'unknown', 'maxRaftLag'],
};

const IN_FILES: Readonly<Record<string, string>> = {
  'spec.members.tls': 'caFile, certFile, keyFile',
  'spec.members.auth': 'usernameFile, passwordFile',
};

/** What may have been meant by a field that an EtcdGuard does not have there; empty: no idea. */
export function hintFor(place: string, field: string): string {
  const inFiles = field === 'secretName' ? IN_FILES[place] : undefined;
  if (inFiles !== undefined) return ` (in files: ${inFiles})`;
  if (field.length < SHORTEST) return '';
  const near = (FIELDS[place] ?? []).find(
    (known) => distanceBetween(field.toLowerCase(), known.toLowerCase()) <= MOST,
  );
  return near === undefined ? '' : ` (did you mean ${near}?)`;
}
