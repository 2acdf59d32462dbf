/** An object as the API server sends it; its content is read by decoders, never trusted. */
export interface KubernetesObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

/** The part of metav1.ObjectMeta that is used here. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation?: number;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Which objects: `/api/v1` or `/apis/GROUP/VERSION`, plural, and a namespace unless cluster-wide. */
export interface Resource {
  readonly prefix: string;
  readonly plural: string;
  readonly namespace: string | null;
}

/** Narrows a list; selectors in the API's text form. */
export interface ListOptions {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Of the objects nothing but their metadata is asked for. */
  readonly metadataOnly?: boolean;
}

/**
 * The port to the API server: live reads (no resourceVersion, so never from a watch cache), writes
 * that name the resourceVersion they rest on, and watches. Every method rejects with an ApiError and
 * keeps to its time. Reviews read, and write reservations; `create`, `patch` and `watch` are for what
 * a replica does beside them: Events, its Lease, and keeping status fresh.
 */
export interface KubernetesApi {
  /** null: there is no such object. */
  get(resource: Resource, name: string, withinMs: number): Promise<KubernetesObject | null>;
  list(
    resource: Resource,
    options: ListOptions,
    withinMs: number,
  ): Promise<readonly KubernetesObject[]>;
  create(resource: Resource, object: unknown, withinMs: number): Promise<KubernetesObject>;
  /** PUT, of the whole object or of its status; conflicts and missing objects are ApiErrors. */
  replace(
    resource: Resource,
    object: KubernetesObject,
    options: { readonly subresource?: 'status'; readonly withinMs: number },
  ): Promise<KubernetesObject>;
  /** A JSON merge patch. */
  patch(
    resource: Resource,
    name: string,
    patch: unknown,
    withinMs: number,
  ): Promise<KubernetesObject>;
  /** A strategic merge patch of the status, for kinds that are built in: lists are merged by their keys. */
  patchStatus(
    resource: Resource,
    name: string,
    patch: unknown,
    withinMs: number,
  ): Promise<KubernetesObject>;
  /** Lists, then follows; reconnects by itself, relists after 410 Gone and from time to time. */
  watch(resource: Resource, options: ListOptions, events: WatchEvents): { stop(): void };
  close(): void;
}

/** What a watch tells. After `onListed` all objects that are not in it are gone. */
export interface WatchEvents {
  readonly onListed: (objects: readonly KubernetesObject[]) => void;
  readonly onChanged: (object: KubernetesObject) => void;
  readonly onGone: (object: KubernetesObject) => void;
  /** The connection broke or could not be made; it will be tried again. */
  readonly onFailed: (error: ApiError) => void;
}

/** Nothing has to be changed for the same request to succeed another time. */
export function mayPass({ code }: ApiError): boolean {
  return code === 'timeout' || code === 'unreachable';
}

/** A request to the API server that failed, in words fit for an operator. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code:
    'conflict' | 'not-found' | 'forbidden' | 'exists' | 'refused' | 'unreachable' | 'timeout';

  constructor(code: ApiError['code'], message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** Any failure as one that can be reported: what runs in the background must not end the process. */
export function reportable(error: unknown, message: string): ApiError {
  return error instanceof ApiError ? error : new ApiError('refused', message, error);
}
