import { decodeEnvelope } from '../admission/envelope.ts';
import { GuardSourceError } from '../admission/guard-source.ts';
import {
  allowed,
  malformedReply,
  patched,
  type Asked,
  type Reply,
  type ReviewAnswer,
} from '../admission/response.ts';
import type { ReviewContext } from '../admission/review.ts';
import { creationIn, type Creation } from './creation.ts';
import { inject, type Injected } from './inject.ts';
import type { InjectedFile, Injection } from './injection.ts';

/** A guard that selects the pod; with a `fault` it can't be read, with neither it injects nothing. */
export interface InjectingGuard {
  readonly namespace: string;
  readonly name: string;
  readonly injection: Injection | null;
  /** Why it can't be read, in an operator's words. */
  readonly fault?: string;
}

/** Where guards and ConfigMaps are read; live, and rejecting with a GuardSourceError. */
export interface InjectionSource {
  guardsOf(
    pod: Pick<Creation, 'namespace' | 'labels'>,
    withinMs: number,
  ): Promise<readonly InjectingGuard[]>;
  hasConfigMap(namespace: string, name: string, withinMs: number): Promise<boolean>;
}

/** What a pod that asked was given. */
export interface Given extends Injected {
  /** null: none, or not one alone. */
  readonly guard: InjectingGuard | null;
}

/** Told of every pod that asked; must not throw. */
export interface InjectionObserver {
  given(creation: Creation, given: Given): void;
  failed(creation: Creation | null, error: unknown): void;
}

/** What answering reviews of new pods needs from outside. */
export interface InjectionContext {
  readonly source: InjectionSource;
  readonly observer: InjectionObserver;
}

const OUR_FAILURE = 'etcd-guard failed, and its log has the cause';

/** Of the time allowed, what each of two reads in turn may take. */
const SHARE = 0.4;

/** Answers AdmissionReviews of new pods, and refuses none. Never rejects. */
export function createInjectionHandler(
  context: InjectionContext,
): (review: unknown, at: ReviewContext) => Promise<Reply> {
  return (review, at) => {
    const envelope = decodeEnvelope(review);
    if (envelope.kind === 'malformed') {
      context.observer.failed(null, new Error(envelope.error));
      return Promise.resolve(malformedReply(envelope.error));
    }
    const { apiVersion, uid, request } = envelope;
    const asked = { apiVersion, uid };
    const creation = creationIn(uid, request);
    if (creation === null) return Promise.resolve({ status: 200, body: allowed(asked) });
    return answer(asked, creation, at.timeoutMs * SHARE, context);
  };
}

async function answer(
  asked: Asked,
  creation: Creation,
  withinMs: number,
  { source, observer }: InjectionContext,
): Promise<Reply> {
  let body: ReviewAnswer;
  try {
    const given = await givenTo(creation, withinMs, source);
    observer.given(creation, given);
    body = respond(asked, given);
  } catch (error) {
    observer.failed(creation, error);
    const why = error instanceof GuardSourceError ? error.message : OUR_FAILURE;
    body = allowed(asked, { warnings: [`Nothing is injected: ${why}`] });
  }
  return { status: 200, body };
}

function respond(asked: Asked, { guard, operations, warnings }: Given): ReviewAnswer {
  // Nothing that a second review of the same pod would say otherwise.
  const audit = guard === null ? {} : { guard: `${guard.namespace}/${guard.name}` };
  return patched(asked, operations, { warnings, audit });
}

async function givenTo(
  creation: Creation,
  withinMs: number,
  source: InjectionSource,
): Promise<Given> {
  const guards = await source.guardsOf(creation, withinMs);
  const [guard, second] = guards;
  if (guard === undefined) {
    return nothing(`no EtcdGuard in namespace ${creation.namespace} selects this pod`);
  }
  if (second !== undefined) {
    const names = guards.map(({ name }) => name).join(', ');
    return nothing(`several EtcdGuards select this pod: ${names}`);
  }
  const { namespace, name, injection, fault } = guard;
  if (fault !== undefined) return nothing(fault);
  if (injection === null) return nothing(`EtcdGuard ${namespace}/${name} has no spec.inject`);
  const { operations, warnings } = inject(creation.pod, injection);
  const doubts = await Promise.all(
    onePerConfigMap(injection.files).map((file) =>
      doubtAbout(file, creation.namespace, withinMs, source),
    ),
  );
  return {
    guard,
    operations,
    warnings: [
      ...warnings.map((text) => `EtcdGuard ${namespace}/${name}: ${text}.`),
      ...doubts.flat(),
    ],
  };
}

function nothing(why: string): Given {
  return { guard: null, operations: [], warnings: [`Nothing is injected: ${why}.`] };
}

function onePerConfigMap(files: readonly InjectedFile[]): readonly InjectedFile[] {
  return [...new Map(files.map((file) => [file.configMap, file])).values()];
}

/** What there is to say of a ConfigMap besides that it is there; the pod is made all the same. */
async function doubtAbout(
  { configMap, mountPath }: InjectedFile,
  namespace: string,
  withinMs: number,
  source: InjectionSource,
): Promise<readonly string[]> {
  const what = `ConfigMap ${namespace}/${configMap}`;
  try {
    if (await source.hasConfigMap(namespace, configMap, withinMs)) return [];
    return [`${what} does not exist: ${mountPath} is empty until it does.`];
  } catch (error) {
    if (!(error instanceof GuardSourceError)) throw error;
    return [`It is not known whether ${what} exists: ${error.message}`];
  }
}
