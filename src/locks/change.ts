import { isDryRun, userIn } from '../admission/envelope.ts';
import {
  asRecord,
  listOf,
  nonEmpty,
  recordOf,
  stringOf,
  stringsOf,
  type Json,
} from '../admission/json.ts';
import type { LockOperation } from './lock.ts';

/** What a lock looks at in an object. */
export interface ObjectFacts {
  readonly labels: Readonly<Record<string, string>>;
  readonly terminating: boolean;
  readonly owned: boolean;
}

/** Where an object is read from, when the review does not carry it. */
export interface ObjectPlace {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
}

/** Which object it is, where there is one; the uid is null where it is not known. */
export interface ObjectIdentity {
  readonly apiVersion: string;
  readonly kind: string;
  readonly uid: string | null;
}

/** A request that would change an object. */
export interface Change {
  /** The review's uid. */
  readonly requestId: string;
  readonly operation: LockOperation;
  readonly place: ObjectPlace;
  /** Empty for the object itself. */
  readonly subresource: string;
  /** null: it is only being made, or the review carries something else. */
  readonly object: ObjectIdentity | null;
  /** The object as it is; null for one that is made. `unread`: the review carries something else. */
  readonly before: ObjectFacts | 'unread' | null;
  /** The object as it would be; null for one that is deleted, and where nothing of it changes but its parts. */
  readonly after: ObjectFacts | null;
  readonly user: { readonly name: string; readonly groups: readonly string[] };
  readonly dryRun: boolean;
}

/** The resource as locks name it. */
export function resourceName({ group, resource }: Pick<ObjectPlace, 'group' | 'resource'>): string {
  return group === '' ? resource : `${resource}.${group}`;
}

/** What a review's request would do; null: nothing that a lock could forbid. Never throws. */
export function changeIn(requestId: string, request: Json): Change | null {
  const subresource = stringOf(request['subResource']);
  const operation = countsAs(stringOf(request['operation']), subresource);
  if (operation === null) return null;
  const resource = recordOf(request['resource']);
  const { name, groups } = userIn(request);
  const carries = CARRIES_THE_OBJECT.has(subresource);
  const before = asRecord(request['oldObject']);
  const after = asRecord(request['object']);
  return {
    requestId,
    operation,
    subresource,
    object: carries && before !== null ? identityOf(before) : null,
    place: {
      group: stringOf(resource['group']),
      version: stringOf(resource['version']),
      resource: stringOf(resource['resource']),
      namespace: stringOf(request['namespace']),
      name: nameIn(request, before, after),
    },
    before: carries ? before && factsOf(before) : 'unread',
    after: carries ? after && factsOf(after) : null,
    user: { name, groups },
    dryRun: isDryRun(request, recordOf(recordOf(request['object'])['deleteOptions'])),
  };
}

/** Of these subresources a review carries the whole object; of others, something of another kind. */
const CARRIES_THE_OBJECT: ReadonlySet<string> = new Set([
  '',
  'status',
  'ephemeralcontainers',
  'resize',
]);

/** Placing a pod on its node completes its making; tokens, logs and consoles change no object. */
const NO_CHANGE: ReadonlySet<string> = new Set(['binding', 'token', 'log']);

function countsAs(operation: string, subresource: string): LockOperation | null {
  if (NO_CHANGE.has(subresource)) return null;
  if (subresource === 'eviction') return operation === 'CREATE' ? 'DELETE' : null;
  switch (operation) {
    case 'CREATE':
      return subresource === '' ? 'CREATE' : 'UPDATE';
    case 'UPDATE':
    case 'DELETE':
      return operation;
    default:
      return null;
  }
}

/** request.name is empty for a delete-collection, and for one that is made with generateName. */
function nameIn(request: Json, before: Json | null, after: Json | null): string {
  const named = nonEmpty(request['name']) ?? nonEmpty(recordOf(before?.['metadata'])['name']);
  const metadata = recordOf(after?.['metadata']);
  return named ?? nonEmpty(metadata['name']) ?? stringOf(metadata['generateName']);
}

/** Which object it is that was read or that a review carries; null: it does not say. */
export function identityOf(object: Json): ObjectIdentity | null {
  const { apiVersion, kind } = object;
  if (typeof apiVersion !== 'string' || typeof kind !== 'string' || kind === '') return null;
  return { apiVersion, kind, uid: nonEmpty(recordOf(object['metadata'])['uid']) };
}

/** What a lock looks at, in an object that was read or that a review carries. */
export function factsOf(object: Json): ObjectFacts {
  const metadata = recordOf(object['metadata']);
  return {
    labels: stringsOf(metadata['labels']),
    terminating: nonEmpty(metadata['deletionTimestamp']) !== null,
    owned: listOf(metadata['ownerReferences']).length > 0,
  };
}
