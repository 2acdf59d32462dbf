import { z } from 'zod';
import type { Answer } from './api-failure.ts';
import { parseJson } from './api-failure.ts';

/** What an API server serves, which anybody who is known to it may ask. */
export interface ResourceDiscovery {
  /** Of a group ('' is the core's), namespaced resources by plural name; null: there is no such group. */
  served(group: string, withinMs: number): Promise<ReadonlyMap<string, ServedResource> | null>;
}

/** A resource, in the version that the API server prefers. */
export interface ServedResource {
  readonly version: string;
  readonly kind: string;
}

const version = z.object({ version: z.string() });
const groupSchema = z.object({ versions: z.array(version), preferredVersion: version.optional() });
const resourcesSchema = z.object({
  resources: z.array(z.object({ name: z.string(), kind: z.string(), namespaced: z.boolean() })),
});

/** `ask` gives the answer at a path, and null for a 404; it rejects with an ApiError. */
export async function discover(
  group: string,
  ask: (path: string) => Promise<Answer | null>,
): Promise<ReadonlyMap<string, ServedResource> | null> {
  const root = group === '' ? '/api' : `/apis/${group}`;
  const versions = group === '' ? ['v1'] : versionsIn(await ask(root));
  if (versions === null) return null;
  const found = new Map<string, ServedResource>();
  // The preferred one last: it replaces what others say.
  for (const one of versions.toReversed()) {
    const answer = await ask(`${root}/${one}`);
    const { resources = [] } = resourcesSchema.safeParse(contentOf(answer)).data ?? {};
    for (const { name, kind, namespaced } of resources) {
      if (namespaced && !name.includes('/')) found.set(name, { version: one, kind });
    }
  }
  return found;
}

/** The preferred one first; null: there is no such group. */
function versionsIn(answer: Answer | null): readonly string[] | null {
  const group = groupSchema.safeParse(contentOf(answer)).data;
  if (group === undefined) return null;
  const preferred = group.preferredVersion?.version;
  const all = group.versions.map((one) => one.version);
  return preferred === undefined ? all : [preferred, ...all.filter((one) => one !== preferred)];
}

function contentOf(answer: Answer | null): unknown {
  return answer === null ? undefined : parseJson(answer.text);
}
