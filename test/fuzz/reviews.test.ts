import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createReviewHandler } from '../../src/admission/admit.ts';
import type { Reply } from '../../src/admission/response.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { Recorder } from '../../src/telemetry/recorder.ts';
import { FakeEtcd } from '../fakes/etcd.ts';
import { loadedGuard, sourceOf } from '../fakes/guards.ts';
import { junk, mutate, type Json } from './mutate.ts';
import { cases, FuzzError, must, Random, report, seedOf, Tally } from './random.ts';
import { systemClock } from '../../src/sharing/clock.ts';
import { Turns } from '../../src/sharing/turns.ts';

const CORPUS = join(import.meta.dirname, 'corpus/reviews');
const FIXTURES = join(import.meta.dirname, '../fixtures/reviews');
const CASES = cases(80_000);
const AT_ONCE = 50;
const FRESH_EVERY = 500;
const NOW_MS = Date.parse('2026-05-06T07:08:09Z');

/** What is likely in a review, so that mutations contradict each other rather than make noise. */
const WORDS: readonly Json[] = [
  'DELETE',
  'CREATE',
  'UPDATE',
  'CONNECT',
  'delete',
  'eviction',
  'status',
  'ephemeralcontainers',
  'pods',
  'services',
  'v1beta1',
  'admission.k8s.io/v1',
  'admission.k8s.io/v1beta1',
  'admission.k8s.io/v2',
  'AdmissionReview',
  'etcd-0',
  'etcd-1',
  'web-0',
  'default',
  'other',
  'oldObject',
  'object',
  'subResource',
  'operation',
  'resource',
  'deletionTimestamp',
  'annotations',
  'kubernetes.io/config.mirror',
  'etcd-guard.io/break-glass',
  'etcd-guard.io/break-glass-until',
  'system:serviceaccount:kube-system:statefulset-controller',
  { dryRun: ['All'] },
  { preconditions: { uid: 'another' } },
  { app: 'etcd' },
  { metadata: { name: 'etcd-0', namespace: 'default' } },
  { group: '', version: 'v1', resource: 'pods' },
  true,
  false,
  null,
];

/**
 * Two guards of clusters of two, which can spare nobody: whatever would take their pods has to be
 * refused. In the namespace `other` leadership is handed over first, for whom the policy names.
 */
function handler(): ReturnType<typeof createReviewHandler> {
  const two = ['etcd-0', 'etcd-1'];
  const etcd = new FakeEtcd(two);
  const selector = { matchLabels: { app: 'etcd' } };
  const source = sourceOf(
    etcd,
    loadedGuard({ pods: two, selector }),
    loadedGuard({ namespace: 'other', pods: two, policy: { leader: 'HandOff' } }),
  );
  return createReviewHandler({
    turns: new Turns(systemClock),
    guards: source,
    recorder: new Recorder('0'),
    log: createLogger('debug', { write: (line) => void JSON.parse(line) }),
    announce: () => undefined,
    nowMs: () => NOW_MS,
    monotonicMs: () => performance.now(),
  });
}

/** What a review has to get, read from it once more and in another way. */
type Expected =
  | { readonly status: 400 }
  | {
      readonly status: 200;
      readonly version: Json;
      readonly uid: string;
      readonly must: 'be allowed' | 'be unusable' | 'be refused' | 'be answered';
    };

function at(value: Json | undefined, ...path: readonly string[]): Json | undefined {
  let found = value;
  for (const step of path) {
    if (typeof found !== 'object' || found === null || Array.isArray(found)) return undefined;
    found = Object.hasOwn(found, step) ? found[step] : undefined;
  }
  return found;
}

function isObject(value: Json | undefined): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isGiven(value: Json | undefined): value is string {
  return typeof value === 'string' && value !== '';
}

/** Left out, null and empty say the same. */
function isNone(value: Json | undefined): boolean {
  return value === undefined || value === null || value === '';
}

function expectedOf(review: Json): Expected {
  const [version, uid] = [at(review, 'apiVersion'), at(review, 'request', 'uid')];
  const kind = at(review, 'kind') ?? 'AdmissionReview';
  const isKnown = version === 'admission.k8s.io/v1' || version === 'admission.k8s.io/v1beta1';
  if (!isKnown || kind !== 'AdmissionReview' || !isGiven(uid)) return { status: 400 };
  return { status: 200, version, uid, must: mustOf(at(review, 'request')) };
}

function mustOf(request: Json | undefined): (Expected & { status: 200 })['must'] {
  if (!isAboutPods(at(request, 'resource'))) return 'be allowed';
  const [operation, sub] = [at(request, 'operation'), at(request, 'subResource')];
  if (operation === 'DELETE' && (sub ?? '') === '') return mustOfDelete(request);
  return operation === 'CREATE' && sub === 'eviction' ? mustOfEviction(request) : 'be allowed';
}

function isAboutPods(resource: Json | undefined): boolean {
  const version = at(resource, 'version') ?? 'v1';
  return at(resource, 'resource') === 'pods' && isNone(at(resource, 'group')) && version === 'v1';
}

function mustOfEviction(request: Json | undefined): (Expected & { status: 200 })['must'] {
  const own = at(request, 'object', 'metadata');
  const [name, namespace] = ['name', 'namespace'].map((field) => {
    const said = at(request, field);
    return isGiven(said) ? said : at(own, field);
  });
  if (!isGiven(name) || !isGiven(namespace)) return 'be unusable';
  if (!isGuarded(namespace, name)) return 'be allowed';
  // The Eviction's precondition can't be stale: without an API nobody knows the pod's uid.
  return namespace === 'other' ? 'be answered' : 'be refused';
}

function isGuarded(namespace: string, name: string): boolean {
  return ['default', 'other'].includes(namespace) && ['etcd-0', 'etcd-1'].includes(name);
}

function mustOfDelete(request: Json | undefined): (Expected & { status: 200 })['must'] {
  const metadata = at(request, 'oldObject', 'metadata');
  const name = at(metadata, 'name');
  const inPod = at(metadata, 'namespace');
  const namespace = isGiven(inPod) ? inPod : at(request, 'namespace');
  if (!isGiven(name) || !isGiven(namespace)) return 'be unusable';
  const selected = namespace === 'default' && at(metadata, 'labels', 'app') === 'etcd';
  if (!isGuarded(namespace, name) && !selected) return 'be allowed';
  if (isExempt(request, metadata)) return 'be allowed';
  // What is selected, but no member; what may be handed over.
  return isGuarded(namespace, name) && namespace === 'default' ? 'be refused' : 'be answered';
}

/** Rows 2 to 5 of the table, from the pod alone; etcd-0 and etcd-1 answer, so row 3 needs more than a phase. */
function isExempt(request: Json | undefined, metadata: Json | undefined): boolean {
  const notes = at(metadata, 'annotations');
  const spec = at(request, 'oldObject', 'spec');
  const wanted = at(request, 'options', 'preconditions', 'uid');
  const uid = at(metadata, 'uid');
  return (
    isGiven(at(metadata, 'deletionTimestamp')) ||
    typeof at(notes, 'kubernetes.io/config.mirror') === 'string' ||
    (isObject(spec) && isNone(at(spec, 'nodeName'))) ||
    (isGiven(wanted) && isGiven(uid) && wanted !== uid) ||
    isGlassBroken(notes)
  );
}

function isGlassBroken(notes: Json | undefined): boolean {
  const reason = at(notes, 'etcd-guard.io/break-glass');
  if (typeof reason !== 'string' || reason.trim() === '') return false;
  const until = at(notes, 'etcd-guard.io/break-glass-until');
  return typeof until !== 'string' || Date.parse(until) > NOW_MS;
}

/** Checks everything of the answer that docs promise, whatever was asked. */
function check(review: Json, { status, body }: Reply): string {
  const expected = expectedOf(review);
  // As it goes over the wire.
  const answer: Json = JSON.parse(JSON.stringify(body));
  must(status === expected.status, `HTTP ${status} instead of ${expected.status}`);
  if (expected.status === 400) {
    must(isGiven(at(answer, 'error')), 'no sentence says what is wrong');
    must(keysOf(answer) === 'error', `${keysOf(answer)} beside the error`);
    return 'malformed';
  }
  const { uid, version } = expected;
  must(keysOf(answer) === 'apiVersion,kind,response', `an answer with ${keysOf(answer)}`);
  must(at(answer, 'apiVersion') === version, 'another version than was asked in');
  must(at(answer, 'kind') === 'AdmissionReview', 'another kind');
  must(at(answer, 'response', 'uid') === uid, 'another uid');
  checkStatus(at(answer, 'response'));
  checkWarnings(at(answer, 'response', 'warnings'));
  const code = at(answer, 'response', 'status', 'code');
  const got = code === undefined ? 'allowed' : JSON.stringify(code);
  const fine = FITTING[expected.must];
  must(fine.includes(got), `has to ${expected.must}, but was ${got}`);
  return expected.must;
}

/** Never 500: whatever is asked is no failure of ours. */
const FITTING: Readonly<Record<(Expected & { status: 200 })['must'], readonly string[]>> = {
  'be allowed': ['allowed'],
  'be unusable': ['400'],
  'be refused': ['403', '429'],
  'be answered': ['allowed', '403', '429'],
};

function keysOf(value: Json): string {
  return Object.keys(Object(value)).sort().join();
}

const REASONS: Readonly<Record<string, number>> = {
  Forbidden: 403,
  TooManyRequests: 429,
  BadRequest: 400,
  InternalError: 500,
};

function checkStatus(response: Json | undefined): void {
  const [allowed, status] = [at(response, 'allowed'), at(response, 'status')];
  must(typeof allowed === 'boolean', 'allowed is no boolean');
  must(allowed === (status === undefined), 'a status says otherwise than allowed');
  if (allowed) return;
  must(at(status, 'status') === 'Failure', 'the status is no failure');
  must(isGiven(at(status, 'message')), 'no sentence says why');
  const reason = at(status, 'reason');
  must(
    typeof reason === 'string' && REASONS[reason] === at(status, 'code'),
    'a reason with another code',
  );
  must(at(status, 'details', 'retryAfterSeconds') === undefined, 'client-go would retry silently');
}

function checkWarnings(warnings: Json | undefined): void {
  for (const warning of Array.isArray(warnings) ? warnings : []) {
    must(
      typeof warning === 'string' && /^[^\p{Cc}]{1,256}$/u.test(warning),
      `a warning: ${JSON.stringify(warning)}`,
    );
  }
}

function readAll(folder: string): readonly (readonly [string, Json])[] {
  return readdirSync(folder).map((file) => [
    file,
    JSON.parse(readFileSync(join(folder, file), 'utf8')),
  ]);
}

const FIXED = [...readAll(CORPUS), ...readAll(FIXTURES)];

function made(index: number): Json {
  const random = new Random(seedOf(index));
  if (random.oneIn(50)) return junk(random, 5);
  const [, base] = random.pick(FIXED);
  return mutate(structuredClone(base), random, WORDS);
}

async function answered(review: Json, handle: ReturnType<typeof handler>): Promise<Reply> {
  const context = { timeoutMs: 10_000, arrivedAtMs: performance.now() };
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('no answer within 10 s')), 10_000);
  });
  try {
    return await Promise.race([handle(review, context), late]);
  } finally {
    clearTimeout(timer);
  }
}

test.each(FIXED)('the kept review %s is answered as it has to be', async (_file, review) => {
  expect(check(review, await answered(review, handler()))).toMatch(/^(be |malformed)/);
});

test(`${CASES} made reviews are answered as they have to be`, async () => {
  const tally = new Tally();
  let handle = handler();
  for (let begun = 0; begun < CASES; begun += AT_ONCE) {
    // Leadership that was handed over, and reservations, would go on to the cases after.
    if (begun % FRESH_EVERY === 0) handle = handler();
    const batch = Array.from({ length: Math.min(AT_ONCE, CASES - begun) }, async (_, nth) => {
      const review = made(begun + nth);
      try {
        tally.add(check(review, await answered(review, handle)));
      } catch (error) {
        throw new FuzzError(begun + nth, JSON.stringify(review), error);
      }
    });
    await Promise.all(batch);
  }
  report('reviews', tally.counts);
  for (const kind of ['malformed', 'be allowed', 'be unusable', 'be refused', 'be answered']) {
    expect(tally.counts[kind]).toBeGreaterThan(CASES / 4_000);
  }
}, 240_000);
