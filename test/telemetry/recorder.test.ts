import { beforeEach, describe, expect, test } from 'vitest';
import type { ClusterView } from '../../src/decision/cluster-view.ts';
import { memberId } from '../../src/decision/member-id.ts';
import { INJECTION_METRICS, LOCK_METRICS, METRICS } from '../../src/telemetry/metrics.ts';
import { Recorder } from '../../src/telemetry/recorder.ts';

const GUARD = { namespace: 'default', guard: 'etcd' };
const OTHER = { namespace: 'default', guard: 'other' };
const HOUR_MS = 3_600_000;

/** Of three healthy voters; null: nobody leads. */
function viewLedBy(leader: string | null): ClusterView {
  const members = ['1', '2', '3'].map((id) => ({
    id: memberId(id),
    name: `etcd-${id}`,
    learner: false,
    pods: [`etcd-${id}`],
    health: 'Healthy' as const,
    why: '',
    lag: 0n,
    onlyLags: false,
    namesItselfLeader: id === leader,
  }));
  return {
    list: 'agreed',
    clusterId: 'c',
    leader: leader === null ? { kind: 'leaderless' } : { kind: 'confirmed', id: memberId(leader) },
    term: 2n,
    members,
    voters: 3,
    quorum: 2,
    healthyVoters: 3,
    noSpace: [],
    readingsOf: () => [],
  };
}

let recorder: Recorder;
let now: number;

beforeEach(() => {
  now = 0;
  recorder = new Recorder('1.2.3', () => now);
});

async function lines(start: string): Promise<readonly string[]> {
  const { body } = await recorder.exposition('');
  return body.split('\n').filter((line) => line.startsWith(start));
}

/** `healthy 3`, of the one guard that there is. */
async function votersCounted(): Promise<readonly string[]> {
  const all = await lines('etcdguard_cluster_voters{');
  return all.map((line) => line.replace(/.*health="(\w+)".* /, '$1 '));
}

function namesOf(samples: readonly string[]): readonly string[] {
  return samples.map((line) => line.replace(/ \S+$/, ''));
}

function refuse(guard: typeof GUARD): void {
  recorder.reviewStarted();
  recorder.reviewEnded({
    operation: 'delete',
    decision: 'deny',
    reason: 'QuorumAtRisk',
    guard,
    dryRun: false,
    seconds: 0.2,
  });
}

function allowUnguarded(operation: 'delete' | 'eviction', dryRun: boolean): void {
  recorder.reviewStarted();
  recorder.reviewEnded({
    operation,
    decision: 'allow',
    reason: 'NotGuarded',
    guard: { namespace: '', guard: '' },
    dryRun,
    seconds: 0.0005,
  });
}

describe('the metrics', () => {
  test('that are described are all there, under their own type and help, and no others', async () => {
    recorder.readAtScrape(() => [{ ...GUARD, reservations: 1, pods: 3 }]);
    recorder.unguardedAtScrape(() => [['default', 1]]);
    recorder.readyAtScrape(async () => true);
    recorder.countLockDenials();
    recorder.countInjections();
    const types = (await lines('# TYPE etcdguard_')).map((line) => line.replace('# TYPE ', ''));
    const described = Object.values({ ...METRICS, ...LOCK_METRICS, ...INJECTION_METRICS }).map(
      ({ name, type }) => `${name} ${type}`,
    );
    expect(types.toSorted()).toEqual(described.toSorted());
    for (const line of await lines('# HELP etcdguard_')) expect(line).toMatch(/\w{3}.*[.]$/);
  });

  test('have every series from the start that an increase is asked of', async () => {
    recorder.addGuard(GUARD);
    const created = await lines('etcdguard_');
    refuse(GUARD);
    recorder.handOff(GUARD, 'moved');
    const after = await lines('etcdguard_');
    expect(namesOf(after).filter((name) => !namesOf(created).includes(name))).toEqual([
      'etcdguard_admission_requests_total{operation="delete",decision="deny",reason="QuorumAtRisk",namespace="default",guard="etcd",dry_run="false"}',
    ]);
  });

  test('count reviews that no guard selects from scrape to scrape, and dry runs of their own', async () => {
    const unguarded = async (): Promise<readonly string[]> => {
      const all = await lines('etcdguard_admission_requests_total{');
      const some = all.filter((line) => line.includes('reason="NotGuarded"'));
      return some.map((line) => {
        const [, operation] = /[{,]operation="(\w+)"/.exec(line) ?? [];
        const [, dryRun, count] = /dry_run="(\w+)".*} (\d+)$/.exec(line) ?? [];
        return `${operation} ${dryRun} ${count}`;
      });
    };
    expect(await unguarded()).toEqual(['delete false 0', 'eviction false 0']);
    allowUnguarded('delete', false);
    allowUnguarded('delete', false);
    expect(await unguarded()).toEqual(['delete false 2', 'eviction false 0']);
    allowUnguarded('eviction', true);
    allowUnguarded('delete', false);
    const after = ['delete false 3', 'eviction false 0', 'eviction true 1'];
    expect(await unguarded()).toEqual(after);
    expect(await unguarded()).toEqual(after);
    expect(await lines('etcdguard_admission_duration_seconds_count{')).toEqual(
      expect.arrayContaining([
        'etcdguard_admission_duration_seconds_count{operation="delete",decision="allow"} 3',
        'etcdguard_admission_duration_seconds_count{operation="eviction",decision="allow"} 1',
      ]),
    );
    expect(await lines('etcdguard_admission_requests_in_flight')).toEqual([
      'etcdguard_admission_requests_in_flight 0',
    ]);
  });

  test('say nothing of locks before they are counted, and forget what is a day old', async () => {
    expect(await lines('# TYPE etcdguard_lock')).toEqual([]);
    const denied = recorder.countLockDenials();
    const denial = { resource: 'pods', namespace: 'default', lock: 'lockred' } as const;
    denied({ ...denial, operation: 'UPDATE' });
    denied({ ...denial, operation: 'UPDATE' });
    now = 43_200_000;
    denied({ ...denial, operation: 'DELETE' });
    const of = ',resource="pods",namespace="default",lock="lockred"}';
    const updates = `etcdguard_lock_denials_total{operation="UPDATE"${of}`;
    const deletes = `etcdguard_lock_denials_total{operation="DELETE"${of}`;
    expect(await lines('etcdguard_lock')).toEqual([`${updates} 2`, `${deletes} 1`]);
    now = 86_400_000;
    expect(await lines('etcdguard_lock')).toEqual([`${deletes} 1`]);
  });

  test('say nothing of injection before it is counted', async () => {
    expect(await lines('# TYPE etcdguard_injections')).toEqual([]);
    const counted = recorder.countInjections();
    counted('incomplete');
    const outcomes = { injected: 0, unchanged: 0, incomplete: 1, failed: 0 };
    expect(await lines('etcdguard_injections')).toEqual(
      Object.entries(outcomes).map(
        ([outcome, count]) => `etcdguard_injections_total{outcome="${outcome}"} ${count}`,
      ),
    );
  });

  test('say nothing of a certificate before there is one', async () => {
    expect(await lines('etcdguard_certificate_expiry_timestamp_seconds')).toEqual([]);
    recorder.certificateExpires(new Date(90_000));
    expect(await lines('etcdguard_certificate_expiry_timestamp_seconds')).toEqual([
      'etcdguard_certificate_expiry_timestamp_seconds 90',
    ]);
  });

  test('count changes of the leader, not elections and not the first look', async () => {
    const counted: string[] = [];
    for (const leader of ['1', '1', null, '1', null, '2', '3']) {
      recorder.cluster(GUARD, viewLedBy(leader));
      const changes = await lines('etcdguard_cluster_leader_changes_total{');
      counted.push(changes.join().replace(/^.* /, ''));
    }
    expect(counted).toEqual(['0', '0', '0', '0', '0', '1', '2']);
  });

  test('count the voters that were last known as unknown while no list is agreed on', async () => {
    const silent: ClusterView = {
      ...viewLedBy(null),
      list: 'none',
      members: [],
      voters: 0,
      healthyVoters: 0,
    };
    recorder.cluster(GUARD, silent);
    expect(await votersCounted()).toEqual(['healthy 0', 'unhealthy 0', 'unknown 0']);
    recorder.cluster(GUARD, viewLedBy('1'));
    recorder.cluster(GUARD, silent);
    expect(await votersCounted()).toEqual(['healthy 0', 'unhealthy 0', 'unknown 3']);
    // Whoever kept the status before has written down how many there were.
    recorder.cluster(GUARD, silent, 5);
    expect(await votersCounted()).toEqual(['healthy 0', 'unhealthy 0', 'unknown 5']);
    recorder.forgetCluster(GUARD);
    recorder.cluster(GUARD, silent);
    expect(await votersCounted()).toEqual(['healthy 0', 'unhealthy 0', 'unknown 0']);
  });

  test('of a cluster are given up with the Lease; what was counted stays', async () => {
    recorder.addGuard(GUARD);
    refuse(GUARD);
    recorder.cluster(GUARD, viewLedBy('1'));
    expect(await lines('etcdguard_cluster_has_leader{')).toHaveLength(1);
    recorder.forgetCluster(GUARD);
    now += 2 * HOUR_MS;
    expect(await lines('etcdguard_cluster_has_leader{')).toEqual([]);
    expect(await lines('etcdguard_cluster_voters{')).toEqual([]);
    expect(await lines('etcdguard_cluster_disruptions_allowed{')).toEqual([]);
    expect(await lines('etcdguard_denials_total{operation="delete",reason="QuorumAtRisk"')).toEqual(
      [
        'etcdguard_denials_total{operation="delete",reason="QuorumAtRisk",namespace="default",guard="etcd"} 1',
      ],
    );
  });

  test('of guards that are gone for an hour are gone; other guards and those that came back stay', async () => {
    const back = { namespace: 'default', guard: 'back' };
    for (const guard of [GUARD, OTHER, back]) {
      recorder.addGuard(guard);
      refuse(guard);
      recorder.cluster(guard, viewLedBy('1'));
    }
    recorder.removeGuard(GUARD);
    recorder.removeGuard(back);
    recorder.addGuard(back);
    now += HOUR_MS - 1;
    const before = (await lines('etcdguard_')).filter((line) => line.includes('guard="etcd"'));
    expect(before.length).toBeGreaterThan(10);
    now += 1;
    const left = (await lines('etcdguard_')).map((line) => /guard="(\w+)"/.exec(line)?.[1]);
    expect(new Set(left)).toEqual(new Set([undefined, 'other', 'back']));
  });
});
