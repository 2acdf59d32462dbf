import { z } from 'zod';

const operationsSchema = z.array(
  z.strictObject({ op: z.literal('add'), path: z.string().startsWith('/'), value: z.unknown() }),
);

/** Applies a JSON Patch of `add`s, strictly as RFC 6902 has it; throws where a parent is missing. */
export function applied(document: unknown, patch: unknown): unknown {
  let result: unknown = structuredClone(document);
  for (const { path, value } of operationsSchema.parse(patch)) {
    result = added(result, stepsOf(path), structuredClone(value));
  }
  return result;
}

function stepsOf(path: string): readonly string[] {
  return path
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function added(target: unknown, [step, ...rest]: readonly string[], value: unknown): unknown {
  if (step === undefined) return value;
  if (Array.isArray(target)) return addedToList(target, [step, ...rest], value);
  if (typeof target !== 'object' || target === null) throw new Error(`no parent of ${step}`);
  if (rest.length > 0 && !Object.hasOwn(target, step)) throw new Error(`nothing at ${step}`);
  const before: unknown = Reflect.get(target, step);
  return { ...target, [step]: added(before, rest, value) };
}

function addedToList(
  list: readonly unknown[],
  [step = '', ...rest]: readonly string[],
  value: unknown,
): unknown {
  if (step === '-' && rest.length === 0) return [...list, value];
  const index = Number(step);
  if (!/^\d+$/.test(step) || index >= list.length) throw new Error(`no element ${step}`);
  if (rest.length === 0) return list.toSpliced(index, 0, value);
  return list.with(index, added(list[index], rest, value));
}
