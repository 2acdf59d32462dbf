import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { parseConfig } from '../../src/config.ts';
import { DEFAULT_RESOURCES } from '../../src/kubernetes/locks/lock-resource-schema.ts';
import { lockScopeOf, notHeld } from '../../src/kubernetes/locks/lock-scope.ts';
import { lock } from '../locks/world.ts';
import { DEPLOY, kustomization, only, ownObjects } from './manifests.ts';

const COMPONENT = 'webhook/components/exclusive-locks';
const objects = ownObjects(kustomization(COMPONENT));
const configuration = only(objects, 'ValidatingWebhookConfiguration');

const webhookSchema = z.looseObject({
  name: z.string(),
  clientConfig: z.object({
    service: z.object({
      name: z.string(),
      namespace: z.string(),
      path: z.string(),
      port: z.number(),
    }),
  }),
  rules: z.array(z.looseObject({ resources: z.array(z.string()), scope: z.string() })),
  failurePolicy: z.string(),
  timeoutSeconds: z.number(),
  sideEffects: z.string(),
  matchPolicy: z.string(),
});
const [locks, status] = z.tuple([webhookSchema, webhookSchema]).parse(configuration['webhooks']);

const ruleSchema = z.object({
  apiGroups: z.array(z.string()),
  resources: z.array(z.string()),
  resourceNames: z.array(z.string()).optional(),
  verbs: z.array(z.string()),
});

function rightsOf(name: string) {
  return z.array(ruleSchema).parse(only(objects, 'ClusterRole', name)['rules']);
}

describe('the component exclusive-locks', () => {
  test('turns on by a flag that the program knows, in a cluster only', () => {
    const patch: unknown = parse(
      readFileSync(join(DEPLOY, COMPONENT, 'exclusive-locks.yaml'), 'utf8'),
    );
    const [{ value }] = z.tuple([z.object({ value: z.string() })]).parse(patch);
    expect(parseConfig(['serve', value])).toMatchObject({ capabilities: ['exclusive-locks'] });
    expect(parseConfig(['serve'])).toMatchObject({ capabilities: [] });
    expect(parseConfig(['serve', '--guards=guards.yaml', value])).toMatchObject({
      command: 'invalid',
      problems: ['--guards and --exclusive-locks exclude each other'],
    });
  });

  test('asks about all that locks name by default, guards and locks, whatever is done', () => {
    const own = ['etcdguards.etcd-guard.io', 'exclusivelocks.etcd-guard.io'];
    const all = lock({
      operations: ['CREATE', 'UPDATE', 'DELETE'],
      resources: [...DEFAULT_RESOURCES, ...own],
    });
    const scope = lockScopeOf(JSON.parse(JSON.stringify(configuration)), 'etcd-guard-locks');
    const labels = { 'etcd-guard.io/lock': 'enabled' };
    expect(notHeld(scope, all, labels)).toBeNull();
    expect(notHeld(scope, all, {})).toMatchObject({ reason: 'NamespaceNotLabelled' });
    const guards = { ...labels, 'kubernetes.io/metadata.name': 'etcd-guard' };
    expect(notHeld(scope, all, guards)).toMatchObject({ reason: 'NamespaceNotLabelled' });
  });

  test('refuses while nobody answers, but never what kubelets and controllers report', () => {
    const service = { name: 'etcd-guard', namespace: 'etcd-guard', path: '/lock', port: 443 };
    const common = {
      clientConfig: { service },
      sideEffects: 'NoneOnDryRun',
      matchPolicy: 'Equivalent',
    };
    expect(locks).toMatchObject({ ...common, failurePolicy: 'Fail', timeoutSeconds: 10 });
    expect(status).toMatchObject({ ...common, failurePolicy: 'Ignore' });
    const resources = (of: typeof locks): readonly string[] =>
      of.rules.flatMap((rule) => rule.resources);
    expect(resources(locks).filter((name) => name.endsWith('/status'))).toEqual([]);
    expect(resources(status).filter((name) => !name.endsWith('/status'))).toEqual([]);
    // The guard writes these itself, and must not wait for itself.
    expect(resources(status)).not.toContain('etcdguards/status');
    for (const { scope } of [...locks.rules, ...status.rules]) expect(scope).toBe('Namespaced');
  });

  test('grants no right to Secrets, and none to other webhook configurations', () => {
    const rights = rightsOf('etcd-guard-locks');
    expect(rights.flatMap(({ resources }) => resources)).not.toContain('secrets');
    const writing = rights.filter(({ verbs }) =>
      verbs.some((verb) => !['get', 'list', 'watch'].includes(verb)),
    );
    expect(writing.map(({ resources, verbs }) => [resources, verbs])).toEqual([
      [['exclusivelocks/status'], ['update']],
    ]);
    expect(rightsOf('etcd-guard-locks-webhook')).toEqual([
      {
        apiGroups: ['admissionregistration.k8s.io'],
        resources: ['validatingwebhookconfigurations'],
        resourceNames: [configuration.metadata.name],
        verbs: ['get', 'patch'],
      },
    ]);
  });
});
