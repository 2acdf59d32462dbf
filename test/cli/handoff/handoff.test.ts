import { describe, expect, it } from 'vitest';
import type { Announcement } from '../../../src/admission/announce.ts';
import type { GuardSource } from '../../../src/admission/guard-source.ts';
import type { Clusters, FoundCluster } from '../../../src/cli/clusters/clusters.ts';
import { handOff } from '../../../src/cli/handoff/handoff.ts';
import type { HandOffConfig } from '../../../src/config.ts';
import { FakeEtcd } from '../../fakes/etcd.ts';
import { loadedGuard, sourceOf } from '../../fakes/guards.ts';
import { said } from '../said.ts';

const PODS = ['etcd-0', 'etcd-1', 'etcd-2'];

interface Setting {
  readonly etcd?: FakeEtcd;
  /** Each with all the pods. */
  readonly guards?: readonly string[];
  /** What is found differs in. */
  readonly found?: (found: FoundCluster) => FoundCluster;
  /** What somebody answers; absent: nobody sits there. */
  readonly answer?: () => string | null;
  /** Why Events can't be written. */
  readonly unwritten?: string;
  /** Pods on cordoned nodes; absent: nobody knows nodes. */
  readonly cordoned?: readonly string[];
}

/** Guards of namespace default over one cluster, which etcd-0 leads. */
function setUp({
  etcd = new FakeEtcd(PODS),
  guards = ['etcd'],
  found = (one) => one,
  answer,
  unwritten,
  cordoned,
}: Setting = {}) {
  const source = sourceOf(etcd, ...guards.map((name) => loadedGuard({ name, pods: PODS })));
  const announced: Announcement[] = [];
  const asked: string[] = [];
  let closed = 0;
  const clusters: Clusters = {
    namespace: 'default',
    source: cordoned === undefined ? source : onNodes(source, cordoned),
    find: async () =>
      source.guards.map((guard) => found({ cluster: guard.clusterFor(null), recorded: [] })),
    async announce(announcement) {
      announced.push(announcement);
      return unwritten ?? null;
    },
    close: () => void (closed += 1),
  };
  const { streams, stop, out, err } = said();
  const ask =
    answer === undefined
      ? null
      : async (question: string) => {
          asked.push(question);
          return answer();
        };
  /** Exit code and what was written; without a question unless `yes` is false. */
  async function run(options: Partial<HandOffConfig> = {}) {
    const config: HandOffConfig = {
      command: 'handoff',
      guards: { kind: 'files', files: [] },
      pod: null,
      guard: null,
      to: null,
      namespace: null,
      yes: true,
      dryRun: false,
      timeoutMs: 500,
      ...options,
    };
    const around = { streams: { ...streams, ask }, environment: {} };
    const code = await handOff(config, around, async () => clusters);
    return { code, out: out(), err: err() };
  }
  return { etcd, source, stop, announced, asked, closed: () => closed, run };
}

/** The same guards, where it is known which pods are on cordoned nodes. */
function onNodes(source: GuardSource, cordoned: readonly string[]): GuardSource {
  return {
    async read(subject, withinMs) {
      const found = await source.read(subject, withinMs);
      const clusters = found.clusters.map((cluster) => ({
        ...cluster,
        withCordons: async () =>
          cluster.pods.map((pod) => ({ ...pod, cordoned: cordoned.includes(pod.name) })),
      }));
      return { ...found, clusters };
    },
  };
}

describe('a hand-off', () => {
  it('moves leadership, says so, leaves an Event on pod and guard, and closes what it opened', async () => {
    const world = setUp();
    expect(await world.run()).toEqual({
      code: 0,
      out: 'default/etcd: leadership moved from etcd-0 to etcd-1\n',
      err: '',
    });
    expect(world.etcd.leader).toBe('etcd-1');
    expect(world.source.guards.map(({ ledger }) => ledger.size)).toEqual([0]);
    expect(world.announced).toEqual([
      {
        about: [
          { kind: 'Pod', namespace: 'default', name: 'etcd-0', uid: null },
          { kind: 'EtcdGuard', namespace: 'default', name: 'etcd', uid: null },
        ],
        type: 'Normal',
        reason: 'LeadershipMoved',
        action: 'MovedLeadership',
        message:
          'Leadership of etcd cluster default/etcd was moved from etcd-0 to etcd-1 by hand (etcd-guard handoff).',
      },
    ]);
    expect(world.closed()).toBe(1);
  });

  it('moves it to the one that is asked for', async () => {
    const { etcd, run } = setUp();
    expect(await run({ pod: 'etcd-0', to: 'etcd-2' })).toMatchObject({ code: 0 });
    expect(etcd.leader).toBe('etcd-2');
  });

  it('goes rather to a node that is not cordoned', async () => {
    const { etcd, source, run } = setUp({ cordoned: ['etcd-1'] });
    expect(await run({ dryRun: true })).toMatchObject({
      out: 'default/etcd: leadership would be moved from etcd-0 to etcd-2\n',
    });
    expect(await run()).toMatchObject({ code: 0 });
    expect(etcd.leader).toBe('etcd-2');
    expect(source.guards.map(({ ledger }) => ledger.size)).toEqual([0]);
  });

  it('is one all the same where no Event can tell of it', async () => {
    const { run } = setUp({ unwritten: 'missing permission "create"' });
    expect(await run()).toEqual({
      code: 0,
      out: 'default/etcd: leadership moved from etcd-0 to etcd-1\n',
      err: 'etcd-guard: no Event tells of it, which could not be written: missing permission "create"\n',
    });
  });

  it.each([
    [{ to: 'etcd-0' }, 'etcd-0 leads already'],
    [{ pod: 'etcd-1' }, 'etcd-0 leads, not etcd-1'],
  ])('is not needed for %j', async (options, why) => {
    const { etcd, announced, run } = setUp();
    expect(await run(options)).toEqual({
      code: 0,
      out: `default/etcd: nothing to do: ${why}\n`,
      err: '',
    });
    expect([etcd.moves, announced]).toEqual([[], []]);
  });

  it('in a dry run is told of and not made', async () => {
    const { etcd, announced, run } = setUp();
    expect(await run({ yes: false, dryRun: true })).toEqual({
      code: 0,
      out: 'default/etcd: leadership would be moved from etcd-0 to etcd-1\n',
      err: '',
    });
    expect([etcd.moves, announced]).toEqual([[], []]);
  });
});

describe('whoever sits there', () => {
  it.each(['y', 'YES\n', ' yes '])('confirms it by %j', async (answer) => {
    const { etcd, asked, run } = setUp({ answer: () => answer });
    expect(await run({ yes: false })).toMatchObject({ code: 0 });
    expect(asked).toEqual(['Move leadership of default/etcd from etcd-0 to etcd-1? [y/N] ']);
    expect(etcd.leader).toBe('etcd-1');
  });

  it.each(['', 'n', 'yep', null])('does not by %j', async (answer) => {
    const { etcd, run } = setUp({ answer: () => answer });
    expect(await run({ yes: false })).toEqual({
      code: 1,
      out: '',
      err: 'etcd-guard: nothing was moved\n',
    });
    expect(etcd.moves).toEqual([]);
  });

  it('is not asked with --yes', async () => {
    const { asked, run } = setUp({ answer: () => 'n' });
    expect(await run()).toMatchObject({ code: 0 });
    expect(asked).toEqual([]);
  });

  it('has to be there, or else --yes', async () => {
    const { etcd, closed, run } = setUp();
    expect(await run({ yes: false })).toEqual({
      code: 2,
      out: '',
      err: 'etcd-guard: nobody is there to confirm it: give --yes\n',
    });
    expect([etcd.calls, closed()]).toEqual([[], 0]);
  });

  it('may take so long that another leads', async () => {
    const etcd = new FakeEtcd(PODS);
    const { run } = setUp({
      etcd,
      answer() {
        etcd.lead('etcd-2');
        return 'y';
      },
    });
    expect(await run({ yes: false })).toEqual({
      code: 1,
      out: '',
      err: 'etcd-guard: who leads has changed meanwhile; nothing was moved, try again\n',
    });
    expect(etcd.moves).toEqual([]);
  });

  it('may press Ctrl-C instead, which is the exit code', async () => {
    const world = setUp({
      answer() {
        world.stop.abort(130);
        return null;
      },
    });
    expect(await world.run({ yes: false })).toMatchObject({ code: 130 });
    expect(world.etcd.moves).toEqual([]);
  });
});

describe('which guard is meant', () => {
  it('has to be said where there are several', async () => {
    const { run } = setUp({ guards: ['main', 'events'] });
    expect(await run()).toEqual({
      code: 2,
      out: '',
      err: 'etcd-guard: which EtcdGuard? --guard takes one of main, events\n',
    });
  });

  it.each([
    [{}, 'no EtcdGuard in namespace default'],
    [{ pod: 'etcd-0' }, 'no EtcdGuard in namespace default'],
    [{ guard: 'events' }, "no EtcdGuard 'events' in namespace default"],
  ])('is nobody’s, of none, by %j', async (options, why) => {
    const { run } = setUp({ guards: [] });
    expect(await run(options)).toEqual({ code: 4, out: '', err: `etcd-guard: ${why}\n` });
  });

  it.each([
    [{ pod: 'web-0' }, 'no EtcdGuard with a pod web-0 in namespace default'],
    [{ guard: 'events' }, "no EtcdGuard 'events' in namespace default"],
    [{ to: 'etcd-9' }, 'default/etcd has no pod etcd-9'],
  ])('is not found by %j', async (options, why) => {
    const { run } = setUp();
    expect(await run(options)).toEqual({ code: 4, out: '', err: `etcd-guard: ${why}\n` });
  });

  it('must be the only one that selects the leader’s pod', async () => {
    const { etcd, run } = setUp({ guards: ['main', 'events'] });
    expect(await run({ guard: 'main' })).toEqual({
      code: 1,
      out: '',
      err: 'etcd-guard: default/main is not the one EtcdGuard that selects etcd-0; nothing was moved\n',
    });
    expect(etcd.moves).toEqual([]);
  });
});

describe('a cluster', () => {
  const recorded = [
    { pod: 'etcd-0', id: 'a1', role: 'Leader', health: 'Healthy' },
    { pod: 'etcd-1', id: 'a2', role: 'Follower', health: 'Healthy' },
  ];
  const command = 'kubectl exec -n default etcd-0 -- etcdctl move-leader a2, which is etcd-1.\n';

  it('that can’t be asked is told with the reason, and with the way round it', async () => {
    const fault = 'Secret default/tls does not exist';
    const { run } = setUp({
      found: ({ cluster }) => ({ cluster: { ...cluster, fault }, recorded }),
    });
    const { code, err } = await run();
    expect(code).toBe(3);
    expect(err).toMatch(
      /^etcd-guard: default\/etcd can't be asked: Secret default\/tls does not exist\. What can be run meanwhile, in the pod /,
    );
    expect(err.endsWith(command)).toBe(true);
  });

  it('of which nobody answers from here is told with the way round it', async () => {
    const etcd = new FakeEtcd(PODS);
    for (const pod of PODS) etcd.stop(pod);
    const { run } = setUp({ etcd, found: ({ cluster }) => ({ cluster, recorded }) });
    const { code, err } = await run();
    expect(code).toBe(3);
    expect(err).toMatch(
      /^etcd-guard: default\/etcd can't be asked from here: .+ \(etcd-0: connection refused, .+\)\. Run this where /,
    );
    expect(err.endsWith(command)).toBe(true);
  });

  it('whose leader nobody can tell keeps it', async () => {
    const etcd = new FakeEtcd(PODS);
    etcd.stop('etcd-0');
    etcd.stop('etcd-1');
    const { code, err } = await setUp({ etcd }).run();
    expect(code).toBe(3);
    expect(err).toMatch(
      /^etcd-guard: leadership of default\/etcd is not moved, since nobody can tell who leads: /,
    );
  });

  it('without anybody fit to lead keeps its leader', async () => {
    const etcd = new FakeEtcd(['etcd-0']);
    const { code, err } = await setUp({ etcd }).run();
    expect(code).toBe(1);
    expect(err).toBe(
      'etcd-guard: leadership of default/etcd stays where it is: it is the only member\n',
    );
  });

  it.each([
    ['fails', 'leadership was not moved: '],
    ['ignores', 'leadership may have been moved or not: no quorum has confirmed etcd-1 yet'],
  ] as const)('whose leader %s says what is known', async (whenMoved, words) => {
    const etcd = new FakeEtcd(PODS);
    etcd.whenMoved = whenMoved;
    const { announced, closed, run } = setUp({ etcd });
    const { code, out, err } = await run();
    expect([code, out]).toEqual([1, '']);
    expect(err.startsWith(`etcd-guard: ${words}`)).toBe(true);
    expect([announced, closed()]).toEqual([[], 1]);
  });
});
