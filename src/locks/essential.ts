import type { Change, ObjectFacts } from './change.ts';
import { resourceName } from './change.ts';

/** A change whose object was read where the review did not carry it. */
export type KnownChange = Change & { readonly before: ObjectFacts | null };

/** A request that no lock may stop, lest the cluster hang; each is named in docs/locks.md. */
export interface Essential {
  readonly id: string;
  readonly why: string;
  readonly applies: (change: KnownChange) => boolean;
}

/** In the order in which they are looked at. */
export const ESSENTIALS: readonly Essential[] = [
  {
    id: 'status',
    why: "the status that kubelets, the scheduler, controllers and etcd-guard report; people's writes to it are judged",
    applies: (c) => c.subresource === 'status' && (isKubelet(c) || isControlPlane(c) || isGuard(c)),
  },
  {
    id: 'last-delete',
    why: "the kubelet's or the pod garbage collector's DELETE of what is terminating already; else it hangs",
    applies: (c) =>
      c.operation === 'DELETE' &&
      c.before?.terminating === true &&
      (isKubelet(c) || isController(c, 'pod-garbage-collector')),
  },
  {
    id: 'mirror',
    why: "the kubelet's own record of a static pod, which runs without asking",
    applies: (c) => isKubelet(c) && resourceName(c.place) === 'pods' && c.operation === 'CREATE',
  },
  {
    id: 'garbage',
    why: 'the garbage collector deletes what has lost its owner, and takes owners and finalizers off',
    applies: (c) => isController(c, 'generic-garbage-collector') && isOfGarbage(c),
  },
  {
    id: 'namespace',
    why: 'the namespace controller empties a namespace that is being deleted',
    applies: (c) => isController(c, 'namespace-controller') && c.operation === 'DELETE',
  },
  {
    id: 'disruption',
    why: 'the disruption controller counts, and marks pods that are about to be disrupted',
    applies: (c) => isController(c, 'disruption-controller') && keepsLabels(c),
  },
  {
    id: 'endpoints',
    why: 'the EndpointSlice and Endpoints controllers follow the pods; traffic goes where they say',
    applies: (c) =>
      ['endpoints', 'endpointslices.discovery.k8s.io'].includes(resourceName(c.place)) &&
      ENDPOINT_CONTROLLERS.some((name) => isController(c, name)),
  },
  {
    id: 'volume',
    why: 'the volume controller binds a claim to its volume, and the scheduler chooses its node, without which its pod never starts',
    applies: (c) =>
      (isController(c, 'persistent-volume-binder') || c.user.name === SCHEDULER) &&
      resourceName(c.place) === 'persistentvolumeclaims' &&
      keepsLabels(c),
  },
  {
    id: 'finalizers',
    why: 'a controller finishes what is terminating: its finalizer comes off',
    applies: (c) => c.before?.terminating === true && isControlPlane(c) && keepsLabels(c),
  },
];

/** Whether it may pass whatever the locks say. */
export function isEssential(change: KnownChange): boolean {
  return ESSENTIALS.some((essential) => essential.applies(change));
}

const ENDPOINT_CONTROLLERS = [
  'endpoint-controller',
  'endpointslice-controller',
  'endpointslicemirroring-controller',
];

/** Names a node's own credentials: the name alone could be anybody's. */
function isKubelet({ user }: Change): boolean {
  return user.name.startsWith('system:node:') && user.groups.includes('system:nodes');
}

const SERVICE_ACCOUNTS = 'system:serviceaccount:kube-system:';
/** Where controllers run without service accounts of their own. */
const CONTROLLER_MANAGER = 'system:kube-controller-manager';
const SCHEDULER = 'system:kube-scheduler';
/** As shipped; it sets readiness gates of pods. */
const GUARD = 'system:serviceaccount:etcd-guard:etcd-guard';

function isController({ user }: Change, name: string): boolean {
  return user.name === `${SERVICE_ACCOUNTS}${name}` || user.name === CONTROLLER_MANAGER;
}

function isControlPlane({ user }: Change): boolean {
  return (
    user.name.startsWith(SERVICE_ACCOUNTS) ||
    user.name === CONTROLLER_MANAGER ||
    user.name === SCHEDULER
  );
}

function isGuard({ user }: Change): boolean {
  return user.name === GUARD;
}

function isOfGarbage(change: KnownChange): boolean {
  if (change.operation === 'DELETE') return change.before?.owned === true;
  return keepsLabels(change);
}

/** An update that no lock would see differently afterwards. */
function keepsLabels({ operation, before, after }: KnownChange): boolean {
  if (operation !== 'UPDATE' || before === null) return false;
  return after === null || sameLabels(before.labels, after.labels);
}

function sameLabels(a: ObjectFacts['labels'], b: ObjectFacts['labels']): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
