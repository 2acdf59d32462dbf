import { fieldOf, listOf } from '../../admission/json.ts';
import { decodePod, type PodSnapshot } from '../../admission/review.ts';
import type { PodFacts } from '../../decision/situation.ts';
import { hostOf, withPort } from '../../guards/address.ts';
import { IN_SYNC } from '../../injection/injection.ts';
import type { KubernetesObject } from '../api/api.ts';
import type { GuardSpec } from './guard-resource.ts';

/** Where etcd listens if neither the guard nor the pod says. */
const CLIENT_PORT = 2379;

/** A pod as a live read showed it. */
export interface LivePod {
  readonly snapshot: PodSnapshot;
  readonly uid: string;
  /** The one at which it is asked first; IPv4 and IPv6 where it has both. */
  readonly podIps: readonly string[];
  /** From `--listen-client-urls` or ETCD_LISTEN_CLIENT_URLS of a container; null: it names none. */
  readonly listenPort: number | null;
  /** The number of a container port that is named `client`. */
  readonly namedPort: number | null;
  /** Of its readiness gate `etcd-guard.io/InSync`; absent: it has none. */
  readonly inSync?: InSyncCondition;
}

/** As the pod's status has it; null: nobody has set it yet. */
export type InSyncCondition = { readonly status: string; readonly reason: string } | null;

/** null for an object without a name, which the API server does not send. */
export function livePod(object: KubernetesObject): LivePod | null {
  const snapshot = decodePod(object);
  if (snapshot === null) return null;
  const containers = listOf(fieldOf(fieldOf(object, 'spec'), 'containers'));
  const status = fieldOf(object, 'status');
  const ips = listOf(fieldOf(status, 'podIPs')).map((entry) => fieldOf(entry, 'ip'));
  return {
    snapshot,
    uid: object.metadata.uid,
    podIps: [...new Set(strings([fieldOf(status, 'podIP'), ...ips]))].filter((ip) => ip !== ''),
    listenPort: firstOf(containers, listenPortOf),
    namedPort: firstOf(containers, namedPortOf),
    ...inSyncOf(object),
  };
}

function inSyncOf(object: KubernetesObject): Pick<LivePod, 'inSync'> {
  const gates = listOf(fieldOf(fieldOf(object, 'spec'), 'readinessGates'));
  if (!gates.some((gate) => fieldOf(gate, 'conditionType') === IN_SYNC)) return {};
  const conditions = listOf(fieldOf(fieldOf(object, 'status'), 'conditions'));
  const found = conditions.find((condition) => fieldOf(condition, 'type') === IN_SYNC);
  if (found === undefined) return { inSync: null };
  return { inSync: { status: textIn(found, 'status'), reason: textIn(found, 'reason') } };
}

/** The port that the guard names; else what the pod says; else etcd's own. */
export function memberPort({ members }: GuardSpec, pod: LivePod | null): number {
  return members.port ?? pod?.listenPort ?? pod?.namedPort ?? CLIENT_PORT;
}

/** What a decision needs of any guarded pod; of its node nothing is known. */
export function podFacts(pod: LivePod, spec: GuardSpec): PodFacts {
  const { name, terminating } = pod.snapshot;
  const port = memberPort(spec, pod);
  const given = givenAddress(pod, spec);
  const [ip] = pod.podIps;
  const own = ip === undefined ? null : hostPort(ip, port);
  const host = given === null ? null : hostOf(given);
  return {
    name,
    address: given === null ? own : withPort(given, port),
    hosts: [...new Set([...pod.podIps, ...(host === null ? [] : [host]), name])],
    terminating,
    cordoned: false,
  };
}

/**
 * From `spec.members.addresses`. Not for a pod that has not begun to run: whoever answers there is
 * its predecessor, deleted by force and about to end.
 */
function givenAddress({ snapshot, podIps }: LivePod, { members }: GuardSpec): string | null {
  const { name, phase } = snapshot;
  const { addresses = {} } = members;
  if (phase === 'Pending' && podIps.length === 0) return null;
  return Object.hasOwn(addresses, name) ? (addresses[name] ?? null) : null;
}

/**
 * The pods as they can be asked: the IP of one that has ended may be another's by now, who would
 * answer for both.
 */
export function withoutReusedIps(pods: readonly LivePod[]): readonly LivePod[] {
  const used = new Set(pods.flatMap((pod) => (hasEnded(pod) ? [] : pod.podIps)));
  return pods.map((pod) =>
    hasEnded(pod) ? { ...pod, podIps: pod.podIps.filter((ip) => !used.has(ip)) } : pod,
  );
}

function hasEnded({ snapshot: { phase } }: LivePod): boolean {
  return phase === 'Succeeded' || phase === 'Failed';
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
  return listOf(fieldOf(fieldOf(node, 'status'), 'conditions')).some(
    (condition) =>
      fieldOf(condition, 'type') === 'Ready' && fieldOf(condition, 'status') === 'True',
  );
}

/** `kubectl cordon` and drains set it. */
export function isCordoned(node: KubernetesObject): boolean {
  return fieldOf(fieldOf(node, 'spec'), 'unschedulable') === true;
}

function hostPort(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** Of its `--listen-client-urls`, which go before its environment, as etcd has it. */
function listenPortOf(container: unknown): number | null {
  const words = [...strings(fieldOf(container, 'command')), ...strings(fieldOf(container, 'args'))];
  // A shell's script is one word with the flag somewhere in it.
  const flag = /(?<![\w-])--?listen-client-urls[=\s\\]+["']?(?<urls>[^\s"'\\]+)/;
  const urls = flag.exec(words.join(' '))?.groups?.['urls'];
  if (urls !== undefined) return portIn(urls);
  const fromEnv = listOf(fieldOf(container, 'env')).find(
    (entry) => fieldOf(entry, 'name') === 'ETCD_LISTEN_CLIENT_URLS',
  );
  const value = fieldOf(fromEnv, 'value');
  return typeof value === 'string' ? portIn(value) : null;
}

/** Rather one that is not on loopback, where only the pod itself reaches it. */
function portIn(urls: string): number | null {
  const all = urls.split(',');
  const outside = all.filter((url) => !/\/\/(127\.|localhost\b|\[::1\])/.test(url));
  for (const url of [...outside, ...all]) {
    const port = Number(/:(?<port>\d{1,5})\/?$/.exec(url.trim())?.groups?.['port'] ?? 0);
    if (port >= 1 && port <= 65_535) return port;
  }
  return null;
}

function namedPortOf(container: unknown): number | null {
  const named = listOf(fieldOf(container, 'ports')).find(
    (port) => fieldOf(port, 'name') === 'client',
  );
  const number = fieldOf(named, 'containerPort');
  return typeof number === 'number' ? number : null;
}

function firstOf<T>(all: readonly unknown[], read: (one: unknown) => T | null): T | null {
  for (const one of all) {
    const found = read(one);
    if (found !== null) return found;
  }
  return null;
}

function textIn(value: unknown, name: string): string {
  const text = fieldOf(value, name);
  return typeof text === 'string' ? text : '';
}

function strings(value: unknown): readonly string[] {
  return listOf(value).filter((word) => typeof word === 'string');
}
