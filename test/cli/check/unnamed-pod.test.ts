import { afterEach, describe, expect, it } from 'vitest';
import { ofUnnamedPod } from '../../../src/cli/check/unnamed-pod.ts';
import type { Finding } from '../../../src/cli/finding.ts';
import { parseGuards } from '../../../src/guards/document.ts';
import { FileSource } from '../../../src/guards/file-source.ts';
import { FakeEtcd } from '../../fakes/etcd.ts';

const NOT_GUARDED: Finding = {
  decision: 'allow',
  reason: 'NotGuarded',
  message: 'no EtcdGuard selects the pod',
  warnings: [],
  guard: null,
  view: null,
  via: 'direct',
};

let source: FileSource;
afterEach(() => source.close());

function guardsOf(
  ...specs: readonly { namespace: string; pods: readonly string[]; selector?: object }[]
) {
  const documents = specs.map(({ namespace, pods, selector }) => ({
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'EtcdGuard',
    metadata: { name: 'etcd', namespace },
    spec: {
      members: { addresses: Object.fromEntries(pods.map((pod) => [pod, '10.0.0.1'])) },
      ...(selector !== undefined && { selector }),
    },
  }));
  const text = documents.map((one) => JSON.stringify(one)).join('\n---\n');
  const loaded = (parseGuards('guards.yaml', text).guards ?? []).map(({ guard }) => ({
    document: guard,
    settings: { tls: null, auth: null },
    settingsKey: '',
  }));
  source = new FileSource(loaded, {
    connect: () => new FakeEtcd([]),
    monotonicMs: () => 0,
    activeMs: () => 0,
    viewed: () => undefined,
  });
  return source.guards;
}

const ZZZ = { name: 'zzz', namespace: 'default' };

describe('a pod that no guard from a file names', () => {
  it('is told apart from one that may go: those that are named are listed', () => {
    const guards = guardsOf(
      { namespace: 'default', pods: ['etcd-0', 'etcd-1'] },
      { namespace: 'shop', pods: ['db-0'] },
    );
    expect(ofUnnamedPod(NOT_GUARDED, ZZZ, guards)).toStrictEqual({
      ...NOT_GUARDED,
      message:
        'No guard names a pod zzz in namespace default, so no guard would keep it. Pods that are named: etcd-0, etcd-1, shop/db-0.',
    });
  });

  it('may be selected by its labels all the same', () => {
    const selector = { matchLabels: { app: 'etcd' } };
    const guards = guardsOf({ namespace: 'default', pods: ['etcd-0'], selector });
    expect(ofUnnamedPod(NOT_GUARDED, ZZZ, guards).message).toMatch(
      / The EtcdGuard default\/etcd may still select it by its labels, which its name does not tell\.$/,
    );
  });

  it('is shown twenty names at most', () => {
    const pods = Array.from({ length: 25 }, (_, at) => `etcd-${at}`);
    const guards = guardsOf({ namespace: 'default', pods });
    expect(ofUnnamedPod(NOT_GUARDED, ZZZ, guards).message).toMatch(/, etcd-19 and 5 more\.$/);
  });

  it('is another matter than one that is named', () => {
    const spared: Finding = { ...NOT_GUARDED, reason: 'Spared' };
    expect(ofUnnamedPod(spared, ZZZ, guardsOf())).toBe(spared);
  });
});
