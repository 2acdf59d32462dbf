import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { REFUSED, PROTECTED } from '../harness/admission-webhook.ts';
import { GuardedCluster } from '../harness/guarded-cluster.ts';
import type { KubeApiserver } from '../harness/kube-apiserver.ts';
import { StatefulEtcd } from '../harness/stateful-etcd.ts';
import { until } from '../harness/until.ts';

const COLLECTOR = 'system:serviceaccount:kube-system:generic-garbage-collector';
const NAMESPACE_CONTROLLER = 'system:serviceaccount:kube-system:namespace-controller';

describe('what controllers delete as a whole', { timeout: 180_000 }, () => {
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

  /** Why each of the garbage collector's tries since then was refused, in order. */
  function refusalsOf(pod: string, since: Date): readonly unknown[] {
    return cluster
      .decisions(pod, since)
      .filter(({ user }) => user === COLLECTOR)
      .map(({ decision, reason }) => (decision === 'deny' ? reason : decision));
  }

  describe('a StatefulSet', () => {
    let db: StatefulEtcd;

    beforeAll(async () => {
      db = await StatefulEtcd.start(api, {
        name: 'db',
        firstHost: 131,
        podManagementPolicy: 'Parallel',
      });
      await api.startControllerManager();
    });

    afterAll(async () => {
      await db?.stop();
    });

    beforeEach(async () => {
      await db.apply();
    });

    /** Waits until the garbage collector took one member and was refused the others; gives who stays. */
    async function oneIsTaken(since: Date): Promise<readonly string[]> {
      await until('one of three pods is gone', async () => (await db.pods()).length === 2);
      const left = (await db.pods()).map(({ metadata: { name } }) => name);
      const { name: leader } = await db.etcd.leader();
      expect(left).toContain(leader);
      for (const name of left) {
        const reason = name === leader ? 'LeaderProtected' : 'QuorumAtRisk';
        await until(`${name} is refused with ${reason}`, () =>
          refusalsOf(name, since).includes(reason),
        );
        const reasons = refusalsOf(name, since);
        const first = reasons.indexOf(reason);
        // A proof needs the member that has just been let go, and finds it stopping.
        const before = name === leader ? [] : reasons.slice(0, first).map(() => 'Unverifiable');
        const after = reasons.slice(first).map(() => reason);
        expect({ name, reasons }).toStrictEqual({ name, reasons: [...before, ...after] });
      }
      for (const { metadata } of await db.pods())
        expect(metadata.deletionTimestamp).toBeUndefined();
      await db.etcd.put('still', 'writable');
      return left;
    }

    it('that is deleted by mistake loses one member, and comes back from the others', async () => {
      const since = new Date();
      expect(await api.kubectl('delete', 'statefulset', 'db')).toMatchObject({ exitCode: 0 });
      const left = await oneIsTaken(since);
      // The garbage collector goes on trying, and two of three are left with nobody to replace the third.
      const remove = JSON.stringify([{ op: 'remove', path: '/metadata/ownerReferences' }]);
      const disowned = await api.kubectl('patch', 'pod', ...left, '--type=json', '-p', remove);
      expect(disowned).toMatchObject({ exitCode: 0 });
      await db.apply();
      expect((await db.pods()).map(({ metadata: { name } }) => name).toSorted()).toStrictEqual([
        'db-0',
        'db-1',
        'db-2',
      ]);
    });

    it('that is deleted without its pods leaves them, for another of its name to adopt', async () => {
      const before = (await db.pods()).map(({ metadata: { uid } }) => uid);
      const orphaned = await api.kubectl('delete', 'statefulset', 'db', '--cascade=orphan');
      expect(orphaned).toMatchObject({ exitCode: 0 });
      await db.apply();
      expect((await db.pods()).map(({ metadata: { uid } }) => uid)).toStrictEqual(before);
    });

    it('that waits for its pods waits until its EtcdGuard is deleted, and nothing hangs', async () => {
      const since = new Date();
      const cascade = ['--cascade=foreground', '--wait=false'];
      await api.kubectl('delete', 'statefulset', 'db', ...cascade);
      await oneIsTaken(since);
      const { metadata } = await api.admin.get('/apis/apps/v1/namespaces/default/statefulsets/db');
      expect(metadata.deletionTimestamp).toBeDefined();

      await api.kubectl('delete', 'etcdguard', 'db');
      const ended = ['--for=delete', 'statefulset/db', '--timeout=90s'];
      const gone = await api.kubectl('wait', ...ended);
      expect(gone).toMatchObject({ exitCode: 0 });
      expect(await db.pods()).toStrictEqual([]);
      expect(db.refusals).toStrictEqual([]);
    });
  });
});
