import { describe, expect, it } from 'vitest';
import type { NewReservation } from '../../src/admission/guard-source.ts';
import { viewOf } from '../../src/decision/cluster-view.ts';
import { FileSource } from '../../src/guards/file-source.ts';
import type { LoadedGuard } from '../../src/guards/file-guards.ts';
import { FakeEtcd } from '../fakes/etcd.ts';
import { loadedGuard } from '../fakes/guards.ts';
import { deletion, eviction } from '../fakes/requests.ts';

const PODS = ['etcd-0', 'etcd-1', 'etcd-2'];
const ENTRY: NewReservation = {
  reason: 'Spared',
  by: 'alice',
  gracePeriodSeconds: 30,
  handOffTo: null,
};

function sourceWith(...guards: readonly LoadedGuard[]) {
  const connected: FakeEtcd[] = [];
  const viewed: string[] = [];
  const process = { activeMs: 0 };
  const source = new FileSource(guards, {
    connect: () => {
      const etcd = new FakeEtcd(PODS);
      connected.push(etcd);
      return etcd;
    },
    monotonicMs: () => 0,
    activeMs: () => process.activeMs,
    viewed: (guard, view) => viewed.push(`${guard.name} ${view.healthyVoters}`),
  });
  const selecting = (request: ReturnType<typeof deletion>): readonly string[] =>
    source.read(request.subject).clusters.map(({ guard }) => `${guard.namespace}/${guard.name}`);
  const clusterOf = (pod: string) => {
    const [cluster] = source.read(eviction(pod).subject).clusters;
    if (cluster === undefined) throw new Error(`no guard selects ${pod}`);
    return cluster;
  };
  return { source, connected, viewed, selecting, clusterOf, process };
}

async function reloaded(next: LoadedGuard) {
  const made = sourceWith(loadedGuard({ pods: PODS }));
  const cluster = made.clusterOf('etcd-1');
  await cluster.etcd.ask(cluster.endpoints, 1_000);
  await cluster.reserve(ENTRY);
  made.source.replace([next]);
  return made;
}

async function look({ clusterOf }: ReturnType<typeof sourceWith>): Promise<boolean> {
  const cluster = clusterOf('etcd-0');
  const { etcd, endpoints, pods, reservations, guard } = cluster;
  const answers = await etcd.ask(endpoints, 0);
  const { maxRaftLag } = guard.policy;
  const view = viewOf({ pods, answers, proof: null, reservations, maxRaftLag });
  return cluster.observed(answers, view);
}

async function reserved() {
  const made = sourceWith(loadedGuard({ pods: PODS }));
  await made.clusterOf('etcd-1').reserve(ENTRY);
  await look(made);
  const [etcd] = made.connected;
  if (etcd === undefined) throw new Error('nobody was asked');
  return { ...made, etcd };
}

describe('a guard from a file selects', () => {
  const selector = { matchLabels: { app: 'etcd' } };
  const labelled = { metadata: { labels: { app: 'etcd' } } };

  it('a pod that is to be deleted, by name or by labels', () => {
    const { selecting } = sourceWith(loadedGuard({ pods: PODS, selector }));
    expect(selecting(deletion('etcd-0'))).toEqual(['default/etcd']);
    expect(selecting(deletion('etcd-9', labelled))).toEqual(['default/etcd']);
    expect(selecting(deletion('etcd-9'))).toEqual([]);
  });

  it('a pod that is to be evicted, by name alone', () => {
    const { selecting } = sourceWith(loadedGuard({ pods: PODS, selector }));
    expect(selecting(eviction('etcd-0'))).toEqual(['default/etcd']);
    expect(selecting(eviction('etcd-9'))).toEqual([]);
  });

  it('nothing by labels without a selector, and everything with an empty one', () => {
    const none = sourceWith(loadedGuard({ pods: PODS }));
    expect(none.selecting(deletion('web', labelled))).toEqual([]);
    const all = sourceWith(loadedGuard({ pods: PODS, selector: {} }));
    expect(all.selecting(deletion('web'))).toEqual(['default/etcd']);
  });

  it('nothing in another namespace', () => {
    const { selecting } = sourceWith(loadedGuard({ pods: PODS, selector }));
    expect(selecting(deletion('etcd-0', { namespace: 'prod', ...labelled }))).toEqual([]);
    expect(selecting(eviction('etcd-0', { namespace: 'prod' }))).toEqual([]);
  });

  it.each(['constructor', 'toString'])('no pod called %s by accident', (name) => {
    const { selecting } = sourceWith(loadedGuard({ pods: PODS, selector }));
    expect(selecting(eviction(name))).toEqual([]);
  });

  it('a pod beside another guard that selects it too', () => {
    const { selecting } = sourceWith(
      loadedGuard({ name: 'a', pods: PODS }),
      loadedGuard({ name: 'b', pods: ['etcd-9'], selector }),
    );
    expect(selecting(deletion('etcd-0', labelled))).toEqual(['default/a', 'default/b']);
    expect(selecting(eviction('etcd-0'))).toEqual(['default/a']);
  });
});

describe('what is read', () => {
  it('are the addressed pods, with the hosts by which their members may be known', () => {
    const { clusterOf } = sourceWith(loadedGuard({ pods: ['etcd-0'] }));
    const { pods, endpoints } = clusterOf('etcd-0');
    expect(endpoints).toEqual([{ pod: 'etcd-0', address: 'etcd-0.etcd:2379' }]);
    expect(pods).toEqual([
      {
        name: 'etcd-0',
        address: 'etcd-0.etcd:2379',
        hosts: ['etcd-0.etcd', 'etcd-0'],
        terminating: false,
        cordoned: false,
      },
    ]);
  });

  it('is a pod without an address besides, if only its labels match', () => {
    const { source } = sourceWith(loadedGuard({ pods: ['etcd-0'], selector: {} }));
    const [cluster] = source.read(deletion('etcd-9').subject).clusters;
    expect(cluster?.endpoints.map(({ pod }) => pod)).toEqual(['etcd-0']);
    expect(cluster?.pods.map(({ name, address }) => [name, address])).toEqual([
      ['etcd-0', 'etcd-0.etcd:2379'],
      ['etcd-9', null],
    ]);
  });

  it('connects to nothing before etcd is asked', async () => {
    const { connected, clusterOf, source } = sourceWith(loadedGuard({ pods: PODS }));
    const { etcd, endpoints } = clusterOf('etcd-0');
    expect(connected).toHaveLength(0);
    await etcd.ask(endpoints, 1_000);
    await clusterOf('etcd-1').etcd.ask(endpoints, 1_000);
    expect(connected).toHaveLength(1);
    source.close();
    expect(connected[0]?.closed).toBe(1);
  });
});

describe('a new version of the files', () => {
  it('keeps ledger and connections where only the policy changes', async () => {
    const { connected, clusterOf } = await reloaded(
      loadedGuard({ pods: PODS, policy: { quorum: 'Warn' } }),
    );
    const { etcd, endpoints, guard, reservations } = clusterOf('etcd-1');
    await etcd.ask(endpoints, 1_000);
    expect(guard.policy.quorum).toBe('Warn');
    expect(reservations.map(({ pod, own }) => [pod, own])).toEqual([['etcd-1', true]]);
    expect(connected.map(({ closed }) => closed)).toEqual([0]);
  });

  it('keeps the ledger, and connects anew, where the connection settings change', async () => {
    const { connected, clusterOf } = await reloaded(
      loadedGuard({ pods: PODS, settingsKey: 'other' }),
    );
    const { etcd, endpoints, reservations } = clusterOf('etcd-2');
    await etcd.ask(endpoints, 1_000);
    expect(reservations.map(({ pod, own }) => [pod, own])).toEqual([['etcd-1', false]]);
    expect(connected.map(({ closed }) => closed)).toEqual([1, 0]);
  });

  it('closes the connections of a guard that is gone', async () => {
    const { connected, source } = await reloaded(loadedGuard({ name: 'other', pods: PODS }));
    expect(connected.map(({ closed }) => closed)).toEqual([1]);
    expect(source.guards.map(({ guard }) => guard.name)).toEqual(['other']);
  });

  it('lets a request that read the old one write to the same ledger', async () => {
    const { source, clusterOf } = sourceWith(loadedGuard({ pods: PODS }));
    const before = clusterOf('etcd-1');
    source.replace([loadedGuard({ pods: PODS, settingsKey: 'other' })]);
    expect(await before.reserve(ENTRY)).not.toBe('conflict');
    expect(clusterOf('etcd-2').reservations).toHaveLength(1);
  });
});

describe('what etcd answers', () => {
  it('is passed on', async () => {
    const { viewed } = await reserved();
    expect(viewed).toEqual(['etcd 2']);
  });

  it('ends an entry once its member has been silent and is healthy again', async () => {
    const made = await reserved();
    made.etcd.stop('etcd-1');
    expect(await look(made)).toBe(false);
    made.etcd.start('etcd-1');
    made.etcd.member('etcd-1').lagEntries = 5_000;
    expect(await look(made)).toBe(false);
    made.etcd.member('etcd-1').lagEntries = 0;
    expect(await look(made)).toBe(true);
    expect(made.clusterOf('etcd-0').reservations).toEqual([]);
  });

  it('ends nothing if this process was too busy to hear its member', async () => {
    const made = await reserved();
    made.etcd.stop('etcd-1');
    made.etcd.hold = (_call, at) => {
      if (at === 'end') made.process.activeMs += 1_000;
    };
    expect(await look(made)).toBe(false);
    expect(made.viewed).toEqual(['etcd 2', 'etcd 2']);
    made.etcd.start('etcd-1');
    expect(await look(made)).toBe(false);
    expect(made.clusterOf('etcd-0').reservations).toHaveLength(1);
  });

  it('ends nothing if for a moment nobody was heard', async () => {
    const made = await reserved();
    for (const member of made.etcd.members) member.reach = 'hangs';
    expect(await look(made)).toBe(false);
    for (const member of made.etcd.members) member.reach = 'answers';
    expect(await look(made)).toBe(false);
    expect(made.clusterOf('etcd-0').reservations).toHaveLength(1);
  });
});
