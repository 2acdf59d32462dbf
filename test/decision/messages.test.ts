import { describe, expect, test } from 'vitest';
import { decide } from '../../src/decision/decide.ts';
import { memberId, type MemberId } from '../../src/decision/member-id.ts';
import type { Answer, ListedMember, Situation } from '../../src/decision/situation.ts';
import type { Verdict } from '../../src/decision/verdict.ts';

const IDS: readonly MemberId[] = ['8211f1d0f64f3269', '91bc3c398fb3c146', '2943212f5e2cf73'].map(
  memberId,
);
const LEADER = memberId('2943212f5e2cf73');

const MEMBERS: readonly ListedMember[] = IDS.map((id, i) => ({
  id,
  name: `etcd-${i}`,
  learner: false,
  clientAddresses: [`etcd-${i}.etcd.default.svc:2379`],
  hosts: [`etcd-${i}.etcd.default.svc`],
}));

function healthy(id: MemberId): Answer {
  return {
    kind: 'status',
    id,
    clusterId: 'ef37ad9dc622a7c4',
    list: MEMBERS,
    leader: LEADER,
    term: 7n,
    raftIndex: 4711n,
    appliedIndex: 4711n,
    corrupt: [],
    noSpace: [],
  };
}

/** The cluster of the README: three members, etcd-2 leads, all is well and proven. */
function situation(target: string, changes: Partial<Situation> = {}): Situation {
  const answers = IDS.map((id, i): [string, Answer] => [`etcd-${i}`, healthy(id)]);
  return {
    nowMs: 0,
    request: {
      operation: 'delete',
      dryRun: false,
      caller: { user: 'jane', groups: [] },
      preconditionUid: null,
    },
    target: {
      namespace: 'default',
      name: target,
      uid: 'a',
      terminating: false,
      mirror: false,
      unscheduled: false,
      finished: false,
      breakGlass: null,
      containersDown: false,
      onEmptyDir: false,
      looksLikeEtcd: true,
    },
    guards: [
      {
        namespace: 'default',
        name: 'etcd',
        policy: {
          leader: 'Deny',
          handOff: ['Evictions', 'Controllers'],
          quorum: 'Enforce',
          unknown: 'Deny',
          maxRaftLag: 1000,
        },
      },
    ],
    pods: IDS.map((_, i) => ({
      name: `etcd-${i}`,
      address: `10.244.0.${i + 4}:2379`,
      hosts: [`10.244.0.${i + 4}`, `etcd-${i}`],
      terminating: false,
      cordoned: false,
    })),
    reservations: [],
    answers: new Map(answers),
    proof: new Map(
      IDS.map((id, i) => [
        `etcd-${i}`,
        {
          served: true,
          after: { id, clusterId: 'ef37ad9dc622a7c4', leader: LEADER },
          cause: null,
        },
      ]),
    ),
    handOff: { kind: 'none' },
    obstacle: null,
    ...changes,
  };
}

function verdictOf(input: Situation): Verdict {
  const decision = decide(input);
  if (decision.kind !== 'allow' && decision.kind !== 'deny') {
    throw new Error(`no verdict but ${decision.kind}`);
  }
  return decision;
}

function without(...silent: readonly [string, Answer][]): Partial<Situation> {
  return { answers: new Map([...(situation('etcd-0').answers ?? []), ...silent]) };
}

describe('the sentences for the main cases', () => {
  test('the leader', () => {
    expect(verdictOf(situation('etcd-2')).message).toBe(
      'etcd-2 leads etcd cluster default/etcd (member 2943212f5e2cf73, term 7; 3/3 voters healthy, quorum 2). Move leadership first: etcdctl move-leader 8211f1d0f64f3269 --endpoints=10.244.0.6:2379, or delete a follower: etcd-0, etcd-1.',
    );
  });

  test('a follower', () => {
    expect(verdictOf(situation('etcd-0'))).toEqual({
      kind: 'allow',
      reason: 'Spared',
      member: '8211f1d0f64f3269',
      message:
        'etcd-0 follows in etcd cluster default/etcd, and 2 healthy voters would be left without it (member 8211f1d0f64f3269, term 7; 3/3 voters healthy, quorum 2).',
      warnings: [
        'etcd cluster default/etcd can lose no further member after etcd-0: 2 healthy voters would be left, which is its quorum.',
      ],
      reserve: 'required',
    });
  });

  test('the last spare member', () => {
    const silent = without(['etcd-1', { kind: 'silent', cause: 'connection refused' }]);
    expect(verdictOf(situation('etcd-0', silent)).message).toBe(
      'etcd-0 is needed by etcd cluster default/etcd (member 8211f1d0f64f3269, term 7; 2/3 voters healthy, quorum 2): without it 1 healthy voter would be left. Not healthy: etcd-1 (10.244.0.5:2379: connection refused). Wait until etcd-1 is healthy, then try again (etcd-guard check etcd-1 -n default says whether its pod may be deleted instead).',
    );
  });

  test('the last spare member while the pod of another is gone', () => {
    const { pods } = situation('etcd-0');
    const gone = { pods: pods.filter(({ name }) => name !== 'etcd-1') };
    const silent = new Map(situation('etcd-0').answers ?? []);
    silent.delete('etcd-1');
    expect(verdictOf(situation('etcd-0', { ...gone, answers: silent })).message).toBe(
      "etcd-0 is needed by etcd cluster default/etcd (member 8211f1d0f64f3269, term 7; 2/3 voters healthy, quorum 2): without it 1 healthy voter would be left. etcd-1 has no pod that EtcdGuard default/etcd selects: wait until its pod is back, or check the guard's selector and the pods' labels. Only a member that is gone for good has to be removed from etcd: etcd-guard explain QuorumAtRisk.",
    );
  });

  test('the last spare member while nobody guards the pod of the leader', () => {
    const { pods } = situation('etcd-0');
    const unlabelled = { pods: pods.filter(({ name }) => name !== 'etcd-2') };
    const answers = new Map(situation('etcd-0').answers ?? []);
    answers.delete('etcd-2');
    expect(verdictOf(situation('etcd-0', { ...unlabelled, answers })).message).toBe(
      "etcd-0 is needed by etcd cluster default/etcd (member 8211f1d0f64f3269, term 7; 2/3 voters healthy, quorum 2): without it 1 healthy voter would be left. The leader etcd-2 runs in no pod that EtcdGuard default/etcd selects: check its selector and the pods' labels.",
    );
  });

  test('nobody listens where the members should be', () => {
    const silent: Answer = { kind: 'silent', cause: 'connection refused' };
    const answers = new Map(IDS.map((_, i) => [`etcd-${i}`, silent]));
    expect(verdictOf(situation('etcd-0', { answers })).message).toBe(
      'Can\'t tell whether etcd cluster default/etcd can spare etcd-0: no quorum of voters gives one member list (etcd-0 at 10.244.0.4:2379: connection refused, etcd-1 at 10.244.0.5:2379: connection refused, etcd-2 at 10.244.0.6:2379: connection refused). Try again once they answer; if etcd runs, look at port and addresses in spec.members of EtcdGuard default/etcd. To let it go all the same: kubectl annotate pod etcd-0 -n default etcd-guard.io/break-glass="REASON"',
    );
  });

  test('a silent leader, which no etcdctl can be sent to', () => {
    const silent = without(['etcd-2', { kind: 'silent', cause: 'deadline of 3000 ms' }]);
    expect(verdictOf(situation('etcd-2', silent)).message).toBe(
      'etcd-2 leads etcd cluster default/etcd (member 2943212f5e2cf73, term 7; 2/3 voters healthy, quorum 2). It does not answer etcd-guard (deadline of 3000 ms), but others still name it: if it is down, they elect another within seconds; try again then.',
    );
  });
});

describe('break-glass that is not in force', () => {
  const NOON = Date.parse('2026-01-15T12:00:00Z');

  function refusal(breakGlass: Situation['target']['breakGlass']): string {
    const { target } = situation('etcd-2');
    const changes = { nowMs: NOON, target: { ...target, breakGlass } };
    return verdictOf(situation('etcd-2', changes)).message;
  }

  test('is told of after the refusal, with the command that puts it in force', () => {
    expect(refusal({ reason: 'disk is gone', until: '2026-01-15T11:48:00Z' })).toBe(
      'etcd-2 leads etcd cluster default/etcd (member 2943212f5e2cf73, term 7; 3/3 voters healthy, quorum 2). Move leadership first: etcdctl move-leader 8211f1d0f64f3269 --endpoints=10.244.0.6:2379, or delete a follower: etcd-0, etcd-1. Its break-glass is not in force: it ended at 2026-01-15T11:48:00Z (12 min ago). To let it go all the same: kubectl annotate --overwrite pod etcd-2 -n default etcd-guard.io/break-glass="REASON" etcd-guard.io/break-glass-until-',
    );
  });

  test.each([
    ['2026-01-15T12:00:00Z', '0 s ago'],
    ['2026-01-15T11:58:01Z', '119 s ago'],
    ['2026-01-15T11:58:00Z', '2 min ago'],
    ['2026-01-15T10:00:01Z', '119 min ago'],
    ['2026-01-15T10:00:00Z', '2 h ago'],
    ['2026-01-13T12:00:01Z', '47 h ago'],
    ['2026-01-13T12:00:00Z', '2 days ago'],
  ])('that ended at %s ended %s', (until, ago) => {
    expect(refusal({ reason: 'disk is gone', until })).toContain(`ended at ${until} (${ago}).`);
  });

  test('does not repeat all of an annotation', () => {
    const message = refusal({ reason: 'disk is gone', until: 'soon '.repeat(50_000) });
    expect(message).toContain(` is "${'soon '.repeat(12)}soon…", not an RFC 3339 time`);
    expect(message.length).toBeLessThan(800);
  });
});

describe('texts from outside', () => {
  const NASTY = 'one\ntwo\r\n\u001B[31mred\u0007\u2028three\u202Efour\u0085 five';

  test('do not break the line, nor reach a terminal as control codes', () => {
    const silent = without(['etcd-1', { kind: 'silent', cause: NASTY }]);
    const { message } = verdictOf(situation('etcd-0', silent));
    expect(message).toContain('etcd-1 (10.244.0.5:2379: one two [31mred three four five)');
    expect(message).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  });

  test.each([
    ['why a proof fails', { proof: new Map([['etcd-1', unserved()]]) }],
    ['why a hand-off failed', { handOff: { kind: 'failed' as const, cause: NASTY } }],
    [
      'why no reservation can be made',
      { obstacle: { kind: 'LedgerUnavailable' as const, cause: NASTY } },
    ],
    [
      'the reason of a break-glass',
      { target: { ...situation('etcd-2').target, breakGlass: { reason: NASTY, until: null } } },
    ],
    ['a uid', { request: { ...situation('etcd-2').request, preconditionUid: NASTY } }],
  ])('%s', (_, changes) => {
    for (const target of ['etcd-0', 'etcd-2']) {
      const facts = { ...situation(target, changes) };
      const { message, warnings } = verdictOf({
        ...facts,
        target: { ...facts.target, name: target },
      });
      expect([message, ...warnings].join(' ')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    }
  });

  function unserved() {
    return { served: false, after: null, cause: NASTY };
  }
});
