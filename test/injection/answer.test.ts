import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GuardSourceError } from '../../src/admission/guard-source.ts';
import {
  createInjectionHandler,
  type InjectingGuard,
  type InjectionSource,
} from '../../src/injection/answer.ts';
import { applied } from './json-patch.ts';

const AT = { timeoutMs: 5_000, arrivedAtMs: 0 };
const GUARD: InjectingGuard = {
  namespace: 'default',
  name: 'etcd',
  injection: {
    files: [{ configMap: 'hello', mountPath: '/etc/config', inInitContainers: false }],
    readinessGate: false,
    terminationGracePeriodSeconds: null,
  },
};
const POD = {
  metadata: {
    generateName: 'etcd-',
    labels: { app: 'etcd', 'etcd-guard.io/inject': 'enabled' },
  },
  spec: { containers: [{ name: 'etcd', image: 'etcd:test' }] },
};

function review(request: Readonly<Record<string, unknown>> = {}): unknown {
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: 'one',
      resource: { group: '', version: 'v1', resource: 'pods' },
      operation: 'CREATE',
      namespace: 'default',
      object: POD,
      ...request,
    },
  };
}

function source(parts: Partial<InjectionSource> = {}): InjectionSource {
  return {
    guardsOf: () => Promise.resolve([GUARD]),
    hasConfigMap: () => Promise.resolve(true),
    ...parts,
  };
}

/** The answer's body, and what the observer was told. */
async function answered(body: unknown, from: InjectionSource = source()) {
  const told: unknown[] = [];
  const handle = createInjectionHandler({
    source: from,
    observer: {
      given: ({ name, namespace }, { guard }) => told.push({ name, namespace, guard: guard?.name }),
      failed: (creation, error) => told.push({ name: creation?.name ?? null, error }),
    },
  });
  return { reply: await handle(body, AT), told };
}

function patchIn(reply: { readonly body: unknown }): unknown {
  const text = JSON.stringify(reply.body);
  const [, patch = ''] = /"patch":"([^"]*)"/.exec(text) ?? [];
  return JSON.parse(Buffer.from(patch, 'base64').toString());
}

function plain(warnings?: readonly string[]): unknown {
  return {
    status: 200,
    body: {
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: { uid: 'one', allowed: true, ...(warnings && { warnings }) },
    },
  };
}

describe('a pod that asks', () => {
  test('is allowed with a JSON Patch, its namespace being in the request alone', async () => {
    const { reply, told } = await answered(review());
    expect(reply).toEqual({
      status: 200,
      body: {
        apiVersion: 'admission.k8s.io/v1',
        kind: 'AdmissionReview',
        response: {
          uid: 'one',
          allowed: true,
          auditAnnotations: { guard: 'default/etcd' },
          patchType: 'JSONPatch',
          patch: expect.any(String),
        },
      },
    });
    expect(applied(POD, patchIn(reply))).toMatchObject({
      metadata: { labels: { 'etcd-guard.io/injected': 'true' } },
      spec: { volumes: [{ name: 'etcd-guard-hello' }] },
    });
    expect(told).toEqual([{ name: 'etcd-*', namespace: 'default', guard: 'etcd' }]);
  });

  test('is given no patch a second time', async () => {
    const { reply } = await answered(review());
    const object = applied(POD, patchIn(reply));
    const second = await answered(review({ object }));
    expect(second.reply).toMatchObject({ body: { response: { allowed: true } } });
    expect(JSON.stringify(second.reply)).not.toMatch(/patch|warnings/);
  });

  test('is asked for in its own namespace, by its labels', async () => {
    const asked: unknown[] = [];
    const guardsOf: InjectionSource['guardsOf'] = ({ namespace, labels }, withinMs) => {
      asked.push({ namespace, labels: { ...labels }, withinMs });
      return Promise.resolve([]);
    };
    await answered(review({ namespace: 'other' }), source({ guardsOf }));
    expect(asked).toEqual([{ namespace: 'other', labels: POD.metadata.labels, withinMs: 2_000 }]);
  });

  test('whose ConfigMap is missing is told so, and has it mounted all the same', async () => {
    const { reply } = await answered(
      review(),
      source({ hasConfigMap: () => Promise.resolve(false) }),
    );
    expect(reply).toMatchObject({
      body: {
        response: {
          allowed: true,
          warnings: ['ConfigMap default/hello does not exist: /etc/config is empty until it does.'],
        },
      },
    });
    expect(patchIn(reply)).toHaveLength(3);
  });

  test('whose ConfigMap can not be looked up is told why', async () => {
    const { reply } = await answered(
      review(),
      source({
        hasConfigMap: () => Promise.reject(new GuardSourceError('missing permission "get"')),
      }),
    );
    expect(reply).toMatchObject({
      body: {
        response: {
          warnings: [
            'It is not known whether ConfigMap default/hello exists: missing permission "get"',
          ],
        },
      },
    });
    expect(patchIn(reply)).toHaveLength(3);
  });

  test('says where it keeps what it has', async () => {
    const volumes = [{ name: 'etcd-guard-hello', emptyDir: {} }];
    const object = { ...POD, spec: { ...POD.spec, volumes } };
    const { reply } = await answered(review({ object }));
    expect(reply).toMatchObject({
      body: {
        response: {
          warnings: [
            'EtcdGuard default/etcd: the pod already has another volume etcd-guard-hello: ConfigMap hello is not mounted.',
          ],
        },
      },
    });
    expect(JSON.stringify(reply)).not.toContain('patch');
  });

  test.each<[string, readonly InjectingGuard[], string]>([
    ['no guard', [], 'no EtcdGuard in namespace default selects this pod.'],
    [
      'two guards',
      [GUARD, { ...GUARD, name: 'other' }],
      'several EtcdGuards select this pod: etcd, other.',
    ],
    [
      'a guard without inject',
      [{ ...GUARD, injection: null }],
      'EtcdGuard default/etcd has no spec.inject.',
    ],
    [
      'a broken guard',
      [{ ...GUARD, injection: null, fault: 'EtcdGuard default/etcd is not valid: spec: x' }],
      'EtcdGuard default/etcd is not valid: spec: x.',
    ],
  ])('and has %s is allowed as it is, with a warning', async (_what, guards, why) => {
    const { reply, told } = await answered(
      review(),
      source({ guardsOf: () => Promise.resolve(guards) }),
    );
    expect(reply).toEqual(plain([`Nothing is injected: ${why}`]));
    expect(told).toEqual([{ name: 'etcd-*', namespace: 'default', guard: undefined }]);
  });

  test.each([
    [new GuardSourceError("can't reach the API server"), "can't reach the API server"],
    [new TypeError('x is undefined'), 'etcd-guard failed, and its log has the cause'],
  ])('is allowed as it is when we fail: %s', async (failure, why) => {
    const { reply, told } = await answered(
      review(),
      source({ guardsOf: () => Promise.reject(failure) }),
    );
    expect(reply).toEqual(plain([`Nothing is injected: ${why}`]));
    expect(told).toEqual([{ name: 'etcd-*', error: failure }]);
  });
});

describe('whatever else is asked', () => {
  const { labels } = POD.metadata;
  test.each([
    ['a pod without the label', { object: { ...POD, metadata: { labels: { app: 'etcd' } } } }],
    [
      'a label of another value',
      { object: { ...POD, metadata: { labels: { ...labels, 'etcd-guard.io/inject': 'true' } } } },
    ],
    [
      'a mirror pod',
      {
        object: {
          ...POD,
          metadata: { labels, annotations: { 'kubernetes.io/config.mirror': 'x' } },
        },
      },
    ],
    ['an update', { operation: 'UPDATE' }],
    ['a deletion', { operation: 'DELETE', object: null, oldObject: POD }],
    ['an eviction', { subResource: 'eviction' }],
    ['another resource', { resource: { group: 'apps', version: 'v1', resource: 'pods' } }],
    ['no object', { object: null }],
  ])('is allowed and reads nothing: %s', async (_what, request) => {
    const { reply, told } = await answered(
      review(request),
      source({ guardsOf: () => Promise.reject(new Error('read')) }),
    );
    expect(reply).toEqual(plain());
    expect(told).toEqual([]);
  });

  test('without a review is a bad request', async () => {
    const { reply } = await answered({ kind: 'AdmissionReview' });
    expect(reply).toEqual({ status: 400, body: { error: 'the review has no request' } });
  });

  test('of any shape is answered, and never refused', async () => {
    const hostile = fc.anything({ withBigInt: false });
    await fc.assert(
      fc.asyncProperty(hostile, hostile, async (spec, metadata) => {
        const object = { metadata: { labels, ...Object(metadata) }, spec };
        const { reply } = await answered(review({ object }));
        expect(reply).toMatchObject({ status: 200, body: { response: { allowed: true } } });
      }),
    );
  });
});
