import { expect, test } from 'vitest';
import { deadlineFor } from '../../src/admission/deadline.ts';
import { hear } from '../../src/admission/hearing.ts';
import { connectEtcd } from '../../src/etcd/connect.ts';
import { parseGuards } from '../../src/guards/document.ts';
import { FileSource } from '../../src/guards/file-source.ts';
import { Observations } from '../etcd/asking.ts';
import { deletion } from '../fakes/requests.ts';
import { until } from '../harness/until.ts';
import { cases, FuzzError, must, Random, report, seedOf, Tally } from './random.ts';
import { RogueMember } from './rogue-member.ts';

const CASES = cases(480);
const AT_ONCE = 12;
/** A third of it is what a member gets. */
const TIMEOUT_MS = 900;
/** For a machine that has other things to do as well. */
const LATE_MS = 5_000;

const nowMs = (): number => performance.now();

interface Place {
  readonly rogues: readonly RogueMember[];
  readonly source: FileSource;
}

async function placeOf(): Promise<Place> {
  const rogues = await Promise.all([0, 1, 2].map(() => RogueMember.start()));
  const addresses = Object.fromEntries(rogues.map(({ address }, nth) => [`etcd-${nth}`, address]));
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
  const settings = { tls: null, auth: { username: 'root', password: 'secret' } };
  const source = new FileSource([{ document, settings, settingsKey: '' }], {
    connect: (given) => connectEtcd(given, new Observations()),
    monotonicMs: nowMs,
    activeMs: () => 0,
    viewed: () => undefined,
  });
  return { rogues, source };
}

/** etcd-0 leads; how many of the three tell the truth is drawn. */
async function play({ rogues, source }: Place, seed: number): Promise<string> {
  const random = new Random(seed);
  const truthful = random.pick([0, 1, 1, 2, 2, 3]);
  const members = rogues.map(({ address }, nth) => ({
    id: BigInt(nth + 1),
    name: `etcd-${nth}`,
    address,
  }));
  rogues.forEach((rogue, nth) => {
    const knowledge = { id: BigInt(nth + 1), leader: 1n, members, since36: random.oneIn(2) };
    rogue.play(knowledge, random, nth < truthful ? 1 : random.pick([2, 4, 1_000]));
  });
  const target = random.below(3);
  const begunMs = nowMs();
  const { verdict } = await hear(
    deletion(`etcd-${target}`),
    { guards: source, nowMs },
    deadlineFor(TIMEOUT_MS, begunMs, nowMs),
  );
  must(nowMs() - begunMs < TIMEOUT_MS + LATE_MS, `answered after ${nowMs() - begunMs} ms`);
  must(/^[^\p{Cc}]+$/u.test(verdict.message), `a message with control characters`);
  if (verdict.kind === 'allow') {
    must(target !== 0, 'the leader would go');
    // Liars that happen to tell the truth, two of three and to every question, are right as well.
    const believed = rogues.filter((rogue) => rogue.toldTheTruth).length;
    must(truthful >= 1 || believed >= 2, 'let go on the word of nobody who is to be believed');
  }
  // They are the members that they seem to be: nothing forbids the first deletion but the faults.
  if (truthful === 3 && target !== 0) {
    return verdict.kind === 'allow'
      ? 'allowed, all truthful'
      : `refused ${verdict.reason}, all truthful`;
  }
  return verdict.kind === 'allow' ? `allowed ${verdict.reason}` : `refused ${verdict.reason}`;
}

async function playAll(place: Place, indexes: readonly number[], tally: Tally): Promise<void> {
  for (const index of indexes) {
    // Reservations of one case are not the next one's.
    for (const { ledger } of place.source.guards) ledger.observe(Infinity, () => 'silent');
    try {
      tally.add(await play(place, seedOf(index)));
    } catch (error) {
      throw new FuzzError(index, `seed ${seedOf(index)}`, error);
    }
  }
}

test(`${CASES} rounds with rogue members end in time, let no leader go, and leave nothing open`, async () => {
  const tally = new Tally();
  const places = await Promise.all(Array.from({ length: AT_ONCE }, placeOf));
  const indexes = Array.from({ length: CASES }, (_, index) => index);
  await Promise.all(
    places.map((place, nth) =>
      playAll(
        place,
        indexes.filter((index) => index % AT_ONCE === nth),
        tally,
      ),
    ),
  );
  for (const { source } of places) source.close();
  const open = (): number =>
    places
      .flatMap(({ rogues }) => rogues.map(({ connections }) => connections))
      .reduce((a, b) => a + b);
  await until('every connection closed', () => open() === 0, { timeoutMs: 20_000 });
  await Promise.all(places.flatMap(({ rogues }) => rogues.map((rogue) => rogue.close())));
  report('rogue members', tally.counts);
  expect(tally.counts['allowed, all truthful']).toBeGreaterThan(CASES / 60);
}, 240_000);

test.each([false, true])(
  'a Status is read whatever fields later versions add (3.6: %j)',
  async (since36) => {
    const random = new Random(1);
    const member = await RogueMember.start();
    const members = [{ id: 1n, name: 'etcd-0', address: member.address }];
    member.play({ id: 1n, leader: 1n, members, since36 }, random, 1);
    const etcd = connectEtcd({ tls: null, auth: null }, new Observations());
    const endpoint = { pod: 'etcd-0', address: member.address };
    expect(Object.fromEntries(await etcd.ask([endpoint], 10_000))).toEqual({
      'etcd-0': {
        kind: 'status',
        id: '1',
        clusterId: '63',
        leader: '1',
        term: 2n,
        raftIndex: 5_000n,
        appliedIndex: 5_000n,
        corrupt: [],
        noSpace: [],
        list: [
          {
            id: '1',
            name: 'etcd-0',
            learner: false,
            clientAddresses: [member.address],
            hosts: ['etcd-0.etcd', '127.0.0.1'],
          },
        ],
      },
    });
    etcd.close();
    await member.close();
  },
);
