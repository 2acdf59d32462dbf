import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { serveInjection } from '../../src/cli/serve/serve-injection.ts';
import { parseConfig } from '../../src/config.ts';
import { ASKING } from '../../src/injection/injection.ts';
import { guardSpec } from '../../src/kubernetes/guards/guard-resource-schema.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { Recorder } from '../../src/telemetry/recorder.ts';
import { PROTECTED } from '../harness/admission-webhook.ts';
import { FakeKubernetes } from '../fakes/fake-kubernetes.ts';
import { DEPLOY, kustomization, only, ownObjects } from './manifests.ts';
import { workload } from './pods.ts';

const PATH = 'webhook/components/injection';

const component = kustomization(PATH);
const objects = ownObjects(component);
const shipped = ownObjects(kustomization('webhook'));
const { container } = workload(only(shipped, 'Deployment'));

const webhooksSchema = z.tuple([z.record(z.string(), z.unknown())]);
const configuration = only(objects, 'MutatingWebhookConfiguration');
const [webhook] = webhooksSchema.parse(configuration['webhooks']);

/** As the shipped Deployment has it with the component's patch. */
function served() {
  const patch: unknown = parse(readFileSync(join(DEPLOY, PATH, 'injection.yaml'), 'utf8'));
  const [{ path, value }] = z
    .tuple([z.strictObject({ op: z.literal('add'), path: z.string(), value: z.string() })])
    .parse(patch);
  expect(path).toBe('/spec/template/spec/containers/0/args/-');
  const config = parseConfig([...container.args, value]);
  if (config.command !== 'serve') throw new Error(config.command);
  return config;
}

test('turns on what the program has under that name, and nothing else', () => {
  expect(component.patches).toEqual([
    { path: 'injection.yaml', target: { kind: 'Deployment', name: 'etcd-guard' } },
  ]);
  expect(served().capabilities).toEqual(['injection']);
});

test('has the API server ask where the program answers, and the program write its caBundle there', () => {
  const { path, registration } = serveInjection({
    api: new FakeKubernetes(),
    recorder: new Recorder('test', () => 0),
    log: createLogger('error', { write: () => undefined }),
    webhookConfiguration: served().certificate.configuration,
  });
  expect(registration).toMatchObject({
    kind: configuration.kind,
    name: configuration.metadata.name,
  });
  expect(webhook['clientConfig']).toEqual({
    service: { name: 'etcd-guard', namespace: 'etcd-guard', path, port: 443 },
  });
});

test('asks about new pods that want it, where pods are guarded, and keeps none from being made', () => {
  const { clientConfig: _where, name, ...rest } = webhook;
  expect(name).toBe('inject.etcd-guard.io');
  expect(rest).toEqual({
    rules: [
      {
        apiGroups: [''],
        apiVersions: ['v1'],
        operations: ['CREATE'],
        resources: ['pods'],
        scope: 'Namespaced',
      },
    ],
    namespaceSelector: {
      matchExpressions: [
        { key: 'etcd-guard.io/protect', operator: 'In', values: Object.values(PROTECTED) },
        { key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: ['etcd-guard'] },
      ],
    },
    objectSelector: { matchLabels: { [ASKING.label]: ASKING.value } },
    matchPolicy: 'Equivalent',
    reinvocationPolicy: 'IfNeeded',
    failurePolicy: 'Ignore',
    timeoutSeconds: 5,
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
  });
});

test('grants what it takes, to the account that the guard runs as, and docs/injection.md names it', () => {
  expect(only(objects, 'ClusterRole')).toMatchObject({
    rules: [
      { apiGroups: [''], resources: ['pods/status'], verbs: ['patch'] },
      { apiGroups: [''], resources: ['configmaps'], verbs: ['get'] },
      {
        apiGroups: ['admissionregistration.k8s.io'],
        resources: ['mutatingwebhookconfigurations'],
        resourceNames: [configuration.metadata.name],
        verbs: ['get', 'patch'],
      },
    ],
  });
  const { subjects } = only(shipped, 'ClusterRoleBinding', 'etcd-guard');
  expect(only(objects, 'ClusterRoleBinding')).toMatchObject({
    roleRef: { kind: 'ClusterRole', name: only(objects, 'ClusterRole').metadata.name },
    subjects,
  });
  const docs = readFileSync(join(DEPLOY, '../docs/injection.md'), 'utf8');
  const rows = [...docs.matchAll(/^\| `(.+?)` \| ((?:get|patch|, )+) \| .+ \|$/gm)];
  expect(rows.map(([, what, verbs]) => [what, verbs])).toEqual([
    ['pods/status', 'patch'],
    ['configmaps', 'get'],
    [`mutatingwebhookconfigurations: ${configuration.metadata.name}`, 'get, patch'],
  ]);
});

test('docs/injection.md has an EtcdGuard whose spec.inject the program takes', () => {
  const docs = readFileSync(join(DEPLOY, '../docs/injection.md'), 'utf8');
  const [, yaml = ''] = /```yaml\n(kind: EtcdGuard[\s\S]+?)```/.exec(docs) ?? [];
  const { spec } = z.object({ spec: z.unknown() }).parse(parse(yaml));
  expect(guardSpec.parse(spec).inject).toEqual({
    files: [{ configMap: 'etcd-config', mountPath: '/etc/config', inInitContainers: false }],
    readinessGate: true,
    terminationGracePeriodSeconds: 60,
  });
});
