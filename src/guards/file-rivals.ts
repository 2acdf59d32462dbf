import type { FileGuard } from './file-source.ts';
import { accepted, overlapping, type Acceptance } from './guard-status.ts';

/** Whether a guard from a file is alone with its pods; whom a selector means only labels tell. */
export function fileAcceptance(one: FileGuard, all: readonly FileGuard[]): Acceptance {
  const pods = podsOf(one);
  const rivals = all.filter(
    (other) =>
      other.guard.name !== one.guard.name &&
      other.guard.namespace === one.guard.namespace &&
      podsOf(other).some((pod) => pods.includes(pod)),
  );
  return overlapping(rivals.map(({ guard }) => guard.name)) ?? accepted(pods.length);
}

/** Those that name a pod which another one names too. */
export function rivalsAmong(all: readonly FileGuard[]): ReadonlySet<FileGuard> {
  const byPod = new Map<string, FileGuard[]>();
  for (const one of all) {
    for (const pod of podsOf(one)) {
      const key = `${one.guard.namespace}/${pod}`;
      byPod.set(key, [...(byPod.get(key) ?? []), one]);
    }
  }
  return new Set([...byPod.values()].filter(({ length }) => length > 1).flat());
}

function podsOf({ loaded }: FileGuard): readonly string[] {
  return Object.keys(loaded.document.spec.members.addresses);
}
