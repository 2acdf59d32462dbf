import { describe, expect, it } from 'vitest';
import type { GuardedCluster } from '../../../src/admission/guard-source.ts';
import { move, UnconfirmedError, type Moving } from '../../../src/cli/handoff/move.ts';
import { planFor, type Plan, type Wanted } from '../../../src/cli/handoff/plan.ts';
import type { Reservation } from '../../../src/decision/situation.ts';
import { EtcdRequestError } from '../../../src/etcd/port.ts';
import { FakeEtcd } from '../../fakes/etcd.ts';
import { loadedGuard, sourceOf } from '../../fakes/guards.ts';

const PODS = ['etcd-0', 'etcd-1', 'etcd-2'];
const ANYBODY: Wanted = { pod: null, to: null };

/** etcd-0 leads. */
function setUp(etcd = new FakeEtcd(PODS)) {
  const source = sourceOf(etcd, loadedGuard({ pods: etcd.members.map(({ pod }) => pod) }));
  const [guard] = source.guards;
  if (guard === undefined) throw new Error('there is one');
  const read = (pod = 'etcd-0'): GuardedCluster => guard.clusterFor(pod);
  const plan = async (wanted: Wanted = ANYBODY, cluster = read()): Promise<Plan> =>
    planFor(wanted, cluster, await etcd.ask(cluster.endpoints, 1_000));
  return { etcd, ledger: guard.ledger, read, plan };
}

function movingIn({ read, plan }: ReturnType<typeof setUp>, more: Partial<Moving> = {}): Moving {
  return {
    read: async () => read(),
    async plan(cluster) {
      const made = await plan(ANYBODY, cluster);
      if (made.kind !== 'move') throw new Error(made.kind);
      return made;
    },
    by: 'test',
    timeoutMs: 500,
    stop: new AbortController().signal,
    ...more,
  };
}

describe('the plan', () => {
  it('is to move leadership to whom the guard would choose', async () => {
    const world = setUp();
    expect(await world.plan()).toMatchObject({
      kind: 'move',
      from: { pod: 'etcd-0' },
      to: { pod: 'etcd-1' },
    });
    const first = world.etcd.members[1];
    if (first !== undefined) first.lagEntries = 5;
    expect(await world.plan()).toMatchObject({ to: { pod: 'etcd-2' } });
    expect(await world.plan({ pod: 'etcd-0', to: 'etcd-1' })).toMatchObject({
      to: { pod: 'etcd-1' },
    });
  });

  it('is nothing where another pod leads', async () => {
    const { plan } = setUp();
    expect(await plan({ pod: 'etcd-1', to: null })).toEqual({ kind: 'done', leader: 'etcd-0' });
  });

  it('is nothing where the one that shall lead does', async () => {
    const { plan } = setUp();
    const done = { kind: 'done', leader: 'etcd-0' };
    expect(await plan({ pod: null, to: 'etcd-0' })).toEqual(done);
    expect(await plan({ pod: 'etcd-1', to: 'etcd-0' })).toEqual(done);
  });

  it('is none from or to a pod that there is not, whoever leads', async () => {
    const { plan } = setUp();
    const none = { kind: 'no-such-pod', pod: 'etcd-9' };
    expect(await plan({ pod: null, to: 'etcd-9' })).toEqual(none);
    expect(await plan({ pod: 'etcd-1', to: 'etcd-9' })).toEqual(none);
    expect(await plan({ pod: 'etcd-9', to: null })).toEqual(none);
  });

  it('is still a move where a quorum is just there', async () => {
    const { etcd, plan } = setUp();
    const member = etcd.members[1];
    if (member !== undefined) member.running = false;
    expect(await plan()).toMatchObject({ kind: 'move', to: { pod: 'etcd-2' } });
  });

  it('does not choose who is not healthy, a learner, reserved, or no member', async () => {
    const world = setUp(new FakeEtcd(PODS, ['etcd-3']));
    const silent = world.etcd.members[1];
    if (silent !== undefined) silent.reach = 'hangs';
    const held = world.read('etcd-2');
    await held.reserve({
      reason: 'Spared',
      by: 'alice',
      gracePeriodSeconds: null,
      handOffTo: null,
    });
    const refused = await world.plan();
    expect(refused).toMatchObject({ kind: 'refused' });
    expect(refused.kind === 'refused' && refused.why).toMatch(
      /^nobody is fit to lead instead: etcd-1 \(.+\), etcd-2 \(its deletion was allowed 0 s ago\), etcd-3 \(a learner\)$/,
    );
    expect(await world.plan({ pod: null, to: 'etcd-3' })).toEqual({
      kind: 'refused',
      why: 'etcd-3 (a learner) is not fit to lead',
    });
    expect(await world.plan({ pod: null, to: 'web-0' })).toEqual({
      kind: 'no-such-pod',
      pod: 'web-0',
    });
  });

  it('is none beside another hand-off', async () => {
    const { etcd, plan, read } = setUp();
    const handOffTo = etcd.members[1]?.id ?? null;
    await read().reserve({ reason: 'Spared', by: 'a', gracePeriodSeconds: null, handOffTo });
    expect(await plan()).toEqual({
      kind: 'refused',
      why: 'a hand-off from etcd-0 is under way already (for 0 s); try again later',
    });
  });

  it('is none where the leader is being deleted already', async () => {
    const { etcd, read } = setUp();
    const { pods, ...cluster } = read();
    const going = pods.map((pod) => ({ ...pod, terminating: pod.name === 'etcd-0' }));
    const answers = await etcd.ask(cluster.endpoints, 1_000);
    expect(planFor(ANYBODY, { ...cluster, pods: going }, answers)).toEqual({
      kind: 'refused',
      why: 'etcd-0 leads but is being deleted already; once it has stopped, another member leads',
    });
  });

  it('is none where nobody can tell who leads', async () => {
    const { etcd, plan } = setUp();
    for (const member of etcd.members.slice(1)) member.reach = 'hangs';
    expect(await plan()).toMatchObject({ kind: 'unverifiable', silent: false });
    for (const member of etcd.members) member.reach = 'hangs';
    expect(await plan()).toMatchObject({ kind: 'unverifiable', silent: true });
  });

  it('is none where the leader itself does not answer', async () => {
    const { etcd, plan } = setUp();
    const leader = etcd.members[0];
    if (leader !== undefined) leader.reach = 'hangs';
    const refused = await plan();
    expect(refused.kind === 'refused' && refused.why).toMatch(
      /^etcd-0 leads but does not answer \(.+\), and only the leader can hand over/,
    );
  });
});

describe('a move', () => {
  it('is made under an entry of the ledger, which is taken back', async () => {
    const world = setUp();
    const seen: (readonly Reservation[])[] = [];
    world.etcd.hold = (call, at) => {
      if (call === 'moveLeader' && at === 'start') seen.push(world.read().reservations);
    };
    expect(await move(movingIn(world))).toBe('etcd-1');
    expect(world.etcd.moves).toEqual(['etcd-1']);
    const handOffTo = world.etcd.members[1]?.id;
    // A delete of the pod that comes meanwhile may be allowed by this reason.
    const entry = { pod: 'etcd-0', own: true, reason: 'Spared', handOffTo };
    expect(seen).toMatchObject([[entry]]);
    expect(world.ledger.size).toBe(0);
  });

  it('whose answer got lost is one all the same', async () => {
    const world = setUp();
    world.etcd.whenMoved = 'losesItsAnswer';
    expect(await move(movingIn(world))).toBe('etcd-1');
    expect(world.ledger.size).toBe(0);
  });

  it.each(['fails', 'hangs', 'ignores'] as const)(
    'that %s is told of, and leaves no entry',
    async (whenMoved) => {
      const world = setUp();
      world.etcd.whenMoved = whenMoved;
      await expect(move(movingIn(world))).rejects.toThrow(
        whenMoved === 'ignores' ? UnconfirmedError : EtcdRequestError,
      );
      expect(world.ledger.size).toBe(0);
    },
  );

  it('is planned anew where somebody else was faster in the ledger', async () => {
    const world = setUp();
    const read = async (): Promise<GuardedCluster> => {
      const cluster = world.read();
      if (world.ledger.size === 0) {
        const other = world.read('etcd-1');
        await other.reserve({
          reason: 'Spared',
          by: 'alice',
          gracePeriodSeconds: null,
          handOffTo: null,
        });
      }
      return cluster;
    };
    expect(await move(movingIn(world, { read }))).toBe('etcd-2');
  });

  it('is not begun when the program is to stop', async () => {
    const world = setUp();
    await expect(move(movingIn(world, { stop: AbortSignal.abort() }))).rejects.toThrow(
      'it was interrupted before the move',
    );
    expect(world.etcd.moves).toEqual([]);
    expect(world.ledger.size).toBe(0);
  });
});
