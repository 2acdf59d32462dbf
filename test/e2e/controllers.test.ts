import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { REFUSED, PROTECTED } from '../harness/admission-webhook.ts';
import { startEtcdCluster, type EtcdCluster } from '../harness/etcd-cluster.ts';
import { runsMembersOf } from '../harness/etcd-pods.ts';
import { GuardedCluster, nodeOf } from '../harness/guarded-cluster.ts';
import { lacksKubernetes, type KubeApiserver } from '../harness/kube-apiserver.ts';
import type { KubeObject } from '../harness/kube-client.ts';
import { startKubelet, type Kubelet } from '../harness/kubelet.ts';
import { freePort } from '../harness/loopback.ts';
import { lacksBinary } from '../harness/require-binary.ts';
import { until } from '../harness/until.ts';

const COLLECTOR = 'system:serviceaccount:kube-system:generic-garbage-collector';
const NAMESPACE_CONTROLLER = 'system:serviceaccount:kube-system:namespace-controller';
const PODS = '/api/v1/namespaces/default/pods';

describe.skipIf(lacksBinary('etcd', 'etcdctl') || (await lacksKubernetes()))(
  'what controllers delete as a whole',
  { timeout: 180_000 },
  () => {
    let cluster: GuardedCluster;
    let api: KubeApiserver;

    beforeAll(async () => {
      cluster = await GuardedCluster.start(inject('program'));
      ({ api } = cluster);
    });

    afterAll(async () => {
      await cluster?.stop();
    });

    describe('a namespace', () => {
      it('whose pods have to go before its EtcdGuard, as from Kubernetes 1.33 on, is not stuck', async () => {
        const namespace = 'ordered';
        await api.apply({
          apiVersion: 'v1',
          kind: 'Namespace',
          metadata: { name: namespace, labels: PROTECTED },
        });
        const guarded = await cluster.addEtcd({ name: 'etcd', firstHost: 141, namespace });
        const { leader } = await guarded.roles();
        const controller = await api.client({ user: NAMESPACE_CONTROLLER });
        const pods = `/api/v1/namespaces/${namespace}/pods`;
        // Who asks is not what counts.
        await expect(controller.delete(`${pods}/${leader.name}`)).rejects.toMatchObject({
          code: 403,
          message: expect.stringContaining(`${REFUSED}${leader.name} leads`),
        });

        // No namespace controller runs yet: the guard stays as long as the test wants.
        await api.kubectl('delete', 'namespace', namespace, '--wait=false');
        await controller.delete(pods);
        for (const { name } of guarded.etcd.members) await guarded.isGone(name);
        expect(guarded.refusals).toStrictEqual([]);
        const { metadata } = await api.admin.get(guarded.guardPath);
        expect(metadata.deletionTimestamp).toBeUndefined();

        const manager = await api.startControllerManager(['namespace']);
        const gone = await api.kubectl('wait', '--for=delete', `ns/${namespace}`, '--timeout=60s');
        await manager.kill();
        expect(gone).toMatchObject({ exitCode: 0 });
      });
    });

    describe('a StatefulSet', () => {
      let etcd: EtcdCluster;
      let kubelets: readonly Kubelet[];
      const binding = new AbortController();

      beforeAll(async () => {
        etcd = await startEtcdCluster({
          names: ['db-0', 'db-1', 'db-2'],
          hosts: ['127.0.0.131', '127.0.0.132', '127.0.0.133'],
          clientPort: await freePort('127.0.0.131'),
        });
        kubelets = await Promise.all(
          etcd.members.map(({ name }) =>
            startKubelet({ api, nodeName: nodeOf(name), run: runsMembersOf(etcd) }),
          ),
        );
        bindPods(api, binding.signal);
        await api.startControllerManager();
      });

      afterAll(async () => {
        binding.abort();
        await Promise.all((kubelets ?? []).map((kubelet) => kubelet.stop()));
        await etcd?.stop();
      });

      beforeEach(async () => {
        await api.apply(statefulSet(etcd), guard());
        await rolledOut();
      });

      async function rolledOut(): Promise<void> {
        const args = ['rollout', 'status', 'statefulset/db', '--timeout=60s'];
        const { exitCode, stdout, stderr } = await api.kubectl(...args);
        if (exitCode !== 0) throw new Error(`${stdout}\n${stderr}`);
        await etcd.waitHealthy();
      }

      /** Waits until the garbage collector took one member and was refused the others; gives who stays. */
      async function oneIsTaken(since: Date): Promise<readonly string[]> {
        await until('one of three pods is gone', async () => (await podsOf(api)).length === 2);
        const left = (await podsOf(api)).map(({ metadata: { name } }) => name);
        for (const name of left) {
          await until(`${name} is refused`, () =>
            cluster
              .decisions(name, since)
              .find(({ user, decision }) => user === COLLECTOR && decision === 'deny'),
          );
        }
        const { name: leader } = await etcd.leader();
        expect(left).toContain(leader);
        for (const { metadata } of await podsOf(api))
          expect(metadata.deletionTimestamp).toBeUndefined();
        await etcd.put('still', 'writable');
        return left;
      }

      it('that is deleted by mistake loses one member, and comes back from the others', async () => {
        const since = new Date();
        expect(await api.kubectl('delete', 'statefulset', 'db')).toMatchObject({ exitCode: 0 });
        const left = await oneIsTaken(since);
        // The garbage collector goes on trying, and two of three are left with nobody to replace the third.
        for (const name of left) {
          const reasons = cluster.decisions(name, since).map(({ reason }) => reason);
          // Unverifiable while the member that goes stops in the middle of a proof.
          expect(['LeaderProtected', 'QuorumAtRisk', 'Unverifiable']).toContain(reasons[0]);
        }
        const remove = JSON.stringify([{ op: 'remove', path: '/metadata/ownerReferences' }]);
        const disowned = await api.kubectl('patch', 'pod', ...left, '--type=json', '-p', remove);
        expect(disowned).toMatchObject({ exitCode: 0 });
        await api.apply(statefulSet(etcd));
        await rolledOut();
        expect((await podsOf(api)).map(({ metadata: { name } }) => name).toSorted()).toStrictEqual([
          'db-0',
          'db-1',
          'db-2',
        ]);
      });

      it('that is deleted without its pods leaves them, for another of its name to adopt', async () => {
        const before = (await podsOf(api)).map(({ metadata: { uid } }) => uid);
        const orphaned = await api.kubectl('delete', 'statefulset', 'db', '--cascade=orphan');
        expect(orphaned).toMatchObject({ exitCode: 0 });
        await api.apply(statefulSet(etcd));
        await rolledOut();
        expect((await podsOf(api)).map(({ metadata: { uid } }) => uid)).toStrictEqual(before);
      });

      it('that waits for its pods waits until its EtcdGuard is deleted, and nothing hangs', async () => {
        const since = new Date();
        const cascade = ['--cascade=foreground', '--wait=false'];
        await api.kubectl('delete', 'statefulset', 'db', ...cascade);
        await oneIsTaken(since);
        const { metadata } = await api.admin.get(
          '/apis/apps/v1/namespaces/default/statefulsets/db',
        );
        expect(metadata.deletionTimestamp).toBeDefined();

        await api.kubectl('delete', 'etcdguard', 'db');
        const ended = ['--for=delete', 'statefulset/db', '--timeout=90s'];
        const gone = await api.kubectl('wait', ...ended);
        expect(gone).toMatchObject({ exitCode: 0 });
        expect(await podsOf(api)).toStrictEqual([]);
        expect(kubelets.flatMap(({ refusals }) => refusals)).toStrictEqual([]);
      });
    });
  },
);

/** A scheduler for pods that each have a node of their own. */
function bindPods(api: KubeApiserver, signal: AbortSignal): void {
  const bind = ({ metadata: { name }, spec }: KubeObject): void => {
    if (spec?.['nodeName'] !== undefined) return;
    const target = { apiVersion: 'v1', kind: 'Node', name: nodeOf(name) };
    const metadata = { name, namespace: 'default' };
    api.admin
      .text('POST', `${PODS}/${name}/binding`, {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata,
        target,
      })
      // Bound by the event before, or gone.
      .catch(() => undefined);
  };
  const handlers = {
    synced: (pods: readonly KubeObject[]) => pods.forEach(bind),
    changed: bind,
    deleted: () => undefined,
  };
  void api.admin.watch(`${PODS}?labelSelector=app%3Ddb`, handlers, signal).catch(() => undefined);
}

function guard(): unknown {
  return {
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'EtcdGuard',
    metadata: { name: 'db', namespace: 'default' },
    spec: { selector: { matchLabels: { app: 'db' } } },
  };
}

function statefulSet({ members }: EtcdCluster): unknown {
  const labels = { app: 'db' };
  const ports = [{ name: 'client', containerPort: members[0]?.port }];
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'db', namespace: 'default' },
    spec: {
      replicas: members.length,
      serviceName: 'db',
      podManagementPolicy: 'Parallel',
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { containers: [{ name: 'etcd', image: 'etcd:test', ports }] },
      },
    },
  };
}

function podsOf(api: KubeApiserver): Promise<readonly KubeObject[]> {
  return api.admin.list(`${PODS}?labelSelector=app%3Ddb`);
}
