import type { z } from 'zod';
import { hintFor } from './near-miss.ts';

/** What is wrong where: `spec.policy.quorum`, `spec.selector.matchExpressions[0].values`. */
export interface Fault {
  readonly path: string;
  readonly message: string;
}

/** The schema's issues with this content in an operator's words, and what the schema passes over. */
export function faultsIn(content: unknown, issues: readonly z.core.$ZodIssue[]): readonly Fault[] {
  return [...hiddenKeys(content), ...issues.flatMap((issue) => describe(issue, content))];
}

/** The schema library passes over keys called `__proto__`; a selector without them selects more. */
function hiddenKeys(content: unknown): readonly Fault[] {
  const faults: Fault[] = [];
  const seen = new Set<unknown>();
  const visit = (value: unknown, path: readonly PropertyKey[]): void => {
    if (typeof value !== 'object' || value === null || seen.has(value)) return;
    seen.add(value);
    for (const [key, inner] of Object.entries(value)) {
      const at = [...path, Array.isArray(value) ? Number(key) : key];
      // At the top level and in other closed objects it is reported as any unknown field is.
      if (key === '__proto__' && isOpen(path)) {
        faults.push({ path: pathText(at), message: 'is not a usable name' });
      }
      visit(inner, at);
    }
  };
  visit(content, []);
  return faults;
}

/** The objects whose keys are free. */
function isOpen(path: readonly PropertyKey[]): boolean {
  return ['spec.members.addresses', 'spec.selector.matchLabels'].includes(path.join('.'));
}

function describe(issue: z.core.$ZodIssue, content: unknown): readonly Fault[] {
  const path = pathText(issue.path);
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        path: pathText([...issue.path, key]),
        message: `unknown field${hintFor(path, key)}`,
      }));
    case 'invalid_value':
      return [
        {
          path,
          message: `must be ${issue.values.map(String).join(' or ')}${found(issue.path, content)}`,
        },
      ];
    case 'invalid_type':
      return [{ path, message: missingOrWrong(issue.path, issue.expected, content) }];
    case 'too_small':
      return [{ path, message: atLeast(issue) + found(issue.path, content) }];
    case 'too_big':
      return [{ path, message: atMost(issue) + found(issue.path, content) }];
    case 'invalid_key':
      return issue.issues.map((inner) => ({ path, message: `the key ${inner.message}` }));
    default:
      return [{ path, message: lowerFirst(issue.message) + found(issue.path, content) }];
  }
}

function atLeast({ origin, minimum }: z.core.$ZodIssueTooSmall): string {
  return origin === 'number' || origin === 'int'
    ? `must be at least ${minimum}`
    : 'must not be empty';
}

function atMost({ origin, maximum }: z.core.$ZodIssueTooBig): string {
  if (origin === 'string') return `must have at most ${maximum} characters`;
  if (origin === 'array') return `must have at most ${maximum} entries`;
  return `must be at most ${maximum}`;
}

function missingOrWrong(path: readonly PropertyKey[], type: string, content: unknown): string {
  const expected = type === 'record' ? 'object' : type;
  if (valueAt(path, content) === undefined) return `is missing (${expected})`;
  return `must be ${expected}${found(path, content)}`;
}

/** Credentials are named by file or Secret; one that stands in the guard itself must not be repeated. */
function found(path: readonly PropertyKey[], content: unknown): string {
  if (path[2] === 'auth' || path[2] === 'tls') return '';
  const value = valueAt(path, content);
  if (value === undefined || (typeof value === 'object' && value !== null)) return '';
  return ` (found ${JSON.stringify(value).slice(0, 60)})`;
}

function valueAt(path: readonly PropertyKey[], content: unknown): unknown {
  let value = content;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = Reflect.get(value, key);
  }
  return value;
}

function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    const name = String(key);
    if (!/^[\w-]+$/.test(name)) return `${text}[${JSON.stringify(name)}]`;
    return text === '' ? name : `${text}.${name}`;
  }, '');
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
