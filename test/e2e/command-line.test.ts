import { execa } from 'execa';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { z } from 'zod';
import { PROTECTED, REFUSED, webhookConfiguration } from '../harness/admission-webhook.ts';
import {
  startEtcdCluster,
  type CommandResult,
  type EtcdCluster,
  type EtcdMember,
} from '../harness/etcd-cluster.ts';
import { etcdPod } from '../harness/etcd-pods.ts';
import { startGuard, type GuardProcess } from '../harness/guard-process.ts';
import { startKubeApiserver, type KubeApiserver } from '../harness/kube-apiserver.ts';
import { door, freePort, type Door } from '../harness/loopback.ts';
import { ManagedProcess } from '../harness/managed-process.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../harness/reaper.ts';
import { requireBinary } from '../harness/require-binary.ts';
import { until } from '../harness/until.ts';

const MANIFESTS = fileURLToPath(new URL('../../deploy/webhook/', import.meta.url));
const GUARD_USER = 'system:serviceaccount:etcd-guard:etcd-guard';
const NAMESPACE = 'shop';
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;
const GUARDS = `/apis/etcd-guard.io/v1alpha1/namespaces/${NAMESPACE}/etcdguards`;
const NOT_LABELLED =
  'Namespace bare is not labelled etcd-guard.io/protect=enabled, so the API server asks no guard about its pods: kubectl label namespace bare etcd-guard.io/protect=enabled.';

const reportSchema = z.looseObject({
  decision: z.string(),
  reason: z.string().nullable(),
  message: z.string(),
  warnings: z.array(z.string()),
});
const eventsSchema = z.object({
  items: z.array(
    z.object({
      reason: z.string(),
      message: z.string(),
      involvedObject: z.looseObject({ kind: z.string(), name: z.string() }),
    }),
  ),
});
const itemsSchema = z.object({
  items: z.array(
    z.looseObject({
      metadata: z.looseObject({ name: z.string(), uid: z.string() }),
      spec: z.looseObject({}),
      status: z.looseObject({
        conditions: z
          .array(
            z.looseObject({ type: z.string(), reason: z.string(), lastTransitionTime: z.string() }),
          )
          .optional(),
      }),
      pods: z.array(z.looseObject({ pod: z.string(), message: z.string() })),
    }),
  ),
});

describe('the command line against a cluster', () => {
  let etcd: EtcdCluster;
  let api: KubeApiserver;
  let guard: GuardProcess;
  let home: TemporaryDirectory;
  let doors: readonly Door[];
  /** Admin's, with its context in the namespace of the pods, and one in another. */
  let kubeconfig: string;

  beforeAll(async () => {
    [etcd, api, home] = await Promise.all([
      startEtcdCluster({
        hosts: ['127.0.0.31', '127.0.0.32', '127.0.0.33'],
        clientPort: await freePort('127.0.0.31'),
      }),
      startKubeApiserver(),
      temporaryDirectory('command-line-home'),
    ]);
    await install();
    await api.apply(namespace(NAMESPACE, PROTECTED), namespace('bare', {}));
    await api.apply(guardOf('etcd', 'etcd'), ...etcd.members.map((one) => podOf(one)));
    for (const member of etcd.members) await runs(member);
    guard = await startGuard({
      program: inject('program'),
      guards: null,
      args: [`--kubeconfig=${await api.kubeconfigFor({ user: GUARD_USER })}`],
    });
    const port = Number(guard.https.split(':').at(-1));
    await api.apply(webhookConfiguration(port, guard.ca));
    kubeconfig = join(home.path, 'config');
    await contexts(api.kubeconfig, kubeconfig);
    const { name } = await etcd.leader();
    await until('the webhook is in force', async () => {
      const { stderr } = await api.kubectl(
        'delete',
        'pod',
        name,
        `--namespace=${NAMESPACE}`,
        '--dry-run=server',
      );
      return stderr.includes(REFUSED);
    });
  });

  afterAll(async () => {
    await Promise.all((doors ?? []).map((one) => one.close()));
    await guard?.stop();
    await api?.stop();
    await etcd?.stop();
    await home?.remove();
  });

  async function install(): Promise<void> {
    for (const args of [
      ['apply', '--validate=false', '-f', `${MANIFESTS}10-crd.yaml`],
      ['apply', '-f', `${MANIFESTS}20-rbac.yaml`],
      ['wait', '--for=condition=Established', 'crd/etcdguards.etcd-guard.io', '--timeout=20s'],
    ]) {
      const { exitCode, stderr } = await api.kubectl(...args);
      if (exitCode !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
    }
  }

  /** The context `shop` is the current one; `bare` is of another namespace. */
  async function contexts(from: string, to: string): Promise<void> {
    const kubectl = requireBinary('kubectl', api.binaries);
    const { stdout } = await execa(kubectl, [`--kubeconfig=${from}`, 'config', 'view', '--raw']);
    await writeFile(to, stdout, { mode: 0o600 });
    for (const name of ['bare', NAMESPACE]) {
      const context = ['set-context', name, '--cluster=test', '--user=test'];
      await execa(kubectl, [`--kubeconfig=${to}`, 'config', ...context, `--namespace=${name}`]);
    }
    await execa(kubectl, [`--kubeconfig=${to}`, 'config', 'use-context', NAMESPACE]);
  }

  /** There is no kubelet here, since nothing is really deleted. */
  async function runs({ name, host }: EtcdMember): Promise<void> {
    await api.admin.patch(`${PODS}/${name}/status`, {
      status: {
        phase: 'Running',
        podIP: host,
        podIPs: [{ ip: host }],
        containerStatuses: [
          {
            name: 'etcd',
            image: 'etcd:test',
            imageID: '',
            ready: true,
            restartCount: 0,
            state: { running: {} },
          },
        ],
      },
    });
  }

  async function etcdGuard(
    args: readonly string[],
    environment: Readonly<Record<string, string>> = { KUBECONFIG: kubeconfig },
  ): Promise<CommandResult> {
    const result = await execa(process.execPath, [inject('program'), ...args], {
      reject: false,
      timeout: 60_000,
      stripFinalNewline: false,
      extendEnv: false,
      env: { PATH: process.env['PATH'] ?? '', HOME: home.path, ...environment },
    });
    return { exitCode: result.exitCode ?? -1, stdout: result.stdout, stderr: result.stderr };
  }

  /** With the rights of these rules in the namespace of the pods, and no others. */
  async function userWith(user: string, ...rules: readonly unknown[]): Promise<string> {
    await api.apply(
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'Role',
        metadata: { name: user, namespace: NAMESPACE },
        rules,
      },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'RoleBinding',
        metadata: { name: user, namespace: NAMESPACE },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: user },
        subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }],
      },
    );
    const file = join(home.path, `${user}.kubeconfig`);
    await contexts(await api.kubeconfigFor({ user }), file);
    return file;
  }

  async function roles(): Promise<{ leader: EtcdMember; follower: EtcdMember }> {
    const leader = await etcd.leader();
    const follower = etcd.members.find(({ id }) => id !== leader.id);
    if (follower === undefined) throw new Error('three members are needed');
    return { leader, follower };
  }

  /** What a dry run must leave as it is: the pods, whom the guard selects, and its reservations. */
  async function everything(): Promise<unknown> {
    const { spec, status } = await api.admin.get(`${GUARDS}/etcd`);
    const pods = etcd.members.map(({ name }) => api.admin.get(`${PODS}/${name}`));
    return { pods: await Promise.all(pods), spec, reserved: status?.['disruptedPods'] };
  }

  async function uidOf(name: string): Promise<string> {
    return (await api.admin.get(`${PODS}/${name}`)).metadata.uid ?? '';
  }

  async function reserve(name: string, more: object = {}): Promise<void> {
    const entry = { pod: name, time: new Date().toISOString(), by: 'alice', reason: 'Spared' };
    await api.admin.patch(`${GUARDS}/etcd/status`, {
      status: { disruptedPods: { [await uidOf(name)]: { ...entry, ...more } } },
    });
  }

  async function ledger(): Promise<unknown> {
    return (await api.admin.get(`${GUARDS}/etcd`)).status?.['disruptedPods'] ?? {};
  }

  async function clearLedger(): Promise<void> {
    await api.admin.patch(`${GUARDS}/etcd/status`, { status: { disruptedPods: null } });
  }

  describe('status', () => {
    it('prints guards with their own metadata and spec, and the cluster as it is now', async () => {
      const { leader } = await roles();
      const since = '2020-01-02T03:04:05Z';
      const conditions = [
        {
          type: 'Reachable',
          status: 'True',
          reason: 'Old',
          message: 'old',
          lastTransitionTime: since,
        },
        {
          type: 'Healthy',
          status: 'False',
          reason: 'Old',
          message: 'old',
          lastTransitionTime: since,
        },
      ];
      await api.admin.patch(`${GUARDS}/etcd/status`, { status: { conditions } });
      const object = await api.admin.get(`${GUARDS}/etcd`);
      const result = await etcdGuard(['status', '-o', 'json']);
      expect(result).toMatchObject({ exitCode: 0, stderr: '' });
      const { items } = itemsSchema.parse(JSON.parse(result.stdout));
      expect(items).toMatchObject([
        {
          apiVersion: 'etcd-guard.io/v1alpha1',
          kind: 'EtcdGuard',
          metadata: { name: 'etcd', namespace: NAMESPACE, uid: object.metadata.uid },
          spec: object.spec,
          status: { leader: leader.name, voters: 3, healthyVoters: 3, quorum: 2 },
          pods: etcd.members.map(({ name }) => ({
            pod: name,
            decision: name === leader.name ? 'deny' : 'allow',
            reason: name === leader.name ? 'LeaderProtected' : 'Spared',
          })),
        },
      ]);
      expect(items[0]?.metadata).not.toHaveProperty('managedFields');
      const times = items[0]?.status.conditions?.map(
        ({ lastTransitionTime }) => lastTransitionTime,
      );
      expect(times?.[0]).toBe(since);
      expect(times?.[1]).not.toBe(since);
      expect(items[0]?.status.conditions?.[2]).toMatchObject({
        type: 'Accepted',
        status: 'True',
        reason: 'Accepted',
        message: 'guards 3 pods',
      });
      // What nobody answers in time would be shown as recorded, and so as the API server orders it.
      const yaml = await etcdGuard(['status', '-o', 'yaml', '--via=direct']);
      expect(yaml.stdout).toMatch(/- type: Accepted\n +status: "True"\n +reason: Accepted\n/);
    });

    it('takes namespace and context as kubectl does', async () => {
      const title = /^shop\/etcd +etcd-\d +3\/3 +2 +1$/m;
      expect((await etcdGuard(['status'])).stdout).toMatch(title);
      expect((await etcdGuard(['status', 'etcd', '-A', '--context=bare'])).stdout).toMatch(title);
      const named = await etcdGuard(
        ['status', '-n', NAMESPACE, '--context=bare', `--kubeconfig=${kubeconfig}`],
        {},
      );
      expect(named.stdout).toMatch(title);
      expect(await etcdGuard(['status', '--context=bare'])).toStrictEqual({
        exitCode: 0,
        stdout: '',
        stderr: 'etcd-guard: no EtcdGuard in namespace bare (-A for all)\n',
      });
      expect(await etcdGuard(['status', 'none'])).toStrictEqual({
        exitCode: 4,
        stdout: '',
        stderr: "etcd-guard: no EtcdGuard 'none' in namespace shop (-A for all)\n",
      });
    });

    it('finds ~/.kube/config', async () => {
      const directory = await temporaryDirectory('command-line-own-home');
      await mkdir(join(directory.path, '.kube'));
      await contexts(api.kubeconfig, join(directory.path, '.kube', 'config'));
      const result = await etcdGuard(['status'], { HOME: directory.path });
      expect(result).toMatchObject({ exitCode: 0, stderr: '' });
      await directory.remove();
    });

    it('--via=webhook has the API server asked for each pod', async () => {
      const { leader } = await roles();
      const before = await everything();
      const result = await etcdGuard(['status', '--via=webhook', '-o', 'json']);
      expect(result).toMatchObject({ exitCode: 0, stderr: '' });
      const [item] = itemsSchema.parse(JSON.parse(result.stdout)).items;
      expect(item?.pods).toMatchObject(
        etcd.members.map(({ name }) =>
          name === leader.name
            ? { pod: name, decision: 'deny', reason: 'LeaderProtected' }
            : { pod: name, decision: 'allow', reason: 'Spared' },
        ),
      );
      expect(await everything()).toStrictEqual(before);
    });

    it('says of a guard what is wrong with it', async () => {
      await api.apply(guardOf('empty', 'nobody'));
      const result = await etcdGuard(['status', 'empty']);
      expect(result).toMatchObject({ exitCode: 3, stderr: '' });
      expect(result.stdout).toContain(
        '\nshop/empty: No pod of this namespace matches spec.selector (app=nobody).\n',
      );
      await api.admin.delete(`${GUARDS}/empty`);
    });

    it('names the other guard of its pods, and then allows no disruption, as kubectl shows it', async () => {
      await api.apply(guardOf('second', 'etcd'));
      const result = await etcdGuard(['status', 'etcd']);
      expect(result).toMatchObject({ exitCode: 0, stderr: '' });
      expect(result.stdout).toMatch(/^shop\/etcd +etcd-\d +3\/3 +2 +0$/m);
      expect(result.stdout).toContain(
        '\nshop/etcd: EtcdGuard second has some of its pods too, so that their deletion is refused: let one guard alone have each pod.\n',
      );
      await until('kubectl says the same', async () => {
        const { stdout } = await api.kubectl('get', 'etcdguards', 'etcd', '-n', NAMESPACE);
        expect(stdout).toMatch(/^etcd +etcd-\d +3\/3 +2 +0 +\S+ +OverlapsAnotherGuard *$/m);
        return true;
      });
      await api.admin.delete(`${GUARDS}/second`);
    });
  });

  describe('check', () => {
    it('denies the leader and allows a follower, in the very words of the webhook', async () => {
      const { leader, follower } = await roles();
      const before = await everything();
      for (const [{ name }, exitCode] of [
        [leader, 1],
        [follower, 0],
      ] as const) {
        const direct = await etcdGuard(['check', name, '-o', 'json']);
        expect(direct).toMatchObject({ exitCode, stderr: '' });
        expect(report(direct)).toMatchObject({
          pod: name,
          namespace: NAMESPACE,
          guard: 'etcd',
          operation: 'delete',
          leader: leader.id,
          healthy: 3,
          voters: 3,
          quorum: 2,
        });
        const through = await etcdGuard(['check', name, '-o', 'json', '--via=webhook']);
        expect(through).toMatchObject({ exitCode, stderr: '' });
        const { decision, reason, message, warnings } = report(direct);
        expect(report(through)).toStrictEqual({
          pod: name,
          namespace: NAMESPACE,
          guard: 'etcd',
          operation: 'delete',
          decision,
          reason,
          message:
            decision === 'deny' ? message : `The API server and its webhooks would let ${name} go.`,
          warnings,
          leader: null,
          term: null,
          healthy: null,
          voters: null,
          quorum: null,
          via: 'webhook',
        });
      }
      expect(await everything()).toStrictEqual(before);
      expect((await etcd.leader()).id).toBe(leader.id);
    });

    it('of an eviction says that leadership would be moved, whoever is asked', async () => {
      const { leader } = await roles();
      const before = await everything();
      for (const via of ['direct', 'webhook']) {
        const args = ['check', leader.name, '--eviction', '-o', 'json', `--via=${via}`];
        const result = await etcdGuard(args);
        expect(result).toMatchObject({ exitCode: 0, stderr: '' });
        expect(report(result).warnings.join(' ')).toContain('would be moved from');
      }
      expect(await everything()).toStrictEqual(before);
      expect((await etcd.leader()).id).toBe(leader.id);
    });

    it('passes on who else would refuse', async () => {
      const { follower } = await roles();
      // No controller works out what it allows, so it allows nothing.
      const budgets = `/apis/policy/v1beta1/namespaces/${NAMESPACE}/poddisruptionbudgets`;
      await api.admin.create(budgets, {
        apiVersion: 'policy/v1beta1',
        kind: 'PodDisruptionBudget',
        metadata: { name: 'etcd', namespace: NAMESPACE },
        spec: { minAvailable: 3, selector: { matchLabels: { app: 'etcd' } } },
      });
      const args = ['check', follower.name, '--eviction', '-o', 'json', '--via=webhook'];
      const result = await etcdGuard(args);
      await api.admin.delete(`${budgets}/etcd`);
      expect(result).toMatchObject({ exitCode: 1, stderr: '' });
      expect(report(result)).toMatchObject({
        decision: 'deny',
        reason: null,
        message: expect.stringContaining('disruption budget'),
      });
    });

    it('looks at the pod as it is', async () => {
      const { leader } = await roles();
      expect(await etcdGuard(['check', 'etcd-9'])).toStrictEqual({
        exitCode: 4,
        stdout: '',
        stderr: 'etcd-guard: there is no pod etcd-9 in namespace shop\n',
      });
      await api.apply(pod('web', 'web'), pod('going', 'etcd'));
      const web = await etcdGuard(['check', 'web', '-o', 'json']);
      expect(web.exitCode).toBe(0);
      expect(report(web)).toMatchObject({ reason: 'NotGuarded', guard: null, warnings: [] });

      const annotation = 'etcd-guard.io/break-glass';
      const annotate = (reason: string | null): Promise<unknown> =>
        api.admin.patch(`${PODS}/${leader.name}`, {
          metadata: { annotations: { [annotation]: reason } },
        });
      await annotate('the disk burns');
      const glass = await etcdGuard(['check', leader.name]);
      await annotate(null);
      expect(glass).toMatchObject({ exitCode: 0, stderr: '' });
      expect(glass.stdout).toContain('allow (BreakGlass): ');

      await api.admin.patch(`${PODS}/going`, {
        metadata: { annotations: { [annotation]: 'test' }, finalizers: ['example.com/hold'] },
      });
      await api.admin.delete(`${PODS}/going`);
      const going = await etcdGuard(['check', 'going']);
      await api.admin.patch(`${PODS}/going`, { metadata: { finalizers: null } });
      // There is no kubelet that would end it.
      await api.admin.delete(`${PODS}/going`, { gracePeriodSeconds: 0 });
      expect(going).toMatchObject({ exitCode: 0, stderr: '' });
      expect(going.stdout).toContain('allow (AlreadyGoing): ');
    });

    it('takes it for no answer where no webhook is asked', async () => {
      await api.apply(guardOf('etcd', 'etcd', 'bare'), pod('etcd-0', 'etcd', 'bare'));
      const words = `Nobody judges whether etcd-0 may go, and so it would go. ${NOT_LABELLED}`;
      for (const via of ['webhook', 'direct', 'auto']) {
        const result = await etcdGuard(['check', 'etcd-0', '-n', 'bare', `--via=${via}`]);
        expect(result.exitCode).toBe(3);
        expect(result.stdout).toContain(`allow (Unverifiable): ${words}`);
      }
      // What the answer rests on: nobody refuses it.
      const args = ['delete', 'pod', 'etcd-0', '--namespace=bare', '--dry-run=server'];
      expect(await api.kubectl(...args)).toMatchObject({ exitCode: 0 });
      for (const via of ['webhook', 'direct', 'auto']) {
        const { stdout, exitCode } = await etcdGuard(['status', '-n', 'bare', `--via=${via}`]);
        expect(exitCode).toBe(3);
        expect(stdout).toMatch(/^etcd-0 .* allow \(Unverifiable\)$/m);
        expect(stdout.split(`bare/etcd: ${NOT_LABELLED}\n`)).toHaveLength(2);
      }
      const asJson = await etcdGuard(['status', '-n', 'bare', '-o', 'json']);
      const [item] = itemsSchema.parse(JSON.parse(asJson.stdout)).items;
      expect(item?.status.conditions?.[2]).toMatchObject({
        type: 'Accepted',
        status: 'False',
        reason: 'NamespaceNotLabelled',
      });
      await api.admin.delete('/apis/etcd-guard.io/v1alpha1/namespaces/bare/etcdguards/etcd');
    });

    it('says so where there is no such namespace', async () => {
      expect(await etcdGuard(['status', '-n', 'nowhere'])).toStrictEqual({
        exitCode: 0,
        stdout: '',
        stderr: 'etcd-guard: there is no namespace nowhere (-A for all)\n',
      });
    });
  });

  describe('somebody with few rights', () => {
    const READS = [
      { apiGroups: ['etcd-guard.io'], resources: ['etcdguards'], verbs: ['list'] },
      { apiGroups: [''], resources: ['pods'], verbs: ['get', 'list'] },
    ];

    it('who may read guards and pods gets every answer', async () => {
      const { leader } = await roles();
      const reader = { KUBECONFIG: await userWith('reader', ...READS) };
      expect(await etcdGuard(['status'], reader)).toMatchObject({ exitCode: 0, stderr: '' });
      expect(await etcdGuard(['check', leader.name], reader)).toMatchObject({ exitCode: 1 });
      const through = await etcdGuard(['check', leader.name, '--via=webhook'], reader);
      expect(through).toMatchObject({ exitCode: 3, stdout: '' });
      expect(through.stderr).toMatch(
        /^etcd-guard: missing permission "delete" on "pods" in namespace shop: .* docs\/command-line\.md lists/,
      );
    });

    it('who may read nothing is told which right is missing', async () => {
      const nobody = { KUBECONFIG: await userWith('nobody') };
      const status = await etcdGuard(['status'], nobody);
      expect(status).toMatchObject({ exitCode: 3, stdout: '' });
      expect(status.stderr).toMatch(
        /^etcd-guard: missing permission "list" on "etcdguards" of API group etcd-guard\.io in namespace shop: /,
      );
      const check = await etcdGuard(['check', 'etcd-0'], nobody);
      expect(check).toMatchObject({ exitCode: 3, stdout: '' });
      expect(check.stderr).toMatch(
        /^etcd-guard: missing permission "get" on "pods" in namespace shop: /,
      );
    });

    it('who may not read the Secret has the API server asked', async () => {
      const { leader } = await roles();
      await api.apply({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'etcd-auth', namespace: NAMESPACE },
        stringData: { username: 'guard', password: 'CANARY' },
      });
      await api.admin.patch(`${GUARDS}/etcd`, {
        spec: { members: { auth: { secretName: 'etcd-auth' } } },
      });
      const deletes = { apiGroups: [''], resources: ['pods'], verbs: ['delete'] };
      const one = { KUBECONFIG: await userWith('deleter', ...READS, deletes) };
      const cause =
        'Secret shop/etcd-auth (spec.members.auth) can\'t be read: no permission "get" on it (deploy/webhook/components/secrets gives it to etcd-guard)';
      const check = await etcdGuard(['check', leader.name, '-o', 'json'], one);
      // Nor may the guard read it here: so its own answer is the same.
      expect(check.exitCode).toBe(3);
      expect(check.stderr).toBe(
        "etcd-guard: it can't be judged from here, and the guard, asked through the API server, says the same:\n",
      );
      expect(report(check)).toMatchObject({
        reason: 'Unverifiable',
        message: expect.stringContaining(cause),
        via: 'webhook',
      });

      const without = { KUBECONFIG: await userWith('reader-again', ...READS) };
      const neither = await etcdGuard(['check', leader.name], without);
      expect(neither.exitCode).toBe(3);
      expect(neither.stdout).toContain(cause);
      expect(neither.stderr).toContain(
        'etcd-guard: asking the API server instead failed: missing permission "delete" on "pods"',
      );
      const direct = await etcdGuard(['status', '--via=direct'], without);
      expect(direct.exitCode).toBe(3);
      expect(direct.stdout).toContain(`shop/etcd: It can't be asked: ${cause}`);
      await api.admin.patch(`${GUARDS}/etcd`, { spec: { members: { auth: null } } });
    });
  });

  describe('what can’t be used', () => {
    it.each<[string, string[], Readonly<Record<string, string>>, RegExp]>([
      [
        'no configuration at all',
        ['status'],
        { HOME: '/nowhere' },
        /^etcd-guard: no Kubernetes configuration: give --kubeconfig FILE, set KUBECONFIG, or use --guards FILE\n$/,
      ],
      [
        'a kubeconfig that is not there',
        ['check', 'etcd-0', '--kubeconfig=/nowhere/config'],
        {},
        /^etcd-guard: can't use the kubeconfig \/nowhere\/config: there is no such file; give --kubeconfig FILE, set KUBECONFIG, or use --guards FILE\n$/,
      ],
    ])('%s: exit code 2', async (_, args, environment, stderr) => {
      const result = await etcdGuard(args, environment);
      expect(result).toMatchObject({ exitCode: 2, stdout: '' });
      expect(result.stderr).toMatch(stderr);
    });

    it('a context that is not there: exit code 2', async () => {
      const result = await etcdGuard(['status', '--context=prod']);
      expect(result).toStrictEqual({
        exitCode: 2,
        stdout: '',
        stderr: `etcd-guard: can't use the kubeconfig ${kubeconfig}: it has no context 'prod'; its contexts are bare, shop, test\n`,
      });
    });

    it('an API server that is not there: exit code 3', async () => {
      const file = join(home.path, 'away.kubeconfig');
      const server = `https://127.0.0.1:${await freePort()}`;
      await writeFile(
        file,
        JSON.stringify({
          clusters: [{ name: 'test', cluster: { server } }],
          contexts: [{ name: 'test', context: { cluster: 'test', user: '' } }],
          'current-context': 'test',
        }),
      );
      for (const args of [['status'], ['check', 'etcd-0'], ['check', 'etcd-0', '--via=webhook']]) {
        const result = await etcdGuard(args, { KUBECONFIG: file });
        expect(result).toMatchObject({ exitCode: 3, stdout: '' });
        expect(result.stderr).toMatch(
          /^etcd-guard: can't reach the API server at https:\/\/127\.0\.0\.1:\d+ .*ECONNREFUSED.*\. Is it up, and is it the one that you mean\?/,
        );
      }
    });
  });

  it('is kubectl etcd-guard', async () => {
    const { leader } = await roles();
    const bin = join(home.path, 'bin');
    await mkdir(bin);
    await symlink(inject('program'), join(bin, 'kubectl-etcd_guard'));
    const path = [bin, dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter);
    const kubectl = (...args: readonly string[]) =>
      execa(requireBinary('kubectl', api.binaries), args, {
        reject: false,
        extendEnv: false,
        env: { PATH: path, HOME: home.path, KUBECONFIG: kubeconfig },
      });
    const status = await kubectl('etcd-guard', 'status');
    expect(status).toMatchObject({ exitCode: 0, stderr: '' });
    expect(status.stdout).toMatch(/^GUARD .*\nshop\/etcd +etcd-\d +3\/3/);
    const check = await kubectl('etcd-guard', 'check', leader.name, '-n', NAMESPACE);
    expect(check).toMatchObject({ exitCode: 1, stderr: '' });
    expect(check.stdout).toContain(`deny (LeaderProtected): ${leader.name} leads`);
  });

  describe('handoff', () => {
    it('moves leadership, and leaves no entry in the ledger', async () => {
      const { leader, follower } = await roles();
      const result = await etcdGuard(['handoff', leader.name, `--to=${follower.name}`, '--yes']);
      expect(result).toStrictEqual({
        exitCode: 0,
        stdout: `shop/etcd: leadership moved from ${leader.name} to ${follower.name}\n`,
        stderr: '',
      });
      expect((await etcd.leader()).id).toBe(follower.id);
      expect(await ledger()).toStrictEqual({});
      const told = ['get', 'events', '-n', NAMESPACE, '-o', 'json'];
      const { items } = eventsSchema.parse(JSON.parse((await api.kubectl(...told)).stdout));
      const words = `was moved from ${leader.name} to ${follower.name} by hand (etcd-guard handoff).`;
      const moved = items.filter(({ message }) => message.endsWith(words));
      expect(moved.map(({ reason, involvedObject }) => [reason, involvedObject])).toEqual(
        expect.arrayContaining([
          ['LeadershipMoved', expect.objectContaining({ kind: 'Pod', name: leader.name })],
          ['LeadershipMoved', expect.objectContaining({ kind: 'EtcdGuard', name: 'etcd' })],
        ]),
      );
    });

    it('not to one that has been allowed to go, and not beside another', async () => {
      const { leader, follower } = await roles();
      await reserve(follower.name);
      const to = await etcdGuard(['handoff', `--to=${follower.name}`, '-y']);
      expect(to).toMatchObject({ exitCode: 1, stdout: '' });
      expect(to.stderr).toMatch(
        new RegExp(
          `^etcd-guard: leadership of shop/etcd stays where it is: ${follower.name} \\(its deletion was allowed \\d+ s ago\\) is not fit to lead\n$`,
        ),
      );
      await clearLedger();
      await reserve(leader.name, { handOffTo: follower.id });
      const beside = await etcdGuard(['handoff', '-y']);
      expect(beside).toMatchObject({ exitCode: 1, stdout: '' });
      expect(beside.stderr).toMatch(
        new RegExp(
          `a hand-off from ${leader.name} is under way already \\(for \\d+ s\\); try again later\n$`,
        ),
      );
      expect((await etcd.leader()).id).toBe(leader.id);
      await clearLedger();
    });

    it('needs the right to write the ledger, and names it', async () => {
      const { leader } = await roles();
      const file = await userWith(
        'looker',
        { apiGroups: ['etcd-guard.io'], resources: ['etcdguards'], verbs: ['get', 'list'] },
        { apiGroups: [''], resources: ['pods'], verbs: ['get', 'list'] },
      );
      const result = await etcdGuard(['handoff', '-y'], { KUBECONFIG: file });
      expect(result).toMatchObject({ exitCode: 1, stdout: '' });
      expect(result.stderr).toMatch(
        /^etcd-guard: leadership was not moved: .*etcdguards\/status.*docs\/command-line\.md/,
      );
      expect((await etcd.leader()).id).toBe(leader.id);
    });

    it('has to be told which of several guards', async () => {
      await api.apply(guardOf('empty', 'nobody'));
      const result = await etcdGuard(['handoff', '-y']);
      expect(result).toStrictEqual({
        exitCode: 2,
        stdout: '',
        stderr: 'etcd-guard: which EtcdGuard? --guard takes one of empty, etcd\n',
      });
      const named = await etcdGuard(['handoff', '--guard=etcd', '--dry-run']);
      expect(named).toMatchObject({ exitCode: 0, stderr: '' });
      await api.admin.delete(`${GUARDS}/empty`);
    });
  });

  it('waits for a pod, and knows the names of pods and guards', async () => {
    const { leader, follower } = await roles();
    const deletable = await etcdGuard(['wait', follower.name, '--for=deletable']);
    expect(deletable).toMatchObject({ exitCode: 0, stderr: '' });
    const healthy = await etcdGuard(['wait', leader.name, '--for=healthy']);
    expect(healthy).toMatchObject({ exitCode: 0, stderr: '' });
    const none = await etcdGuard(['wait', 'etcd-9', '--for=deletable', '--timeout=0']);
    expect(none).toStrictEqual({
      exitCode: 1,
      stdout: '',
      stderr:
        'etcd-guard: waiting: there is no pod etcd-9 in namespace shop now\netcd-guard: etcd-9 was not deletable within 0 s\n',
    });
    const pods = await etcdGuard(['__complete', 'check', '']);
    expect(pods.stdout.split('\n').sort()).toStrictEqual(
      ['', ':4', ...etcd.members.map(({ name }) => name)].sort(),
    );
    const guards = await etcdGuard(['__complete', 'status', '-n', NAMESPACE, 'e']);
    expect(guards.stdout).toBe('etcd\n:4\n');
  });

  describe('from where members can’t be reached', () => {
    beforeAll(async () => {
      doors = await Promise.all(etcd.members.map(({ address }) => door(address)));
      const addresses = Object.fromEntries(
        etcd.members.map(({ name }, index) => [name, doors[index]?.address]),
      );
      await api.admin.patch(`${GUARDS}/etcd`, { spec: { members: { addresses } } });
      // The guard goes in before the doors are shut.
      const { leader } = await roles();
      await until('the guard has connected', async () => {
        const result = await etcdGuard(['check', leader.name, '--via=webhook']);
        return result.exitCode === 1 && doors.every((one) => one.connections() > 0);
      });
      for (const one of doors) one.shut();
    });

    it('check asks the API server, and says so', async () => {
      const { leader, follower } = await roles();
      const refused = await etcdGuard(['check', leader.name, '-o', 'json']);
      expect(refused.exitCode).toBe(1);
      expect(refused.stderr).toMatch(
        /^etcd-guard: it can't be judged from here: Can't tell whether etcd cluster shop\/etcd can spare etcd-\d: .*\netcd-guard: so the API server was asked, which says:\n$/,
      );
      expect(report(refused)).toMatchObject({
        guard: 'etcd',
        decision: 'deny',
        reason: 'LeaderProtected',
        message: expect.stringContaining(
          `${leader.name} leads etcd cluster shop/etcd (member ${leader.id}`,
        ),
        via: 'webhook',
      });
      const allowed = await etcdGuard(['check', follower.name]);
      expect(allowed.exitCode).toBe(0);
      expect(allowed.stdout).toMatch(
        /^allow \(Spared\): The API server .*\nWarning: etcd cluster shop\/etcd can lose no further member/,
      );
      const direct = await etcdGuard(['check', leader.name, '--via=direct']);
      expect(direct).toMatchObject({ exitCode: 3, stderr: '' });
    });

    it('status shows what the guard has recorded, and says so', async () => {
      const { leader } = await roles();
      const status = {
        leader: leader.name,
        voters: 3,
        healthyVoters: 3,
        quorum: 2,
        disruptionsAllowed: 1,
        members: etcd.members.map(({ name, id }) => ({
          pod: name,
          name,
          id,
          role: id === leader.id ? 'Leader' : 'Follower',
          health: 'Healthy',
        })),
      };
      await api.admin.patch(`${GUARDS}/etcd/status`, { status });
      const shown = await etcdGuard(['status']);
      expect(shown).toMatchObject({ exitCode: 3, stderr: '' });
      expect(shown.stdout).toMatch(new RegExp(`^shop/etcd +${leader.name} +3/3 +2 +1$`, 'm'));
      expect(shown.stdout).toMatch(new RegExp(`^${leader.name} +Leader +Healthy +\\S+ +\\?$`, 'm'));
      expect(shown.stdout).toMatch(
        /\nshop\/etcd: No member answers from here \(etcd-0: .+\)\. This is what the guard has written down, last \d+ s ago; it writes only what has changed\.\n/,
      );
      expect(shown.stdout).toContain('etcd-guard status --via=webhook');
      const asJson = await etcdGuard(['status', '-o', 'json']);
      const [item] = itemsSchema.parse(JSON.parse(asJson.stdout)).items;
      expect(item).toMatchObject({
        status,
        recorded: {
          lastWritten: expect.stringMatching(/^20/),
          why: expect.stringContaining('no member answers'),
        },
        pods: etcd.members.map(({ name }) => ({
          pod: name,
          decision: null,
          reason: 'Unverifiable',
        })),
      });
      const through = await etcdGuard(['status', '--via=webhook']);
      expect(through).toMatchObject({ exitCode: 0, stderr: '' });
      expect(through.stdout).toMatch(
        new RegExp(`^${leader.name} +Leader +Healthy +\\S+ +deny \\(LeaderProtected\\)$`, 'm'),
      );
    });

    it('handoff says what to run instead, and wait that it can’t tell', async () => {
      const { leader } = await roles();
      const result = await etcdGuard(['handoff', '--yes']);
      expect(result).toMatchObject({ exitCode: 3, stdout: '' });
      expect(result.stderr).toMatch(
        new RegExp(
          `^etcd-guard: shop/etcd can't be asked from here: .*: kubectl exec -n shop ${leader.name} -- etcdctl move-leader [0-9a-f]+, which is etcd-\\d\\.\n$`,
        ),
      );
      const args = ['wait', leader.name, '--for=healthy', '--timeout=0'];
      const waited = await etcdGuard(args);
      expect(waited).toMatchObject({ exitCode: 1, stdout: '' });
      expect(waited.stderr).toMatch(/^etcd-guard: waiting: no member answers from here /);
    });

    it('goes back to where they can', async () => {
      await api.admin.patch(`${GUARDS}/etcd`, { spec: { members: { addresses: null } } });
      expect(await etcdGuard(['status'])).toMatchObject({ exitCode: 0 });
    });
  });

  it('status --watch outlasts the API server', async () => {
    const watching = await ManagedProcess.start(
      process.execPath,
      [inject('program'), 'status', '--watch'],
      { env: { ...process.env, KUBECONFIG: kubeconfig } },
    );
    await watching.waitForOutput(/DELETE NOW/);
    await api.restart();
    await watching.waitForOutput(
      /etcd-guard: .*(can't reach|server is starting|no answer)[^]*Z no change\n/,
      60_000,
    );
    await expect(watching.kill('SIGINT')).resolves.toStrictEqual({ code: 130, signal: null });
  });

  it('shows what is left of a cluster that has lost its quorum', async () => {
    const [survivor, ...others] = etcd.members;
    for (const { name } of others) await etcd.member(name).process.stop();
    const lost = await until('nobody leads', async () => {
      const result = await etcdGuard(['status']);
      // The look at the cluster comes before those at its pods, and may still see a leader named.
      return /names no leader.*QuorumLost/.test(result.stdout) ? result : undefined;
    });
    expect(lost).toMatchObject({ exitCode: 3, stderr: '' });
    expect(lost.stdout).toMatch(/^shop\/etcd +none +0\/3 +2 +0$/m);
    expect(lost.stdout).toContain(
      '\nshop/etcd: Voters and quorum are those of the last member list that a quorum agreed on',
    );
    expect(lost.stdout).toMatch(
      new RegExp(`^${survivor?.name ?? ''} +names no leader +deny \\(QuorumLost\\)$`, 'm'),
    );
    expect(lost.stdout).toMatch(/^etcd-2 +connection refused +deny \(QuorumLost\)$/m);
    expect(lost.stdout).toContain(
      'shop/etcd: No quorum of voters gives one member list. No voter that answers names a leader.\n',
    );
  });

  it('says what to look at while the guard hangs', async () => {
    guard.process.pause();
    const result = await etcdGuard(['check', 'etcd-0', '--via=webhook']);
    guard.process.resume();
    expect(result).toMatchObject({ exitCode: 3, stderr: '' });
    expect(result.stdout).toMatch(/^deny \(Unverifiable\): .*failed calling webhook/);
    expect(result.stdout).toContain('What to look at: kubectl -n etcd-guard get pods; ');
  });

  it('says that nobody judges while the webhook is down', async () => {
    await guard.stop();
    const result = await etcdGuard(['check', 'etcd-0', '--via=webhook', '-o', 'json']);
    expect(result).toMatchObject({ exitCode: 3, stderr: '' });
    expect(report(result)).toMatchObject({
      decision: 'deny',
      reason: 'Unverifiable',
      message: expect.stringContaining('failed calling webhook'),
    });
  });
});

function report({ stdout }: CommandResult): z.infer<typeof reportSchema> {
  return reportSchema.parse(JSON.parse(stdout));
}

function namespace(name: string, labels: Readonly<Record<string, string>>): unknown {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

function podOf(member: EtcdMember): unknown {
  return etcdPod(member, { nodeName: 'node', namespace: NAMESPACE });
}

function pod(name: string, app: string, of = NAMESPACE): unknown {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: of, labels: { app } },
    spec: { nodeName: 'node', containers: [{ name: 'main', image: 'none' }] },
  };
}

function guardOf(name: string, app: string, of = NAMESPACE): unknown {
  return {
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'EtcdGuard',
    metadata: { name, namespace: of },
    spec: { selector: { matchLabels: { app } } },
  };
}
