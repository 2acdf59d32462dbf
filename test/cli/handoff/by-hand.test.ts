import { expect, it } from 'vitest';
import { byHand, recordedWay } from '../../../src/cli/handoff/by-hand.ts';
import type { RecordedMember } from '../../../src/cli/clusters/clusters.ts';
import { FakeEtcd } from '../../fakes/etcd.ts';
import { loadedGuard, sourceOf } from '../../fakes/guards.ts';

function found(recorded: readonly RecordedMember[]) {
  const [guard] = sourceOf(new FakeEtcd(['etcd-0']), loadedGuard({ pods: ['etcd-0'] })).guards;
  if (guard === undefined) throw new Error('there is one');
  return { cluster: guard.clusterFor(null), recorded };
}

const LEADER = { pod: 'etcd-0', id: 'a1', role: 'Leader', health: 'Healthy' };
const FOLLOWER = { pod: 'etcd-1', id: 'a2', role: 'Follower', health: 'Healthy' };
const SILENT = { pod: 'etcd-0', id: 'a1', health: 'Unknown' };

it('says what to run in the pod of the leader that the guard has recorded', () => {
  const one = found([LEADER, FOLLOWER]);
  const command = 'kubectl exec -n default etcd-0 -- etcdctl move-leader a2, which is etcd-1.';
  expect(byHand(one)).toMatch(/^Run this where its members can be reached, or in the pod of /);
  expect(byHand(one)).toContain(command);
  expect(recordedWay(one)).toContain(command);
});

it('says that the members have to come back where the guard reaches none either', () => {
  expect(byHand(found([SILENT]))).toBe(
    'Nor does the guard know of a healthy one: bring its members back first (kubectl get pods -n default, and their logs).',
  );
  expect(recordedWay(found([SILENT]))).toBe('');
});

it('asks whether they run where nobody has written anything down', () => {
  expect(byHand(found([]))).toMatch(/^Are its members running \(kubectl get pods -n default\)\?/);
});
