/** An object as it came over the wire: any key may hold anything. */
export type Json = Readonly<Record<string, unknown>>;

/** An object without keys. */
export const NOTHING: Json = Object.freeze({});

/** The object that it is, or null. */
export function asRecord(value: unknown): Json | null {
  return isRecord(value) ? value : null;
}

/** The object that it is, or an empty one. */
export function recordOf(value: unknown): Json {
  return isRecord(value) ? value : NOTHING;
}

/** A field of its own, of whatever it is. */
export function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return Reflect.get(value, name);
}

/** The array that it is, or an empty one. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The string that it is, or an empty one. */
export function stringOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** Kubernetes leaves a field out or empty alike to say that there is none. */
export function nonEmpty(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

/** What has it as its prototype inherits no key; V8 keeps what has none at all as a hash table of 1 KB. */
const NO_KEYS: object = Object.freeze(Object.create(null));

/** The strings among an object's values; no key is inherited, so that `__proto__` is just a label. */
export function stringsOf(value: unknown): Readonly<Record<string, string>> {
  const source = recordOf(value);
  const strings: Record<string, string> = Object.create(NO_KEYS);
  for (const key of Object.keys(source)) {
    const text = source[key];
    if (typeof text === 'string') strings[key] = text;
  }
  return strings;
}

function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
