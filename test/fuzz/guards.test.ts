import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { parseGuards, problemText, type GuardDocument } from '../../src/guards/document.ts';
import type { KubernetesObject } from '../../src/kubernetes/api/api.ts';
import { decodeGuard, type EtcdGuard } from '../../src/kubernetes/guards/guard-resource.ts';
import { garble, junk, mutate, type Json } from './mutate.ts';
import { cases, FuzzError, must, Random, report, seedOf, Tally } from './random.ts';

const CORPUS = join(import.meta.dirname, 'corpus/guards');
const DOCUMENTS = cases(8_000);
const OBJECTS = cases(60_000);
/** What a whole file may take; a parser that goes wild takes minutes. */
const SLOW_MS = 3_000;

const WORDS: readonly Json[] = [
  'selector',
  'matchLabels',
  'matchExpressions',
  'members',
  'policy',
  'leader',
  'quorum',
  'unknown',
  'maxRaftLag',
  'handOff',
  'addresses',
  'tls',
  'auth',
  'secretName',
  'caFile',
  'Deny',
  'Allow',
  'Warn',
  'HandOff',
  'In',
  'Exists',
  'group:',
  'group:ops',
  '127.0.0.1:2379',
  '[::1]:2379',
  'etcd-0',
  'EtcdGuard',
  'etcd-guard.io/v1alpha1',
  'status',
  'disruptedPods',
  {},
  [],
  { app: 'etcd' },
  { key: 'app', operator: 'In', values: ['etcd'] },
  { matchLabels: {} },
  null,
  0,
  -1,
  2379,
];

const DOCUMENT: Json = {
  apiVersion: 'etcd-guard.io/v1alpha1',
  kind: 'EtcdGuard',
  metadata: { name: 'etcd', namespace: 'default' },
  spec: {
    selector: {
      matchLabels: { app: 'etcd' },
      matchExpressions: [{ key: 'tier', operator: 'NotIn', values: ['test'] }],
    },
    members: {
      port: 2379,
      addresses: { 'etcd-0': '127.0.0.1:2379', 'etcd-1': '[::1]', 'etcd-2': 'etcd-2.etcd' },
      tls: { caFile: '/ca.crt', serverName: '{pod}.etcd' },
      auth: { usernameFile: '/user', passwordFile: '/password' },
    },
    policy: {
      leader: 'HandOff',
      handOff: ['alice'],
      quorum: 'Warn',
      unknown: 'Allow',
      maxRaftLag: 5,
    },
  },
};

const OBJECT: Json = {
  apiVersion: 'etcd-guard.io/v1alpha1',
  kind: 'EtcdGuard',
  metadata: {
    name: 'etcd',
    namespace: 'default',
    uid: '7a5cf7f2',
    resourceVersion: '41',
    generation: 3,
  },
  spec: {
    selector: {
      matchLabels: { app: 'etcd' },
      matchExpressions: [{ key: 'tier', operator: 'Exists' }],
    },
    members: {
      port: 2379,
      addresses: { 'etcd-0': '10.0.0.1:2379' },
      tls: { secretName: 'etcd-client-tls', serverName: '{pod}.etcd' },
      auth: { secretName: 'etcd-auth' },
    },
    policy: {
      leader: 'HandOff',
      handOff: ['alice'],
      quorum: 'Warn',
      unknown: 'Allow',
      maxRaftLag: 5,
    },
  },
  status: {
    leader: 'etcd-0',
    voters: 3,
    disruptedPods: {
      u1: { pod: 'etcd-1', time: '2026-03-04T05:06:07.089123Z', by: 'kate', reason: 'Spared' },
    },
  },
};

/** `a.b[0] = value` for every value in it that holds no others. */
function leaves(value: unknown, path = '', into: Map<string, unknown> = new Map()) {
  if (typeof value !== 'object' || value === null) {
    into.set(path, value);
  } else {
    const inner = Object.entries(value);
    if (inner.length === 0) into.set(path, Array.isArray(value) ? '[]' : '{}');
    for (const [key, one] of inner) leaves(one, `${path}/${key}`, into);
  }
  return into;
}

/** All that was said stands, but for what may be said otherwise; what was not said is a default. */
function checkMeaning(
  said: unknown,
  understood: unknown,
  passedOver: readonly string[] = [],
): void {
  const kept = leaves(understood);
  for (const [path, value] of leaves(said)) {
    if (passedOver.some((one) => path === one || path.startsWith(`${one}/`))) continue;
    const is = kept.get(path);
    must(
      isSame(path, is, value),
      `${path} was ${JSON.stringify(value)} and is understood as ${JSON.stringify(is)}`,
    );
  }
  const given = leaves(said);
  for (const [path, value] of kept) {
    const isSaid = given.has(path) || value === '{}' || value === '[]';
    must(isSaid || DEFAULTS[path] === value, `${path} came from nowhere: ${JSON.stringify(value)}`);
  }
}

const DEFAULTS: Readonly<Record<string, unknown>> = {
  '/members/port': 2379,
  '/policy/leader': 'Deny',
  '/policy/handOff/0': 'Evictions',
  '/policy/handOff/1': 'Controllers',
  '/policy/quorum': 'Enforce',
  '/policy/unknown': 'Deny',
  '/policy/maxRaftLag': 1000,
};

function isSame(path: string, is: unknown, said: unknown): boolean {
  // An empty object is filled with defaults, each of which is looked at.
  if (Object.is(is, said) || said === '{}') return true;
  return path.includes('/addresses/') && isAddress(is, said);
}

/** A port may have been added, and capitals mean nothing. */
function isAddress(is: unknown, said: unknown): boolean {
  if (typeof is !== 'string' || typeof said !== 'string') return false;
  return is === said.toLowerCase() || is.replace(/:\d+$/, '') === said.toLowerCase();
}

function checkProblem(path: string, message: string): void {
  must(/\S/.test(message) && message.length < 1_500, `no sentence: ${message.slice(0, 100)}`);
  must(!/\bundefined\b|\[object|^ZodError/.test(message), `no operator's words: ${message}`);
  must(!message.includes('\n') && !path.includes('\n'), `more than a line: ${path}: ${message}`);
}

function specOf(content: unknown): unknown {
  return typeof content === 'object' && content !== null && 'spec' in content ? content.spec : null;
}

/** Each document that is accepted, against what the YAML library makes of it. */
function checkFile(text: string): string {
  const begunMs = performance.now();
  const parsed = parseGuards('guards.yaml', text);
  must(performance.now() - begunMs < SLOW_MS, `took ${performance.now() - begunMs} ms`);
  if (parsed.problems !== undefined) {
    must(parsed.problems.length > 0, 'neither guards nor problems');
    for (const problem of parsed.problems) {
      checkProblem(problem.path, problem.message);
      must(problemText(problem).startsWith('guards.yaml: '), 'the file is not named');
    }
    return 'files with problems';
  }
  const documents = parseAllDocuments(text, { logLevel: 'error' });
  for (const { guard, number } of parsed.guards) {
    const content: unknown = 'empty' in documents ? null : documents[number - 1]?.toJS();
    checkMeaning(specOf(content), guard.spec);
    checkNames(content, guard.metadata);
  }
  return 'files with guards';
}

function checkNames(content: unknown, { name, namespace }: GuardDocument['metadata']): void {
  const said = leaves(content);
  must(said.get('/metadata/name') === name, 'another name');
  must((said.get('/metadata/namespace') ?? 'default') === namespace, 'another namespace');
  must(said.get('/kind') === 'EtcdGuard', 'another kind');
}

function checkObject(object: Json): string {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- whatever an API server could hand on
  const decoded = decodeGuard(object as unknown as KubernetesObject);
  if (decoded.guard === undefined) {
    must(decoded.problems.length > 0, 'neither a guard nor problems');
    for (const { path, message } of decoded.problems) checkProblem(path, message);
    if (decoded.selector !== null) checkSelector(object, decoded.selector);
    return 'objects with problems';
  }
  checkMeaning(specOf(object), decoded.guard.spec, ignoredPaths(decoded.guard));
  return decoded.guard.ignored.length > 0 ? 'objects with unknown fields' : 'objects with a guard';
}

function checkSelector(object: Json, selector: unknown): void {
  const said = specOf(object);
  const own =
    typeof said === 'object' && said !== null && 'selector' in said ? said.selector : null;
  must(JSON.stringify(own) === JSON.stringify(selector), 'the selector is understood otherwise');
}

/** `spec.policy["x y"]` as `/policy/x y` */
function ignoredPaths({ ignored }: EtcdGuard): readonly string[] {
  return ignored.map((path) =>
    [...path.matchAll(/\[("(?:[^"\\]|\\.)*"|\d+)\]|([\w-]+)/g)]
      .slice(1)
      .map(([, quoted, plain]) => `/${quoted === undefined ? plain : String(JSON.parse(quoted))}`)
      .join(''),
  );
}

const FIXED = readdirSync(CORPUS).map(
  (file) => [file, readFileSync(join(CORPUS, file), 'utf8')] as const,
);

test.each(FIXED)(
  'the kept file %s means what it says, or has problems that say so',
  (file, text) => {
    const kind = file.endsWith('.object.json') ? checkObject(JSON.parse(text)) : checkFile(text);
    expect(kind).toMatch(/^(files|objects) with /);
  },
);

/** Text once: writing YAML takes longer than reading it. */
const TEXTS = [
  stringify(DOCUMENT),
  JSON.stringify(DOCUMENT, null, 2),
  `${stringify(DOCUMENT)}---\n# nothing\n---\n${JSON.stringify(DOCUMENT)}\n`,
];

function madeText(random: Random): string {
  if (random.oneIn(3)) return garble(random.pick(TEXTS), random);
  const made = random.oneIn(40)
    ? junk(random, 4)
    : mutate(structuredClone(DOCUMENT), random, WORDS);
  const text = JSON.stringify(made);
  return random.oneIn(10) ? garble(text, random) : text;
}

test(`${DOCUMENTS} made files mean what they say, or have problems that say so`, () => {
  const tally = new Tally();
  for (let index = 0; index < DOCUMENTS; index += 1) {
    const text = madeText(new Random(seedOf(index)));
    try {
      tally.add(checkFile(text));
    } catch (error) {
      throw new FuzzError(index, text, error);
    }
  }
  report('guard files', tally.counts);
  expect(tally.counts['files with guards']).toBeGreaterThan(DOCUMENTS / 100);
  expect(tally.counts['files with problems']).toBeGreaterThan(DOCUMENTS / 100);
}, 240_000);

test(`${OBJECTS} made EtcdGuards mean what they say, or have problems that say so`, () => {
  const tally = new Tally();
  for (let index = 0; index < OBJECTS; index += 1) {
    const random = new Random(seedOf(index));
    const object = random.oneIn(40)
      ? junk(random, 4)
      : mutate(structuredClone(OBJECT), random, WORDS);
    try {
      tally.add(checkObject(object));
    } catch (error) {
      throw new FuzzError(index, JSON.stringify(object), error);
    }
  }
  report('EtcdGuards', tally.counts);
  for (const kind of [
    'objects with a guard',
    'objects with problems',
    'objects with unknown fields',
  ]) {
    expect(tally.counts[kind]).toBeGreaterThan(OBJECTS / 200);
  }
}, 240_000);
