import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { startKubeApiserver, type KubeApiserver } from '../harness/kube-apiserver.ts';
import { startEtcdCluster } from '../harness/etcd-cluster.ts';
import { etcdPod, runsMembersOf } from '../harness/etcd-pods.ts';
import { startKubelet, type Kubelet } from '../harness/kubelet.ts';
import { ManagedProcess } from '../harness/managed-process.ts';
import { until } from '../harness/until.ts';

function pod(name: string): Record<string, unknown> {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: { nodeName: 'node-1', containers: [{ name: 'sleep', image: 'sleep' }] },
  };
}

const statusSchema = z.object({
  phase: z.string(),
  podIP: z.string(),
  containerStatuses: z.tuple([z.looseObject({ state: z.record(z.string(), z.unknown()) })]),
});

describe('a real API server with a stand-in kubelet', () => {
  let api: KubeApiserver;
  let kubelet: Kubelet;
  // The pod "kept" goes on terminating until then.
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const processes = new Map<string, ManagedProcess>();

  beforeAll(async () => {
    api = await startKubeApiserver();
    kubelet = await startKubelet({
      api,
      nodeName: 'node-1',
      run: async ({ metadata }) => {
        const process = await ManagedProcess.start('sleep', ['600']);
        processes.set(metadata.name, process);
        return {
          exit: process.exit,
          stop: async (graceMs) => {
            if (metadata.name === 'kept') await released;
            await process.stop(graceMs);
          },
        };
      },
    });
  });

  afterAll(async () => {
    await kubelet.stop();
    await api.stop();
  });

  async function becomesReady(name: string): Promise<ManagedProcess> {
    await api.apply(pod(name));
    const waited = await api.kubectl(
      'wait',
      '--for=condition=Ready',
      `pod/${name}`,
      '--timeout=20s',
    );
    expect(waited).toMatchObject({ exitCode: 0 });
    const process = processes.get(name);
    if (process === undefined) throw new Error(`nothing was started for ${name}`);
    return process;
  }

  it('registers its node', async () => {
    const { stdout } = await api.kubectl('get', 'nodes', '--no-headers');
    expect(stdout).toMatch(/^node-1 +Ready/);
  });

  it('runs a pod, and ends its process before the pod is gone', async () => {
    const process = await becomesReady('short');
    expect(process.running).toBe(true);
    const deleted = await api.kubectl('delete', 'pod', 'short', '--timeout=30s');
    expect(deleted).toMatchObject({ exitCode: 0, stderr: '' });
    expect(deleted.stdout).toMatch(/^pod "short" deleted/);
    expect(process.exited).toStrictEqual({ code: null, signal: 'SIGTERM' });
  });

  it('ends the process of a pod that was deleted by force', async () => {
    const process = await becomesReady('forced');
    await api.kubectl('delete', 'pod', 'forced', '--force', '--grace-period=0');
    await process.exit;
    expect(process.running).toBe(false);
  });

  it('reports a process that dies', async () => {
    const process = await becomesReady('crashing');
    await process.kill();
    const status = await until('the report', async () => {
      const { status: latest } = await api.admin.get('/api/v1/namespaces/default/pods/crashing');
      const parsed = statusSchema.parse(latest);
      return 'terminated' in parsed.containerStatuses[0].state && parsed;
    });
    expect(status).toMatchObject({ phase: 'Running', podIP: '127.0.0.1' });
  });

  it('tries again when its final delete is refused', async () => {
    await becomesReady('witness');
    await becomesReady('kept');
    await api.kubectl('delete', 'pod', 'kept', '--wait=false');
    // Nobody serves it, so it refuses every delete, the kubelet's included.
    await api.apply({
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingWebhookConfiguration',
      metadata: { name: 'closed' },
      webhooks: [
        {
          name: 'closed.example.com',
          clientConfig: { url: 'https://127.0.0.1:1/' },
          rules: [
            { apiGroups: [''], apiVersions: ['v1'], operations: ['DELETE'], resources: ['pods'] },
          ],
          admissionReviewVersions: ['v1'],
          sideEffects: 'None',
          failurePolicy: 'Fail',
        },
      ],
    });
    await until('the webhook is in force', async () => {
      const probe = await api.kubectl('delete', 'pod', 'witness', '--dry-run=server');
      return probe.exitCode !== 0;
    });
    release();
    const refusal = await until('a refusal', () => kubelet.refusals.at(0));
    expect(refusal).toMatchObject({ namespace: 'default', pod: 'kept', code: 500 });
    await api.kubectl('delete', 'validatingwebhookconfiguration', 'closed');
    // Not by `kubectl wait`: in old versions it fails when there is nothing left to wait for.
    await until('the pod is gone', async () => {
      const { stderr } = await api.kubectl('get', 'pod', 'kept');
      return stderr.includes('NotFound');
    });
  });

  it('runs etcd members as pods', async () => {
    const etcd = await startEtcdCluster();
    const members = await startKubelet({ api, nodeName: 'etcd-node', run: runsMembersOf(etcd) });
    const manifests = etcd.members.map((member) => etcdPod(member, { nodeName: 'etcd-node' }));
    await api.apply(...manifests);
    const ready = ['wait', '--for=condition=Ready', 'pod', '--selector=app=etcd', '--timeout=20s'];
    await expect(api.kubectl(...ready)).resolves.toMatchObject({ exitCode: 0 });

    const leader = await etcd.leader();
    await api.kubectl('delete', 'pod', leader.name);
    expect(etcd.member(leader.name).process.running).toBe(false);
    const next = await etcd.leader();
    expect(next.name).not.toBe(leader.name);

    await api.apply(...manifests);
    await expect(api.kubectl(...ready)).resolves.toMatchObject({ exitCode: 0 });
    await etcd.waitHealthy();
    expect(etcd.member(leader.name)).toMatchObject({ id: leader.id, process: { running: true } });
    await members.stop();
    await etcd.stop();
  });

  it('has controllers where they are asked for', async () => {
    await api.startControllerManager();
    await api.apply({
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name: 'set', namespace: 'default' },
      spec: {
        serviceName: 'set',
        selector: { matchLabels: { app: 'set' } },
        template: { metadata: { labels: { app: 'set' } }, spec: pod('set')['spec'] },
      },
    });
    await until('the pod of the set', () => processes.get('set-0'));
    const { stdout } = await api.kubectl('rollout', 'status', 'statefulset/set', '--timeout=20s');
    expect(stdout).toMatch(/complete|1 pods at revision/);
  });
});
