import { Composer, LineCounter, Parser, type Document } from 'yaml';
import { z } from 'zod';
import { withPort } from './address.ts';
import { faultsIn, type Fault } from './faults.ts';
import { address, isSatisfiableBy, labelSelector, objectName, policy } from './schema.ts';

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
/** Whoever puts the content where its path belongs shall not find it in a log. */
const filePath = z
  .string()
  .regex(/^(?!-----BEGIN)[^\n\r\0]{1,4096}$/, 'must name a file, not hold its content');

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

const members = z.strictObject({
  port: z.int().min(1).max(65_535).default(2379),
  tls: fileTls.optional(),
  auth: z.strictObject({ usernameFile: filePath, passwordFile: filePath }).optional(),
  addresses: z
    .record(objectName, address)
    .refine((value) => Object.keys(value).length > 0, 'must name at least one pod'),
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
    selector: labelSelector.superRefine(isSatisfiableBy('pod')).optional(),
    members,
    policy: policy.prefault({}),
    inject: z
      .unknown()
      .refine(
        (value) => value === undefined,
        'is for EtcdGuards in a cluster: a guard from a file changes no pod, so leave it out',
      )
      .optional(),
  }),
  status: z.unknown().optional(),
});

/** An EtcdGuard as a file gives it, defaults filled in; every address has a port. */
export type GuardDocument = z.output<typeof document>;

/** What is wrong where; `path` is empty if it concerns the document or the file as a whole. */
export interface Problem extends Fault {
  readonly file: string;
  /** From 1; null if the file can't be split into documents. */
  readonly document: number | null;
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
  const parser = new Parser(lineCounter.addNewLine);
  const composer = new Composer({
    lineCounter,
    prettyErrors: false,
    // Its warnings would stand in the log, not as JSON, and with what the file holds.
    logLevel: 'error',
  });
  const problems: Problem[] = [];
  const guards: NumberedGuard[] = [];
  let number = 0;
  // One at a time: parsed, documents take tens of times the memory of their text.
  for (const one of composer.compose(parser.parse(text))) {
    number += 1;
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

/** null: the document is empty. */
function checkDocument(
  one: Pick<Document.Parsed, 'errors' | 'toJS'>,
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
  const faults = faultsIn(content, checked.error?.issues ?? []);
  return checked.success && faults.length === 0 ? { guard: withPorts(checked.data) } : { faults };
}

function withPorts(guard: GuardDocument): GuardDocument {
  const given = guard.spec.members;
  const addresses = Object.fromEntries(
    Object.entries(given.addresses).map(([pod, at]) => [pod, withPort(at, given.port)]),
  );
  return { ...guard, spec: { ...guard.spec, members: { ...given, addresses } } };
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
