import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { inject } from '../../src/injection/inject.ts';
import type { InjectedFile, Injection } from '../../src/injection/injection.ts';
import { volumeName } from '../../src/injection/volume-name.ts';
import { applied } from './json-patch.ts';

const NOTHING: Injection = {
  files: [],
  readinessGate: false,
  terminationGracePeriodSeconds: null,
};
const HELLO: InjectedFile = {
  configMap: 'hello',
  mountPath: '/etc/config',
  inInitContainers: false,
};
const VOLUME = { name: 'etcd-guard-hello', configMap: { name: 'hello', optional: true } };
const MOUNT = { name: 'etcd-guard-hello', mountPath: '/etc/config', readOnly: true };
const INJECTED = { 'etcd-guard.io/injected': 'true' };

function injection(parts: Partial<Injection>): Injection {
  return { ...NOTHING, ...parts };
}

/** The pod after the patch, and what was said. */
function given(pod: Readonly<Record<string, unknown>>, parts: Partial<Injection>) {
  const { operations, warnings } = inject(pod, injection(parts));
  return { pod: applied(pod, operations), warnings };
}

describe('a pod', () => {
  test('with next to nothing in it is given all that is asked for', () => {
    const pod = { metadata: {}, spec: { containers: [{ name: 'etcd' }, { name: 'other' }] } };
    const { pod: after, warnings } = given(pod, {
      files: [HELLO],
      readinessGate: true,
      terminationGracePeriodSeconds: 60,
    });
    expect(warnings).toEqual([]);
    expect(after).toEqual({
      metadata: { labels: INJECTED },
      spec: {
        containers: [
          { name: 'etcd', volumeMounts: [MOUNT] },
          { name: 'other', volumeMounts: [MOUNT] },
        ],
        volumes: [VOLUME],
        readinessGates: [{ conditionType: 'etcd-guard.io/InSync' }],
        terminationGracePeriodSeconds: 60,
      },
    });
  });

  test('that has lists already keeps what is in them', () => {
    const data = { name: 'data', mountPath: '/var/lib/etcd' };
    const pod = {
      metadata: { generateName: 'etcd-', labels: { app: 'etcd' } },
      spec: {
        initContainers: [{ name: 'init', volumeMounts: null }],
        containers: [{ name: 'etcd', volumeMounts: [data] }],
        ephemeralContainers: [{ name: 'debug' }],
        volumes: [{ name: 'data', emptyDir: {} }],
        readinessGates: [{ conditionType: 'other.io/ready' }],
        terminationGracePeriodSeconds: 10,
      },
    };
    const all = {
      files: [{ ...HELLO, inInitContainers: true }],
      readinessGate: true,
      terminationGracePeriodSeconds: 60,
    };
    expect(given(pod, all)).toEqual({
      warnings: [],
      pod: {
        metadata: { generateName: 'etcd-', labels: { app: 'etcd', ...INJECTED } },
        spec: {
          initContainers: [{ name: 'init', volumeMounts: [MOUNT] }],
          containers: [{ name: 'etcd', volumeMounts: [data, MOUNT] }],
          ephemeralContainers: [{ name: 'debug' }],
          volumes: [{ name: 'data', emptyDir: {} }, VOLUME],
          readinessGates: [
            { conditionType: 'other.io/ready' },
            { conditionType: 'etcd-guard.io/InSync' },
          ],
          terminationGracePeriodSeconds: 60,
        },
      },
    });
  });

  test('has init containers spared unless they are asked for', () => {
    const pod = {
      metadata: {},
      spec: { initContainers: [{ name: 'init' }], containers: [{ name: 'etcd' }] },
    };
    expect(given(pod, { files: [HELLO] }).pod).toMatchObject({
      spec: { initContainers: [{ name: 'init' }], containers: [{ volumeMounts: [MOUNT] }] },
    });
  });

  test('is given one volume for a ConfigMap in two places', () => {
    const pod = { metadata: {}, spec: { containers: [{ name: 'etcd' }] } };
    const files = [HELLO, { ...HELLO, mountPath: '/etc/again' }];
    expect(given(pod, { files }).pod).toMatchObject({
      spec: {
        containers: [{ volumeMounts: [MOUNT, { ...MOUNT, mountPath: '/etc/again' }] }],
        volumes: [VOLUME],
      },
    });
  });

  test.each([
    ['by a mount', { volumeMounts: [{ name: 'own', mountPath: '/etc/config' }] }],
    ['by one with a slash', { volumeMounts: [{ name: 'own', mountPath: '/etc//config/' }] }],
    ['by a device', { volumeDevices: [{ name: 'own', devicePath: '/etc/config' }] }],
    ['by part of the ConfigMap', { volumeMounts: [{ ...MOUNT, subPath: 'hello.txt' }] }],
    ['by a mount to be written', { volumeMounts: [{ ...MOUNT, readOnly: false }] }],
  ])('whose container has the path taken %s keeps it, and the others get theirs', (_by, part) => {
    const pod = { metadata: {}, spec: { containers: [{ name: 'etcd', ...part }, { name: 'b' }] } };
    const { pod: after, warnings } = given(pod, { files: [HELLO] });
    expect(after).toMatchObject({
      metadata: { labels: INJECTED },
      spec: {
        containers: [
          { name: 'etcd', ...part },
          { name: 'b', volumeMounts: [MOUNT] },
        ],
      },
    });
    expect(warnings).toEqual([
      'etcd already has something else at /etc/config: ConfigMap hello is not mounted there',
    ]);
  });

  test.each([
    ['another source', { emptyDir: {} }],
    ['another ConfigMap', { configMap: { name: 'other' } }],
    ['a choice of keys', { configMap: { name: 'hello', items: [{ key: 'a', path: 'b' }] } }],
  ])('with a volume of that name and %s is left as it is', (_what, source) => {
    const pod = {
      metadata: {},
      spec: { containers: [{ name: 'etcd' }], volumes: [{ name: VOLUME.name, ...source }] },
    };
    expect(given(pod, { files: [HELLO] })).toEqual({
      pod,
      warnings: [
        'the pod already has another volume etcd-guard-hello: ConfigMap hello is not mounted',
      ],
    });
  });

  test('with the gate is left as it is in that, and is said to have it', () => {
    const gates = { readinessGates: [{ conditionType: 'etcd-guard.io/InSync' }] };
    const pod = { metadata: { labels: {} }, spec: { containers: [], ...gates } };
    expect(given(pod, { readinessGate: true })).toEqual({
      pod: { metadata: { labels: INJECTED }, spec: { containers: [], ...gates } },
      warnings: ['the pod already has the readiness gate etcd-guard.io/InSync'],
    });
  });

  test.each([
    [undefined, 20, undefined],
    [undefined, 31, 31],
    [0, 20, 20],
    [19, 20, 20],
    [20, 20, 20],
    [90, 20, 90],
  ])('with a grace period of %s s and a floor of %s s has %s s', (own, floor, expected) => {
    const period = own === undefined ? {} : { terminationGracePeriodSeconds: own };
    const pod = { metadata: {}, spec: { containers: [], ...period } };
    const raised = expected === undefined ? {} : { terminationGracePeriodSeconds: expected };
    expect(given(pod, { terminationGracePeriodSeconds: floor })).toEqual({
      pod: { metadata: { labels: INJECTED }, spec: { containers: [], ...raised } },
      warnings: [],
    });
  });

  test('of whom nothing is asked stays as it is', () => {
    expect(inject({ metadata: {}, spec: { containers: [{ name: 'a' }] } }, NOTHING)).toEqual({
      operations: [],
      warnings: [],
    });
  });

  test('that is given a container by another webhook afterwards has that one served as well', () => {
    const pod = { metadata: {}, spec: { containers: [{ name: 'etcd' }] } };
    const first = applied(pod, inject(pod, injection({ files: [HELLO] })).operations);
    const sidecar = { op: 'add', path: '/spec/containers/0', value: { name: 'sidecar' } };
    const second = recordOf(applied(first, [sidecar]));
    const { operations, warnings } = inject(second, injection({ files: [HELLO] }));
    expect(warnings).toEqual([]);
    expect(operations).toEqual([
      { op: 'add', path: '/spec/containers/0/volumeMounts', value: [MOUNT] },
    ]);
  });
});

describe('the name of a volume', () => {
  test.each([
    ['hello', 'etcd-guard-hello'],
    ['hello.txt', 'etcd-guard-hello-txt-734cad14'],
    ['x'.repeat(52), `etcd-guard-${'x'.repeat(52)}`],
  ])('of %s is %s', (configMap, expected) => {
    expect(volumeName(configMap)).toBe(expected);
  });

  const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,80}[a-z0-9])?$/);
  const configMaps = fc
    .array(label, { minLength: 1, maxLength: 3 })
    .map((labels) => labels.join('.').slice(0, 253))
    .filter((name) => /[a-z0-9]$/.test(name));

  test('is a DNS label for every ConfigMap, and another one for another ConfigMap', () => {
    fc.assert(
      fc.property(configMaps, configMaps, (one, other) => {
        expect(volumeName(one)).toMatch(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);
        expect(volumeName(one) === volumeName(other)).toBe(one === other);
      }),
    );
  });
});

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  const copy: Readonly<Record<string, unknown>> = JSON.parse(JSON.stringify(value));
  return copy;
}

// Few names and paths, so that what is there and what is asked for often meet.
const configMap = fc.constantFrom('a', 'b', 'c.d');
const path = fc.constantFrom('/x', '/y', '/y/z');
const files = fc.uniqueArray(
  fc.record({ configMap, mountPath: path, inInitContainers: fc.boolean() }),
  { maxLength: 3, selector: ({ mountPath }) => mountPath },
);
const injections: fc.Arbitrary<Injection> = fc.record({
  files,
  readinessGate: fc.boolean(),
  terminationGracePeriodSeconds: fc.option(fc.integer({ min: 1, max: 90 })),
});
const volumeNames = fc.oneof(configMap.map(volumeName), fc.constant('own'));
const mount = fc.record({
  name: volumeNames,
  mountPath: path,
  readOnly: fc.boolean(),
});
const container = fc.record(
  { name: fc.constantFrom('etcd', 'sidecar'), volumeMounts: fc.array(mount, { maxLength: 2 }) },
  { requiredKeys: ['name'] },
);
const volume = fc.record({ name: volumeNames, configMap: fc.record({ name: configMap }) });
const pods = fc.record({
  metadata: fc.record(
    { labels: fc.dictionary(fc.constantFrom('app', 'etcd-guard.io/injected'), fc.constant('x')) },
    { requiredKeys: [] },
  ),
  spec: fc.record(
    {
      containers: fc.array(container, { maxLength: 2 }),
      initContainers: fc.array(container, { maxLength: 2 }),
      ephemeralContainers: fc.array(container, { maxLength: 1 }),
      volumes: fc.uniqueArray(volume, { maxLength: 3, selector: ({ name }) => name }),
      readinessGates: fc.array(
        fc.record({ conditionType: fc.constantFrom('etcd-guard.io/InSync', 'other') }),
        { maxLength: 1 },
      ),
      terminationGracePeriodSeconds: fc.integer({ min: 0, max: 100 }),
      nodeName: fc.string(),
    },
    { requiredKeys: ['containers'] },
  ),
});

/** What a pod has, without all that an injection may add. */
function stripped(pod: unknown, asked: Injection): unknown {
  const copy: Readonly<Record<string, unknown>> = recordOf(pod);
  const metadata = recordOf(copy['metadata']);
  const { 'etcd-guard.io/injected': _label, ...labels } = recordOf(metadata['labels'] ?? {});
  const spec = recordOf(copy['spec']);
  const { terminationGracePeriodSeconds: _grace, ...rest } = spec;
  const wanted = (list: unknown, isAdded: (one: Readonly<Record<string, unknown>>) => boolean) =>
    (Array.isArray(list) ? list : []).map(recordOf).filter((one) => !isAdded(one));
  const bare = (containers: unknown) =>
    wanted(containers, () => false).map(({ volumeMounts, ...others }) => ({
      ...others,
      volumeMounts: wanted(volumeMounts, (one) =>
        asked.files.some(
          (file) =>
            one['mountPath'] === file.mountPath &&
            one['name'] === volumeName(file.configMap) &&
            one['readOnly'] === true,
        ),
      ),
    }));
  return {
    labels,
    spec: {
      ...rest,
      containers: bare(spec['containers']),
      initContainers: bare(spec['initContainers']),
      ephemeralContainers: bare(spec['ephemeralContainers']),
      volumes: wanted(spec['volumes'], (one) =>
        asked.files.some((file) => one['name'] === volumeName(file.configMap)),
      ),
      readinessGates: wanted(spec['readinessGates'], (one) =>
        asked.readinessGate ? one['conditionType'] === 'etcd-guard.io/InSync' : false,
      ),
    },
  };
}

describe('whatever the pod and the injection', () => {
  test('only what was asked for is changed, and a second time nothing', () => {
    fc.assert(
      fc.property(pods, injections, (pod, asked) => {
        const after = recordOf(applied(pod, inject(pod, asked).operations));
        expect(stripped(after, asked)).toEqual(stripped(pod, asked));
        expect(inject(after, asked).operations).toEqual([]);
      }),
      { numRuns: 1_000 },
    );
  });

  test('no volume, mount path or gate stands twice, and every mount that is added has its volume', () => {
    fc.assert(
      fc.property(pods, injections, (pod, asked) => {
        const spec = recordOf(recordOf(applied(pod, inject(pod, asked).operations))['spec']);
        const names = listOf(spec['volumes']).map(({ name }) => name);
        expect(names).toEqual([...new Set(names)]);
        const gates = listOf(spec['readinessGates']).map(({ conditionType }) => conditionType);
        expect(gates).toEqual([...new Set(gates)]);
        for (const field of ['containers', 'initContainers'] as const) {
          for (const [index, { volumeMounts }] of listOf(spec[field]).entries()) {
            const before = listOf(listOf(recordOf(pod.spec)[field])[index]?.['volumeMounts']);
            const added = listOf(volumeMounts).slice(before.length);
            for (const { name, mountPath } of added) {
              expect(names).toContain(name);
              expect(before.map((one) => one['mountPath'])).not.toContain(mountPath);
            }
          }
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('a pod that is no pod breaks nothing, and what comes of it can be applied', () => {
    const anything = fc.anything({ withBigInt: false, maxDepth: 3 });
    const part = fc.oneof(anything, fc.array(fc.oneof(anything, container)));
    const hostile = fc.record({
      metadata: fc.oneof(anything, fc.record({ labels: anything })),
      spec: fc.oneof(
        anything,
        fc.record({
          containers: part,
          initContainers: part,
          volumes: part,
          readinessGates: part,
          terminationGracePeriodSeconds: anything,
        }),
      ),
    });
    fc.assert(
      fc.property(hostile, injections, (value, asked) => {
        const pod = recordOf(value);
        expect(() => applied(pod, inject(pod, asked).operations)).not.toThrow();
      }),
      { numRuns: 1_000 },
    );
  });
});

function listOf(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  return (Array.isArray(value) ? value : []).map(recordOf);
}
