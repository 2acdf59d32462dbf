import { expect, test } from 'vitest';
import { viewOf } from '../../src/decision/cluster-view.ts';
import { memberId } from '../../src/decision/member-id.ts';
import type { Answer } from '../../src/decision/situation.ts';
import { whyNoList } from '../../src/decision/wording.ts';
import { clusterStatus } from '../../src/guards/guard-status.ts';

/** A cluster of one, with one id for the member and the cluster. */
function alone(id: string): Answer {
  const member = memberId(id);
  return {
    kind: 'status',
    id: member,
    clusterId: id,
    leader: member,
    term: 2n,
    raftIndex: 10n,
    appliedIndex: 10n,
    corrupt: [],
    noSpace: [],
    list: [{ id: member, name: id, learner: false, clientAddresses: [], hosts: [] }],
  };
}

function reachableOf(answers: Readonly<Record<string, Answer>>) {
  const pods = Object.keys(answers).map((name) => ({
    name,
    address: null,
    hosts: [],
    terminating: false,
    cordoned: false,
  }));
  const answered = { pods, answers: new Map(Object.entries(answers)) };
  const view = viewOf({ ...answered, proof: null, reservations: [], maxRaftLag: 1_000 });
  return clusterStatus(view, '2030-01-31T12:00:00Z', answered).conditions[0];
}

test('Reachable is True with one member list, and its message tells of nobody else', () => {
  expect(reachableOf({ 'etcd-0': alone('a1') })).toMatchObject({
    type: 'Reachable',
    status: 'True',
    reason: 'QuorumAnswers',
    message: 'a quorum of voters gives one member list',
  });
});

test('Reachable says why there is no member list in the words that refusals have', () => {
  expect(reachableOf({ 'etcd-0': alone('a1'), 'etcd-1': alone('a2') })).toMatchObject({
    status: 'False',
    reason: 'SeveralMemberLists',
    message: whyNoList('several'),
  });
  const silent: Answer = { kind: 'silent', cause: 'connection refused' };
  expect(reachableOf({ 'etcd-0': silent })).toMatchObject({
    status: 'False',
    reason: 'NoAgreedMemberList',
    message: `${whyNoList('none')}; etcd-0: connection refused`,
  });
});
