/** Which pod a review is about. */
export interface ReviewedPod {
  readonly name: string;
  readonly app: string;
  readonly dryRun: boolean;
  /** default otherwise. */
  readonly namespace?: string;
  /** An annotation of so many bytes more. */
  readonly padding?: number;
}

const IMAGE = 'registry.k8s.io/etcd:3.5.21-0';
const DIGEST = 'sha256:d58c035df557080a27387d687092e3fc2b64c6d0e3162dc51453a115f847d121';
const CREATED = '2025-06-02T08:14:31Z';
const STARTED = '2025-06-02T08:14:52Z';

/** The body that an API server posts for `kubectl delete pod`: some 10 KB, as it writes JSON. */
export function deletionReview(reviewed: ReviewedPod): Buffer {
  const { name, dryRun, namespace = 'default' } = reviewed;
  const kind = { group: '', version: 'v1', kind: 'Pod' };
  const resource = { group: '', version: 'v1', resource: 'pods' };
  const review = {
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    request: {
      uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
      kind,
      resource,
      requestKind: kind,
      requestResource: resource,
      name,
      namespace,
      operation: 'DELETE',
      userInfo: {
        username: 'oidc:jane.doe@example.com',
        uid: '1f2c3a60-8a3e-4f0e-9a52-0d2b1b2f7c11',
        groups: ['oidc:platform', 'oidc:on-call', 'system:authenticated'],
        extra: { 'authentication.kubernetes.io/credential-id': ['X509SHA256=4f1c09a2b7'] },
      },
      object: null,
      oldObject: pod(reviewed),
      dryRun,
      options: {
        kind: 'DeleteOptions',
        apiVersion: 'meta.k8s.io/v1',
        gracePeriodSeconds: 30,
        propagationPolicy: 'Background',
        ...(dryRun && { dryRun: ['All'] }),
      },
    },
  };
  return Buffer.from(JSON.stringify(review));
}

function pod({ name, app, namespace = 'default', padding = 0 }: ReviewedPod): unknown {
  return {
    kind: 'Pod',
    apiVersion: 'v1',
    metadata: {
      name,
      generateName: `${app}-`,
      namespace,
      uid: '5c9a7f0e-0f4b-4a39-9d3e-2f6c3a1d8b70',
      resourceVersion: '48213377',
      creationTimestamp: CREATED,
      labels: {
        app,
        'app.kubernetes.io/instance': 'main',
        'app.kubernetes.io/managed-by': 'Helm',
        'apps.kubernetes.io/pod-index': '0',
        'controller-revision-hash': `${app}-6f9c5c7d9b`,
        'statefulset.kubernetes.io/pod-name': name,
      },
      annotations: {
        'checksum/config': '3f0c8a2f1b7de0a5f1c2f6d04b8d7b52a97f2f6b54e1c0d7d2b0a8d2b5e1f9c3',
        'cni.projectcalico.org/containerID':
          '9b1c4e7d02f35a68c0d4b7e1f2a3958674c1d0e9b8a7f6e5d4c3b2a190817263',
        'cni.projectcalico.org/podIP': '10.42.3.17/32',
        'cni.projectcalico.org/podIPs': '10.42.3.17/32',
        'prometheus.io/port': '2381',
        'prometheus.io/scrape': 'true',
        ...(padding > 0 && { 'example.com/notes': 'All is well. '.repeat(padding / 13) }),
      },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'StatefulSet',
          name: app,
          uid: '0b8f1d2e-7c64-4a8e-8f5b-93f1a1c7d5e4',
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
      managedFields: managedFields(),
    },
    spec: spec(name, app),
    status: status(),
  };
}

function spec(name: string, app: string): unknown {
  return {
    volumes: [
      { name: 'data', persistentVolumeClaim: { claimName: `data-${name}` } },
      { name: 'server-tls', secret: { secretName: `${app}-server-tls`, defaultMode: 420 } },
      { name: 'peer-tls', secret: { secretName: `${app}-peer-tls`, defaultMode: 420 } },
      { name: 'config', configMap: { name: `${app}-config`, defaultMode: 420 } },
      {
        name: 'kube-api-access-x7k2p',
        projected: {
          sources: [
            { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
            { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
            {
              downwardAPI: {
                items: [
                  {
                    path: 'namespace',
                    fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' },
                  },
                ],
              },
            },
          ],
          defaultMode: 420,
        },
      },
    ],
    containers: [container()],
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    dnsPolicy: 'ClusterFirst',
    serviceAccountName: app,
    serviceAccount: app,
    nodeName: 'ip-10-20-31-44.eu-central-1.compute.internal',
    securityContext: { runAsUser: 1001, runAsNonRoot: true, fsGroup: 1001 },
    hostname: name,
    subdomain: app,
    affinity: {
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [
          { labelSelector: { matchLabels: { app } }, topologyKey: 'kubernetes.io/hostname' },
        ],
      },
    },
    topologySpreadConstraints: ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'].map(
      (topologyKey) => ({
        maxSkew: 1,
        topologyKey,
        whenUnsatisfiable: 'DoNotSchedule',
        labelSelector: { matchLabels: { app, 'app.kubernetes.io/instance': 'main' } },
      }),
    ),
    schedulerName: 'default-scheduler',
    tolerations: ['not-ready', 'unreachable'].map((taint) => ({
      key: `node.kubernetes.io/${taint}`,
      operator: 'Exists',
      effect: 'NoExecute',
      tolerationSeconds: 300,
    })),
    priority: 1_000_000,
    priorityClassName: 'etcd-critical',
    enableServiceLinks: true,
    preemptionPolicy: 'PreemptLowerPriority',
  };
}

function container(): unknown {
  return {
    name: 'etcd',
    image: IMAGE,
    command: ['etcd'],
    args: [
      '--name=$(POD_NAME)',
      '--data-dir=/var/lib/etcd/data',
      '--listen-client-urls=https://0.0.0.0:2379',
      '--advertise-client-urls=https://$(POD_NAME).etcd.$(POD_NAMESPACE).svc:2379',
      '--listen-peer-urls=https://0.0.0.0:2380',
      '--initial-advertise-peer-urls=https://$(POD_NAME).etcd.$(POD_NAMESPACE).svc:2380',
      '--initial-cluster-state=existing',
      '--listen-metrics-urls=http://0.0.0.0:2381',
      '--auto-compaction-mode=periodic',
      '--auto-compaction-retention=1h',
      '--quota-backend-bytes=8589934592',
    ],
    ports: [
      { name: 'client', containerPort: 2379, protocol: 'TCP' },
      { name: 'peer', containerPort: 2380, protocol: 'TCP' },
      { name: 'metrics', containerPort: 2381, protocol: 'TCP' },
    ],
    env: [
      fieldEnv('POD_NAME', 'metadata.name'),
      fieldEnv('POD_NAMESPACE', 'metadata.namespace'),
      { name: 'GOMEMLIMIT', value: '1800MiB' },
    ],
    resources: {
      limits: { memory: '2Gi' },
      requests: { cpu: '500m', memory: '2Gi' },
    },
    volumeMounts: [
      { name: 'data', mountPath: '/var/lib/etcd' },
      { name: 'server-tls', readOnly: true, mountPath: '/etc/etcd/tls/server' },
      { name: 'peer-tls', readOnly: true, mountPath: '/etc/etcd/tls/peer' },
      { name: 'config', mountPath: '/etc/etcd/config' },
      {
        name: 'kube-api-access-x7k2p',
        readOnly: true,
        mountPath: '/var/run/secrets/kubernetes.io/serviceaccount',
      },
    ],
    livenessProbe: probe('/health?exclude=NOSPACE&serializable=true', 8),
    readinessProbe: probe('/readyz', 3),
    startupProbe: probe('/health?serializable=true', 24),
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: 'IfNotPresent',
    securityContext: {
      capabilities: { drop: ['ALL'] },
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
    },
  };
}

function fieldEnv(name: string, fieldPath: string): unknown {
  return { name, valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath } } };
}

function probe(path: string, failureThreshold: number): unknown {
  return {
    httpGet: { path, port: 2381, scheme: 'HTTP' },
    timeoutSeconds: 15,
    periodSeconds: 10,
    successThreshold: 1,
    failureThreshold,
  };
}

const CONDITIONS = [
  'PodReadyToStartContainers',
  'Initialized',
  'Ready',
  'ContainersReady',
  'PodScheduled',
];

function status(): unknown {
  return {
    phase: 'Running',
    conditions: CONDITIONS.map((type) => ({
      type,
      status: 'True',
      lastProbeTime: null,
      lastTransitionTime: STARTED,
    })),
    hostIP: '10.20.31.44',
    hostIPs: [{ ip: '10.20.31.44' }],
    podIP: '10.42.3.17',
    podIPs: [{ ip: '10.42.3.17' }],
    startTime: CREATED,
    containerStatuses: [
      {
        name: 'etcd',
        state: { running: { startedAt: STARTED } },
        lastState: {},
        ready: true,
        restartCount: 0,
        image: IMAGE,
        imageID: `registry.k8s.io/etcd@${DIGEST}`,
        containerID:
          'containerd://0c2f7a9be3d14856a1c0f9e8d7b6a5948372615fedcba09876543210a1b2c3d4',
        started: true,
      },
    ],
    qosClass: 'Burstable',
  };
}

/** Who set which field: kube-controller-manager, Calico and the kubelet, as on any cluster. */
function managedFields(): unknown {
  return [
    owned('calico', 'status', {
      'f:metadata': {
        'f:annotations': fields(
          'cni.projectcalico.org/containerID',
          'cni.projectcalico.org/podIP',
          'cni.projectcalico.org/podIPs',
        ),
      },
    }),
    owned('kube-controller-manager', undefined, {
      'f:metadata': {
        'f:annotations': {
          '.': {},
          ...fields('checksum/config', 'prometheus.io/port', 'prometheus.io/scrape'),
        },
        'f:generateName': {},
        'f:labels': {
          '.': {},
          ...fields(
            'app',
            'app.kubernetes.io/instance',
            'app.kubernetes.io/managed-by',
            'apps.kubernetes.io/pod-index',
            'controller-revision-hash',
            'statefulset.kubernetes.io/pod-name',
          ),
        },
        'f:ownerReferences': {
          '.': {},
          'k:{"uid":"0b8f1d2e-7c64-4a8e-8f5b-93f1a1c7d5e4"}': {},
        },
      },
      'f:spec': ownedSpec(),
    }),
    owned('kubelet', 'status', {
      'f:status': {
        'f:conditions': Object.fromEntries(
          CONDITIONS.map((type) => [
            `k:{"type":"${type}"}`,
            { '.': {}, ...fields('lastProbeTime', 'lastTransitionTime', 'status', 'type') },
          ]),
        ),
        ...fields('containerStatuses', 'hostIP', 'hostIPs', 'phase', 'podIP'),
        'f:podIPs': { '.': {}, 'k:{"ip":"10.42.3.17"}': { '.': {}, 'f:ip': {} } },
        'f:startTime': {},
      },
    }),
  ];
}

function ownedSpec(): unknown {
  const probeFields = {
    '.': {},
    ...fields('failureThreshold', 'periodSeconds', 'successThreshold', 'timeoutSeconds'),
    'f:httpGet': { '.': {}, ...fields('path', 'port', 'scheme') },
  };
  return {
    'f:affinity': { '.': {}, 'f:podAntiAffinity': {} },
    'f:containers': {
      'k:{"name":"etcd"}': {
        '.': {},
        ...fields('args', 'command', 'image', 'imagePullPolicy', 'name', 'resources'),
        'f:env': { '.': {}, 'k:{"name":"GOMEMLIMIT"}': { '.': {}, ...fields('name', 'value') } },
        'f:livenessProbe': probeFields,
        'f:readinessProbe': probeFields,
        'f:startupProbe': probeFields,
        ...fields('securityContext', 'terminationMessagePath', 'terminationMessagePolicy'),
      },
    },
    ...fields('dnsPolicy', 'enableServiceLinks', 'hostname', 'priorityClassName'),
    ...fields('restartPolicy', 'schedulerName', 'securityContext', 'serviceAccount', 'subdomain'),
  };
}

function owned(manager: string, subresource: string | undefined, fieldsV1: unknown): unknown {
  return {
    manager,
    operation: 'Update',
    apiVersion: 'v1',
    time: STARTED,
    fieldsType: 'FieldsV1',
    fieldsV1,
    ...(subresource !== undefined && { subresource }),
  };
}

function fields(...names: readonly string[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(names.map((name) => [`f:${name}`, {}]));
}
