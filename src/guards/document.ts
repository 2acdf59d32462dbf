import { LineCounter, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { hostOf, withPort } from './address.ts';

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

const objectName = z
  .string()
  .max(253)
  .regex(DNS_SUBDOMAIN, 'must be a DNS subdomain: lower-case letters, digits, - and .');

const filePath = z.string().min(1, 'must name a file');

const selector = z
  .strictObject({
    matchLabels: z.record(z.string(), z.string()).optional(),
    matchExpressions: z
      .array(
        z.strictObject({
          key: z.string().min(1),
          operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
          values: z.array(z.string()).optional(),
        }),
      )
      .optional(),
  })
  .superRefine((value, context) => {
    for (const [index, { operator, values }] of (value.matchExpressions ?? []).entries()) {
      const wants = operator === 'In' || operator === 'NotIn';
      if (wants === (values ?? []).length > 0) continue;
      context.addIssue({
        code: 'custom',
        path: ['matchExpressions', index, 'values'],
        message: wants ? `must not be empty for ${operator}` : `must be empty for ${operator}`,
      });
    }
  });

const fileTls = z
  .strictObject({
    caFile: filePath.optional(),
    certFile: filePath.optional(),
    keyFile: filePath.optional(),
    serverName: z.string().min(1).optional(),
  })
  .refine(({ certFile, keyFile }) => (certFile === undefined) === (keyFile === undefined), {
    message: 'certFile and keyFile go together',
  });

const address = z.string().superRefine((value, context) => {
  if (hostOf(value) === null) {
    context.addIssue({ code: 'custom', message: 'must be host:port or host' });
  }
});

const members = z.strictObject({
  port: z.int().min(1).max(65_535).default(2379),
  tls: fileTls.optional(),
  auth: z.strictObject({ usernameFile: filePath, passwordFile: filePath }).optional(),
  addresses: z
    .record(objectName, address)
    .refine((value) => Object.keys(value).length > 0, 'must name at least one pod'),
});

const policy = z.strictObject({
  leader: z.enum(['Deny', 'HandOff']).default('Deny'),
  handOff: z.array(z.string().min(1)).default(['Evictions', 'Controllers']),
  quorum: z.enum(['Enforce', 'Warn']).default('Enforce'),
  unknown: z.enum(['Deny', 'Allow']).default('Deny'),
  maxRaftLag: z.int().min(1).max(Number.MAX_SAFE_INTEGER).default(1000),
});

const document = z.strictObject({
  apiVersion: z.literal('etcd-guard.io/v1alpha1'),
  kind: z.literal('EtcdGuard'),
  metadata: z.looseObject({
    name: objectName,
    namespace: z
      .string()
      .max(63)
      .regex(DNS_LABEL, 'must be a DNS label: lower-case letters, digits and -')
      .default('default'),
  }),
  spec: z.strictObject({
    selector: selector.optional(),
    members,
    policy: policy.prefault({}),
  }),
  status: z.unknown().optional(),
});

/** An EtcdGuard as a file gives it, defaults filled in; every address has a port. */
export type GuardDocument = z.output<typeof document>;

/** What is wrong where; `path` is empty if it concerns the document or the file as a whole. */
export interface Problem {
  readonly file: string;
  /** From 1; null if the file can't be split into documents. */
  readonly document: number | null;
  readonly path: string;
  readonly message: string;
}

/** One problem a line: `guards.yaml: document 2: spec.policy.quorum: …`. */
export function problemText({ file, document: number, path, message }: Problem): string {
  const where = [file, number === null ? '' : `document ${number}`, path];
  return [...where.filter((part) => part !== ''), message].join(': ');
}

/** All guards of one file, or everything that is wrong with it. */
export type ParsedFile =
  | { readonly guards: readonly GuardDocument[]; readonly problems?: never }
  | { readonly problems: readonly Problem[]; readonly guards?: never };

/** Reads YAML (or JSON) text with any number of documents; empty ones are passed over. */
export function parseGuards(file: string, text: string): ParsedFile {
  const lineCounter = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter, prettyErrors: false });
  const documents = 'empty' in parsed ? [] : parsed;
  const problems: Problem[] = [];
  const guards: GuardDocument[] = [];
  for (const [index, one] of documents.entries()) {
    for (const error of one.errors) {
      const { line, col } = lineCounter.linePos(error.pos[0]);
      const message = `line ${line}, column ${col}: ${firstLine(error.message)}`;
      problems.push({ file, document: index + 1, path: '', message });
    }
    const content = one.errors.length > 0 ? null : contentOf(one);
    if (content === null) continue;
    const checked = document.safeParse(content);
    if (checked.success) guards.push(withPorts(checked.data));
    else
      problems.push(
        ...checked.error.issues
          .flatMap((issue) => describe(issue, content))
          .map(({ path, message }) => ({ file, document: index + 1, path, message })),
      );
  }
  if (problems.length === 0 && guards.length === 0) {
    problems.push({ file, document: null, path: '', message: 'has no EtcdGuard document' });
  }
  return problems.length > 0 ? { problems } : { guards };
}

function contentOf(one: { toJS(): unknown }): unknown {
  try {
    return one.toJS() ?? null;
  } catch (error) {
    // Aliases that expand without bound are refused by the library only here.
    return error instanceof Error ? `unreadable: ${firstLine(error.message)}` : 'unreadable';
  }
}

function withPorts(guard: GuardDocument): GuardDocument {
  const given = guard.spec.members;
  const addresses = Object.fromEntries(
    Object.entries(given.addresses).map(([pod, at]) => [pod, withPort(at, given.port)]),
  );
  return { ...guard, spec: { ...guard.spec, members: { ...given, addresses } } };
}

type Issue = z.core.$ZodIssue;

function describe(issue: Issue, content: unknown): { path: string; message: string }[] {
  const path = pathText(issue.path);
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        path: pathText([...issue.path, key]),
        message: 'unknown field',
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
    case 'invalid_key':
      return issue.issues.map((inner) => ({ path, message: `the key ${inner.message}` }));
    default:
      return [{ path, message: lowerFirst(issue.message) + found(issue.path, content) }];
  }
}

function missingOrWrong(path: readonly PropertyKey[], expected: string, content: unknown): string {
  if (valueAt(path, content) === undefined) return `is missing (${expected})`;
  return `must be ${expected}${found(path, content)}`;
}

function found(path: readonly PropertyKey[], content: unknown): string {
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
    if (/[^\w-]/.test(name)) return `${text}[${JSON.stringify(name)}]`;
    return text === '' ? name : `${text}.${name}`;
  }, '');
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
