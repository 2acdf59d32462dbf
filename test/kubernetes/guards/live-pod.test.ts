import { describe, expect, test } from 'vitest';
import type { PodFacts } from '../../../src/decision/situation.ts';
import type { KubernetesObject } from '../../../src/kubernetes/api/api.ts';
import { decodeGuard, type GuardSpec } from '../../../src/kubernetes/guards/guard-resource.ts';
import {
  containersAreDown,
  isCordoned,
  isReady,
  livePod,
  memberPort,
  podFacts,
  withoutReusedIps,
  type LivePod,
} from '../../../src/kubernetes/guards/live-pod.ts';
import { FakeKubernetes } from '../../fakes/fake-kubernetes.ts';
import {
  guardObject,
  nodeObject,
  podObject,
  type PodOptions,
} from '../../fakes/kubernetes-objects.ts';

function pod(options: PodOptions = {}, name = 'etcd-1'): LivePod {
  const found = livePod(new FakeKubernetes(podObject(name, options)).at('Pod', name));
  if (found === null) throw new Error('a pod has a name');
  return found;
}

function specWith(members: Readonly<Record<string, unknown>> = {}): GuardSpec {
  const { guard } = decodeGuard(
    new FakeKubernetes(guardObject({ spec: { members } })).at('EtcdGuard', 'etcd'),
  );
  if (guard === undefined) throw new Error('the guard is not valid');
  return guard.spec;
}

function facts(options: PodOptions, members: Readonly<Record<string, unknown>> = {}): PodFacts {
  return podFacts(pod(options), specWith(members));
}

describe('where a member is asked', () => {
  test('at its pod’s IP', () => {
    expect(facts({})).toEqual({
      name: 'etcd-1',
      address: '10.0.0.1:2379',
      hosts: ['10.0.0.1', 'etcd-1'],
      terminating: false,
      cordoned: false,
    });
  });

  test('IPv6 in brackets; the other family counts as a host too', () => {
    const status = { podIP: 'fd00::1', podIPs: [{ ip: 'fd00::1' }, { ip: '10.0.0.1' }] };
    const { address, hosts } = facts({ status });
    expect([address, hosts]).toEqual(['[fd00::1]:2379', ['fd00::1', '10.0.0.1', 'etcd-1']]);
  });

  test('nowhere while it has no IP', () => {
    expect(facts({ ip: null })).toMatchObject({ address: null, hosts: ['etcd-1'] });
    expect(facts({ ip: null, status: { podIP: '' } }).address).toBeNull();
  });

  test.each([
    ['Etcd-1.Example.org', 'etcd-1.example.org:2379', 'etcd-1.example.org'],
    ['127.0.0.1:12379', '127.0.0.1:12379', '127.0.0.1'],
    ['[FD00::2]:1', '[fd00::2]:1', 'fd00::2'],
  ])('at %s where the guard says so', (given, address, host) => {
    const found = facts({}, { addresses: { 'etcd-1': given } });
    expect([found.address, found.hosts]).toEqual([address, ['10.0.0.1', host, 'etcd-1']]);
  });

  test('not even there before it runs: its predecessor may still answer', () => {
    const members = { addresses: { 'etcd-1': 'etcd-1.example.org' } };
    expect(facts({ ip: null }, members)).toMatchObject({ address: null, hosts: ['etcd-1'] });
    const running = { ip: null, status: { phase: 'Running' } };
    expect(facts(running, members).address).toBe('etcd-1.example.org:2379');
  });

  test('a pod whose name every object knows has no address in an empty list', () => {
    const { address } = podFacts(pod({}, 'constructor'), specWith({ addresses: {} }));
    expect(address).toBe('10.0.0.99:2379');
  });

  test('not at an IP that is another’s since the pod has ended', () => {
    const ended = pod({ ip: '10.0.0.1', status: { phase: 'Failed' } }, 'etcd-0');
    const pods = withoutReusedIps([ended, pod()]);
    expect(pods.map(({ podIps }) => podIps)).toEqual([[], ['10.0.0.1']]);
    expect(withoutReusedIps([ended])).toEqual([ended]);
  });

  test('a terminating pod', () => {
    expect(facts({ terminating: true })).toMatchObject({ terminating: true });
  });
});

function portOf(container: Readonly<Record<string, unknown>>): number {
  return memberPort(specWith(), pod({ spec: { containers: [{ name: 'etcd', ...container }] } }));
}

describe('the port', () => {
  test('the guard’s comes first', () => {
    const args = ['--listen-client-urls=http://0.0.0.0:1111'];
    const found = pod({ spec: { containers: [{ name: 'etcd', args }] } });
    expect(memberPort(specWith({ port: 4444 }), found)).toBe(4444);
  });

  test.each([
    [['--listen-client-urls=http://0.0.0.0:1111'], 1111],
    [['-listen-client-urls', 'https://[::]:1111/'], 1111],
    [['--listen-client-urls=https://127.0.0.1:1,https://10.0.0.1:1111'], 1111],
    [['--listen-client-urls=http://localhost:1,http://[::1]:2,http://$(POD_IP):1111'], 1111],
    [['--listen-client-urls=http://127.0.0.1:1111'], 1111],
    [['exec etcd --name x \\\n  --listen-client-urls "http://${IP}:1111" --foo http://a:2'], 1111],
    [['--listen-client-http-urls=http://0.0.0.0:1111'], 2379],
    [['--listen-client-urls=unix://socket'], 2379],
    [['--listen-client-urls=http://0.0.0.0:99999'], 2379],
    [['--listen-client-urls'], 2379],
    [[1111], 2379],
  ])('of %j is %i', (args, port) => {
    expect(portOf({ args })).toBe(port);
    expect(portOf({ command: ['etcd', ...args] })).toBe(port);
  });

  test('the environment’s, unless a flag outdoes it', () => {
    const env = [{ name: 'ETCD_LISTEN_CLIENT_URLS', value: 'http://0.0.0.0:2222' }];
    expect(portOf({ env })).toBe(2222);
    expect(portOf({ env, args: ['--listen-client-urls=http://0.0.0.0:1111'] })).toBe(1111);
    const from = [{ name: 'ETCD_LISTEN_CLIENT_URLS', valueFrom: { configMapKeyRef: {} } }];
    expect(portOf({ env: from })).toBe(2379);
  });

  test('of a container port named client, of any container', () => {
    expect(portOf({ ports: [{ name: 'peer', containerPort: 1 }] })).toBe(2379);
    const ports = [{ name: 'client', containerPort: 3333 }];
    const containers = [{ name: 'proxy' }, { name: 'etcd', ports }];
    expect(memberPort(specWith(), pod({ spec: { containers } }))).toBe(3333);
  });
});

describe('containers are down', () => {
  const waiting = { waiting: { reason: 'CrashLoopBackOff' } };
  const terminated = { terminated: { exitCode: 1 } };
  const running = { running: {} };
  const two = [{ name: 'etcd', ports: [{ containerPort: 2379 }] }, { name: 'backup' }];
  const down = (
    states: Readonly<Record<string, unknown>>,
    containers: readonly unknown[] = two,
  ) => {
    const containerStatuses = Object.entries(states).map(([name, state]) => ({ name, state }));
    return containersAreDown(pod({ spec: { containers }, status: { containerStatuses } }), 2379);
  };

  test('if the one that declares the port is', () => {
    expect(down({ etcd: waiting, backup: running })).toBe(true);
    expect(down({ etcd: terminated, backup: running })).toBe(true);
    expect(down({ etcd: running, backup: waiting })).toBe(false);
  });

  test('else only if all are', () => {
    const plain = [{ name: 'etcd' }, { name: 'backup' }];
    expect(down({ etcd: waiting, backup: running }, plain)).toBe(false);
    expect(down({ etcd: waiting, backup: terminated }, plain)).toBe(true);
  });

  test('not if the kubelet has not said so', () => {
    expect(down({ backup: waiting })).toBe(false);
    expect(down({ etcd: {} })).toBe(false);
    expect(down({}, [])).toBe(false);
  });
});

function node(options: Parameters<typeof nodeObject>[1]): KubernetesObject {
  return new FakeKubernetes(nodeObject('n', options)).at('Node', 'n');
}

test('nodes', () => {
  expect([isReady(node({})), isCordoned(node({}))]).toEqual([true, false]);
  expect([isReady(node({ ready: false })), isCordoned(node({ cordoned: true }))]).toEqual([
    false,
    true,
  ]);
});
