import { LineCounter, parseAllDocuments, type parseDocument } from 'yaml';
import { z } from 'zod';
import { hostOf, withPort } from './address.ts';

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

const objectName = z
  .string()
  .max(253)
  .regex(DNS_SUBDOMAIN, 'must be a DNS subdomain: lower-case letters, digits, - and .');

/** Whoever puts the content where its path belongs shall not find it in a log. */
const filePath = z
  .string()
  .regex(/^(?!-----BEGIN)[^\n\r\0]{1,4096}$/, 'must name a file, not hold its content');

const requirement = z
  .strictObject({
    key: z.string().min(1),
    operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
    values: z.array(z.string()).optional(),
  })
  .superRefine(({ operator, values }, context) => {
    const wants = operator === 'In' || operator === 'NotIn';
    if (wants === (values ?? []).length > 0) return;
    context.addIssue({
      code: 'custom',
      path: ['values'],
      message: wants ? `must not be empty for ${operator}` : `must be empty for ${operator}`,
    });
  });

const selector = z.strictObject({
  matchLabels: z.record(z.string(), z.string()).optional(),
  matchExpressions: z.array(requirement).optional(),
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
    context.addIssue({ code: 'custom', message: 'must be host:port or host, IPv6 in brackets' });
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

/** A guard, and which document of its file it is, from 1. */
export interface NumberedGuard {
  readonly guard: GuardDocument;
  readonly number: number;
}

/** All guards of one file, or everything that is wrong with it. */
export type ParsedFile =
  | { readonly guards: readonly NumberedGuard[]; readonly problems?: never }
  | { readonly problems: readonly Problem[]; readonly guards?: never };

/** Further syntax errors of one document are mostly echoes of the first ones. */
const SYNTAX_ERRORS_SHOWN = 3;

/** Reads YAML (or JSON) text with any number of documents; empty ones are passed over. */
export function parseGuards(file: string, text: string): ParsedFile {
  const lineCounter = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter, prettyErrors: false });
  const documents = 'empty' in parsed ? [] : parsed;
  const problems: Problem[] = [];
  const guards: NumberedGuard[] = [];
  for (const [index, one] of documents.entries()) {
    const number = index + 1;
    const checked = checkDocument(one, lineCounter);
    if (checked === null) continue;
    if ('guard' in checked) guards.push({ guard: checked.guard, number });
    else problems.push(...checked.faults.map((fault) => ({ file, document: number, ...fault })));
  }
  if (problems.length === 0 && guards.length === 0) {
    problems.push({ file, document: null, path: '', message: 'has no EtcdGuard document' });
  }
  return problems.length > 0 ? { problems } : { guards };
}

type Fault = Pick<Problem, 'path' | 'message'>;

/** null: the document is empty. */
function checkDocument(
  one: ReturnType<typeof parseDocument>,
  lineCounter: LineCounter,
): { readonly guard: GuardDocument } | { readonly faults: readonly Fault[] } | null {
  if (one.errors.length > 0) {
    const faults = one.errors.slice(0, SYNTAX_ERRORS_SHOWN).map(({ pos, message }) => {
      const { line, col } = lineCounter.linePos(pos[0]);
      return { path: '', message: `line ${line}, column ${col}: ${firstLine(message)}` };
    });
    return { faults };
  }
  let content: unknown;
  try {
    content = one.toJS();
  } catch (error) {
    // Aliases that expand without bound, or lead nowhere, are refused by the library only here.
    const why = error instanceof Error ? firstLine(error.message) : 'unknown';
    return { faults: [{ path: '', message: `can't be read: ${why}` }] };
  }
  if (content === null || content === undefined) return null;
  const checked = document.safeParse(content);
  const faults = [
    ...hiddenKeys(content),
    ...(checked.error?.issues ?? []).flatMap((issue) => describe(issue, content)),
  ];
  return checked.success && faults.length === 0 ? { guard: withPorts(checked.data) } : { faults };
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
    case 'too_small':
      return [{ path, message: atLeast(issue) + found(issue.path, content) }];
    case 'too_big':
      return [{ path, message: `must be at most ${issue.maximum}${found(issue.path, content)}` }];
    case 'invalid_key':
      return issue.issues.map((inner) => ({ path, message: `the key ${inner.message}` }));
    default:
      return [{ path, message: lowerFirst(issue.message) + found(issue.path, content) }];
  }
}

function atLeast({ origin, minimum }: z.core.$ZodIssueTooSmall): string {
  return origin === 'string' ? 'must not be empty' : `must be at least ${minimum}`;
}

function missingOrWrong(path: readonly PropertyKey[], expected: string, content: unknown): string {
  if (valueAt(path, content) === undefined) return `is missing (${expected})`;
  return `must be ${expected}${found(path, content)}`;
}

/** Credentials are named by file; one that stands in the document itself must not be repeated. */
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
