import { evaluate } from '@marcbachmann/cel-js';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import {
  BREAK_GLASS_ANNOTATION,
  BREAK_GLASS_UNTIL_ANNOTATION,
} from '../../src/decision/break-glass.ts';
import { ROLE_LABEL } from '../../src/kubernetes/status/role-labels.ts';
import { PROTECTED } from '../harness/admission-webhook.ts';

const WEBHOOK = fileURLToPath(new URL('../../deploy/webhook/', import.meta.url));
const FLOOR = `${WEBHOOK}components/role-floor/`;
const NAME = 'leader-floor.etcd-guard.io';

// What the API reference of admissionregistration.k8s.io/v1 has, as far as it is used: another field
// is refused, since a server would refuse or drop it.
const named = z.strictObject({ name: z.string(), expression: z.string() });
const metadata = z.strictObject({ name: z.literal(NAME) });
const labels = z.strictObject({ matchLabels: z.record(z.string(), z.string()) });
const policySchema = z.strictObject({
  apiVersion: z.literal('admissionregistration.k8s.io/v1'),
  kind: z.literal('ValidatingAdmissionPolicy'),
  metadata,
  spec: z.strictObject({
    failurePolicy: z.enum(['Fail', 'Ignore']),
    matchConstraints: z.strictObject({
      namespaceSelector: labels,
      objectSelector: labels,
      resourceRules: z.array(
        z.strictObject({
          apiGroups: z.array(z.string()),
          apiVersions: z.array(z.string()),
          operations: z.array(z.enum(['CREATE', 'UPDATE', 'DELETE', 'CONNECT', '*'])),
          resources: z.array(z.string()),
          scope: z.enum(['Cluster', 'Namespaced', '*']),
        }),
      ),
    }),
    // Names of match conditions are qualified names, those of variables CEL identifiers.
    matchConditions: z
      .array(named.extend({ name: z.string().regex(/^[a-z][a-z-]{0,62}$/) }))
      .max(64),
    variables: z.array(named.extend({ name: z.string().regex(/^[a-z]+$/) })),
    validations: z.array(
      z.strictObject({
        expression: z.string(),
        message: z.string().regex(/^[^\n]+$/),
        messageExpression: z.string(),
        reason: z.enum(['Unauthorized', 'Forbidden', 'Invalid', 'RequestEntityTooLarge']),
      }),
    ),
  }),
});
const bindingSchema = z.strictObject({
  apiVersion: z.literal('admissionregistration.k8s.io/v1'),
  kind: z.literal('ValidatingAdmissionPolicyBinding'),
  metadata,
  spec: z.strictObject({
    policyName: z.literal(NAME),
    validationActions: z.array(z.enum(['Deny', 'Warn', 'Audit'])),
  }),
});
type Policy = z.infer<typeof policySchema>;

/** A DELETE of a pod, as far as the policy looks at it. */
interface Deletion {
  readonly oldObject: {
    readonly metadata: Readonly<Record<string, unknown>>;
    readonly status?: Readonly<Record<string, unknown>>;
  };
  readonly namespaceObject: { readonly metadata: Readonly<Record<string, unknown>> };
  readonly request: { readonly userInfo: { readonly username: string } };
}

interface DeletionOptions {
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly phase?: string;
  readonly user?: string;
  readonly namespace?: Readonly<Record<string, unknown>>;
}

function deletion(options: DeletionOptions = {}): Deletion {
  const { metadata: more, annotations, phase = 'Running', user = 'alice' } = options;
  return {
    oldObject: {
      metadata: {
        name: 'etcd-0',
        namespace: 'default',
        ...(annotations && { annotations }),
        ...more,
      },
      status: { phase },
    },
    namespaceObject: { metadata: { name: 'default', ...options.namespace } },
    request: { userInfo: { username: user } },
  };
}

async function documents(file: string): Promise<readonly unknown[]> {
  const text = await readFile(file, 'utf8');
  return parseAllDocuments(text).map((document): unknown => document.toJS());
}

describe('the floor under the webhook', () => {
  let policy: Policy;

  beforeAll(async () => {
    const [first] = await documents(`${FLOOR}policy.yaml`);
    policy = policySchema.parse(first);
  });

  /** What the API server does with a DELETE that the selectors match: the words of its refusal, or null. */
  function refusal(asked: Deletion): string | null {
    const { matchConditions, variables: declared, validations } = policy.spec;
    // Of match conditions the API server evaluates all, and always with null for the namespace.
    const early = { ...asked, namespaceObject: null };
    const matches = matchConditions.map(({ expression }) => evaluate(expression, early));
    if (matches.includes(false)) return null;
    const variables: Record<string, unknown> = {};
    for (const { name, expression } of declared) {
      variables[name] = evaluate(expression, { ...asked, variables });
    }
    const failed = validations.find(
      ({ expression }) => evaluate(expression, { ...asked, variables }) !== true,
    );
    if (failed === undefined) return null;
    return z.string().parse(evaluate(failed.messageExpression, { ...asked, variables }));
  }

  test('is a policy and a binding that denies by it', async () => {
    const [, binding, ...others] = await documents(`${FLOOR}policy.yaml`);
    expect(bindingSchema.parse(binding).spec.validationActions).toEqual(['Deny']);
    expect(others).toEqual([]);
    expect(policy.spec.failurePolicy).toBe('Fail');
  });

  test('looks at DELETEs of pods labelled leader where the webhook looks too', () => {
    const { namespaceSelector, objectSelector, resourceRules } = policy.spec.matchConstraints;
    expect(namespaceSelector.matchLabels).toEqual(PROTECTED);
    expect(objectSelector.matchLabels).toEqual({ [ROLE_LABEL]: 'leader' });
    expect(resourceRules).toEqual([
      {
        apiGroups: [''],
        apiVersions: ['v1'],
        operations: ['DELETE'],
        resources: ['pods'],
        scope: 'Namespaced',
      },
    ]);
  });

  test('refuses, in one line, with what to do', () => {
    expect(refusal(deletion())).toBe(
      'etcd-0 is labelled etcd-guard.io/role: leader. Move leadership first and wait until the label has ' +
        'followed, or delete a follower. To let it go all the same: kubectl annotate pod etcd-0 -n default ' +
        `${BREAK_GLASS_ANNOTATION}="REASON"`,
    );
  });

  test.each<[string, DeletionOptions]>([
    [
      'by the garbage collector',
      { user: 'system:serviceaccount:kube-system:generic-garbage-collector' },
    ],
    ['by a kubelet', { user: 'system:node:a' }],
    ['that is Pending', { phase: 'Pending' }],
    ['that is lost sight of', { phase: 'Unknown' }],
    ['with other annotations', { annotations: { 'example.com/x': 'y' } }],
    ['with a blank reason', { annotations: { [BREAK_GLASS_ANNOTATION]: ' \t ' } }],
    [
      'with an end and no reason',
      { annotations: { [BREAK_GLASS_UNTIL_ANNOTATION]: '2030-01-01T00:00:00Z' } },
    ],
    ...['', 'tomorrow', '2030-01-01', '2030-01-01T00:00:00', ' 2030-01-01T00:00:00Z'].map(
      (until): [string, DeletionOptions] => [
        `with the end ${JSON.stringify(until)}`,
        {
          annotations: {
            [BREAK_GLASS_ANNOTATION]: 'x',
            [BREAK_GLASS_UNTIL_ANNOTATION]: until,
          },
        },
      ],
    ),
  ])('refuses one %s', (_what, options) => {
    expect(refusal(deletion(options))).toContain('is labelled etcd-guard.io/role: leader');
  });

  test.each<[string, DeletionOptions]>([
    ['is terminating', { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }],
    [
      'is in a namespace that is being deleted',
      { namespace: { deletionTimestamp: '2026-01-01T00:00:00Z' } },
    ],
    ['has ended', { phase: 'Failed' }],
    ['has succeeded', { phase: 'Succeeded' }],
    ['is the mirror of a static pod', { annotations: { 'kubernetes.io/config.mirror': 'x' } }],
    [
      'a rolling update replaces',
      { user: 'system:serviceaccount:kube-system:statefulset-controller' },
    ],
    [
      'a rolling update replaces, without credentials of its own',
      { user: 'system:kube-controller-manager' },
    ],
    ['somebody gave a reason for', { annotations: { [BREAK_GLASS_ANNOTATION]: 'disk is gone' } }],
    ...['2030-01-01T00:00:00Z', '2030-01-01t00:00:00.5+02:00', '2020-01-01T00:00:00Z'].map(
      (until): [string, DeletionOptions] => [
        `somebody gave a reason for until ${until}`,
        {
          annotations: {
            [BREAK_GLASS_ANNOTATION]: 'x',
            [BREAK_GLASS_UNTIL_ANNOTATION]: until,
          },
        },
      ],
    ),
  ])('leaves to the webhook one that %s', (_what, options) => {
    expect(refusal(deletion(options))).toBeNull();
  });

  test('a pod without a status is refused, not an error', () => {
    const { oldObject, ...rest } = deletion();
    expect(refusal({ ...rest, oldObject: { metadata: oldObject.metadata } })).not.toBeNull();
  });
});

describe('what the labels need', () => {
  test('is the right to patch pods, for the account that the guard runs as', async () => {
    const [role, binding, ...others] = await documents(`${FLOOR}rbac.yaml`);
    expect(role).toMatchObject({
      kind: 'ClusterRole',
      rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['patch'] }],
    });
    const shipped = await documents(`${WEBHOOK}20-rbac.yaml`);
    const { subjects } = z
      .object({ subjects: z.array(z.unknown()) })
      .parse(shipped.find((one) => kindOf(one) === 'ClusterRoleBinding'));
    expect(binding).toMatchObject({ roleRef: { name: 'etcd-guard-role-labels' }, subjects });
    expect(others).toEqual([]);
  });

  test('is one more argument, which has a list to be added to', async () => {
    const patch = await documents(`${FLOOR}role-labels.yaml`);
    expect(patch).toEqual([
      [{ op: 'add', path: '/spec/template/spec/containers/0/args/-', value: '--role-labels' }],
    ]);
    const [deployment] = await documents(`${WEBHOOK}40-deployment.yaml`);
    const { spec } = z
      .object({
        metadata: z.object({ name: z.literal('etcd-guard') }),
        spec: z.object({
          template: z.object({
            spec: z.object({
              containers: z.array(z.object({ name: z.string(), args: z.array(z.string()) })),
            }),
          }),
        }),
      })
      .parse(deployment);
    expect(spec.template.spec.containers[0]).toMatchObject({ name: 'etcd-guard' });
  });

  test('is named in the component, and nothing else is', async () => {
    expect(await documents(`${FLOOR}kustomization.yaml`)).toEqual([
      {
        apiVersion: 'kustomize.config.k8s.io/v1alpha1',
        kind: 'Component',
        resources: ['policy.yaml', 'rbac.yaml'],
        patches: [{ path: 'role-labels.yaml', target: { kind: 'Deployment', name: 'etcd-guard' } }],
      },
    ]);
  });
});

function kindOf(object: unknown): string | undefined {
  return z.object({ kind: z.string() }).safeParse(object).data?.kind;
}
