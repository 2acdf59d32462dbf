import { describe, expect, it } from 'vitest';
import { decodePod } from '../../src/admission/review.ts';
import { factsOfName, factsOfPod } from '../../src/guards/pod-facts.ts';

type Json = Readonly<Record<string, unknown>>;

function facts(pod: { metadata?: Json; spec?: Json; status?: Json }, memberPort = 2379) {
  const metadata = { name: 'etcd-0', namespace: 'default', ...pod.metadata };
  const decoded = decodePod({ ...pod, metadata });
  if (decoded === null) throw new Error('a pod needs a name and a namespace');
  return factsOfPod(decoded, memberPort);
}

function mounting(name: string, mountPath: string) {
  return { volumeMounts: [{ name, mountPath }] };
}

describe('what a pod tells', () => {
  it('is no more than its name tells if it says nothing', () => {
    expect(facts({})).toEqual(factsOfName('default', 'etcd-0'));
  });

  it.each([
    [{ metadata: { uid: 'u' } }, { uid: 'u' }],
    [{ metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }, { terminating: true }],
    [{ metadata: { annotations: { 'kubernetes.io/config.mirror': 'x' } } }, { mirror: true }],
    [{ spec: {} }, { unscheduled: true }],
    [{ spec: { nodeName: 'a' } }, { unscheduled: false }],
    [{ status: { phase: 'Succeeded' } }, { finished: true }],
    [{ status: { phase: 'Failed' } }, { finished: true }],
    [{ status: { phase: 'Running' } }, { finished: false }],
    [{ status: { phase: 'Unknown' } }, { finished: false }],
    [{ metadata: { labels: { app: 'etcd' } } }, { looksLikeEtcd: true }],
    [{ metadata: { labels: { 'app.kubernetes.io/name': 'etcd' } } }, { looksLikeEtcd: true }],
    [{ metadata: { labels: { app: 'web' } } }, { looksLikeEtcd: false }],
    [
      { metadata: { annotations: { 'etcd-guard.io/break-glass': 'because' } } },
      { breakGlass: { reason: 'because', until: null } },
    ],
    [
      {
        metadata: {
          annotations: {
            'etcd-guard.io/break-glass': '',
            'etcd-guard.io/break-glass-until': 'tomorrow',
          },
        },
      },
      { breakGlass: { reason: '', until: 'tomorrow' } },
    ],
    [
      { metadata: { annotations: { 'etcd-guard.io/break-glass-until': '2099-01-01T00:00:00Z' } } },
      { breakGlass: { reason: null, until: '2099-01-01T00:00:00Z' } },
    ],
  ])('%j: %j', (pod, expected) => {
    expect(facts(pod)).toMatchObject(expected);
  });

  it('never is that its container is down: nobody says whether its node is Ready', () => {
    const status = { containerStatuses: [{ name: 'etcd', state: { waiting: {} } }] };
    expect(facts({ status }).containersDown).toBe(false);
  });
});

describe('data on an emptyDir', () => {
  const volumes = [
    { name: 'data', emptyDir: {} },
    { name: 'claim', persistentVolumeClaim: {} },
  ];
  const etcd = { name: 'etcd', ports: [{ containerPort: 2379 }] };

  it.each([
    ['where the container mounts one', [{ ...etcd, ...mounting('data', '/var/lib/etcd') }], true],
    ['not with a claim', [{ ...etcd, ...mounting('claim', '/var/lib/etcd') }], false],
    ['not with files in /tmp', [{ ...etcd, ...mounting('data', '/tmp') }], false],
    ['not with files below /var/run', [{ ...etcd, ...mounting('data', '/var/run/etcd') }], false],
    ['but in /tmpfs', [{ ...etcd, ...mounting('data', '/tmpfs') }], true],
    ['not of a sidecar', [etcd, { name: 'log', ...mounting('data', '/logs') }], false],
    [
      'of any container, if none declares the port',
      [{ name: 'etcd' }, { name: 'other', ...mounting('data', '/data') }],
      true,
    ],
  ])('%s', (_, containers, expected) => {
    expect(facts({ spec: { nodeName: 'a', volumes, containers } }).onEmptyDir).toBe(expected);
  });
});
