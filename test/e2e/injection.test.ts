import { Etcd3 } from 'etcd3';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { z } from 'zod';
import type { CommandResult } from '../harness/etcd-cluster.ts';
import { runsMembersOf } from '../harness/etcd-pods.ts';
import { GuardedCluster } from '../harness/guarded-cluster.ts';
import type { KubeApiserver } from '../harness/kube-apiserver.ts';
import type { KubeObject } from '../harness/kube-client.ts';
import type { ManagedProcess } from '../harness/managed-process.ts';
import { StatefulEtcd } from '../harness/stateful-etcd.ts';
import { until } from '../harness/until.ts';

const PODS = '/api/v1/namespaces/default/pods';
const ASKING = { 'etcd-guard.io/inject': 'enabled' };
const INJECTED = { 'etcd-guard.io/injected': 'true' };
const VOLUME = {
  name: 'etcd-guard-hello',
  configMap: { name: 'hello', optional: true, defaultMode: 420 },
};
const MOUNT = { name: 'etcd-guard-hello', mountPath: '/etc/config', readOnly: true };
const GATE = { conditionType: 'etcd-guard.io/InSync' };

const podSchema = z.looseObject({
  spec: z.looseObject({
    containers: z.array(
      z.looseObject({ volumeMounts: z.array(z.looseObject({ name: z.string() })).default([]) }),
    ),
    initContainers: z
      .array(z.looseObject({ volumeMounts: z.array(z.unknown()).default([]) }))
      .default([]),
    volumes: z.array(z.looseObject({ name: z.string() })).default([]),
    readinessGates: z.array(z.unknown()).default([]),
    terminationGracePeriodSeconds: z.number(),
  }),
});
const conditionsSchema = z.looseObject({
  conditions: z
    .array(z.looseObject({ type: z.string(), status: z.string(), reason: z.string().default('') }))
    .default([]),
});

describe(
  'injection, by two replicas with the rights that are shipped',
  { timeout: 240_000 },
  () => {
    let cluster: GuardedCluster;
    let api: KubeApiserver;

    beforeAll(async () => {
      cluster = await GuardedCluster.start(inject('program'), {
        args: ['--injection'],
        manifests: ['components/injection/rbac.yaml'],
      });
      ({ api } = cluster);
      await cluster.register('injection');
      await api.apply(
        {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name: 'hello', namespace: 'default' },
          data: { 'hello.txt': 'hello' },
        },
        guard('web', {
          files: [{ configMap: 'hello', mountPath: '/etc/config' }],
          readinessGate: true,
          terminationGracePeriodSeconds: 60,
        }),
      );
      await until('the webhook is in force', async () => {
        const { stdout } = await create('probe', { app: 'web' }, {}, '--dry-run=server');
        return stdout.includes('etcd-guard.io/injected');
      });
    });

    afterAll(async () => {
      await cluster?.stop();
    });

    /** kubectl create of a pod that asks, unless its labels say otherwise. */
    function create(
      name: string,
      labels: Readonly<Record<string, string>>,
      spec: Readonly<Record<string, unknown>> = {},
      ...args: readonly string[]
    ): Promise<CommandResult> {
      const metadata = name.endsWith('-') ? { generateName: name } : { name };
      const pod = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { ...metadata, labels: { ...ASKING, ...labels } },
        spec: { containers: [{ name: 'main', image: 'web' }], ...spec },
      };
      return api.kubectlWith(JSON.stringify(pod), 'create', '-o', 'json', '-f', '-', ...args);
    }

    async function created(...given: Parameters<typeof create>) {
      const { exitCode, stdout, stderr } = await create(...given);
      expect({ exitCode, stderr: exitCode === 0 ? '' : stderr }).toEqual({
        exitCode: 0,
        stderr: '',
      });
      const object: KubeObject = JSON.parse(stdout);
      return { object, pod: podSchema.parse(object).spec, warnings: stderr.trim() };
    }

    it('a pod with the label is given the files, the gate, the grace period and a label', async () => {
      const { object, pod, warnings } = await created(
        'with',
        { app: 'web' },
        {
          initContainers: [{ name: 'init', image: 'web' }],
          containers: [
            { name: 'main', image: 'web' },
            { name: 'sidecar', image: 'web' },
          ],
        },
      );
      expect(warnings).toBe('');
      expect(object.metadata.labels).toEqual({ app: 'web', ...ASKING, ...INJECTED });
      expect(pod.volumes).toContainEqual(VOLUME);
      for (const { volumeMounts } of pod.containers) expect(volumeMounts).toContainEqual(MOUNT);
      expect(JSON.stringify(pod.initContainers)).not.toContain('etcd-guard');
      expect(pod.readinessGates).toEqual([GATE]);
      expect(pod.terminationGracePeriodSeconds).toBe(60);
    });

    it('a pod without the label is given nothing, and nobody is asked', async () => {
      const { object, pod, warnings } = await created('without', {
        app: 'web',
        'etcd-guard.io/inject': 'disabled',
      });
      expect(warnings).toBe('');
      expect(object.metadata.labels).not.toHaveProperty('etcd-guard.io/injected');
      expect(JSON.stringify(pod)).not.toContain('etcd-guard-hello');
      expect(pod.readinessGates).toEqual([]);
      expect(pod.terminationGracePeriodSeconds).toBe(30);
    });

    it('a name that is yet to be generated does not matter', async () => {
      const { object, pod } = await created('generated-', { app: 'web' });
      expect(object.metadata.name).toMatch(/^generated-\w+$/);
      expect(pod.volumes).toContainEqual(VOLUME);
    });

    it('what a pod has of its own stays, with a warning for each', async () => {
      const own = { name: 'own', mountPath: '/etc/config' };
      const { pod, warnings } = await created(
        'own',
        { app: 'web' },
        {
          containers: [{ name: 'main', image: 'web', volumeMounts: [own] }],
          volumes: [{ name: 'own', emptyDir: {} }],
          readinessGates: [GATE],
          terminationGracePeriodSeconds: 90,
        },
      );
      expect(pod.containers[0]?.volumeMounts).toContainEqual(own);
      expect(JSON.stringify(pod)).not.toContain('etcd-guard-hello');
      expect(pod.readinessGates).toEqual([GATE]);
      expect(pod.terminationGracePeriodSeconds).toBe(90);
      expect(warnings.split('\n')).toEqual([
        'Warning: EtcdGuard default/web: main already has something else at /etc/config: ConfigMap hello is not mounted there.',
        'Warning: EtcdGuard default/web: the pod already has the readiness gate etcd-guard.io/InSync.',
      ]);
      const taken = await created(
        'volume',
        { app: 'web' },
        { volumes: [{ name: VOLUME.name, emptyDir: {} }] },
      );
      expect(taken.pod.volumes).toContainEqual({ name: VOLUME.name, emptyDir: {} });
      expect(taken.warnings).toBe(
        'Warning: EtcdGuard default/web: the pod already has another volume etcd-guard-hello: ConfigMap hello is not mounted.',
      );
    });

    it('a ConfigMap that does not exist keeps no pod from being made, nor from starting', async () => {
      const files = [{ configMap: 'none.such', mountPath: '/etc/none' }];
      await api.apply(guard('missing', { files }));
      const { pod, warnings } = await created('missing', { app: 'missing' });
      expect(warnings).toBe(
        'Warning: ConfigMap default/none.such does not exist: /etc/none is empty until it does.',
      );
      expect(pod.volumes).toContainEqual(
        expect.objectContaining({
          configMap: { name: 'none.such', optional: true, defaultMode: 420 },
        }),
      );
    });

    it.each([
      ['no guard', 'nobodys', [], 'no EtcdGuard in namespace default selects this pod.'],
      [
        'a guard that injects nothing',
        'plain',
        ['plain'],
        'EtcdGuard default/plain has no spec.inject.',
      ],
      ['two guards', 'both', ['one', 'two'], 'several EtcdGuards select this pod: one, two.'],
    ])('a pod with %s is made as it is, with a warning', async (_what, app, names, why) => {
      const injection = app === 'both' ? { readinessGate: true } : undefined;
      for (const name of names) await api.apply(guard(app, injection, name));
      const { object, pod, warnings } = await created(app, { app });
      expect(warnings).toBe(`Warning: Nothing is injected: ${why}`);
      expect(pod.readinessGates).toEqual([]);
      expect(object.metadata.labels).toEqual({ app, ...ASKING });
    });

    async function condition(pod: string, type: string) {
      const { status } = await api.admin.get(`${PODS}/${pod}`);
      return conditionsSchema.parse(status).conditions.find((one) => one.type === type);
    }

    async function conditionIs(pod: string, status: string, reason: string): Promise<void> {
      await until(
        `${pod} is ${status} ${reason}`,
        async () => {
          const found = await condition(pod, GATE.conditionType);
          return found?.status === status && found.reason === reason;
        },
        LONG,
      );
    }

    async function readiness(pod: string) {
      const containers = (await condition(pod, 'ContainersReady'))?.status;
      return { containers, pod: (await condition(pod, 'Ready'))?.status };
    }

    describe('a rolling update of pods with the gate', () => {
      let db: StatefulEtcd;
      /** By member: the process that has not yet caught up. */
      const slow = new Map<string, ManagedProcess>();
      /** Members that are stopped as soon as they serve, before anybody is told where they are. */
      const toBeSlow = new Set<string>();

      beforeAll(async () => {
        db = await StatefulEtcd.start(api, {
          name: 'db',
          firstHost: 201,
          podManagementPolicy: 'Parallel',
          labels: ASKING,
          guard: { policy: { maxRaftLag: LAG }, inject: { readinessGate: true } },
          run: (etcd) => async (pod) => {
            const running = await runsMembersOf(etcd)(pod);
            const { name } = pod.metadata;
            if (toBeSlow.delete(name)) {
              const { process } = etcd.member(name);
              process.pause();
              slow.set(name, process);
            }
            return running;
          },
        });
        await api.startControllerManager();
        await db.apply();
      });

      afterAll(async () => {
        for (const process of slow.values()) process.resume();
        await db?.stop();
      });

      it('waits for a member that is slow to catch up, and then goes on', async () => {
        for (const name of NAMES) await conditionIs(name, 'True', 'HealthyVoter');
        const before = await uids();
        const others = async () => {
          const now = await uids();
          return [now['db-1'], now['db-0']];
        };
        const untouched = [before['db-1'], before['db-0']];
        toBeSlow.add('db-2');
        expect(await api.kubectl('rollout', 'restart', 'statefulset/db')).toMatchObject({
          exitCode: 0,
        });
        const member = await until('db-2 runs again', () => slow.get('db-2'), LONG);

        // Its port takes connections, its container runs: all that a probe of the port would ask.
        await conditionIs('db-2', 'False', 'NoAnswer');
        expect(await readiness('db-2')).toEqual({ containers: 'True', pod: 'False' });

        await writeMuch();
        expect(await others()).toEqual(untouched);

        // It gets a few milliseconds in a hundred, and has all of that to catch up with.
        const sluggish = crawl(member);
        const whileWaiting: unknown[] = [];
        await until(
          'db-2 is in sync',
          async () => {
            const seen = await others();
            const found = await condition('db-2', GATE.conditionType);
            // Read in this order: as long as it is not in sync, nothing else has been touched before.
            if (found?.status !== 'True') whileWaiting.push(seen);
            return found?.status === 'True';
          },
          LONG,
        );
        sluggish.stop();
        for (const seen of whileWaiting) expect(seen).toEqual(untouched);

        member.resume();
        await db.rolledOut();
        const after = await uids();
        for (const name of NAMES) {
          expect(after[name]).not.toBe(before[name]);
          await conditionIs(name, 'True', 'HealthyVoter');
        }
        expect(db.refusals).toEqual([]);
      });

      it('a pod that is ready stays so when no guard can ask its member', async () => {
        const [first] = db.etcd.members;
        first?.process.pause();
        await until(
          'the guard does not hear from db-0',
          async () => {
            const { status } = await api.admin.get(
              '/apis/etcd-guard.io/v1alpha1/namespaces/default/etcdguards/db',
            );
            return status?.['healthyVoters'] === 2;
          },
          LONG,
        );
        await conditionIs('db-0', 'True', 'HealthyVoter');
        expect(await readiness('db-0')).toEqual({ containers: 'True', pod: 'True' });
        first?.process.resume();
        await db.etcd.waitHealthy();
      });

      async function uids(): Promise<Readonly<Record<string, string | undefined>>> {
        const pods = await db.pods();
        return Object.fromEntries(pods.map(({ metadata: { name, uid } }) => [name, uid]));
      }

      /** Many more entries than a member may be behind, through those that are not slow. */
      async function writeMuch(): Promise<void> {
        const hosts = db.etcd.members.filter(({ name }) => !slow.has(name));
        const client = new Etcd3({ hosts: hosts.map(({ clientUrl }) => clientUrl) });
        try {
          for (let written = 0; written < BEHIND; written += AT_ONCE) {
            await Promise.all(
              Array.from({ length: AT_ONCE }, (_, at) =>
                client.put(`bulk/${at}`).value(Buffer.alloc(32 * 1024, at)),
              ),
            );
          }
        } finally {
          client.close();
        }
      }
    });

    it('without a guard pods are made as they are', async () => {
      await Promise.all(cluster.replicas.map((replica) => replica.process.stop()));
      const { object, pod, warnings } = await created('alone', { app: 'web' });
      expect(warnings).toBe('');
      expect(object.metadata.labels).toEqual({ app: 'web', ...ASKING });
      expect(JSON.stringify(pod)).not.toContain('etcd-guard-hello');
    });
  },
);

const NAMES = ['db-2', 'db-1', 'db-0'];
const LONG = { timeoutMs: 90_000 };
/** maxRaftLag of the guard. */
const LAG = 5;
/** Entries that are written while a member is stopped. */
const BEHIND = 1_000;
const AT_ONCE = 50;

function guard(app: string, injection?: object, name = app): unknown {
  return {
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'EtcdGuard',
    metadata: { name, namespace: 'default' },
    spec: { selector: { matchLabels: { app } }, ...(injection && { inject: injection }) },
  };
}

/** Lets a process run for a few milliseconds in a hundred, until it is stopped. */
function crawl(process: ManagedProcess): { stop(): void } {
  let timer: NodeJS.Timeout | undefined;
  const run = (): void => {
    process.resume();
    timer = setTimeout(() => {
      process.pause();
      timer = setTimeout(run, 97);
    }, 3);
  };
  run();
  return {
    stop: () => clearTimeout(timer),
  };
}
