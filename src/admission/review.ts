import {
  decodeEnvelope,
  isAboutPods,
  isDryRun,
  userIn,
  type RequestUser,
  type ReviewVersion,
} from './envelope.ts';
import {
  asRecord,
  listOf,
  NOTHING,
  nonEmpty,
  recordOf,
  stringOf,
  stringsOf,
  type Json,
} from './json.ts';

/** A container as far as a guard reads it; ports without a usable number are left out. */
export interface ContainerSnapshot {
  readonly name: string;
  readonly ports: readonly number[];
  readonly portNames: readonly string[];
}

/** What the kubelet last said about one container; `unknown` when it said nothing readable. */
export interface ContainerStatusSnapshot {
  readonly name: string;
  readonly state: 'running' | 'waiting' | 'terminated' | 'unknown';
}

/** One place where a container sees a volume that is deleted together with the pod. */
export interface EmptyDirMount {
  readonly volume: string;
  readonly container: string;
  readonly mountPath: string;
}

/**
 * The parts of a pod that a decision reads, each of the expected type whatever the source held.
 * `labels` and `annotations` inherit nothing, so no key finds a value that is not theirs.
 */
export interface PodSnapshot {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly terminating: boolean;
  readonly mirror: boolean;
  readonly nodeName: string | null;
  /** True only when a spec is there and names no node: a pod given without a spec says nothing. */
  readonly neverScheduled: boolean;
  readonly phase: string | null;
  readonly containers: readonly ContainerSnapshot[];
  readonly containerStatuses: readonly ContainerStatusSnapshot[];
  readonly emptyDirMounts: readonly EmptyDirMount[];
}

/** What is to be taken away; `other` is any operation, resource or subresource that takes no pod. */
export type Subject =
  | { readonly kind: 'delete'; readonly pod: PodSnapshot }
  | { readonly kind: 'eviction'; readonly namespace: string; readonly name: string }
  | { readonly kind: 'other' };

/** `namespace` and `name` are the pod's for a deletion, even where the request itself names none. */
export interface AdmissionRequest {
  readonly uid: string;
  readonly subject: Subject;
  readonly namespace: string;
  readonly name: string;
  readonly dryRun: boolean;
  readonly user: RequestUser;
  readonly preconditionUid: string | null;
  readonly gracePeriodSeconds: number | null;
}

/**
 * `malformed` has no uid to echo (HTTP 400); `unusable` has one, but no pod that could be judged
 * (HTTP 200, not allowed, code 400).
 */
export type Decoded =
  | { readonly kind: 'malformed'; readonly error: string }
  | {
      readonly kind: 'unusable';
      readonly apiVersion: ReviewVersion;
      readonly uid: string;
      readonly error: string;
    }
  | {
      readonly kind: 'request';
      readonly apiVersion: ReviewVersion;
      readonly request: AdmissionRequest;
    };

/** What the HTTP side knows of a review: the caller's time limit, and `performance.now()` on arrival. */
export interface ReviewContext {
  readonly timeoutMs: number;
  readonly arrivedAtMs: number;
}

/** The kubelet's mark on the pod object of a static pod. */
export const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';

/** Turns parsed JSON of any shape into a request; never throws, and recurses into nothing. */
export function decodeReview(body: unknown): Decoded {
  const envelope = decodeEnvelope(body);
  if (envelope.kind === 'malformed') return envelope;
  const { apiVersion, uid, request } = envelope;
  const decoded = decodeRequest(uid, request);
  return typeof decoded === 'string'
    ? { kind: 'unusable', apiVersion, uid, error: decoded }
    : { kind: 'request', apiVersion, request: decoded };
}

/** Reads a pod in its JSON form; null when it has no name or no namespace to be found under. */
export function decodePod(value: unknown, defaultNamespace = ''): PodSnapshot | null {
  const pod = recordOf(value);
  const metadata = recordOf(pod['metadata']);
  const name = stringOf(metadata['name']);
  const namespace = stringOf(metadata['namespace']) || defaultNamespace;
  if (name === '' || namespace === '') return null;
  const spec = asRecord(pod['spec']);
  const status = recordOf(pod['status']);
  const annotations = stringsOf(metadata['annotations']);
  const containers = listOf(spec?.['containers']);
  return {
    namespace,
    name,
    uid: nonEmpty(metadata['uid']),
    labels: stringsOf(metadata['labels']),
    annotations,
    terminating: nonEmpty(metadata['deletionTimestamp']) !== null,
    mirror: annotations[MIRROR_ANNOTATION] !== undefined,
    nodeName: nonEmpty(spec?.['nodeName']),
    neverScheduled: spec !== null && (spec['nodeName'] ?? '') === '',
    phase: nonEmpty(status['phase']),
    containers: containers.map(containerOf),
    containerStatuses: listOf(status['containerStatuses']).map(containerStatusOf),
    emptyDirMounts: emptyDirMountsOf(listOf(spec?.['volumes']), containers),
  };
}

/** A string is the sentence that says why there is no pod to judge. */
function decodeRequest(uid: string, request: Json): AdmissionRequest | string {
  const kind = subjectKind(request);
  if (kind === 'delete') return decodeDelete(uid, request);
  if (kind === 'eviction') return decodeEviction(uid, request);
  return {
    ...common(uid, request, NOTHING),
    subject: { kind: 'other' },
    namespace: stringOf(request['namespace']),
    name: stringOf(request['name']),
  };
}

function subjectKind(request: Json): Subject['kind'] {
  if (!isAboutPods(request)) return 'other';
  const subResource = request['subResource'] ?? '';
  if (request['operation'] === 'DELETE' && subResource === '') return 'delete';
  if (request['operation'] === 'CREATE' && subResource === 'eviction') return 'eviction';
  return 'other';
}

function decodeDelete(uid: string, request: Json): AdmissionRequest | string {
  const pod = decodePod(request['oldObject'], stringOf(request['namespace']));
  if (pod === null) {
    return 'the DELETE carries no usable pod: request.oldObject needs metadata with a name and a namespace';
  }
  return {
    ...common(uid, request, recordOf(request['options'])),
    subject: { kind: 'delete', pod },
    namespace: pod.namespace,
    name: pod.name,
  };
}

function decodeEviction(uid: string, request: Json): AdmissionRequest | string {
  const eviction = recordOf(request['object']);
  const metadata = recordOf(eviction['metadata']);
  const namespace = stringOf(request['namespace']) || stringOf(metadata['namespace']);
  const name = stringOf(request['name']) || stringOf(metadata['name']);
  if (name === '' || namespace === '') {
    return 'the eviction names no pod: the request needs a name and a namespace';
  }
  return {
    ...common(uid, request, recordOf(eviction['deleteOptions'])),
    subject: { kind: 'eviction', namespace, name },
    namespace,
    name,
  };
}

function common(
  uid: string,
  request: Json,
  deleteOptions: Json,
): Pick<AdmissionRequest, 'uid' | 'dryRun' | 'user' | 'preconditionUid' | 'gracePeriodSeconds'> {
  const grace = deleteOptions['gracePeriodSeconds'];
  return {
    uid,
    dryRun: isDryRun(request, deleteOptions),
    user: userIn(request),
    preconditionUid: nonEmpty(recordOf(deleteOptions['preconditions'])['uid']),
    gracePeriodSeconds: typeof grace === 'number' ? grace : null,
  };
}

function containerOf(value: unknown): ContainerSnapshot {
  const container = recordOf(value);
  const ports: number[] = [];
  const portNames: string[] = [];
  for (const entry of listOf(container['ports'])) {
    const port = recordOf(entry);
    const number = port['containerPort'];
    const name = stringOf(port['name']);
    if (typeof number === 'number') ports.push(number);
    if (name !== '') portNames.push(name);
  }
  return { name: stringOf(container['name']), ports, portNames };
}

function containerStatusOf(value: unknown): ContainerStatusSnapshot {
  const status = recordOf(value);
  return { name: stringOf(status['name']), state: stateOf(recordOf(status['state'])) };
}

/** Running first: a status that claims two states at once must not make a member look dead. */
function stateOf(state: Json): ContainerStatusSnapshot['state'] {
  if (asRecord(state['running']) !== null) return 'running';
  if (asRecord(state['waiting']) !== null) return 'waiting';
  if (asRecord(state['terminated']) !== null) return 'terminated';
  return 'unknown';
}

function emptyDirMountsOf(
  volumes: readonly unknown[],
  containers: readonly unknown[],
): readonly EmptyDirMount[] {
  const emptyDirs = volumes.map(recordOf).filter(({ emptyDir }) => asRecord(emptyDir) !== null);
  if (emptyDirs.length === 0) return [];
  const names = new Set(emptyDirs.map(({ name }) => stringOf(name)));
  return containers.flatMap((container) => mountsOf(recordOf(container), names));
}

function mountsOf(container: Json, emptyDirs: ReadonlySet<string>): EmptyDirMount[] {
  const mounts: EmptyDirMount[] = [];
  for (const entry of listOf(container['volumeMounts'])) {
    const mount = recordOf(entry);
    const volume = stringOf(mount['name']);
    if (!emptyDirs.has(volume)) continue;
    const mountPath = stringOf(mount['mountPath']);
    mounts.push({ volume, container: stringOf(container['name']), mountPath });
  }
  return mounts;
}
