import { describe, expect, it } from 'vitest';
import { decodePod, decodeReview } from '../../src/admission/review.ts';

const PODS = { group: '', version: 'v1', resource: 'pods' };

const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: 'etcd-2',
    namespace: 'default',
    uid: 'pod-uid',
    labels: { app: 'etcd' },
    annotations: { note: 'x' },
  },
  spec: {
    nodeName: 'node-b',
    volumes: [
      { name: 'data', emptyDir: {} },
      { name: 'tls', secret: { secretName: 's' } },
    ],
    containers: [
      {
        name: 'etcd',
        ports: [{ containerPort: 2379, name: 'client' }, { containerPort: 2380 }],
        volumeMounts: [
          { name: 'data', mountPath: '/var/lib/etcd' },
          { name: 'tls', mountPath: '/tls' },
        ],
      },
    ],
  },
  status: {
    phase: 'Running',
    containerStatuses: [{ name: 'etcd', state: { running: { startedAt: 'now' } } }],
  },
};

const SNAPSHOT = {
  namespace: 'default',
  name: 'etcd-2',
  uid: 'pod-uid',
  labels: { app: 'etcd' },
  annotations: { note: 'x' },
  terminating: false,
  mirror: false,
  nodeName: 'node-b',
  neverScheduled: false,
  phase: 'Running',
  containers: [{ name: 'etcd', ports: [2379, 2380], portNames: ['client'] }],
  containerStatuses: [{ name: 'etcd', state: 'running' }],
  emptyDirMounts: [{ volume: 'data', container: 'etcd', mountPath: '/var/lib/etcd' }],
};

function review(request: unknown, apiVersion: unknown = 'admission.k8s.io/v1'): unknown {
  return { apiVersion, kind: 'AdmissionReview', request };
}

function deletion(over: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    uid: 'u1',
    resource: PODS,
    operation: 'DELETE',
    name: '',
    namespace: 'default',
    userInfo: { username: 'ann', uid: '7', groups: ['dev', 5, 'system:authenticated'] },
    object: null,
    oldObject: POD,
    options: {
      kind: 'DeleteOptions',
      gracePeriodSeconds: 30,
      preconditions: { uid: 'pod-uid' },
    },
    ...over,
  };
}

function eviction(over: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    uid: 'u2',
    resource: PODS,
    subResource: 'eviction',
    operation: 'CREATE',
    name: 'etcd-1',
    namespace: 'default',
    userInfo: { username: 'drainer', groups: [] },
    object: { kind: 'Eviction', metadata: { name: 'etcd-1', namespace: 'default' } },
    oldObject: null,
    options: { kind: 'CreateOptions' },
    ...over,
  };
}

describe('decodeReview of a deletion', () => {
  it('takes the pod from oldObject, also where the request names none', () => {
    expect(decodeReview(review(deletion()))).toEqual({
      kind: 'request',
      apiVersion: 'admission.k8s.io/v1',
      request: {
        uid: 'u1',
        subject: { kind: 'delete', pod: SNAPSHOT },
        namespace: 'default',
        name: 'etcd-2',
        dryRun: false,
        user: { name: 'ann', uid: '7', groups: ['dev', 'system:authenticated'] },
        preconditionUid: 'pod-uid',
        gracePeriodSeconds: 30,
      },
    });
  });

  it('keeps the version asked', () => {
    expect(decodeReview(review(deletion(), 'admission.k8s.io/v1beta1'))).toMatchObject({
      kind: 'request',
      apiVersion: 'admission.k8s.io/v1beta1',
    });
  });

  it.each([
    ['request.dryRun', { dryRun: true }],
    ['options.dryRun', { options: { dryRun: ['All'] } }],
  ])('sees a dry run in %s', (_where, over) => {
    expect(decodeReview(review(deletion(over)))).toMatchObject({ request: { dryRun: true } });
  });

  it('reads options that are absent as none', () => {
    expect(decodeReview(review(deletion({ options: null })))).toMatchObject({
      request: { dryRun: false, preconditionUid: null, gracePeriodSeconds: null },
    });
  });

  it.each([
    ['none', undefined],
    ['null', null],
    ['an array', [POD]],
    ['without metadata', { spec: {} }],
    ['with an array as metadata', { metadata: ['etcd-2'] }],
    ['with a number as name', { metadata: { name: 5, namespace: 'default' } }],
    ['with only a prototype', JSON.parse('{"__proto__":{"metadata":{"name":"etcd-2"}}}')],
  ])('cannot use an oldObject: %s', (_what, oldObject) => {
    expect(decodeReview(review(deletion({ oldObject })))).toEqual({
      kind: 'unusable',
      apiVersion: 'admission.k8s.io/v1',
      uid: 'u1',
      error:
        'the DELETE carries no usable pod: request.oldObject needs metadata with a name and a namespace',
    });
  });
});

describe('decodeReview of an eviction', () => {
  it('names the pod and carries no snapshot', () => {
    expect(decodeReview(review(eviction()))).toEqual({
      kind: 'request',
      apiVersion: 'admission.k8s.io/v1',
      request: {
        uid: 'u2',
        subject: { kind: 'eviction', namespace: 'default', name: 'etcd-1' },
        namespace: 'default',
        name: 'etcd-1',
        dryRun: false,
        user: { name: 'drainer', uid: '', groups: [] },
        preconditionUid: null,
        gracePeriodSeconds: null,
      },
    });
  });

  it('reads dry run, precondition and grace period from the deleteOptions', () => {
    const object = {
      metadata: { name: 'etcd-1' },
      deleteOptions: { dryRun: ['All'], preconditions: { uid: 'p' }, gracePeriodSeconds: 0 },
    };
    expect(decodeReview(review(eviction({ object })))).toMatchObject({
      request: { dryRun: true, preconditionUid: 'p', gracePeriodSeconds: 0 },
    });
  });

  it('cannot use one that names no pod', () => {
    expect(decodeReview(review(eviction({ name: '', object: null })))).toEqual({
      kind: 'unusable',
      apiVersion: 'admission.k8s.io/v1',
      uid: 'u2',
      error: 'the eviction names no pod: the request needs a name and a namespace',
    });
  });
});

describe('decodeReview of anything else', () => {
  it.each([
    ['another operation', { operation: 'UPDATE' }],
    ['an unknown operation', { operation: 'EXPLODE' }],
    ['CREATE of a pod', { operation: 'CREATE' }],
    ['an unknown subresource', { subResource: 'ephemeralcontainers' }],
    ['DELETE of an eviction', { subResource: 'eviction' }],
    ['a subresource that is a number', { subResource: 7 }],
    ['another resource', { resource: { ...PODS, resource: 'configmaps' } }],
    ['pods of another group', { resource: { ...PODS, group: 'metrics.k8s.io' } }],
    ['pods of another version', { resource: { ...PODS, version: 'v2' } }],
    ['no resource', { resource: undefined }],
    ['an array as resource', { resource: ['pods'] }],
  ])('is other: %s', (_what, over) => {
    expect(decodeReview(review(deletion(over)))).toMatchObject({
      kind: 'request',
      request: { uid: 'u1', subject: { kind: 'other' }, namespace: 'default', name: '' },
    });
  });
});

describe('decodeReview of a malformed body', () => {
  const notAnObject = 'the body is not a JSON object';
  const noRequest = 'the review has no request';
  const noReview =
    'the body is not an AdmissionReview of admission.k8s.io/v1 or admission.k8s.io/v1beta1';
  it.each([
    [null, notAnObject],
    [undefined, notAnObject],
    [[], notAnObject],
    ['text', notAnObject],
    [7, notAnObject],
    [{}, noRequest],
    [review(null), noRequest],
    [review([deletion()]), noRequest],
    [JSON.parse('{"__proto__":{"request":{"uid":"u"}}}'), noRequest],
    [review({}), 'request.uid is not a string'],
    [review({ uid: 5 }), 'request.uid is not a string'],
    [review({ uid: ['u'] }), 'request.uid is not a string'],
    [review({ uid: '' }), 'request.uid is empty'],
    [review(deletion(), 'admission.k8s.io/v2'), noReview],
    [review(deletion(), 1), noReview],
    [{ request: deletion() }, noReview],
    [{ apiVersion: 'admission.k8s.io/v1', kind: 'Pod', request: deletion() }, noReview],
  ])('%j', (body, error) => {
    expect(decodeReview(body)).toEqual({ kind: 'malformed', error });
  });

  it('survives 100,000 levels of nesting anywhere', () => {
    const nested: unknown = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000));
    expect(decodeReview(nested)).toEqual({ kind: 'malformed', error: notAnObject });
    const inside = deletion({ oldObject: { metadata: nested, spec: nested } });
    expect(decodeReview(review(inside))).toMatchObject({ kind: 'unusable' });
    const labels = { ...POD, metadata: { ...POD.metadata, labels: { deep: nested } } };
    expect(decodePod(labels)).toEqual({ ...SNAPSHOT, labels: {} });
  });
});

describe('decodePod', () => {
  it('knows a terminating pod, a mirror pod and one that was never scheduled', () => {
    const pod = decodePod({
      metadata: {
        name: 'p',
        namespace: 'n',
        deletionTimestamp: '2026-01-01T00:00:00Z',
        annotations: { 'kubernetes.io/config.mirror': '' },
      },
      spec: { containers: [] },
      status: { phase: 'Pending' },
    });
    expect(pod).toEqual({
      namespace: 'n',
      name: 'p',
      uid: null,
      labels: {},
      annotations: { 'kubernetes.io/config.mirror': '' },
      terminating: true,
      mirror: true,
      nodeName: null,
      neverScheduled: true,
      phase: 'Pending',
      containers: [],
      containerStatuses: [],
      emptyDirMounts: [],
    });
  });

  it('does not take a pod without a spec, or with a strange node, for one never scheduled', () => {
    const metadata = { name: 'p', namespace: 'n' };
    expect(decodePod({ metadata })).toMatchObject({ nodeName: null, neverScheduled: false });
    expect(decodePod({ metadata, spec: { nodeName: 5 } })).toMatchObject({
      nodeName: null,
      neverScheduled: false,
    });
  });

  it('keeps hostile keys as plain labels', () => {
    const pod = decodePod(
      JSON.parse(
        '{"metadata":{"name":"p","namespace":"n","labels":{"__proto__":"x","constructor":"y","n":1}}}',
      ),
    );
    expect(Object.entries(pod?.labels ?? {})).toEqual([
      ['__proto__', 'x'],
      ['constructor', 'y'],
    ]);
    expect(pod?.annotations['toString']).toBeUndefined();
    expect(Object.hasOwn(Object.prototype, 'x')).toBe(false);
  });

  it.each([
    [{ running: {} }, 'running'],
    [{ waiting: { reason: 'CrashLoopBackOff' } }, 'waiting'],
    [{ terminated: { exitCode: 1 } }, 'terminated'],
    [{ terminated: {}, running: {} }, 'running'],
    [{}, 'unknown'],
    [[], 'unknown'],
    ['running', 'unknown'],
  ])('reads the container state %j as %s', (state, expected) => {
    const pod = { ...POD, status: { containerStatuses: [{ name: 'etcd', state }] } };
    expect(decodePod(pod)?.containerStatuses).toEqual([{ name: 'etcd', state: expected }]);
  });
});
