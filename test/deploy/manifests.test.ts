import { evaluate } from '@marcbachmann/cel-js';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import packageJson from '../../package.json' with { type: 'json' };
import { parseConfig } from '../../src/config.ts';
import { PROTECTED, webhookConfiguration, WEBHOOK } from '../harness/admission-webhook.ts';
import {
  deployFiles,
  kustomization,
  kustomizations,
  objectsIn,
  only,
  ownObjects,
  ROOT,
} from './manifests.ts';
import { bytes, workload } from './pods.ts';

const text = (name: string): string => readFileSync(join(ROOT, name), 'utf8');

const guardObjects = ownObjects(kustomization('webhook'));
const guard = workload(only(guardObjects, 'Deployment'));
const guardLabels = { 'app.kubernetes.io/name': 'etcd-guard' };

const etcdObjects = ownObjects(kustomization('etcd'));
const etcd = workload(only(etcdObjects, 'StatefulSet'));

const selectorSchema = z.object({ matchLabels: z.record(z.string(), z.string()) });
const portsSchema = z.array(
  z.object({ name: z.string(), port: z.number(), targetPort: z.string().optional() }),
);
const webhooksSchema = z.object({
  webhooks: z.tuple([z.record(z.string(), z.unknown())]),
});

function containerPorts({ container }: typeof guard): Readonly<Record<string, number>> {
  return Object.fromEntries(container.ports.map((port) => [port.name, port.containerPort]));
}

describe('the folder deploy', () => {
  const files = deployFiles();
  const all = kustomizations();

  /** Files that people apply by hand, as their first lines say. */
  const BY_HAND = ['etcd/components/tls/certificates.yaml'];

  const named = all.flatMap(({ path, ...one }) =>
    [...one.resources, ...one.patches, ...one.patchesJson6902].flatMap((entry) => {
      const name = typeof entry === 'string' ? entry : entry.path;
      return name === undefined ? [] : [join(path, name)];
    }),
  );

  test('has no manifest that no kustomization names, and none is named that is not there', () => {
    const manifests = files.filter(
      (file) => file.endsWith('.yaml') && !file.endsWith('kustomization.yaml'),
    );
    const folders = new Set(all.map(({ path }) => path));
    const namedFiles = named.filter((name) => !folders.has(name));
    expect(new Set([...namedFiles, ...BY_HAND])).toEqual(new Set(manifests));
  });

  test('has kustomizations that refer to each other and to nothing else', () => {
    const kinds = new Map(all.map(({ path, kind }) => [path, kind]));
    const bases = all.flatMap(({ path, resources, bases: old }) =>
      [...resources, ...old]
        .filter((name) => !name.endsWith('.yaml'))
        .map((name) => join(path, name)),
    );
    const components = all.flatMap(({ path, components: some }) =>
      some.map((name) => join(path, name)),
    );
    expect(bases.map((path) => kinds.get(path))).toEqual(bases.map(() => 'Kustomization'));
    expect(components.map((path) => kinds.get(path))).toEqual(components.map(() => 'Component'));
  });

  test.each(['webhook', 'etcd', 'overlays/webhook/legacy', 'overlays/etcd/legacy'])(
    '%s can be read by the kustomize of kubectl 1.20 and older',
    (path) => {
      const known = new Set([
        'apiVersion',
        'kind',
        'resources',
        'bases',
        'patchesJson6902',
        'images',
      ]);
      const { fields, resources } = kustomization(path);
      expect(fields.filter((field) => !known.has(field))).toEqual([]);
      expect(resources.filter((name) => !name.endsWith('.yaml'))).toEqual([]);
    },
  );

  test.each([
    ['webhook', 'webhook/40-deployment.yaml'],
    ['etcd', 'etcd/30-statefulset.yaml'],
  ])('%s names the tag of its image in its kustomization and nowhere else', (path, file) => {
    const [image] = kustomization(path).images;
    expect(text(`deploy/${file}`)).toMatch(new RegExp(`image: ${image?.name}\\n`));
    const replaced = kustomization('components/private-registry').images.find(
      ({ name }) => name === image?.name,
    );
    expect(replaced?.newTag).toBe(image?.newTag);
  });
});

describe('the Deployment of the guard', () => {
  test('has arguments that the program knows, and listens where its ports say', () => {
    expect(parseConfig(guard.container.args)).toMatchObject({
      command: 'serve',
      guards: { kind: 'cluster', kubeconfig: null },
      listen: { host: null, port: containerPorts(guard)['https'] },
      metricsListen: { host: null, port: containerPorts(guard)['metrics'] },
      // Its certificate is its own, under the names that 20-rbac.yaml grants.
      tls: null,
      certificate: {
        secret: 'etcd-guard-tls',
        configuration: 'etcd-guard',
        service: 'etcd-guard',
      },
      shutdownDelayMs: 5000,
    });
  });

  test('is asked by the kubelet at a port that it has', () => {
    const { readinessProbe, livenessProbe } = guard.container;
    expect(readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'metrics' });
    expect(livenessProbe.httpGet).toEqual({ path: '/healthz', port: 'metrics' });
  });

  test('stays in its Service through one slow answer or two', () => {
    const { readinessProbe } = guard.container;
    expect(readinessProbe).toMatchObject({ timeoutSeconds: 3, failureThreshold: 3 });
  });

  test('is given the time to stop: the delay, and 20 s for requests in flight', () => {
    expect(guard.pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(5 + 20);
  });

  test('may do what the Pod Security level "restricted" allows, and no more', () => {
    expect(guard.pod.securityContext).toEqual({
      runAsNonRoot: true,
      runAsUser: 65532,
      runAsGroup: 65532,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(guard.container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    const { labels } = only(guardObjects, 'Namespace').metadata;
    expect(labels).toMatchObject({ 'pod-security.kubernetes.io/enforce': 'restricted' });
  });

  test('has memory for the heap that Node is given, and as much again for what lies outside it', () => {
    const heap = /--max-old-space-size=(\d+)/.exec(text('deploy/webhook/node.env'));
    const { requests, limits } = guard.container.resources;
    expect(bytes(requests.memory)).toBeGreaterThanOrEqual(2 * bytes(`${heap?.[1]}Mi`));
    expect(bytes(limits.memory)).toBeGreaterThanOrEqual(2 * bytes(requests.memory));
  });

  test('has two replicas, one of which a drain leaves and an upgrade never takes', () => {
    expect(guard.spec.replicas).toBe(2);
    expect(guard.spec['strategy']).toEqual({
      type: 'RollingUpdate',
      rollingUpdate: { maxUnavailable: 0, maxSurge: 1 },
    });
    expect(only(guardObjects, 'PodDisruptionBudget').spec).toEqual({
      maxUnavailable: 1,
      selector: { matchLabels: guardLabels },
    });
  });

  test('has a quota for its priority class that leaves room for an upgrade', () => {
    const quota = only(guardObjects, 'ResourceQuota').spec;
    const { hard } = z.object({ hard: z.object({ pods: z.string() }) }).parse(quota);
    expect(Number(hard.pods)).toBeGreaterThan(guard.spec.replicas + 1);
    expect(JSON.stringify(quota)).toContain(String(guard.pod['priorityClassName']));
  });
});

describe('what points at the guard', () => {
  const ports = containerPorts(guard);
  const service = only(guardObjects, 'Service');
  const servicePorts = portsSchema.parse(service.spec?.['ports']);

  test('selects its pods', () => {
    expect(guard.spec.selector.matchLabels).toEqual(guardLabels);
    expect(guard.spec.template.metadata.labels).toEqual(guardLabels);
    expect(service.spec?.['selector']).toEqual(guardLabels);
    const policy = only(guardObjects, 'NetworkPolicy').spec;
    expect(selectorSchema.parse(policy?.['podSelector']).matchLabels).toEqual(guardLabels);
    const monitor = only(ownObjects(kustomization('webhook/components/monitoring')), 'PodMonitor');
    expect(selectorSchema.parse(monitor.spec?.['selector']).matchLabels).toEqual(guardLabels);
  });

  test('names ports that it has', () => {
    expect(servicePorts).toEqual([
      { name: 'https', port: 443, targetPort: 'https' },
      { name: 'metrics', port: 8080, targetPort: 'metrics' },
    ]);
    expect(Object.keys(ports)).toEqual(['https', 'metrics']);
    const policy = JSON.stringify(only(guardObjects, 'NetworkPolicy').spec?.['ingress']);
    const named = [...policy.matchAll(/"port":"(\w+)"/g)].map(([, name]) => name);
    expect(named).toEqual(['https', 'metrics']);
  });

  test('is a PodMonitor with fields that the Prometheus operator knows', () => {
    const schema = z.strictObject({
      // Alerts ask for the job of this name; a label that a pod lacks would be the monitor's own name.
      jobLabel: z.enum(Object.keys(guard.spec.template.metadata.labels)),
      selector: z.strictObject({ matchLabels: z.record(z.string(), z.string()) }),
      podMetricsEndpoints: z.tuple([
        z.strictObject({
          port: z.enum(Object.keys(ports)),
          path: z.literal('/metrics'),
          interval: z.string().regex(/^\d+s$/),
          honorLabels: z.literal(true),
        }),
      ]),
    });
    const monitor = only(ownObjects(kustomization('webhook/components/monitoring')), 'PodMonitor');
    expect(monitor.apiVersion).toBe('monitoring.coreos.com/v1');
    expect(() => schema.parse(monitor.spec)).not.toThrow();
  });

  test('lets it out to etcd, the API server and DNS, and nowhere else', () => {
    expect(only(guardObjects, 'NetworkPolicy').spec?.['egress']).toEqual([
      { to: [{ namespaceSelector: { matchLabels: PROTECTED } }] },
      { ports: [443, 6443, 8443].map((port) => ({ port, protocol: 'TCP' })) },
      {
        ports: [
          { port: 53, protocol: 'UDP' },
          { port: 53, protocol: 'TCP' },
        ],
      },
    ]);
  });
});

describe('the webhook configuration', () => {
  const [shipped] = webhooksSchema.parse(
    only(guardObjects, 'ValidatingWebhookConfiguration'),
  ).webhooks;
  const [tested] = webhooksSchema.parse(webhookConfiguration(8443, 'pem')).webhooks;

  test('is what the tests register, but for where the guard is and whom it leaves out', () => {
    const { clientConfig, namespaceSelector, matchPolicy, ...rest } = shipped;
    expect({ ...rest, admissionReviewVersions: tested['admissionReviewVersions'] }).toEqual({
      ...tested,
      clientConfig: undefined,
      namespaceSelector: undefined,
    });
    expect(rest['name']).toBe(WEBHOOK);
    expect(rest['admissionReviewVersions']).toEqual(['v1']);
    expect(matchPolicy).toBe('Equivalent');
    expect(clientConfig).toEqual({
      service: { name: 'etcd-guard', namespace: 'etcd-guard', path: '/validate', port: 443 },
    });
    expect(namespaceSelector).toEqual({
      matchExpressions: [
        { key: 'etcd-guard.io/protect', operator: 'In', values: Object.values(PROTECTED) },
        { key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: ['etcd-guard'] },
      ],
    });
  });

  test('never looks at the namespace that the guard itself is in', () => {
    const { name, labels } = only(guardObjects, 'Namespace').metadata;
    expect(labels).toMatchObject({ 'kubernetes.io/metadata.name': name });
    expect(labels).not.toHaveProperty('etcd-guard.io/protect');
  });

  const [conditions] = z
    .tuple([
      z.strictObject({
        op: z.literal('add'),
        path: z.literal('/webhooks/0/matchConditions'),
        value: z.tuple([z.strictObject({ name: z.string(), expression: z.string() })]),
      }),
    ])
    .parse(
      z
        .array(z.unknown())
        .parse(readYaml('deploy/webhook/components/match-conditions/match-conditions.yaml')),
    );
  const [{ expression }] = conditions.value;

  test.each([
    ['a DELETE of a running pod', 'DELETE', { metadata: { name: 'etcd-0' } }, true],
    [
      'the last DELETE of a terminating pod',
      'DELETE',
      { metadata: { name: 'etcd-0', deletionTimestamp: '2026-01-01T00:00:00Z' } },
      false,
    ],
    ['an eviction', 'CREATE', null, true],
  ])('with matchConditions %s is asked about: %s', (_name, operation, oldObject, asked) => {
    expect(evaluate(expression, { request: { operation }, oldObject })).toBe(asked);
  });
});

describe('etcd', () => {
  const labels = { 'app.kubernetes.io/name': 'etcd' };
  const { env } = etcd.container;

  test('is in a protected namespace, and its EtcdGuard selects its pods', () => {
    expect(only(etcdObjects, 'Namespace').metadata.labels).toMatchObject(PROTECTED);
    expect(only(etcdObjects, 'EtcdGuard').spec).toEqual({
      selector: { matchLabels: labels },
      members: { port: containerPorts(etcd)['client'] },
    });
    expect(etcd.spec.template.metadata.labels).toEqual(labels);
    expect(etcd.spec.selector.matchLabels).toEqual(labels);
  });

  test('starts all members at once, and finds them before they are ready', () => {
    expect(etcd.spec['podManagementPolicy']).toBe('Parallel');
    expect(only(etcdObjects, 'Service', 'etcd').spec).toMatchObject({
      clusterIP: 'None',
      publishNotReadyAddresses: true,
      selector: labels,
    });
    expect(etcd.spec['serviceName']).toBe('etcd');
    expect(only(etcdObjects, 'Service', 'etcd-client').spec).toMatchObject({ selector: labels });
  });

  test('refers in no variable to one that comes after it', () => {
    const seen = new Set<string>();
    for (const { name, value = '' } of env) {
      for (const [, used = ''] of value.matchAll(/\$\((\w+)\)/g)) expect(seen).toContain(used);
      seen.add(name);
    }
  });

  test('names as many first members as there are replicas', () => {
    const initial = env.find(({ name }) => name === 'ETCD_INITIAL_CLUSTER')?.value ?? '';
    const ordinals = initial.split(',').map((member) => member.split('=')[0]);
    const replicas = Array.from({ length: etcd.spec.replicas }, (_, ordinal) => `etcd-${ordinal}`);
    expect(ordinals).toEqual(replicas);
  });

  test('may do what the Pod Security level "restricted" allows, and no more', () => {
    expect(etcd.pod.securityContext).toMatchObject({
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(etcd.container.securityContext).toEqual(guard.container.securityContext);
    expect(etcd.container.command).toEqual(['etcd']);
  });

  test('is not restarted for want of a quorum', () => {
    expect(etcd.container.livenessProbe.httpGet.path).not.toContain('health');
    expect(etcd.container.readinessProbe.httpGet).toEqual({ path: '/health', port: 'metrics' });
  });

  test('has certificates by cert-manager with the Secrets that its component asks for', () => {
    const file = 'deploy/etcd/components/tls/certificates.yaml';
    const secrets = objectsIn(text(file))
      .filter(({ kind }) => kind === 'Certificate')
      .map(({ spec }) => spec?.['secretName']);
    expect(secrets).toEqual(['etcd-ca', 'etcd-peer-tls', 'etcd-server-tls', 'etcd-client-tls']);
  });
});

describe('the image', () => {
  const dockerfile = text('Dockerfile');

  test('has the environment of node.env', () => {
    const wanted = text('deploy/webhook/node.env')
      .split('\n')
      .filter((line) => /^\w/.test(line))
      .map((line) => line.replace(/=(.* .*)$/, '="$1"'));
    expect(wanted.length).toBeGreaterThan(0);
    for (const line of wanted) expect(dockerfile).toContain(line);
  });

  test('starts Node with what NODE_OPTIONS may not hold, and the program after it', () => {
    const [, words = '[]'] = /^ENTRYPOINT (\[.*\])$/m.exec(dockerfile) ?? [];
    expect(JSON.parse(words)).toEqual([
      '/usr/local/bin/node',
      '--min-semi-space-size=4',
      '/app/dist/main.js',
    ]);
  });

  test('is built on bases pinned by digest, that can be replaced', () => {
    const froms = [...dockerfile.matchAll(/^FROM (?:--platform=\S+ )?(\S+)/gm)].map(
      ([, from]) => from,
    );
    expect(froms).toEqual(['${NODE_IMAGE}', '${NODE_IMAGE}', '${RUNTIME_IMAGE}']);
    expect(dockerfile).toMatch(/^ARG NODE_IMAGE=\S+@sha256:[0-9a-f]{64}$/m);
    expect(dockerfile).toMatch(/^ARG RUNTIME_IMAGE=\S+@sha256:[0-9a-f]{64}$/m);
  });

  test('has the Node that the tests run on, and the version of the package', () => {
    expect(dockerfile).toContain(`/node:${packageJson.devDependencies.node}-`);
    expect(dockerfile).toContain(`ARG VERSION=${packageJson.version}\n`);
    expect(kustomization('webhook').images).toEqual([
      { name: 'etcd-guard', newTag: packageJson.version },
    ]);
  });

  test.each(['README.md', 'docs/operating.md'])('is named in %s by that version', (page) => {
    const tags = Array.from(text(page).matchAll(/\betcd-guard:(\d[\w.-]*\w)/g), ([, tag]) => tag);
    expect(tags.length).toBeGreaterThan(0);
    expect(new Set(tags)).toEqual(new Set([packageJson.version]));
  });

  test('runs as the user that the Deployment asks for', () => {
    const { runAsUser, runAsGroup } = guard.pod.securityContext;
    expect(dockerfile).toContain(`\nUSER ${String(runAsUser)}:${String(runAsGroup)}\n`);
  });

  test('is built from files that .dockerignore lets in', () => {
    const allowed = text('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(
      ([, names = '']) => names.split(' '),
    );
    expect(new Set(copied)).toEqual(new Set(allowed));
  });
});

describe('the operating guide', () => {
  const rulesSchema = z.array(
    z.strictObject({
      apiGroups: z.tuple([z.string()]),
      resources: z.array(z.string()),
      resourceNames: z.array(z.string()).default([]),
      verbs: z.array(z.string()),
    }),
  );

  test('gives a reason for each right that is granted, and for no other', () => {
    const granted = guardObjects
      .filter(({ kind }) => kind === 'ClusterRole' || kind === 'Role')
      .flatMap(({ rules, metadata }) =>
        rulesSchema
          .parse(rules)
          .flatMap(({ apiGroups: [group], resources, resourceNames, verbs }) =>
            resources.flatMap((resource) => {
              const type = group === '' ? resource : `${resource}.${group}`;
              const what = [type, ...(resourceNames.length > 0 ? [resourceNames.join(', ')] : [])];
              return verbs.map(
                (verb) =>
                  `| ${metadata.namespace ?? 'cluster'} | \`${what.join(': ')}\` | ${verb} |`,
              );
            }),
          ),
      );
    const [, section = ''] = /## Rights\n([\s\S]+?)\n## /.exec(text('docs/operating.md')) ?? [];
    const rows = [...section.matchAll(/^(\| [\w-]+ \| `.+?` \| \w+ \|) (.+) \|$/gm)];
    expect(new Set(rows.map(([, right]) => right))).toEqual(new Set(granted));
    expect(rows).toHaveLength(granted.length);
    for (const [, , why = ''] of rows) expect(why.trim().length).toBeGreaterThan(10);
  });
});

function readYaml(name: string): unknown {
  return parseYaml(text(name));
}
