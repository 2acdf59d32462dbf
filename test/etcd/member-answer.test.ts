import type { IMember, IStatusResponse } from 'etcd3';
import { describe, expect, it } from 'vitest';

import { AnswerReader } from '../../src/etcd/member-answer.ts';

const STATUS: IStatusResponse = {
  header: {
    member_id: '628170',
    cluster_id: '18446744073709551615',
    revision: '1',
    raft_term: '3',
  },
  version: '3.5.9',
  dbSize: '1',
  leader: '17',
  raftIndex: '9007199254740993',
  raftTerm: '4',
  raftAppliedIndex: '9007199254740992',
  errors: [],
  dbSizeInUse: '1',
  isLearner: false,
};

function member(changes: Partial<IMember> = {}): IMember {
  return {
    ID: '17',
    name: 'etcd-0',
    peerURLs: ['http://etcd-0.etcd:2380'],
    clientURLs: ['http://10.0.0.1:2379'],
    isLearner: false,
    ...changes,
  };
}

describe('AnswerReader.status', () => {
  it('keeps 64 bits', () => {
    expect(new AnswerReader().status(STATUS)).toEqual({
      kind: 'status',
      id: '995ca',
      clusterId: 'ffffffffffffffff',
      list: null,
      leader: '11',
      term: 4n,
      raftIndex: 9_007_199_254_740_993n,
      appliedIndex: 9_007_199_254_740_992n,
      corrupt: [],
      noSpace: [],
    });
  });

  it('has no leader where etcd names 0', () => {
    const status = { ...STATUS, leader: '0', errors: ['etcdserver: no leader'] };
    expect(new AnswerReader().status(status)?.leader).toBeNull();
  });

  it('reads alarms in the spellings that etcd had', () => {
    const errors = [
      'memberID:17 alarm:NOSPACE ',
      'memberID:255  alarm:CORRUPT',
      'memberID:1 alarm:NEW',
      'etcdserver: no leader',
    ];
    expect(new AnswerReader().status({ ...STATUS, errors })).toMatchObject({
      noSpace: ['11'],
      corrupt: ['ff'],
    });
  });

  it.each([
    ['3.3.27', 9_007_199_254_740_993n],
    ['3.4.0', 0n],
    ['3.10.0', 0n],
    ['4.0.0', 0n],
  ])('an applied index of 0 from %s is %s', (version, appliedIndex) => {
    const status = { ...STATUS, version, raftAppliedIndex: '0' };
    expect(new AnswerReader().status(status)?.appliedIndex).toBe(appliedIndex);
  });

  it.each([
    ['names no member', { ...STATUS.header, member_id: '0' }],
    ['has no header at all', null],
  ])('does not take what %s for a member', (_what, header) => {
    const status: IStatusResponse = JSON.parse(JSON.stringify({ ...STATUS, header }));
    expect(new AnswerReader().status(status)).toBeNull();
    expect(new AnswerReader().identity(status)).toBeNull();
  });

  it('passes over an alarm of what can be no member', () => {
    const errors = ['20', '40', '0'].map(
      (digits) => `memberID:${'9'.repeat(Number(digits))} alarm:CORRUPT`,
    );
    const read = new AnswerReader().status({
      ...STATUS,
      errors: [...errors, 'memberID:17 alarm:CORRUPT'],
    });
    expect(read?.corrupt).toEqual(['11']);
  });
});

describe('AnswerReader.list', () => {
  it('takes hosts and addresses from the URLs', () => {
    const urls = {
      peerURLs: ['https://ETCD-0.etcd.default.svc:2380', 'http://[FE80::1]:2380', 'nonsense'],
      clientURLs: ['https://10.0.0.1', 'http://[fe80::1]:2379', 'http://h', 'unix://sock:1', ''],
    };
    expect(new AnswerReader().list([member({ ...urls, isLearner: true })])).toEqual([
      {
        id: '11',
        name: 'etcd-0',
        learner: true,
        clientAddresses: ['10.0.0.1:443', '[fe80::1]:2379', 'h:80'],
        hosts: ['etcd-0.etcd.default.svc', 'fe80::1', '10.0.0.1', 'h'],
      },
    ]);
  });

  it('is the same object for the same content', () => {
    const reader = new AnswerReader();
    expect(reader.list([member()])).toBe(reader.list([member()]));
  });

  it.each([
    { ID: '18' },
    { name: 'etcd-1' },
    { isLearner: true },
    { peerURLs: ['http://other:2380'] },
    { clientURLs: ['http://10.0.0.1:2379', 'http://10.0.0.2:2379'] },
  ])('is another list with %j', (change) => {
    const reader = new AnswerReader();
    const before = reader.list([member()]);
    expect(reader.list([member(change)])).toEqual(new AnswerReader().list([member(change)]));
    expect(reader.list([member(change)])).not.toEqual(before);
    expect(reader.list([member(), member({ ID: '19' })])).toHaveLength(2);
    expect(reader.list([])).toEqual([]);
  });

  it.each([
    ['has a member without an id', [member(), member({ ID: '0' })]],
    ['has one member twice', [member(), member({ ID: '18' }), member({ name: 'etcd-1' })]],
    [
      'is longer than any',
      Array.from({ length: 101 }, (_, nth) => member({ ID: String(nth + 1) })),
    ],
  ])('gives no list that %s', (_what, list) => {
    expect(new AnswerReader().list(list)).toBeNull();
  });
});
