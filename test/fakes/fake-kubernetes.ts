import { z } from 'zod';
import {
  ApiError,
  type KubernetesApi,
  type KubernetesObject,
  type ListOptions,
  type ObjectMeta,
  type Resource,
  type WatchEvents,
} from '../../src/kubernetes/api/api.ts';

/** One call of the port, as far as a test may want to look at it or interfere with it. */
export interface FakeApiCall {
  readonly verb: 'get' | 'list' | 'create' | 'replace' | 'patch';
  readonly plural: string;
  /** Of a list: its label selector. */
  readonly name: string;
  readonly subresource?: 'status';
}

/** What goes wrong with one call. */
export type FakeApiFault =
  | ApiError
  /** Nothing comes back in time, and nothing was done. */
  | 'hangs'
  /** It is done, and nothing comes back in time. */
  | 'loses its answer';

interface Seed {
  readonly kind?: string;
  readonly metadata: Omit<ObjectMeta, 'uid' | 'resourceVersion'> & { readonly uid?: string };
  readonly [field: string]: unknown;
}

const KINDS: Readonly<Record<string, { readonly prefix: string; readonly plural: string }>> = {
  Pod: { prefix: '/api/v1', plural: 'pods' },
  Node: { prefix: '/api/v1', plural: 'nodes' },
  Namespace: { prefix: '/api/v1', plural: 'namespaces' },
  Secret: { prefix: '/api/v1', plural: 'secrets' },
  ValidatingWebhookConfiguration: {
    prefix: '/apis/admissionregistration.k8s.io/v1',
    plural: 'validatingwebhookconfigurations',
  },
  ExclusiveLock: { prefix: '/apis/etcd-guard.io/v1alpha1', plural: 'exclusivelocks' },
  EtcdGuard: { prefix: '/apis/etcd-guard.io/v1alpha1', plural: 'etcdguards' },
  Lease: { prefix: '/apis/coordination.k8s.io/v1', plural: 'leases' },
};

/**
 * An API server's storage behind the port: one resourceVersion for all, conflicts for stale writes,
 * label selectors, a status subresource. Objects that go in and out are copies.
 */
export class FakeKubernetes implements KubernetesApi {
  readonly calls: FakeApiCall[] = [];
  /** Awaited before a call looks at the objects, and again before its answer is delivered. */
  hold: (call: FakeApiCall, at: 'start' | 'end') => Promise<void> | void = () => undefined;
  /** Asked once a call. */
  fault: (call: FakeApiCall) => FakeApiFault | null = () => null;
  readonly #objects = new Map<string, KubernetesObject>();
  readonly #watches = new Set<(object: KubernetesObject, gone: boolean) => void>();
  #version = 100;

  constructor(...seeds: readonly Seed[]) {
    for (const seed of seeds) this.put(seed);
  }

  /** Creates the object, or changes it whatever its resourceVersion; without a uid it keeps its own. */
  put(seed: Seed): KubernetesObject {
    const { prefix, plural } = KINDS[seed.kind ?? ''] ?? { prefix: '', plural: '' };
    const { namespace = null, name } = seed.metadata;
    const key = keyOf({ prefix, plural, namespace }, name);
    const uid = seed.metadata.uid ?? this.#objects.get(key)?.metadata.uid ?? `uid-of-${name}`;
    return this.#store(key, { ...seed, metadata: { ...seed.metadata, uid, resourceVersion: '' } });
  }

  /** Changes an object that is there, as somebody else would. */
  change(
    kind: string,
    name: string,
    change: (object: KubernetesObject) => KubernetesObject,
  ): KubernetesObject {
    return this.put(change(this.at(kind, name)));
  }

  remove(kind: string, name: string): void {
    const { metadata } = this.at(kind, name);
    const { prefix, plural } = KINDS[kind] ?? { prefix: '', plural: '' };
    const key = keyOf({ prefix, plural, namespace: metadata.namespace ?? null }, name);
    const object = this.#objects.get(key);
    this.#objects.delete(key);
    this.#version += 1;
    if (object !== undefined) for (const watch of this.#watches) watch(object, true);
  }

  /** By name alone: a test's names are different in different namespaces. */
  find(kind: string, name: string): KubernetesObject | null {
    const found = [...this.#objects.values()].find(
      (object) => object.kind === kind && object.metadata.name === name,
    );
    return found === undefined ? null : structuredClone(found);
  }

  at(kind: string, name: string): KubernetesObject {
    const found = this.find(kind, name);
    if (found === null) throw new Error(`there is no ${kind} ${name}`);
    return found;
  }

  async get(resource: Resource, name: string, withinMs: number): Promise<KubernetesObject | null> {
    const { plural } = resource;
    return this.#serve({ verb: 'get', plural, name }, withinMs, () => {
      const found = this.#objects.get(keyOf(resource, name));
      return found === undefined ? null : structuredClone(found);
    });
  }

  async list(
    resource: Resource,
    { labelSelector = '', fieldSelector = '' }: ListOptions,
    withinMs: number,
  ): Promise<readonly KubernetesObject[]> {
    const { plural } = resource;
    return this.#serve({ verb: 'list', plural, name: labelSelector }, withinMs, () => {
      if (fieldSelector !== '') throw new ApiError('refused', 'fields are not selected here');
      const meets = selectorIn(labelSelector);
      const prefix = keyOf(resource, '');
      return [...this.#objects]
        .filter(([key, { metadata }]) => key.startsWith(prefix) && meets(metadata.labels ?? {}))
        .map(([, object]) => structuredClone(object));
    });
  }

  async create(resource: Resource, object: unknown, withinMs: number): Promise<KubernetesObject> {
    const created = asObject(object);
    const { plural } = resource;
    const { name } = created.metadata;
    return this.#serve({ verb: 'create', plural, name }, withinMs, () => {
      const key = keyOf(resource, name);
      if (this.#objects.has(key)) throw new ApiError('exists', `${plural} ${name} exists`);
      const uid = `uid-of-${name}-${this.#version}`;
      return this.#store(key, { ...created, metadata: { ...created.metadata, uid } });
    });
  }

  async replace(
    resource: Resource,
    object: KubernetesObject,
    { subresource, withinMs }: { readonly subresource?: 'status'; readonly withinMs: number },
  ): Promise<KubernetesObject> {
    const given = structuredClone(object);
    const { plural } = resource;
    const { name, uid, resourceVersion } = given.metadata;
    return this.#serve({ verb: 'replace', plural, name }, withinMs, () => {
      const key = keyOf(resource, name);
      const before = this.#objects.get(key);
      if (before === undefined) throw new ApiError('not-found', `there is no ${plural} ${name}`);
      if (before.kind !== given.kind || before.apiVersion !== given.apiVersion) {
        throw new ApiError('refused', 'the object does not say what it is');
      }
      if (before.metadata.resourceVersion !== resourceVersion || before.metadata.uid !== uid) {
        throw new ApiError('conflict', `${plural} ${name} has been modified`);
      }
      const { status, ...rest } = given;
      const next =
        subresource === 'status'
          ? { ...before, status }
          : {
              ...rest,
              metadata: given.metadata,
              ...('status' in before && { status: before['status'] }),
            };
      return this.#store(key, next);
    });
  }

  async patch(
    resource: Resource,
    name: string,
    patch: unknown,
    withinMs: number,
  ): Promise<KubernetesObject> {
    const { plural } = resource;
    return this.#serve({ verb: 'patch', plural, name }, withinMs, () => {
      const key = keyOf(resource, name);
      const before = this.#objects.get(key);
      if (before === undefined) throw new ApiError('not-found', `there is no ${plural} ${name}`);
      const next = asObject(merged(before, patch));
      if (next.metadata.resourceVersion !== before.metadata.resourceVersion) {
        throw new ApiError('conflict', `${plural} ${name} has been modified`);
      }
      return this.#store(key, next);
    });
  }

  async patchStatus(
    resource: Resource,
    name: string,
    patch: unknown,
    withinMs: number,
  ): Promise<KubernetesObject> {
    const { plural } = resource;
    return this.#serve({ verb: 'patch', plural, name, subresource: 'status' }, withinMs, () => {
      const key = keyOf(resource, name);
      const before = this.#objects.get(key);
      if (before === undefined) throw new ApiError('not-found', `there is no ${plural} ${name}`);
      const given = asObject(patch);
      const { uid } = given.metadata;
      if (uid !== undefined && uid !== before.metadata.uid) {
        throw new ApiError('conflict', `${plural} ${name} is another one by now`);
      }
      return this.#store(key, { ...before, status: withConditions(before, given) });
    });
  }

  watch(
    resource: Resource,
    { labelSelector = '' }: ListOptions,
    events: WatchEvents,
  ): { stop(): void } {
    const prefix = keyOf(resource, '');
    const meets = selectorIn(labelSelector);
    const concerns = ({ kind = '', metadata }: KubernetesObject): boolean =>
      KINDS[kind]?.plural === resource.plural &&
      (resource.namespace === null || metadata.namespace === resource.namespace) &&
      meets(metadata.labels ?? {});
    const shown = new Set<string>();
    const listener = (object: KubernetesObject, gone: boolean): void => {
      const { uid } = object.metadata;
      const known = shown.has(uid);
      // What no longer meets the selector is gone for whoever watches it.
      if (gone || !concerns(object)) {
        if (!known) return;
        shown.delete(uid);
        events.onGone(structuredClone(object));
      } else {
        shown.add(uid);
        events.onChanged(structuredClone(object));
      }
    };
    this.#watches.add(listener);
    const all = [...this.#objects].filter(([key]) => key.startsWith(prefix));
    const listed = all.map(([, object]) => structuredClone(object)).filter(concerns);
    for (const { metadata } of listed) shown.add(metadata.uid);
    events.onListed(listed);
    return { stop: () => void this.#watches.delete(listener) };
  }

  close(): void {
    this.#watches.clear();
  }

  async #serve<T>(call: FakeApiCall, withinMs: number, work: () => T): Promise<T> {
    this.calls.push(call);
    const fault = this.fault(call);
    await this.hold(call, 'start');
    if (withinMs <= 0) throw timeout(call);
    if (fault instanceof ApiError) throw fault;
    if (fault === 'hangs') return late(call, withinMs);
    const done = work();
    if (fault === 'loses its answer') return late(call, withinMs);
    await this.hold(call, 'end');
    return done;
  }

  #store(key: string, object: KubernetesObject): KubernetesObject {
    this.#version += 1;
    const stored = structuredClone(object);
    const metadata = { ...stored.metadata, resourceVersion: String(this.#version) };
    const next = { ...stored, metadata };
    this.#objects.set(key, next);
    for (const watch of this.#watches) watch(next, false);
    return structuredClone(next);
  }
}

function keyOf({ prefix, plural, namespace }: Resource, name: string): string {
  const place = `${prefix}/${plural}/`;
  // All namespaces: every key begins like this.
  return namespace === null && name === '' ? place : `${place}${namespace ?? ''}/${name}`;
}

function timeout({ verb, plural }: FakeApiCall): ApiError {
  return new ApiError('timeout', `the API server did not answer in time (${verb} ${plural})`);
}

function late<T>(call: FakeApiCall, withinMs: number): Promise<T> {
  return new Promise((_resolve, reject) => setTimeout(() => reject(timeout(call)), withinMs));
}

function asObject(value: unknown): KubernetesObject {
  const copy: KubernetesObject = JSON.parse(JSON.stringify(value));
  return copy;
}

const statusSchema = z.looseObject({
  conditions: z.array(z.looseObject({ type: z.string() })).default([]),
});

/** A strategic merge: conditions are told apart by their types, whatever else is patched is replaced. */
function withConditions(before: KubernetesObject, patch: KubernetesObject): unknown {
  const old = statusSchema.parse(before['status'] ?? {});
  const given = statusSchema.parse(patch['status'] ?? {});
  const kept = old.conditions.filter(({ type }) => !given.conditions.some((c) => c.type === type));
  const changed = given.conditions.map((condition) => ({
    ...old.conditions.find(({ type }) => type === condition.type),
    ...condition,
  }));
  return { ...old, ...given, conditions: [...kept, ...changed] };
}

/** RFC 7386 */
function merged(before: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const base = typeof before === 'object' && before !== null ? { ...before } : {};
  const next: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete next[key];
    else next[key] = merged(next[key], value);
  }
  return next;
}

type LabelTest = (labels: Readonly<Record<string, string>>) => boolean;

const NAME = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;
const EXISTS = /^(?<not>!?)(?<key>[^\s=!(),]+)$/;
const EQUALS = /^(?<key>[^\s=!(),]+)\s*(?<not>!?)==?\s*(?<value>[^\s=!(),]*)$/;
const IN = /^(?<key>[^\s=!(),]+)\s+(?<not>not)?in\s*\((?<values>[^()]*)\)$/;

/** Reads the text form as the API server does, and refuses what it refuses. */
function selectorIn(text: string): LabelTest {
  const parts = text === '' ? [] : text.split(/,(?![^(]*\))/);
  const tests = parts.map((part) => requirementIn(part.trim()));
  return (labels) => tests.every((test) => test(labels));
}

function requirementIn(part: string): LabelTest {
  const exists = EXISTS.exec(part)?.groups;
  if (exists !== undefined) {
    const key = checkedKey(exists['key']);
    return (labels) => Object.hasOwn(labels, key) === (exists['not'] === '');
  }
  const { key, not, value, values } = (EQUALS.exec(part) ?? IN.exec(part))?.groups ?? {};
  const listed = (value ?? values ?? '').split(',');
  const wanted = new Set(listed.map((one) => checked(one.trim())));
  const name = checkedKey(key);
  const negative = not !== undefined && not !== '';
  return (labels) => {
    const label = Object.hasOwn(labels, name) ? labels[name] : undefined;
    return (label !== undefined && wanted.has(label)) !== negative;
  };
}

function checkedKey(key = ''): string {
  if (key === '') throw new ApiError('refused', 'unable to parse a selector');
  for (const part of key.split('/')) checked(part.slice(0, 63));
  return key;
}

function checked(name: string): string {
  if (NAME.test(name)) return name;
  throw new ApiError('refused', `invalid label in a selector: ${name}`);
}
