/** What a pod for a test differs in; `default/NAME` of app etcd, running at its own IP. */
export interface PodOptions {
  readonly uid?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ip?: string | null;
  readonly terminating?: boolean;
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
}

const STARTED = '2026-03-04T05:06:07Z';

/** A pod as the API server gives it. */
export function podObject(name: string, options: PodOptions = {}) {
  const { uid = `uid-of-${name}`, labels = { app: 'etcd' }, annotations = {} } = options;
  const { ip = ipOf(name), terminating = false, spec, status } = options;
  const metadata = { name, namespace: 'default', uid, labels, annotations };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: terminating ? { ...metadata, deletionTimestamp: STARTED } : metadata,
    spec: {
      nodeName: `node-of-${name}`,
      containers: [{ name: 'etcd', ports: [{ name: 'client', containerPort: 2379 }] }],
      ...spec,
    },
    status: {
      ...(ip === null ? { phase: 'Pending' } : { phase: 'Running', podIP: ip }),
      containerStatuses: [{ name: 'etcd', state: { running: { startedAt: STARTED } } }],
      ...status,
    },
  };
}

/** `10.0.0.N` for `etcd-N` */
export function ipOf(pod: string): string {
  return `10.0.0.${/\d+$/.exec(pod)?.[0] ?? '99'}`;
}

/** A guard `default/etcd` of app etcd, unless told otherwise. */
export function guardObject({
  name = 'etcd',
  spec = {},
  status,
}: {
  readonly name?: string;
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
} = {}) {
  return {
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'EtcdGuard',
    metadata: { name, namespace: 'default', generation: 1 },
    spec: { selector: { matchLabels: { app: 'etcd' } }, ...spec },
    ...(status !== undefined && { status }),
  };
}

export function nodeObject(
  name: string,
  {
    ready = true,
    cordoned = false,
  }: { readonly ready?: boolean; readonly cordoned?: boolean } = {},
) {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    spec: { ...(cordoned && { unschedulable: true }) },
    status: { conditions: [{ type: 'Ready', status: ready ? 'True' : 'Unknown' }] },
  };
}

export function secretObject(name: string, data: Readonly<Record<string, string>>) {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: 'default' },
    data: Object.fromEntries(
      Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
    ),
  };
}

/** A namespace with these labels; those that have the webhook asked, unless told otherwise. */
export function namespaceObject(
  name: string,
  labels: Readonly<Record<string, string>> = { 'etcd-guard.io/protect': 'enabled' },
) {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

/** The webhook's configuration as it is shipped, with another namespaceSelector where one is given. */
export function webhookObject(
  namespaceSelector: unknown = {
    matchExpressions: [
      { key: 'etcd-guard.io/protect', operator: 'In', values: ['enabled'] },
      { key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: ['etcd-guard'] },
    ],
  },
) {
  const asked = [
    { apiGroups: [''], apiVersions: ['v1'], operations: ['DELETE'], resources: ['pods'] },
    { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods/eviction'] },
  ];
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: 'etcd-guard' },
    webhooks: [{ name: 'pods.etcd-guard.io', rules: asked, namespaceSelector }],
  };
}
