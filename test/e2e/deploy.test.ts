import { execa } from 'execa';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parseConfig } from '../../src/config.ts';
import {
  DEPLOY,
  kustomizations,
  objectsIn,
  only,
  render,
  renderText,
  renderTogether,
  ROOT,
  type Manifest,
} from '../deploy/manifests.ts';
import { workload } from '../deploy/pods.ts';
import { currentKubectl } from '../harness/current-kubectl.ts';
import type { CommandResult } from '../harness/etcd-cluster.ts';
import { startKubeApiserver, type KubeApiserver } from '../harness/kube-apiserver.ts';
import { freePort } from '../harness/loopback.ts';
import { ManagedProcess } from '../harness/managed-process.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../harness/reaper.ts';
import { requireBinary } from '../harness/require-binary.ts';
import { until } from '../harness/until.ts';

const UNINSTALL = join(ROOT, 'scripts/uninstall.sh');
const AS_GUARD = '--as=system:serviceaccount:etcd-guard:etcd-guard';
/** What the API server says when a webhook that must answer does not. */
const NO_ANSWER = 'failed calling webhook "pods.etcd-guard.io"';
/** One stage: the API server gives up on a webhook after 10 s, and asks twice before 1.23. */
const STAGE_MS = 240_000;

const kubectl = await currentKubectl();

const rendered = new Map<string, Promise<readonly Manifest[]>>();

/** What a folder of deploy/ renders, rendered once. */
function of(path: string): Promise<readonly Manifest[]> {
  const found = rendered.get(path) ?? render(kubectl, join(DEPLOY, path));
  rendered.set(path, found);
  return found;
}

describe('kustomizations, rendered', () => {
  it.each(kustomizations().filter(({ kind }) => kind === 'Kustomization'))(
    '$path has objects, each of them once',
    async ({ path }) => {
      const names = (await of(path)).map(
        ({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''} ${metadata.name}`,
      );
      expect(names.length).toBeGreaterThan(0);
      expect(new Set(names).size).toBe(names.length);
    },
  );

  it('of fail-open differ from the base in failurePolicy alone', async () => {
    const base = await renderText(kubectl, join(DEPLOY, 'webhook'));
    expect(await renderText(kubectl, join(DEPLOY, 'overlays/webhook/fail-open'))).toBe(
      base.replace('failurePolicy: Fail', 'failurePolicy: Ignore'),
    );
  });

  it('of cert-manager serve its certificate and leave out what an own one takes', async () => {
    const objects = await of('overlays/webhook/cert-manager');
    const { container, pod } = workload(only(objects, 'Deployment'));
    expect(container.args.slice(-2)).toEqual([
      '--tls-cert=/etc/etcd-guard/tls/tls.crt',
      '--tls-key=/etc/etcd-guard/tls/tls.key',
    ]);
    expect(container.volumeMounts).toEqual([
      { name: 'tls', mountPath: '/etc/etcd-guard/tls', readOnly: true },
    ]);
    const serving = only(objects, 'Certificate', 'etcd-guard').spec;
    expect(pod.volumes).toEqual([{ name: 'tls', secret: { secretName: serving?.['secretName'] } }]);
    expect(serving?.['dnsNames']).toContain('etcd-guard.etcd-guard.svc');
    expect(only(objects, 'ValidatingWebhookConfiguration').metadata.annotations).toEqual({
      'cert-manager.io/inject-ca-from': 'etcd-guard/etcd-guard',
    });
    const rights = objects.filter(({ metadata }) => metadata.name === 'etcd-guard-certificate');
    expect(rights).toEqual([]);
    expect(only(objects, 'ClusterRole', 'etcd-guard')).toBeDefined();
  });

  it.each([
    ['webhook', 'Deployment', 'registry.example.com/etcd-guard'],
    ['etcd', 'StatefulSet', 'registry.example.com/etcd'],
  ])('of %s from a private registry name it, and the pull secret', async (path, kind, image) => {
    const objects = await of(`overlays/${path}/private-registry`);
    const { container, pod } = workload(only(objects, kind));
    expect(container.image.replace(/:[^:]+$/, '')).toBe(image);
    expect(pod.imagePullSecrets).toEqual([{ name: 'registry' }]);
  });

  it('of both legacy overlays have no policy/v1 and no CEL', async () => {
    const texts = [
      await renderText(kubectl, join(DEPLOY, 'overlays/webhook/legacy')),
      await renderText(kubectl, join(DEPLOY, 'overlays/etcd/legacy')),
    ];
    for (const text of texts) {
      expect(text).toContain('policy/v1beta1');
      expect(text).not.toContain('policy/v1\n');
      expect(text).not.toContain('x-kubernetes-validations');
    }
  });

  it('take matchConditions, monitoring, the dashboard and the right to Secrets as components', async () => {
    const objects = await renderTogether(
      kubectl,
      ['webhook'],
      ['match-conditions', 'monitoring', 'dashboard', 'secrets'].map(
        (name) => `webhook/components/${name}`,
      ),
    );
    expect(only(objects, 'ValidatingWebhookConfiguration')['webhooks']).toMatchObject([
      { matchConditions: [{ name: 'not-terminating-already' }] },
    ]);
    expect(only(objects, 'PodMonitor').metadata.namespace).toBe('etcd-guard');
    expect(only(objects, 'PrometheusRule').metadata.namespace).toBe('etcd-guard');
    expect(only(objects, 'ConfigMap')).toMatchObject({
      metadata: {
        name: 'etcd-guard-dashboard',
        namespace: 'etcd-guard',
        labels: { grafana_dashboard: '1' },
      },
      data: { 'etcd-guard.json': expect.stringContaining('"title": "etcd-guard"') },
    });
    expect(only(objects, 'Role', 'etcd-guard-secrets')).toBeDefined();
  });

  it('take the network of their nodes, with ports, rights and upgrades to suit', async () => {
    const objects = await renderTogether(kubectl, ['webhook'], ['webhook/components/host-network']);
    const { container, spec, pod } = workload(only(objects, 'Deployment'));
    expect(pod).toMatchObject({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' });
    const [https, metrics] = container.ports.map(({ containerPort }) => containerPort);
    expect(parseConfig(container.args)).toMatchObject({
      listen: { port: https },
      metricsListen: { port: metrics },
    });
    expect(spec['strategy']).toMatchObject({ rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } });
    const { labels } = only(objects, 'Namespace').metadata;
    expect(labels).toEqual({
      'kubernetes.io/metadata.name': 'etcd-guard',
      'pod-security.kubernetes.io/enforce': 'privileged',
      'pod-security.kubernetes.io/warn': 'privileged',
    });
  });

  it('of etcd take TLS, five members and one a node together', async () => {
    const objects = await renderTogether(
      kubectl,
      ['etcd'],
      ['tls', 'five', 'one-per-node'].map((name) => `etcd/components/${name}`),
    );
    const { container, spec, pod } = workload(only(objects, 'StatefulSet'));
    expect(spec.replicas).toBe(5);
    const settings = expanded(container.env, 'etcd-4');
    expect(settings['ETCD_INITIAL_CLUSTER']?.split(',')).toHaveLength(5);
    const urls = Object.entries(settings).filter(([name]) => name.endsWith('_URLS'));
    expect(urls.filter(([, url]) => !url.startsWith('https://'))).toEqual([
      ['ETCD_LISTEN_METRICS_URLS', 'http://0.0.0.0:2381'],
    ]);
    // Each file that etcd is told of lies in a volume that is mounted there.
    const files = Object.entries(settings).filter(([name]) => name.endsWith('_FILE'));
    expect(files).toHaveLength(6);
    for (const [, file] of files) {
      expect(container.volumeMounts.some(({ mountPath }) => file.startsWith(`${mountPath}/`))).toBe(
        true,
      );
    }
    expect(pod.volumes).toMatchObject([
      { name: 'server-tls', secret: { secretName: 'etcd-server-tls' } },
      { name: 'peer-tls', secret: { secretName: 'etcd-peer-tls' } },
    ]);
    expect(JSON.stringify(pod.affinity)).toContain('requiredDuringScheduling');
    expect(only(objects, 'EtcdGuard').spec).toMatchObject({
      members: { tls: { secretName: 'etcd-client-tls', serverName: '{pod}.etcd.etcd.svc' } },
    });
    expect(JSON.stringify(only(objects, 'Role', 'etcd-guard-secrets'))).toContain(
      '"resourceNames":["etcd-client-tls"]',
    );
  });

  it('are all that uninstall.sh has to take away', async () => {
    const { stdout } = await execa(UNINSTALL, ['--dry-run']);
    const names = stdout.split(/\s+/);
    const objects = await renderTogether(
      kubectl,
      ['webhook'],
      kustomizations()
        .map(({ path }) => path)
        .filter((path) => path.startsWith('webhook/components/')),
    );
    const outside = objects.filter(({ metadata }) => metadata.namespace !== 'etcd-guard');
    expect(outside.length).toBeGreaterThan(0);
    for (const { metadata } of outside) {
      expect(
        names.some((name) => name.replace('--field-selector=metadata.name=', '') === metadata.name),
      ).toBe(true);
    }
  });
});

function inOrder(objects: readonly Manifest[]): readonly Manifest[] {
  return objects.toSorted((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1));
}

interface Variable {
  readonly name: string;
  readonly value?: string | undefined;
}

/** The environment of a pod, with $(…) replaced as the kubelet does. */
function expanded(env: readonly Variable[], pod: string): Readonly<Record<string, string>> {
  const values: Record<string, string> = {};
  const fields: Readonly<Record<string, string>> = { ETCD_NAME: pod, POD_NAMESPACE: 'etcd' };
  for (const { name, value } of env) {
    const text = value ?? fields[name] ?? '';
    values[name] = text.replaceAll(
      /\$\((\w+)\)/g,
      (reference, used: string) => values[used] ?? reference,
    );
  }
  return values;
}

describe('the StatefulSet’s settings', () => {
  const pods = ['etcd-0', 'etcd-1', 'etcd-2'];
  let directory: TemporaryDirectory;
  const members: ManagedProcess[] = [];

  beforeAll(async () => {
    directory = await temporaryDirectory('statefulset');
  });

  afterAll(async () => {
    await Promise.all(members.map((member) => member.kill()));
    await directory.remove();
  });

  it('start a cluster of real etcds, which know every one of them', async () => {
    const manifest = await readFile(join(DEPLOY, 'etcd/30-statefulset.yaml'), 'utf8');
    const { container } = workload(only(objectsIn(manifest), 'StatefulSet'));
    const etcd = requireBinary('etcd');
    const health = await Promise.all(
      pods.map(async (pod, ordinal) => {
        const [client, metrics] = [await freePort(), await freePort()];
        // Only where they listen and find each other is not as in the pod.
        const replaced = Object.entries(expanded(container.env, pod)).map(([name, value]) => {
          const local = value
            .replaceAll(/etcd-(\d)\.etcd\.etcd\.svc:2380/g, '127.0.77.1$1:2380')
            .replace(`${pod}.etcd.etcd.svc:2379`, `127.0.77.1${ordinal}:${client}`)
            .replace('0.0.0.0:2379', `127.0.77.1${ordinal}:${client}`)
            .replace('0.0.0.0:2381', `127.0.77.1${ordinal}:${metrics}`)
            .replace('0.0.0.0', `127.0.77.1${ordinal}`);
          return [name, name === 'ETCD_DATA_DIR' ? join(directory.path, pod) : local];
        });
        const env: Record<string, string> = { ...Object.fromEntries(replaced), PATH: '/usr/bin' };
        members.push(await ManagedProcess.start(etcd, [], { name: pod, env }));
        return `http://127.0.77.1${ordinal}:${metrics}`;
      }),
    );
    for (const url of health) {
      await until(`${url}/health`, async () => (await fetch(`${url}/health`)).ok);
      expect((await fetch(`${url}/metrics`)).status).toBe(200);
    }
    for (const { output } of members) {
      expect(output).toContain('ready to serve client requests');
      // etcd says "unrecognized environment variable" of every ETCD_… that it does not know.
      expect(output).not.toContain('unrecognized');
    }
  });
});

describe('what is copied into the image', () => {
  it('is at most 5 MB compressed', async () => {
    const { stdout } = await execa(
      'tar',
      ['-cf', '-', '-C', dirname(inject('program')), '.', '-C', ROOT, 'LICENSE', 'package.json'],
      { encoding: 'buffer' },
    );
    expect(gzipSync(stdout).length).toBeGreaterThan(100_000);
    expect(gzipSync(stdout).length).toBeLessThan(5_000_000);
  });
});

describe('on a real API server', () => {
  let api: KubeApiserver;
  let directory: TemporaryDirectory;
  let webhook: string;
  let etcd: string;
  let hasMatchConditions: boolean;

  beforeAll(async () => {
    [api, directory] = await Promise.all([startKubeApiserver(), temporaryDirectory('deploy')]);
    await api.startControllerManager([
      'namespace',
      'deployment',
      'replicaset',
      'statefulset',
      'endpoint',
      'garbagecollector',
      'disruption',
      'resourcequota',
      'pvc-protection',
      'serviceaccount',
    ]);
    const version = await api.admin.text('GET', '/version');
    const minor = Number(/"minor": *"(\d+)/.exec(version)?.[1]);
    const legacy = minor < 25;
    hasMatchConditions = minor >= 30;
    webhook = join(DEPLOY, legacy ? 'overlays/webhook/legacy' : 'webhook');
    etcd = join(DEPLOY, legacy ? 'overlays/etcd/legacy' : 'etcd');
  }, STAGE_MS);

  afterAll(async () => {
    await api.stop();
    await directory.remove();
  });

  async function done(...args: readonly string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await api.kubectl(...args);
    if (exitCode !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  async function install(): Promise<void> {
    await done('apply', '-k', webhook);
    await done('wait', '--for=condition=Established', 'crd/etcdguards.etcd-guard.io');
    await until('the API server has the new resource', async () => {
      const { exitCode } = await api.kubectl('apply', '-k', etcd);
      return exitCode === 0;
    });
  }

  async function uninstall(...args: readonly string[]): Promise<string> {
    const result = await execa(UNINSTALL, args, {
      reject: false,
      env: {
        KUBECTL: `${requireBinary('kubectl', api.binaries)} --kubeconfig=${api.kubeconfig}`,
        HOME: directory.path,
      },
    });
    if (result.exitCode !== 0) throw new Error(`uninstall.sh: ${result.stderr}`);
    return result.stderr;
  }

  /** Until etcd's pods are there, made by the StatefulSet controller; nothing runs them. */
  async function etcdPods(): Promise<void> {
    await until('etcd has its three pods', async () => {
      const pods = await done('get', 'pods', '-n', 'etcd', '-o', 'name');
      return pods.split('\n').length === 3;
    });
  }

  async function deletePod(): Promise<CommandResult> {
    return api.kubectl('delete', 'pod', '-n', 'etcd', 'etcd-0', '--wait=false');
  }

  /** A deleted webhook configuration is called for a moment longer. */
  async function becomesDeletable(): Promise<void> {
    await until('etcd-0 can be deleted', async () => (await deletePod()).exitCode === 0, {
      timeoutMs: 60_000,
    });
  }

  it(
    'two commands install it, and the controllers make the pods',
    async () => {
      await install();
      await until('the guard has its two pods', async () => {
        const pods = await done('get', 'pods', '-n', 'etcd-guard', '-o', 'name');
        return pods.split('\n').length === 2;
      });
      await etcdPods();
      const pod = await done('get', 'pods', '-n', 'etcd-guard', '-o', 'json');
      // The API server has put in what the class stands for: so it knows the class, and the quota lets it.
      expect(pod).toContain('"priority": 2000000000');
    },
    STAGE_MS,
  );

  it.each(['webhook', 'etcd', 'overlays/webhook/legacy', 'overlays/etcd/legacy'])(
    '%s is the same by the kubectl of this server as by a current one',
    async (path) => {
      const folder = join(DEPLOY, path);
      const here = await render(requireBinary('kubectl', api.binaries), folder);
      expect(inOrder(here)).toEqual(inOrder(await of(path)));
    },
  );

  it('apply again changes nothing, and leaves the caBundle that was written meanwhile', async () => {
    await done(
      'patch',
      'validatingwebhookconfiguration',
      'etcd-guard',
      '--type=json',
      '-p',
      JSON.stringify([
        {
          op: 'add',
          path: '/webhooks/0/clientConfig/caBundle',
          value: Buffer.from(api.ca).toString('base64'),
        },
      ]),
    );
    const again = await done('apply', '-k', webhook);
    expect(again.split('\n').filter((line) => !line.endsWith(' unchanged'))).toEqual([]);
    const configuration = await done(
      'get',
      'validatingwebhookconfiguration',
      'etcd-guard',
      '-o',
      'jsonpath={.webhooks[0].clientConfig.caBundle}',
    );
    expect(Buffer.from(configuration, 'base64').toString()).toBe(api.ca);
  });

  /** Objects that a dry run has taken: overlays have most in common, and kubectl sends few a second. */
  const taken = new Set<string>();
  let readyForDryRuns: Promise<readonly string[]> | undefined;

  /** Gives the kinds that this server has, as kubectl lists them. */
  async function prepareDryRuns(): Promise<readonly string[]> {
    // There already, unless these tests are run without those before them.
    await Promise.all(
      ['etcd-guard', 'etcd'].map((name) => api.kubectl('create', 'namespace', name)),
    );
    return (await done('api-resources', '--no-headers')).split('\n');
  }

  it.each(kustomizations())(
    '$path is taken by server-side dry run, as far as this server has its kinds',
    async ({ path, kind: kindOfFolder }) => {
      const served = await (readyForDryRuns ??= prepareDryRuns());
      const hasKind = ({ apiVersion, kind }: Manifest): boolean =>
        served.some((line) => {
          const words = line.trim().split(/\s+/);
          // Before 1.20 the third column was the group, without the version.
          return (
            words.at(-1) === kind &&
            words.some((word) => apiVersion === word || apiVersion.startsWith(`${word}/`))
          );
        }) &&
        (apiVersion !== 'policy/v1' || served.some((line) => / policy\/v1 /.test(line)));
      const base = path.startsWith('etcd') ? 'etcd' : 'webhook';
      const all =
        kindOfFolder === 'Kustomization'
          ? await of(path)
          : await renderTogether(kubectl, [base], [path]);
      const objects = all.filter(
        (object) =>
          hasKind(object) &&
          // A server before 1.25 takes it only without CEL, which the legacy overlay and crd.test.ts show.
          (object.kind !== 'CustomResourceDefinition' || path === relative(DEPLOY, webhook)) &&
          (hasMatchConditions || !JSON.stringify(object).includes('"matchConditions"')),
      );
      expect(objects.length).toBeGreaterThan(5);
      const items = objects.filter((object) => !taken.has(JSON.stringify(object)));
      if (items.length === 0) return;
      const file = join(directory.path, 'objects.json');
      await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
      await done('apply', '--dry-run=server', '-f', file);
      for (const object of items) taken.add(JSON.stringify(object));
    },
  );

  it.each([
    ['get etcdguards.etcd-guard.io -n etcd'],
    ['list etcdguards.etcd-guard.io -A'],
    ['update etcdguards.etcd-guard.io --subresource=status -n etcd'],
    ['get pods -n etcd'],
    ['list pods -n etcd'],
    ['get nodes'],
    ['create events -n etcd'],
    ['patch events -n etcd'],
    ['get secrets/etcd-guard-tls -n etcd-guard'],
    ['update secrets/etcd-guard-tls -n etcd-guard'],
    ['create secrets -n etcd-guard'],
    ['get validatingwebhookconfigurations/etcd-guard'],
    ['patch validatingwebhookconfigurations/etcd-guard'],
  ])('the guard may %s', async (question) => {
    const { stdout, exitCode } = await api.kubectl(
      'auth',
      'can-i',
      ...question.split(' '),
      AS_GUARD,
    );
    expect([stdout.trim(), exitCode]).toEqual(['yes', 0]);
  });

  it.each([
    ['* * -A'],
    ['update etcdguards.etcd-guard.io -n etcd'],
    ['patch etcdguards.etcd-guard.io -n etcd'],
    ['delete etcdguards.etcd-guard.io -n etcd'],
    ['create etcdguards.etcd-guard.io -n etcd'],
    ['delete pods -n etcd'],
    ['create pods -n etcd'],
    ['update pods -n etcd'],
    ['patch pods -n etcd'],
    ['create pods --subresource=eviction -n etcd'],
    ['create pods --subresource=exec -n etcd'],
    ['list nodes'],
    ['get events -n etcd'],
    ['delete events -n etcd'],
    ['patch nodes'],
    ['delete nodes'],
    ['list secrets -n etcd-guard'],
    ['watch secrets -n etcd-guard'],
    ['get secrets/another -n etcd-guard'],
    ['delete secrets/etcd-guard-tls -n etcd-guard'],
    ['get secrets/etcd-guard-tls -n etcd'],
    ['get secrets/etcd-client-tls -n etcd'],
    ['create secrets -n etcd'],
    ['create secrets -n kube-system'],
    ['patch validatingwebhookconfigurations/another'],
    ['list validatingwebhookconfigurations'],
    ['update validatingwebhookconfigurations/etcd-guard'],
    ['delete validatingwebhookconfigurations/etcd-guard'],
    ['create validatingwebhookconfigurations'],
    ['patch mutatingwebhookconfigurations/etcd-guard'],
    ['update statefulsets.apps -n etcd'],
    ['get configmaps -n kube-system'],
    ['bind clusterroles'],
    ['escalate clusterroles'],
    ['impersonate users'],
    ['create serviceaccounts --subresource=token -n etcd-guard'],
  ])('the guard may not %s', async (question) => {
    const { stdout, exitCode } = await api.kubectl(
      'auth',
      'can-i',
      ...question.split(' '),
      AS_GUARD,
    );
    expect([stdout.trim().replace(/^no .*/, 'no'), exitCode]).toEqual(['no', 1]);
  });

  it(
    'with no guard that answers, pods of a protected namespace stay, and all others go',
    async () => {
      await done('create', 'namespace', 'elsewhere');
      await done('run', 'other', '-n', 'elsewhere', '--image=none.invalid/none:1');
      await done('delete', 'pod', 'other', '-n', 'elsewhere');
      const refused = await deletePod();
      expect(refused.exitCode).toBe(1);
      expect(refused.stderr).toContain(NO_ANSWER);
    },
    STAGE_MS,
  );

  it(
    'a namespace etcd that was deleted first goes as soon as the webhook configuration does',
    async () => {
      await done('delete', '-k', etcd, '--wait=false');
      await until(
        'the namespace says what it waits for',
        async () =>
          (await done('get', 'namespace', 'etcd', '-o', 'json')).includes(
            NO_ANSWER.replaceAll('"', '\\"'),
          ),
        { timeoutMs: 60_000 },
      );
      // The two-line rescue: this, and apply it again when the guard is back.
      await done('delete', 'validatingwebhookconfiguration', 'etcd-guard');
      await until(
        'the namespace is gone',
        async () => (await api.kubectl('get', 'namespace', 'etcd')).stderr.includes('NotFound'),
        { timeoutMs: 120_000 },
      );
      expect(await done('get', 'pods', '-A', '-o', 'name')).not.toContain('etcd-0');
      await done('apply', '-k', webhook);
    },
    STAGE_MS,
  );

  it(
    'kubectl delete -k of the guard alone ends, and with it every refusal',
    async () => {
      await install();
      await etcdPods();
      expect((await deletePod()).stderr).toContain(NO_ANSWER);
      await done('delete', '-k', webhook, '--timeout=120s');
      expect((await api.kubectl('get', 'namespace', 'etcd-guard')).stderr).toContain('NotFound');
      await becomesDeletable();
    },
    STAGE_MS,
  );

  it(
    'uninstall.sh takes away what is left when the namespace went first, and twice is no harm',
    async () => {
      await install();
      await etcdPods();
      await done('label', 'pod', '-n', 'etcd', 'etcd-1', 'etcd-guard.io/role=leader');
      await done('delete', 'namespace', 'etcd-guard', '--timeout=120s');
      expect((await deletePod()).stderr).toContain(NO_ANSWER);

      expect(await uninstall('--keep-guards')).toContain('EtcdGuards are still there');
      await becomesDeletable();
      expect(await done('get', 'etcdguards', '-n', 'etcd', '-o', 'name')).toContain('etcd');

      await done('label', 'pod', '-n', 'etcd', 'etcd-1', 'etcd-guard.io/injected=true');
      const first = await uninstall();
      expect(first).toContain('until they are replaced: 1. They');
      expect(first).toContain('etcd-guard is gone, and nothing else of it is left');
      await done('label', 'pod', '-n', 'etcd', 'etcd-1', 'etcd-guard.io/injected-');
      expect(await uninstall()).toBe('uninstall.sh: etcd-guard is gone, and nothing of it is left');
      for (const kind of [
        'crd',
        'clusterrole',
        'clusterrolebinding',
        'validatingwebhookconfiguration',
        'namespace',
      ]) {
        expect(await done('get', kind, '-o', 'name')).not.toContain('etcd-guard');
      }
      expect(await done('get', 'namespaces', '-l', 'etcd-guard.io/protect', '-o', 'name')).toBe('');
      expect(await done('get', 'pods', '-A', '-l', 'etcd-guard.io/role', '-o', 'name')).toBe('');
      await done('delete', 'namespace', 'etcd', '--timeout=120s');
    },
    STAGE_MS,
  );

  it('uninstall.sh changes nothing where the API server does not answer', async () => {
    const { exitCode, stderr } = await execa(UNINSTALL, [], {
      reject: false,
      env: {
        KUBECTL: `${requireBinary('kubectl', api.binaries)} --kubeconfig=${api.kubeconfig} --server=https://127.0.0.1:1`,
      },
    });
    expect(exitCode).toBe(1);
    expect(stderr).toContain('nothing was changed');
  });
});
