interface PodOfBench {
  readonly name: string;
  readonly namespace: string;
  readonly app: string;
}

/** A pod that is bound to a node, of some 10 KB; nothing runs it. */
export function etcdPodManifest({ name, namespace, app }: PodOfBench): unknown {
  const annotations = { 'example.com/notes': 'All is well. '.repeat(650) };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app }, annotations },
    spec: {
      nodeName: 'node-of-the-bench',
      containers: [
        { name: 'etcd', image: 'etcd:bench', ports: [{ name: 'client', containerPort: 2379 }] },
      ],
    },
  };
}

/** What a kubelet would report of it: a merge patch of its status. */
export function runningStatus(): unknown {
  const since = new Date().toISOString();
  const conditions = ['Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map((type) => ({
    type,
    status: 'True',
    lastTransitionTime: since,
  }));
  const container = {
    name: 'etcd',
    image: 'etcd:bench',
    imageID: '',
    ready: true,
    started: true,
    restartCount: 0,
    state: { running: { startedAt: since } },
  };
  return {
    status: {
      phase: 'Running',
      podIP: '127.0.0.1',
      podIPs: [{ ip: '127.0.0.1' }],
      conditions,
      containerStatuses: [container],
    },
  };
}
