import { createHash } from 'node:crypto';
import type { Resource } from '../api/api.ts';
import { podsIn } from '../guards/cluster-reader.ts';
import type { Series } from './event-tally.ts';
import { guardsIn } from '../guards/guard-resource.ts';

const COMPONENT = 'etcd-guard';
/** What the API server takes, in bytes, of a message and of an instance's name. */
const LONGEST_MESSAGE = 1_024;
const LONGEST_INSTANCE = 128;
/** Of an Event's own name, where 253 bytes may be used. */
const LONGEST_NAME = 200;

/** Of kinds that are named without it. */
const API_VERSIONS: Readonly<Record<string, string>> = {
  Pod: apiVersionOf(podsIn('')),
  EtcdGuard: apiVersionOf(guardsIn(null)),
};

/** Events of one namespace. */
export function eventsIn(namespace: string): Resource {
  return { prefix: '/api/v1', plural: 'events', namespace };
}

/**
 * The name of the Event: another for each replica (`instance`), object, reason, type and beginning,
 * and the same however often it is written.
 */
export function eventName({ on, announcement, firstMs }: Series, instance: string): string {
  const { apiVersion = '', kind, namespace, name, uid } = on;
  const what = [
    instance,
    ...(apiVersion === '' ? [] : [apiVersion]),
    kind,
    namespace,
    name,
    uid,
    announcement.type,
    announcement.reason,
    firstMs,
  ];
  const digest = createHash('sha256').update(JSON.stringify(what)).digest('hex').slice(0, 16);
  // What stands before a dot has to end in a letter or digit.
  const legal = name.toLowerCase().replaceAll(/[^-.a-z0-9]+/g, '-');
  return `${legal.slice(0, LONGEST_NAME).replace(/[^a-z0-9]+$/, '')}.${digest}`;
}

/** A core/v1 Event as it is created. */
export function eventObject(series: Series, instance: string): unknown {
  const { on, announcement } = series;
  const { kind, namespace, name, uid } = on;
  const apiVersion = on.apiVersion ?? API_VERSIONS[kind];
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: eventName(series, instance), namespace },
    involvedObject: {
      ...(apiVersion !== undefined && { apiVersion }),
      kind,
      namespace,
      name,
      ...(uid !== null && { uid }),
    },
    type: announcement.type,
    reason: announcement.reason,
    firstTimestamp: timestamp(series.firstMs),
    source: { component: COMPONENT },
    reportingComponent: COMPONENT,
    reportingInstance: instance.slice(0, LONGEST_INSTANCE),
    ...eventPatch(series),
  };
}

/** What of it changes when the same happens again. */
export function eventPatch({
  announcement,
  lastMs,
  count,
}: Series): Readonly<Record<string, unknown>> {
  return {
    action: announcement.action,
    message: cutToBytes(announcement.message, LONGEST_MESSAGE),
    lastTimestamp: timestamp(lastMs),
    count,
  };
}

function apiVersionOf({ prefix }: Resource): string {
  return prefix.replace(/^\/apis?\//, '');
}

/** metav1.Time knows no fractions of a second. */
function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

const ELLIPSIS = '…';

/** Well-formed and of at most so many bytes of UTF-8; what is cut ends in an ellipsis, never inside a character. */
export function cutToBytes(text: string, most: number): string {
  const bytes = Buffer.from(text.toWellFormed());
  if (bytes.length <= most) return bytes.toString();
  let end = most - Buffer.byteLength(ELLIPSIS);
  // 10xxxxxx goes on with the character before it.
  while (end > 0 && ((bytes[end] ?? 0) & 0b1100_0000) === 0b1000_0000) end -= 1;
  return bytes.toString('utf8', 0, end) + ELLIPSIS;
}
