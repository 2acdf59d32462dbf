import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { KubernetesObject } from '../../src/kubernetes/api/api.ts';
import { decodeGuard, type GuardStatus } from '../../src/kubernetes/guards/guard-resource.ts';
import { memberId } from '../../src/decision/member-id.ts';
import { startKubeApiserver, type KubeApiserver } from '../harness/kube-apiserver.ts';
import { KubeError, type KubeObject } from '../harness/kube-client.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../harness/reaper.ts';
import {
  DEFAULT_SPEC,
  FULL_SPEC,
  INVALID_SPECS,
} from '../kubernetes/guards/guard-resource-specs.ts';

const GUARDS = '/apis/etcd-guard.io/v1alpha1/namespaces/default/etcdguards';
const MANIFESTS = fileURLToPath(new URL('../../deploy/webhook/', import.meta.url));

const selector = { matchLabels: { app: 'etcd' } };

function guard(name: string, spec: unknown = { selector }): Readonly<Record<string, unknown>> {
  return {
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'EtcdGuard',
    metadata: { name, namespace: 'default' },
    spec,
  };
}

/** The API server's answer as the program gets it. */
function asRead(object: KubeObject): KubernetesObject {
  const { metadata, ...rest } = object;
  const { uid = '', resourceVersion = '' } = metadata;
  return { ...rest, metadata: { ...metadata, uid, resourceVersion } };
}

/** Older API servers leave the index out. */
function withoutIndexes(text: string): string {
  return text.replaceAll(/\[\d+\]/g, '');
}

describe('EtcdGuards on a real API server', () => {
  let api: KubeApiserver;
  let directory: TemporaryDirectory;
  let hasCel: boolean;

  beforeAll(async () => {
    [api, directory] = await Promise.all([startKubeApiserver(), temporaryDirectory('crd')]);
    const version = await api.admin.text('GET', '/version');
    hasCel = Number(/"minor": *"(\d+)/.exec(version)?.[1]) >= 25;
    await copyFile(join(MANIFESTS, '10-crd.yaml'), join(directory.path, '10-crd.yaml'));
    await copyFile(
      join(MANIFESTS, '../overlays/webhook/legacy/crd-without-cel.yaml'),
      join(directory.path, 'crd-without-cel.yaml'),
    );
    const target = {
      group: 'apiextensions.k8s.io',
      version: 'v1',
      kind: 'CustomResourceDefinition',
      name: 'etcdguards.etcd-guard.io',
    };
    await writeFile(
      join(directory.path, 'kustomization.yaml'),
      stringify({
        resources: ['10-crd.yaml'],
        ...(hasCel ? {} : { patchesJson6902: [{ path: 'crd-without-cel.yaml', target }] }),
      }),
    );
    const { exitCode, stderr } = await api.kubectl('apply', '-k', directory.path);
    if (exitCode !== 0) throw new Error(stderr);
  });

  afterAll(async () => {
    await api.stop();
    await directory.remove();
  });

  async function apply(object: unknown, ...args: readonly string[]): Promise<string> {
    const file = join(directory.path, 'object.json');
    await writeFile(file, JSON.stringify(object));
    const { exitCode, stdout, stderr } = await api.kubectl('apply', '-f', file, ...args);
    return exitCode === 0 ? stdout : stderr;
  }

  it('know the definition', async () => {
    const established = await api.kubectl(
      'wait',
      '--for=condition=Established',
      'crd/etcdguards.etcd-guard.io',
      '--timeout=20s',
    );
    expect(established).toMatchObject({ exitCode: 0 });
    const crd = await api.kubectl('get', 'crd', 'etcdguards.etcd-guard.io', '-o', 'json');
    // Where the API server finds the schema wanting it says so in a condition NonStructuralSchema.
    expect(crd.stdout).not.toContain('NonStructural');
  });

  it('have CEL rules, which kubectl sends only to an API server that knows CEL', async () => {
    const file = join(MANIFESTS, '10-crd.yaml');
    const sent = await api.kubectl('apply', '-f', file, '--dry-run=server');
    expect(sent.stdout + sent.stderr).toContain(
      hasCel ? 'etcdguards.etcd-guard.io' : 'unknown field "x-kubernetes-validations"',
    );
    expect(sent.exitCode).toBe(hasCel ? 0 : 1);
  });

  it('lose the CEL rules in an API server that knows none', async () => {
    const file = join(MANIFESTS, '10-crd.yaml');
    expect(await api.kubectl('apply', '-f', file, '--validate=false')).toMatchObject({
      exitCode: 0,
    });
    const { spec } = await api.admin.get(
      '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/etcdguards.etcd-guard.io',
    );
    expect(JSON.stringify(spec).includes('x-kubernetes-validations')).toBe(hasCel);
  });

  it('get their defaults', async () => {
    const minimal = await api.admin.create(GUARDS, guard('minimal'));
    expect(minimal.spec).toEqual({ selector, ...DEFAULT_SPEC });
    const partial = await api.admin.create(
      GUARDS,
      guard('partial', { selector, policy: { quorum: 'Warn' } }),
    );
    expect(partial.spec?.['policy']).toEqual({ ...DEFAULT_SPEC.policy, quorum: 'Warn' });
  });

  it('keep every field', async () => {
    const full = await api.admin.create(GUARDS, guard('full', FULL_SPEC));
    expect(full.spec).toEqual(FULL_SPEC);
    expect(decodeGuard(asRead(full)).guard?.spec).toEqual(FULL_SPEC);
  });

  it('are as the program understands them', async () => {
    const { metadata } = await api.admin.create(GUARDS, guard('understood'));
    expect(decodeGuard(asRead(await api.admin.get(`${GUARDS}/understood`)))).toEqual({
      guard: {
        name: 'understood',
        namespace: 'default',
        uid: metadata.uid,
        resourceVersion: metadata.resourceVersion,
        generation: 1,
        terminating: false,
        spec: { selector, ...DEFAULT_SPEC },
        ledger: {},
        status: {},
        ignored: [],
      },
    });
  });

  async function answerTo(spec: unknown): Promise<string> {
    const answer = await apply(guard('invalid', spec), '--validate=false', '--dry-run=server');
    return withoutIndexes(answer);
  }

  it.each(INVALID_SPECS.filter(({ cel }) => cel === undefined))(
    'are refused with $name',
    async ({ spec, field }) => {
      const answer = await answerTo(spec);
      expect(answer).toContain('The EtcdGuard "invalid" is invalid: ');
      expect(answer).toContain(withoutIndexes(`${field}: `));
    },
  );

  it.each(INVALID_SPECS.filter(({ cel }) => cel === true))(
    'are refused by CEL, or else by the program, with $name',
    async ({ spec, field }) => {
      expect(await answerTo(spec)).toContain(
        hasCel
          ? withoutIndexes(`${field}: Invalid value`)
          : 'etcdguard.etcd-guard.io/invalid created',
      );
    },
  );

  it.each([
    { given: undefined, callers: ['Evictions', 'Controllers'] },
    { given: [], callers: [] },
    { given: ['kate'], callers: ['kate'] },
    { given: ['kate', 'Controllers'], callers: ['kate', 'Controllers'] },
  ])(
    'have the callers that a server-side apply gives, from $given on',
    async ({ given, callers }) => {
      const name = `applied-${callers.length}-${given?.length ?? 'default'}`;
      const applied = async (handOff: readonly string[] | undefined): Promise<unknown> => {
        const document = guard(name, { selector, ...(handOff && { policy: { handOff } }) });
        const asked = await api.kubectlWith(
          JSON.stringify(document),
          'apply',
          '--server-side',
          '--filename=-',
          '--output=jsonpath={.spec.policy.handOff}',
        );
        expect(asked).toMatchObject({ exitCode: 0 });
        return JSON.parse(asked.stdout);
      };
      expect(await applied(given)).toEqual(callers);
      for (const next of [['jane'], ['Controllers', 'jane'], [], ['Evictions']]) {
        expect(await applied(next)).toEqual(next);
      }
      expect(await applied(given)).toEqual(callers);
    },
  );

  it('are refused by kubectl when a field is misspelt, and pruned when nobody looks', async () => {
    const misspelt = guard('misspelt', { selector, policy: { quorom: 'Warn' }, polcy: {} });
    expect(await apply(misspelt)).toMatch(/unknown field .*quorom/);
    const { spec } = await api.admin.create(GUARDS, misspelt);
    expect(spec).toEqual({ selector, ...DEFAULT_SPEC });
  });

  async function putStatus(name: string, content: unknown): Promise<KubeObject> {
    const { metadata } = await api.admin.get(`${GUARDS}/${name}`);
    return api.admin.request('PUT', `${GUARDS}/${name}/status`, {
      ...guard(name, { selector: { matchLabels: { app: 'other' } } }),
      metadata,
      status: content,
    });
  }

  describe('their status', () => {
    const status: GuardStatus = {
      observedGeneration: 1,
      reason: 'NamespaceNotLabelled',
      leader: 'etcd-0',
      voters: 3,
      healthyVoters: 3,
      health: '3/3',
      quorum: 2,
      disruptionsAllowed: 1,
      members: [
        {
          pod: 'etcd-0',
          name: 'etcd-0',
          id: memberId('2943212f5e2cf73'),
          role: 'Leader',
          health: 'Healthy',
          lag: 0,
        },
        { pod: 'etcd-1', health: 'Unknown' },
      ],
      disruptedPods: {
        '0f7fa6c9-6a0c-4b8f-9df0-2f1b1ef9c9a4': {
          pod: 'etcd-2',
          time: '2026-03-04T05:06:07.089123Z',
          by: 'kate',
          handOffTo: memberId('f1a2'),
          reason: 'Spared',
        },
      },
      conditions: [
        {
          type: 'Reachable',
          status: 'True',
          observedGeneration: 1,
          lastTransitionTime: '2026-03-04T05:06:07Z',
          reason: 'Answered',
          message: 'All 3 members answer.',
        },
      ],
    };

    it('is written apart from the spec, and neither changes the other', async () => {
      const created = await api.admin.create(GUARDS, { ...guard('apart'), status });
      expect(created.status).toBeUndefined();
      const written = await putStatus('apart', { ...status, unheardOf: 1 });
      expect(written.status).toEqual(status);
      expect(written.spec?.['selector']).toEqual(selector);
      const changed = await api.admin.patch(`${GUARDS}/apart`, {
        spec: { members: { port: 2379 } },
        status: { leader: 'nobody' },
      });
      expect(changed.status).toEqual(status);
      const decoded = decodeGuard(asRead(changed)).guard;
      const { disruptedPods, ...shown } = status;
      expect(decoded).toMatchObject({ generation: 2, ledger: disruptedPods, status: shown });
    });

    it('can be swapped only against the version that was read', async () => {
      const read = await api.admin.create(GUARDS, guard('swapped'));
      await putStatus('swapped', { leader: 'etcd-0' });
      const late = api.admin.request('PUT', `${GUARDS}/swapped/status`, { ...read, status });
      await expect(late).rejects.toMatchObject({ code: 409, reason: 'Conflict' });
    });

    it.each([
      ['an entry without a time', { disruptedPods: { a: { pod: 'a', by: 'b', reason: 'C' } } }],
      [
        'an entry of no time',
        { disruptedPods: { a: { pod: 'a', by: 'b', reason: 'C', time: 'today' } } },
      ],
      ['a member that is neither well nor unwell', { members: [{ health: 'Fine' }] }],
      ['a decimal id', { members: [{ health: 'Healthy', id: '18446744073709551615' }] }],
    ])('is refused with %s', async (_, content) => {
      await apply(guard('refused'));
      const refused = putStatus('refused', content);
      await expect(refused).rejects.toBeInstanceOf(KubeError);
      await expect(refused).rejects.toMatchObject({ code: 422 });
    });

    it('is what kubectl get prints', async () => {
      await api.admin.create(GUARDS, guard('printed'));
      await putStatus('printed', status);
      const age = expect.stringMatching(/^\d+s$/);
      for (const kind of ['etcdguards', 'etcdguard', 'eg']) {
        const { stdout } = await api.kubectl('get', kind, 'printed');
        const rows = stdout.split('\n').map((line) => line.split(/ {2,}/));
        expect(rows).toEqual([
          ['NAME', 'LEADER', 'HEALTHY', 'QUORUM', 'DISRUPTIONS ALLOWED', 'AGE', 'REASON'],
          ['printed', 'etcd-0', '3/3', '2', '1', age, 'NamespaceNotLabelled'],
        ]);
      }
    });
  });

  it('are not among "all", which is deleted lightly', async () => {
    const { stdout } = await api.kubectl('get', 'all', '-o', 'name');
    expect(stdout).not.toContain('etcdguard');
  });

  it('are explained', async () => {
    const policy = await api.kubectl('explain', 'etcdguard.spec.policy');
    const text = policy.stdout.replaceAll(/\s+/g, ' ');
    expect(text).toContain('What is refused, and to whom. Every field has a default.');
    expect(text).toContain('How many entries behind a follower no longer counts as healthy.');
    const port = await api.kubectl('explain', 'eg.spec.members.port');
    expect(port.stdout.replaceAll(/\s+/g, ' ')).toContain('So there is no default here.');
  });
});
