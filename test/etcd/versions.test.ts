import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { deadlineFor } from '../../src/admission/deadline.ts';
import { hear } from '../../src/admission/hearing.ts';
import { connectEtcd } from '../../src/etcd/connect.ts';
import { parseGuards } from '../../src/guards/document.ts';
import { FileSource } from '../../src/guards/file-source.ts';
import { deletion } from '../fakes/requests.ts';
import { bytes, number, RogueMember } from '../fuzz/rogue-member.ts';
import { Observations, statusOf } from './asking.ts';

const CLUSTER = 99n;
const INDEX = 5_000n;
const nowMs = (): number => performance.now();

/** What a version to come may add anywhere: a field of each wire type. */
const UNKNOWN = Buffer.concat([
  number(90, 7n),
  Buffer.from([0xd9, 0x05, 1, 2, 3, 4, 5, 6, 7, 8]), // 91, eight bytes
  bytes(92, bytes(1, 'a message')),
  Buffer.from([0xed, 0x05, 1, 2, 3, 4]), // 93, four bytes
]);

interface Release {
  readonly version: string;
  /** What its StatusResponse has beside what 3.4 has: field numbers of etcd's rpc.proto. */
  readonly added?: readonly Buffer[];
  /** In each message. */
  readonly unknown?: Buffer;
}

const downgradeInfo = bytes(13, Buffer.concat([number(1, 1n), bytes(2, '3.5.0')]));
const RELEASES: Readonly<Record<string, Release>> = {
  '3.4': { version: '3.4.23' },
  '3.5': { version: '3.5.16' },
  '3.6': { version: '3.6.16', added: [bytes(11, '3.6.0'), number(12, 2_147_483_648n)] },
  // storageVersion follows with a delay.
  '3.6, just upgraded': { version: '3.6.16', added: [number(12, 2_147_483_648n)] },
  '3.6, to be downgraded': {
    version: '3.6.16',
    added: [bytes(11, '3.5.0'), number(12, 2_147_483_648n), downgradeInfo],
  },
  'to come': { version: '4.0.0', added: [downgradeInfo], unknown: UNKNOWN },
};

/** What a member knows. Zero, empty and false are left out of messages, as protobuf has it. */
interface Told {
  readonly id: bigint;
  readonly leader: bigint;
  readonly applied?: bigint;
  readonly errors?: readonly string[];
  readonly members: readonly {
    readonly id: bigint;
    readonly address: string;
    readonly learner?: boolean;
  }[];
}

function header(id: bigint, { unknown = Buffer.alloc(0) }: Release): Buffer {
  const fields = [number(1, CLUSTER), number(2, id), number(3, 1n), number(4, 2n), unknown];
  return bytes(1, Buffer.concat(fields));
}

function statusOfRelease(told: Told, release: Release): Buffer {
  const { id, leader, applied = INDEX, errors = [], members } = told;
  const isLearner = members.some((member) => member.id === id && member.learner === true);
  return Buffer.concat([
    header(id, release),
    bytes(2, release.version),
    number(3, 20_480n),
    ...(leader === 0n ? [] : [number(4, leader)]),
    number(5, INDEX),
    number(6, 2n),
    ...(applied === 0n ? [] : [number(7, applied)]),
    ...errors.map((error) => bytes(8, error)),
    number(9, 16_384n),
    ...(isLearner ? [number(10, 1n)] : []),
    ...(release.added ?? []),
    release.unknown ?? Buffer.alloc(0),
  ]);
}

function listOfRelease({ id, members }: Told, release: Release): Buffer {
  const { unknown = Buffer.alloc(0) } = release;
  const listed = members.map((member) =>
    Buffer.concat([
      number(1, member.id),
      bytes(2, `etcd-${member.id}`),
      bytes(3, `http://etcd-${member.id}.etcd:2380`),
      bytes(4, `http://${member.address}`),
      ...(member.learner === true ? [number(5, 1n)] : []),
      unknown,
    ]),
  );
  return Buffer.concat([header(id, release), ...listed.map((one) => bytes(2, one)), unknown]);
}

function tell(member: RogueMember, told: Told, release: Release): void {
  member.tell((path) => {
    if (path.endsWith('/Status')) return statusOfRelease(told, release);
    if (path.endsWith('/MemberList')) return listOfRelease(told, release);
    return Buffer.concat([header(told.id, release), release.unknown ?? Buffer.alloc(0)]);
  });
}

describe.each(Object.entries(RELEASES))('a member of etcd %s, over the wire,', (_name, release) => {
  let member: RogueMember;
  let etcd: ReturnType<typeof connectEtcd>;

  beforeEach(async () => {
    member = await RogueMember.start();
    etcd = connectEtcd({ tls: null, auth: null }, new Observations());
  });

  afterEach(async () => {
    etcd.close();
    await member.close();
  });

  async function ask(told: Partial<Told> = {}) {
    const { address } = member;
    const members = [{ id: 1n, address }];
    tell(member, { id: 1n, leader: 1n, members, ...told }, release);
    return statusOf(await etcd.ask([{ pod: 'etcd-1', address }], 10_000), 'etcd-1');
  }

  it('is read whole', async () => {
    const { address } = member;
    expect(await ask()).toStrictEqual({
      kind: 'status',
      id: '1',
      clusterId: '63',
      leader: '1',
      term: 2n,
      raftIndex: INDEX,
      appliedIndex: INDEX,
      corrupt: [],
      noSpace: [],
      list: [
        {
          id: '1',
          name: 'etcd-1',
          learner: false,
          clientAddresses: [address],
          hosts: ['etcd-1.etcd', '127.0.0.1'],
        },
      ],
    });
  });

  it('names nobody while there is no leader', async () => {
    expect(await ask({ leader: 0n, errors: ['etcdserver: no leader'] })).toMatchObject({
      leader: null,
      corrupt: [],
      noSpace: [],
    });
  });

  it('tells of alarms', async () => {
    const errors = ['memberID:1 alarm:NOSPACE ', 'memberID:2 alarm:CORRUPT '];
    expect(await ask({ errors })).toMatchObject({ noSpace: ['1'], corrupt: ['2'] });
  });

  it('has applied nothing yet, as a learner that has just joined', async () => {
    const { address } = member;
    const members = [
      { id: 1n, address, learner: true },
      { id: 2n, address: '127.0.0.1:9' },
    ];
    expect(await ask({ leader: 2n, applied: 0n, members })).toMatchObject({
      leader: '2',
      appliedIndex: 0n,
      list: [{ learner: true }, { learner: false }],
    });
  });

  it('proves that it serves, and takes a hand-off', async () => {
    await ask();
    const endpoint = { pod: 'etcd-1', address: member.address };
    const proof = await etcd.prove([endpoint], 10_000);
    expect(proof.get('etcd-1')).toMatchObject({
      served: true,
      after: { id: '1', clusterId: '63', leader: '1' },
    });
    const { list } = statusOf(await etcd.ask([endpoint], 10_000), 'etcd-1');
    const [own] = list ?? [];
    if (own === undefined) throw new Error('no list');
    await expect(etcd.moveLeader(endpoint, own.id, 10_000)).resolves.toBeUndefined();
  });
});

describe('a cluster in the middle of its own upgrade', () => {
  const STEPS = [
    ['3.4', '3.4', '3.5'],
    ['3.4', '3.5', '3.5'],
    ['3.5', '3.6, just upgraded', '3.6'],
    ['3.6, to be downgraded', '3.5', '3.6, to be downgraded'],
    ['3.6', '3.6', 'to come'],
  ];

  it.each(STEPS)('of %s, %s and %s is judged as any other', async (...names) => {
    const rogues = await Promise.all(names.map(() => RogueMember.start()));
    const members = rogues.map(({ address }, nth) => ({ id: BigInt(nth + 1), address }));
    for (const [nth, rogue] of rogues.entries()) {
      const release = RELEASES[names[nth] ?? ''];
      if (release === undefined) throw new Error(`no release ${names[nth]}`);
      tell(rogue, { id: BigInt(nth + 1), leader: 1n, members }, release);
    }
    const addresses = Object.fromEntries(members.map(({ id, address }) => [`etcd-${id}`, address]));
    const parsed = parseGuards(
      'guards.json',
      JSON.stringify({
        apiVersion: 'etcd-guard.io/v1alpha1',
        kind: 'EtcdGuard',
        metadata: { name: 'etcd' },
        spec: { members: { addresses } },
      }),
    );
    const document = parsed.guards?.[0]?.guard;
    if (document === undefined) throw new Error(JSON.stringify(parsed.problems));
    const settings = { tls: null, auth: null };
    const source = new FileSource([{ document, settings, settingsKey: '' }], {
      connect: (given) => connectEtcd(given, new Observations()),
      monotonicMs: nowMs,
      activeMs: () => 0,
      viewed: () => undefined,
    });
    const judge = async (pod: string): Promise<string> => {
      const deadline = deadlineFor(10_000, nowMs(), nowMs);
      const { verdict } = await hear(deletion(pod), { guards: source, nowMs }, deadline);
      return `${verdict.kind} ${verdict.reason}`;
    };
    expect(await judge('etcd-1')).toBe('deny LeaderProtected');
    expect(await judge('etcd-2')).toBe('allow Spared');
    expect(await judge('etcd-3')).toBe('deny QuorumAtRisk');
    source.close();
    await Promise.all(rogues.map((rogue) => rogue.close()));
  });
});
