import { asRecord, type Json } from '../admission/json.ts';

/** Of a JSON Patch (RFC 6902); `add` takes the place of a member that is there. */
export interface Operation {
  readonly op: 'add';
  readonly path: string;
  readonly value: unknown;
}

/** What one part of an injection comes to in a pod. */
export interface Part {
  readonly operations: readonly Operation[];
  readonly warnings: readonly string[];
  /** The pod then has something of what was asked for. */
  readonly holds: boolean;
}

/** Nothing was asked for. */
export const NO_PART: Part = { operations: [], warnings: [], holds: false };

/**
 * Appends to a list, which may be absent. Nothing where something else stands in its place: no API
 * server sends that, and it is not ours to repair.
 */
export function append(parent: Json, path: string, added: readonly unknown[]): Operation[] {
  if (added.length === 0) return [];
  const list = parent[path.slice(path.lastIndexOf('/') + 1)] ?? null;
  if (list === null) return [{ op: 'add', path, value: added }];
  if (!Array.isArray(list)) return [];
  return added.map((value) => ({ op: 'add', path: `${path}/-`, value }));
}

/** Sets one key of an object of strings, which may be absent; as `append` otherwise. */
export function setKey(
  parent: Json,
  path: string,
  { key, value }: { readonly key: string; readonly value: string },
): Operation[] {
  const held = parent[path.slice(path.lastIndexOf('/') + 1)] ?? null;
  if (held === null) return [{ op: 'add', path, value: { [key]: value } }];
  const object = asRecord(held);
  if (object === null || object[key] === value) return [];
  const pointer = key.replaceAll('~', '~0').replaceAll('/', '~1');
  return [{ op: 'add', path: `${path}/${pointer}`, value }];
}
