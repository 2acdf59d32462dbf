import { execa } from 'execa';
import { readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { z } from 'zod';
import { DEFAULT_RESOURCES } from '../../src/kubernetes/locks/lock-resource-schema.ts';
import { consoleSteps, blocksOf } from '../harness/console.ts';
import type { CommandResult } from '../harness/etcd-cluster.ts';
import { LockedCluster, LOCK_WEBHOOK } from '../harness/locked-cluster.ts';
import { KubeError, type KubeClient, type KubeObject } from '../harness/kube-client.ts';
import { ManagedProcess } from '../harness/managed-process.ts';
import { temporaryDirectory } from '../harness/reaper.ts';
import { until } from '../harness/until.ts';

const PAGE = new URL('../../docs/locks.md', import.meta.url);
const REFUSED = `admission webhook "${LOCK_WEBHOOK}" denied the request: denied by ExclusiveLock `;
const RED = { aura: 'red' };
/** Whom RBAC lets do everything, whatever their names. */
const MASTERS = '--as-group=system:masters';

function lock(namespace: string, name: string, spec: Readonly<Record<string, unknown>> = {}) {
  return {
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'ExclusiveLock',
    metadata: { name, namespace },
    spec: {
      selector: { matchLabels: RED },
      exclusive: [{ kind: 'ServiceAccount', name: 'jonny-op' }],
      ...spec,
    },
  };
}

/** A lock that holds itself. */
function labelled({ metadata, ...rest }: ReturnType<typeof lock>) {
  return { ...rest, metadata: { ...metadata, labels: RED } };
}

function configMap(
  namespace: string,
  name: string,
  more: Readonly<Record<string, unknown>> = {},
  data: Readonly<Record<string, string>> = {},
) {
  const metadata = { name, namespace, labels: RED, ...more };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data };
}

function pod(namespace: string, name: string, more: Readonly<Record<string, unknown>> = {}) {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: RED, ...more },
    spec: {
      nodeName: 'node-a',
      containers: [{ name: 'main', image: 'main:test' }],
      terminationGracePeriodSeconds: 30,
    },
  };
}

function deployment(namespace: string, name: string) {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace, labels: RED },
    spec: {
      replicas: 0,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: 'main', image: 'main:test' }] },
      },
    },
  };
}

/** A namespace of its own for each test. */
class Room {
  readonly name: string;
  readonly #cluster: LockedCluster;

  private constructor(cluster: LockedCluster, name: string) {
    this.#cluster = cluster;
    this.name = name;
  }

  static async open(
    cluster: LockedCluster,
    name: string,
    ...objects: readonly unknown[]
  ): Promise<Room> {
    await cluster.api.apply({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, labels: { 'etcd-guard.io/lock': 'enabled' } },
    });
    const room = new Room(cluster, name);
    await room.#isAsked();
    if (objects.length > 0) await cluster.api.apply(...objects);
    return room;
  }

  get admin(): KubeClient {
    return this.#cluster.api.admin;
  }

  kubectl(...args: readonly string[]): Promise<CommandResult> {
    return this.#cluster.api.kubectl(`--namespace=${this.name}`, ...args);
  }

  /** As an actor whom the locks of these tests let pass. */
  asJonny(...args: readonly string[]): Promise<CommandResult> {
    return this.kubectl(...args, `--as=system:serviceaccount:${this.name}:jonny-op`, MASTERS);
  }

  refusal(name: string, operation: string, resource: string): object {
    return {
      exitCode: 1,
      stderr: expect.stringContaining(
        `${REFUSED}${this.name}/${name} (aura=red): only ServiceAccount ${this.name}/jonny-op may ${operation} ${resource} here`,
      ),
    };
  }

  /** The API server learns of a namespace's labels with a delay of its own. */
  async #isAsked(): Promise<void> {
    const { api } = this.#cluster;
    await api.apply(
      lock(this.name, 'probe', {
        operations: ['CREATE'],
        selector: { matchLabels: { probe: 'yes' } },
      }),
    );
    const probe = configMap(this.name, 'probe', { labels: { probe: 'yes' } });
    await until(`changes in ${this.name} are held against locks`, async () =>
      api.admin.create(`/api/v1/namespaces/${this.name}/configmaps?dryRun=All`, probe).then(
        () => false,
        (error: unknown) => String(error).includes('denied by ExclusiveLock'),
      ),
    );
    await this.kubectl('delete', 'exclusivelock', 'probe');
  }
}

const DONE = { exitCode: 0 };

const statusSchema = z.object({
  denials: z.number().optional(),
  conditions: z
    .array(
      z.object({ type: z.string(), status: z.string(), reason: z.string(), message: z.string() }),
    )
    .default([]),
});

/** The condition of this type as `status reason: message`, once it has this reason. */
function condition(
  room: Room,
  name: string,
  [type, reason]: readonly [type: string, reason: string],
): Promise<string> {
  const path = `/apis/etcd-guard.io/v1alpha1/namespaces/${room.name}/exclusivelocks/${name}`;
  return until(
    `${type} of ${name} is ${reason}`,
    async () => {
      const { status } = await room.admin.get(path);
      const { conditions } = statusSchema.parse(status);
      const found = conditions.find((one) => one.type === type);
      if (found?.reason === reason) return `${found.status} ${reason}: ${found.message}`;
      throw new Error(JSON.stringify(status));
    },
    { timeoutMs: 45_000 },
  );
}

async function rejection(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => null,
    (caught: unknown) => caught,
  );
  if (error instanceof KubeError) return `${error.code} ${error.message}`;
  throw error instanceof Error ? error : new Error('it was not refused');
}

function denialsOf(operation: string, resource: string): string {
  return `etcdguard_lock_denials_total{lock="red",namespace="dry",operation="${operation}",resource="${resource}"}`;
}

describe('ExclusiveLocks on a real API server', { timeout: 300_000 }, () => {
  let cluster: LockedCluster;

  beforeAll(async () => {
    cluster = await LockedCluster.start(inject('program'));
  });

  afterAll(async () => {
    await cluster?.stop();
  });

  it('walk through as docs/locks.md says, word for word', async () => {
    const page = await readFile(PAGE, 'utf8');
    const directory = await temporaryDirectory('locks-page');
    const manifests = blocksOf(page, 'yaml').filter((block) => /^kind:/m.test(block));
    expect(manifests).toHaveLength(1);
    await writeFile(join(directory.path, 'lock.yaml'), manifests[0] ?? '');
    const { api } = cluster;
    const env = {
      KUBECONFIG: api.kubeconfig,
      HOME: directory.path,
      PATH: `${api.binaries}${delimiter}${process.env['PATH'] ?? ''}`,
    };
    const steps = consoleSteps(page);
    expect(steps.length).toBeGreaterThan(10);
    for (const { command, output } of steps) {
      const options = {
        shell: true,
        reject: false,
        all: true,
        cwd: directory.path,
        env,
      } as const;
      const { all } = await execa(command, options);
      expect({ command, output: all }).toEqual({ command, output });
    }
    await directory.remove();
  });

  it('holds labels before and after: nothing slips out, and nothing in', async () => {
    const room = await Room.open(
      cluster,
      'slips',
      configMap('slips', 'held'),
      configMap('slips', 'free', { labels: {} }),
      lock('slips', 'red'),
    );
    const refused = room.refusal('red', 'UPDATE', 'configmaps');
    expect(await room.kubectl('label', 'cm', 'held', 'aura-')).toMatchObject(refused);
    expect(await room.kubectl('label', 'cm', 'free', 'aura=red')).toMatchObject(refused);
    expect(await room.kubectl('label', 'cm', 'free', 'aura=blue')).toMatchObject(DONE);
    expect(await room.asJonny('label', 'cm', 'free', 'aura=red', '--overwrite')).toMatchObject(
      DONE,
    );
    expect(await room.kubectl('label', 'cm', 'free', 'aura-')).toMatchObject(refused);
    expect(await room.asJonny('label', 'cm', 'held', 'aura-')).toMatchObject(DONE);
    expect(await room.kubectl('label', 'cm', 'held', 'owner=me')).toMatchObject(DONE);
  });

  it('holds whatever way an object is deleted or changed', async () => {
    const room = await Room.open(
      cluster,
      'ways',
      pod('ways', 'my-pod'),
      configMap('ways', 'my-cm'),
      deployment('ways', 'my-app'),
      lock('ways', 'red'),
    );
    const { admin } = cluster.api;
    const pods = '/api/v1/namespaces/ways/pods';
    const deleted = room.refusal('red', 'DELETE', 'pods');
    expect(await room.kubectl('delete', 'pod', 'my-pod')).toMatchObject(deleted);
    expect(await room.kubectl('delete', 'pod', '--all')).toMatchObject(deleted);
    const force = ['--force', '--grace-period=0'];
    expect(await room.kubectl('delete', 'pod', 'my-pod', ...force)).toMatchObject(deleted);
    const said = `403 ${REFUSED}ways/red (aura=red): only ServiceAccount ways/jonny-op may DELETE pods here`;
    expect(await rejection(admin.delete(`${pods}?labelSelector=aura%3Dred`))).toBe(said);
    const eviction = {
      apiVersion: 'policy/v1beta1',
      kind: 'Eviction',
      metadata: { name: 'my-pod', namespace: 'ways' },
    };
    expect(await rejection(admin.text('POST', `${pods}/my-pod/eviction`, eviction))).toBe(said);

    const scaled = room.refusal('red', 'UPDATE', 'deployments.apps');
    const scale = ['scale', 'deployment', 'my-app', '--replicas=2'];
    expect(await room.kubectl(...scale)).toMatchObject(scaled);
    expect(await room.asJonny(...scale)).toMatchObject(DONE);

    const directory = await temporaryDirectory('locks-ways');
    const file = join(directory.path, 'my-cm.json');
    await writeFile(file, JSON.stringify(configMap('ways', 'my-cm', {}, { a: 'b' })));
    const changed = room.refusal('red', 'UPDATE', 'configmaps');
    const apply = ['apply', '--server-side', '--force-conflicts', '-f', file];
    expect(await room.kubectl(...apply)).toMatchObject(changed);
    expect(await room.kubectl('apply', '-f', file)).toMatchObject(changed);
    expect(await room.kubectl('replace', '-f', file)).toMatchObject(changed);
    expect(await room.kubectl('replace', '--force', '-f', file)).toMatchObject(
      room.refusal('red', 'DELETE', 'configmaps'),
    );
    expect(await room.asJonny(...apply)).toMatchObject(DONE);
    expect(await room.asJonny('replace', '--force', '-f', file)).toMatchObject(DONE);
    await directory.remove();
  });

  it('are about what a server-side apply names, and nothing that was there by default', async () => {
    await Room.open(cluster, 'applied');
    const applied = async (spec: Readonly<Record<string, unknown>>): Promise<KubeObject> => {
      const document = JSON.stringify(lock('applied', 'red', spec));
      const apply = ['apply', '--server-side', '--filename=-'];
      expect(await cluster.api.kubectlWith(document, ...apply)).toMatchObject(DONE);
      return cluster.api.admin.get(
        '/apis/etcd-guard.io/v1alpha1/namespaces/applied/exclusivelocks/red',
      );
    };
    const byDefault = { operations: ['UPDATE', 'DELETE'], resources: DEFAULT_RESOURCES };
    expect(await applied({})).toMatchObject({ spec: byDefault });
    const named = { operations: ['DELETE'], resources: ['secrets', 'jobs.batch'] };
    expect(await applied(named)).toMatchObject({ spec: named });
    expect(await applied({})).toMatchObject({ spec: byDefault });
  });

  it('holds objects of a megabyte, and says nothing of what is in a Secret', async () => {
    const secret = {
      ...configMap('large', 'my-secret'),
      kind: 'Secret',
      data: { key: Buffer.from('hidden-from-logs').toString('base64') },
    };
    const large = configMap('large', 'large', {}, { text: 'x'.repeat(1_000_000) });
    const room = await Room.open(cluster, 'large', secret, lock('large', 'red'));
    await cluster.api.admin.create('/api/v1/namespaces/large/configmaps', large);
    expect(await room.kubectl('label', 'cm', 'large', 'a=b')).toMatchObject(
      room.refusal('red', 'UPDATE', 'configmaps'),
    );
    expect(await room.asJonny('label', 'cm', 'large', 'a=b')).toMatchObject(DONE);
    expect(await room.kubectl('delete', 'secret', 'my-secret')).toMatchObject(
      room.refusal('red', 'DELETE', 'secrets'),
    );
    const logs = cluster.replicas.map(({ process }) => process.output).join('\n');
    expect(logs).toContain('"name":"my-secret"');
    expect(logs).not.toContain('hidden-from-logs');
    expect(logs).not.toContain(Buffer.from('hidden-from-logs').toString('base64'));
  });

  it('knows actors by their whole name, and asks every lock', async () => {
    const exclusive = [
      { kind: 'ServiceAccount', name: 'jonny-op' },
      { kind: 'User', name: 'oidc:https://id.example:alice' },
      { kind: 'Group', name: 'ops:etcd' },
    ];
    const room = await Room.open(
      cluster,
      'actors',
      configMap('actors', 'held'),
      lock('actors', 'b-second', { exclusive: exclusive.slice(1) }),
      lock('actors', 'a-first', { exclusive }),
    );
    let serial = 0;
    const label = async (...as: readonly string[]): Promise<string> => {
      serial += 1;
      const args = ['label', 'cm', 'held', `serial=${serial}`, '--overwrite'];
      const { exitCode, stderr } = await room.kubectl(...args, ...as, MASTERS);
      return exitCode === 0 ? 'passes' : (/ExclusiveLock (\S+)/.exec(stderr)?.[1] ?? stderr);
    };
    expect(await label('--as=oidc:https://id.example:alice')).toBe('passes');
    expect(await label('--as=bob', '--as-group=ops:etcd')).toBe('passes');
    expect(await label('--as=alice')).toBe('actors/a-first');
    expect(await label('--as=bob', '--as-group=etcd')).toBe('actors/a-first');
    expect(await label('--as=system:serviceaccount:actors:jonny-op')).toBe('actors/b-second');
    expect(await label('--as=system:serviceaccount:default:jonny-op')).toBe('actors/a-first');
    expect(await label('--as=jonny-op')).toBe('actors/a-first');
  });

  it('is as if it were not there past its end, and only warns where it is told to', async () => {
    const room = await Room.open(
      cluster,
      'soft',
      configMap('soft', 'held'),
      lock('soft', 'over', { until: '2020-01-01T00:00:00Z' }),
      lock('soft', 'warns', { enforcement: 'Warn', reason: 'soon for good' }),
    );
    expect(await room.kubectl('label', 'cm', 'held', 'a=b')).toMatchObject({
      exitCode: 0,
      stderr:
        'Warning: would be denied by ExclusiveLock soft/warns (aura=red): only ServiceAccount soft/jonny-op may UPDATE configmaps here; soon for good',
    });
  });

  it('says of a dry run what the change would get, and counts it nowhere', async () => {
    const room = await Room.open(
      cluster,
      'dry',
      configMap('dry', 'held'),
      lock('dry', 'red', { operations: ['CREATE', 'DELETE'] }),
    );
    expect(await room.kubectl('delete', 'cm', 'held', '--dry-run=server')).toMatchObject(
      room.refusal('red', 'DELETE', 'configmaps'),
    );
    expect(await denials('dry')).toEqual({});
    expect(await room.kubectl('delete', 'cm', 'held')).toMatchObject({ exitCode: 1 });
    const create = room.refusal('red', 'CREATE', 'pods');
    expect(
      await room.kubectl('run', 'made', '--image=main:test', '--labels=aura=red'),
    ).toMatchObject(create);
    const counted = await denials('dry');
    expect(Object.keys(counted).toSorted()).toEqual([
      denialsOf('CREATE', 'pods'),
      denialsOf('DELETE', 'configmaps'),
    ]);
    // API servers before 1.23 ask twice about a DELETE that is refused.
    expect([1, 2]).toContain(counted[denialsOf('DELETE', 'configmaps')]);
    await until('Events on the object and on the lock', async () => {
      const { stdout } = await room.kubectl(
        'get',
        'events',
        '-o=jsonpath={range .items[*]}{.involvedObject.kind} {.involvedObject.apiVersion} {.involvedObject.name} {.reason}{"\\n"}{end}',
      );
      return (
        stdout.includes('ConfigMap v1 held Locked') &&
        stdout.includes('ExclusiveLock etcd-guard.io/v1alpha1 red Locked')
      );
    });
  });

  /** Of all replicas together. */
  async function denials(namespace: string): Promise<Readonly<Record<string, number>>> {
    const each = await Promise.all(
      cluster.replicas.map((replica) => replica.samples('etcdguard_lock_denials_total{')),
    );
    const sums: Record<string, number> = {};
    for (const [series, value] of each.flatMap((samples) => Object.entries(samples))) {
      if (!series.includes(`namespace="${namespace}"`)) continue;
      sums[series] = (sums[series] ?? 0) + value;
    }
    return sums;
  }

  describe('their status', () => {
    it('tells what they hold, whom they let pass, and whom they have refused', async () => {
      const room = await Room.open(
        cluster,
        'shown',
        configMap('shown', 'one'),
        configMap('shown', 'two'),
        deployment('shown', 'my-app'),
        configMap('shown', 'other', { labels: {} }),
        lock('shown', 'red', { until: '2099-01-01T00:00:00Z' }),
      );
      expect(await condition(room, 'red', ['InForce', 'Enforced'])).toBe(
        'True Enforced: changes by others are refused',
      );
      expect(await condition(room, 'red', ['Counted', 'NotCounted'])).toBe(
        'False NotCounted: matched leaves out secrets (no right to list them); these are locked all the same',
      );
      const kubeconfig = `--kubeconfig=${cluster.api.kubeconfig}`;
      const args = [inject('program'), 'status', kubeconfig, '--namespace=shown'];
      const told = await execa(process.execPath, args, { reject: false });
      expect(told).toMatchObject({
        exitCode: 0,
        stderr: 'etcd-guard: no EtcdGuard in namespace shown (-A for all)',
      });
      expect(told.stdout).toMatch(
        /^LOCK .*\nshown\/red +aura=red +ServiceAccount shown\/jonny-op +3 +2099-01-01T00:00:00Z +yes \(Enforced\)$/,
      );
      for (const name of ['one', 'two', 'one', 'two']) {
        const as = ['--as=oidc:alice', MASTERS];
        expect(await room.kubectl('label', 'cm', name, 'a=b', ...as)).toMatchObject({
          exitCode: 1,
        });
      }
      const { stdout } = await room.kubectl('get', 'exclusivelocks');
      const [header = '', row = ''] = stdout.split('\n');
      expect(header.split(/\s{2,}/)).toEqual([
        'NAME',
        'MATCHED',
        'EXCLUSIVE',
        'UNTIL',
        'AGE',
        'REASON',
      ]);
      expect(row).toMatch(/^red +3 +ServiceAccount shown\/jonny-op +2099-01-01T00:00:00Z +\d+s *$/);
      const path = '/apis/etcd-guard.io/v1alpha1/namespaces/shown/exclusivelocks/red';
      // API servers may ask twice about one request.
      const counted = Object.values(await denials('shown')).reduce((sum, one) => sum + one, 0);
      expect(counted).toBeGreaterThanOrEqual(4);
      await until('all denials are written down', async () => {
        const { status } = await cluster.api.admin.get(path);
        return statusSchema.parse(status).denials === counted;
      });
      expect((await cluster.api.admin.get(path)).status).toMatchObject({
        lastDenied: { user: 'oidc:alice', resource: 'configmaps', name: 'two' },
      });
    });

    it('is followed by status --watch, until the lock has gone', async () => {
      const room = await Room.open(cluster, 'watched', lock('watched', 'red'));
      await condition(room, 'red', ['InForce', 'Enforced']);
      const kubeconfig = `--kubeconfig=${cluster.api.kubeconfig}`;
      const args = [inject('program'), 'status', '--watch', kubeconfig, '--namespace=watched'];
      const watching = await ManagedProcess.start(process.execPath, args);
      await watching.waitForOutput(/^watched\/red .* yes \(Enforced\)$/m);
      const patch = '{"spec":{"until":"2020-01-01T00:00:00Z"}}';
      const patched = await room.kubectl(
        'patch',
        'exclusivelock',
        'red',
        '--type=merge',
        '-p',
        patch,
      );
      expect(patched).toMatchObject(DONE);
      await watching.waitForOutput(
        /Z lock watched\/red: in force no \(Expired\) \(was yes \(Enforced\)\)$/m,
      );
      expect(await room.kubectl('delete', 'exclusivelock', 'red')).toMatchObject(DONE);
      await watching.waitForOutput(/Z lock watched\/red: gone$/m);
      await expect(watching.kill('SIGINT')).resolves.toStrictEqual({ code: 130, signal: null });
    });

    it('gives a verdict on locks that hold less than they look', async () => {
      const impossible = {
        matchLabels: RED,
        matchExpressions: [{ key: 'aura', operator: 'DoesNotExist' }],
      };
      const room = await Room.open(
        cluster,
        'verdicts',
        configMap('verdicts', 'held'),
        lock('verdicts', 'impossible', { selector: impossible }),
        lock('verdicts', 'unknown', { resources: ['statefulsets', 'gizmos.example.com'] }),
        lock('verdicts', 'unasked', { resources: ['endpoints', 'pods'] }),
        lock('verdicts', 'over', { until: '2020-01-01T00:00:00Z' }),
      );
      expect(await condition(room, 'impossible', ['Accepted', 'ImpossibleSelector'])).toBe(
        'False ImpossibleSelector: spec.selector: no object can meet all that it asks of the label aura; so the lock holds nothing',
      );
      expect(await condition(room, 'unknown', ['Accepted', 'UnknownResource'])).toBe(
        'False UnknownResource: the API server serves no such resource in namespaces: statefulsets (is statefulsets.apps meant?), gizmos.example.com',
      );
      expect(await condition(room, 'unasked', ['InForce', 'ResourceNotAsked'])).toBe(
        'False ResourceNotAsked: the rules of ValidatingWebhookConfiguration etcd-guard-locks do not name endpoints, so changes of these are not held against the lock: add them there',
      );
      expect(await condition(room, 'over', ['InForce', 'Expired'])).toMatch(
        /^False Expired: it ended at 2020-01-01T00:00:00.000Z/,
      );
      expect(await room.kubectl('label', 'cm', 'held', 'a=b')).toMatchObject(DONE);
      const said = async (name: string): Promise<string> => {
        const touched = await room.kubectl('annotate', 'exclusivelock', name, 'read=again');
        return touched.stderr;
      };
      expect(await said('impossible')).toBe(
        'Warning: spec.selector: no object can meet all that it asks of the label aura; so the lock holds nothing',
      );
      expect(await said('over')).toBe(
        'Warning: spec.until is past: the lock is as if it were not there',
      );
    });

    it('names the label that a namespace lacks', async () => {
      const room = await Room.open(cluster, 'unlabelled');
      await cluster.api.kubectl('label', 'namespace', 'unlabelled', 'etcd-guard.io/lock-');
      await cluster.api.apply(lock('unlabelled', 'red'));
      expect(await condition(room, 'red', ['InForce', 'NamespaceNotLabelled'])).toBe(
        'False NamespaceNotLabelled: namespace unlabelled is not labelled etcd-guard.io/lock=enabled, so no change there is held against the lock: kubectl label namespace unlabelled etcd-guard.io/lock=enabled',
      );
    });
  });

  describe('what keeps the cluster alive passes', () => {
    const LOCKED = { operations: ['CREATE', 'UPDATE', 'DELETE'], exclusive: [] };
    let kubelet: KubeClient;

    beforeAll(async () => {
      await cluster.api.apply({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-a' } });
      kubelet = await cluster.api.client({
        user: 'system:node:node-a',
        groups: ['system:nodes'],
      });
      await cluster.api.startControllerManager();
    });

    it('the kubelet’s status, and its last DELETE of a terminating pod', async () => {
      const room = await Room.open(cluster, 'nodes', pod('nodes', 'my-pod'));
      await room.kubectl('delete', 'pod', 'my-pod', '--wait=false');
      await cluster.api.apply(pod('nodes', 'other'), lock('nodes', 'red', LOCKED));
      const path = '/api/v1/namespaces/nodes/pods';
      const status = { status: { phase: 'Running', message: 'said' } };
      await kubelet.patch(`${path}/other/status`, status);
      const refused = `403 ${REFUSED.replace(LOCK_WEBHOOK, `status.${LOCK_WEBHOOK}`)}nodes/red (aura=red): nobody may UPDATE pods here`;
      const { admin } = cluster.api;
      expect(await rejection(admin.patch(`${path}/other/status`, status))).toBe(refused);
      await kubelet.delete(`${path}/my-pod`, { gracePeriodSeconds: 0 });
      await until('my-pod is gone', async () =>
        (await admin.list(path)).every(({ metadata }) => metadata.name !== 'my-pod'),
      );
      // It is nobody's privilege to delete what is not terminating.
      expect(await rejection(kubelet.delete(`${path}/other`))).toContain('nobody may DELETE pods');
    });

    it('garbage collection of what has lost its owner', async () => {
      const room = await Room.open(
        cluster,
        'garbage',
        configMap('garbage', 'owner', { labels: {} }),
      );
      const { admin } = cluster.api;
      const configMaps = '/api/v1/namespaces/garbage/configmaps';
      const owner = await admin.get(`${configMaps}/owner`);
      const ownerReferences = [
        { apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: owner.metadata.uid },
      ];
      await cluster.api.apply(
        configMap('garbage', 'owned', { ownerReferences }),
        lock('garbage', 'red', LOCKED),
      );
      expect(await room.kubectl('delete', 'cm', 'owned')).toMatchObject({ exitCode: 1 });
      expect(await room.kubectl('delete', 'cm', 'owner')).toMatchObject(DONE);
      await until(
        'the owned one is collected',
        async () =>
          (await admin.list(configMaps)).every(({ metadata }) => metadata.name !== 'owned'),
        { timeoutMs: 150_000 },
      );
    });

    it('the end of a namespace, whatever is locked in it', async () => {
      const room = await Room.open(
        cluster,
        'ending',
        configMap('ending', 'held'),
        deployment('ending', 'my-app'),
        labelled(
          lock('ending', 'red', {
            ...LOCKED,
            resources: ['configmaps', 'deployments.apps', 'exclusivelocks.etcd-guard.io'],
          }),
        ),
      );
      expect(await room.kubectl('delete', 'exclusivelock', 'red')).toMatchObject({ exitCode: 1 });
      const gone = ['delete', 'namespace', 'ending', '--timeout=180s'];
      expect(await cluster.api.kubectl(...gone)).toMatchObject(DONE);
    });
  });

  it('can lock itself, and has a way out', async () => {
    const room = await Room.open(
      cluster,
      'itself',
      lock('itself', 'red', {
        exclusive: [],
        resources: ['exclusivelocks.etcd-guard.io', 'etcdguards.etcd-guard.io'],
      }),
    );
    expect(await room.kubectl('label', 'exclusivelock', 'red', 'aura=red')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('nobody may UPDATE exclusivelocks.etcd-guard.io here'),
    });
    await cluster.api.apply(
      labelled(
        lock('itself', 'own', { exclusive: [], resources: ['exclusivelocks.etcd-guard.io'] }),
      ),
    );
    expect(await room.kubectl('delete', 'exclusivelock', 'own')).toMatchObject({ exitCode: 1 });
    const label = (change: string): Promise<CommandResult> =>
      cluster.api.kubectl('label', 'namespace', 'itself', change);
    expect(await label('etcd-guard.io/lock-')).toMatchObject(DONE);
    await until('the lock can be deleted', async () => {
      const { exitCode } = await room.kubectl('delete', 'exclusivelock', 'own');
      return exitCode === 0;
    });
  });

  it('asks nothing of namespaces without the label, and refuses all changes while no guard answers', async () => {
    const room = await Room.open(cluster, 'alone', configMap('alone', 'held', { labels: {} }));
    const outside = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'outside' } };
    await cluster.api.apply(outside, configMap('outside', 'held'), lock('outside', 'red'));
    await Promise.all(cluster.replicas.map((replica) => replica.stop()));
    const label = ['label', 'cm', 'held', 'a=b'];
    expect(await cluster.api.kubectl('--namespace=outside', ...label)).toMatchObject(DONE);
    expect(await room.kubectl(...label)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining(`failed calling webhook "${LOCK_WEBHOOK}"`),
    });
    await cluster.api.admin.delete(
      '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/etcd-guard-locks',
    );
    await until('all locks are lifted', async () => (await room.kubectl(...label)).exitCode === 0);
  });
});
