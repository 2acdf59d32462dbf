import { decodePod, type PodSnapshot } from '../admission/review.ts';
import type { PodFacts } from '../decision/situation.ts';
import { withPort } from '../guards/address.ts';
import type { KubernetesObject } from './api.ts';
import type { GuardSpec } from './guard-resource.ts';

/** Where etcd listens if neither the guard nor the pod says. */
const CLIENT_PORT = 2379;

/** A pod as a live read showed it. */
export interface LivePod {
  readonly snapshot: PodSnapshot;
  readonly uid: string;
  readonly podIp: string | null;
  /** From `--listen-client-urls` or ETCD_LISTEN_CLIENT_URLS of a container; null: it names none. */
  readonly listenPort: number | null;
  /** The number of a container port that is named `client`. */
  readonly namedPort: number | null;
}

/** null for an object without a name, which the API server does not send. */
export function livePod(object: KubernetesObject): LivePod | null {
  const snapshot = decodePod(object);
  if (snapshot === null) return null;
  const containers = records(field(field(object, 'spec'), 'containers'));
  const podIp = field(field(object, 'status'), 'podIP');
  return {
    snapshot,
    uid: object.metadata.uid,
    podIp: typeof podIp === 'string' && podIp !== '' ? podIp : null,
    listenPort: firstOf(containers, listenPortOf),
    namedPort: firstOf(containers, namedPortOf),
  };
}

/** The port that the guard names; else what the pod says; else etcd's own. */
export function memberPort({ members }: GuardSpec, pod: LivePod | null): number {
  return members.port ?? pod?.listenPort ?? pod?.namedPort ?? CLIENT_PORT;
}

/** What a decision needs of any guarded pod; `cordoned` are the nodes that take no new pods. */
export function podFacts(pod: LivePod, spec: GuardSpec, cordoned: ReadonlySet<string>): PodFacts {
  const { name, nodeName, terminating } = pod.snapshot;
  const given = spec.members.addresses?.[name];
  const port = memberPort(spec, pod);
  const own = pod.podIp === null ? null : hostPort(pod.podIp, port);
  return {
    name,
    address: given === undefined ? own : withPort(given.toLowerCase(), port),
    hosts: pod.podIp === null ? [name] : [pod.podIp, name],
    terminating,
    cordoned: nodeName !== null && cordoned.has(nodeName),
  };
}

/**
 * The container that declares the member's port, else every container, is waiting or terminated.
 * A container without a status has not been reported on, and may run.
 */
export function containersAreDown({ snapshot }: LivePod, port: number): boolean {
  const declaring = snapshot.containers.filter(({ ports }) => ports.includes(port));
  const matter = declaring.length > 0 ? declaring : snapshot.containers;
  return (
    matter.length > 0 &&
    matter.every(({ name }) => {
      const state = snapshot.containerStatuses.find((status) => status.name === name)?.state;
      return state === 'waiting' || state === 'terminated';
    })
  );
}

/** `status.conditions` of a Node says Ready. */
export function isReady(node: KubernetesObject): boolean {
  return records(field(field(node, 'status'), 'conditions')).some(
    (condition) => field(condition, 'type') === 'Ready' && field(condition, 'status') === 'True',
  );
}

/** `kubectl cordon` and drains set it. */
export function isCordoned(node: KubernetesObject): boolean {
  return field(field(node, 'spec'), 'unschedulable') === true;
}

function hostPort(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

function listenPortOf(container: unknown): number | null {
  const words = [...strings(field(container, 'command')), ...strings(field(container, 'args'))];
  const fromEnv = records(field(container, 'env')).find(
    (entry) => field(entry, 'name') === 'ETCD_LISTEN_CLIENT_URLS',
  );
  const env = field(fromEnv, 'value');
  // A shell's script is one word with the flag somewhere in it.
  const text = words.join(' ');
  const flag = /--?listen-client-urls[= ]+["']?(?<urls>[^\s"']+)/.exec(text)?.groups?.['urls'];
  const urls = flag ?? (typeof env === 'string' ? env : '');
  const port = /:(?<port>\d{1,5})(?:\/|,|$)/.exec(urls)?.groups?.['port'];
  return port === undefined ? null : Number(port);
}

function namedPortOf(container: unknown): number | null {
  const named = records(field(container, 'ports')).find((port) => field(port, 'name') === 'client');
  const number = field(named, 'containerPort');
  return typeof number === 'number' ? number : null;
}

function firstOf<T>(all: readonly unknown[], read: (one: unknown) => T | null): T | null {
  for (const one of all) {
    const found = read(one);
    if (found !== null) return found;
  }
  return null;
}

function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return Reflect.get(value, name);
}

function records(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function strings(value: unknown): readonly string[] {
  return records(value).filter((word) => typeof word === 'string');
}
