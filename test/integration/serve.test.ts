import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import type { TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { startEtcdCluster, type EtcdCluster } from '../harness/etcd-cluster.ts';
import {
  deleteReview,
  evictionReview,
  guardFile,
  guardFor,
  inOrder,
  startGuard,
  type GuardProcess,
  type GuardProcessOptions,
} from '../harness/guard-process.ts';
import { silentListener, type Listener } from '../harness/loopback.ts';
import { checkMetrics } from '../harness/promtool.ts';
import { temporaryDirectory } from '../harness/reaper.ts';
import { until } from '../harness/until.ts';

let guard: GuardProcess | undefined;

afterEach(async () => {
  await guard?.stop();
  guard = undefined;
});

async function serve(options: Omit<GuardProcessOptions, 'program'>): Promise<GuardProcess> {
  guard = await startGuard({ program: inject('program'), ...options });
  return guard;
}

/** A guard in namespace `default` of these pods, whoever answers for them. */
function guardOf(addresses: Readonly<Record<string, string>>, name = 'etcd'): unknown {
  return {
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'EtcdGuard',
    metadata: { name, namespace: 'default' },
    spec: { members: { addresses } },
  };
}

const NOBODY = guardFile(guardOf({ 'etcd-0': '127.0.0.1:1' }));

/** On a connection of its own: what was answered, and with which certificate. */
async function reviewOnNewConnection(
  at: GuardProcess,
): Promise<{ body: unknown; fingerprint: string | undefined }> {
  const text = JSON.stringify(deleteReview('web-0'));
  const agent = new Agent({ ca: at.ca, maxCachedSessions: 0 });
  const sent = httpsRequest(`https://${at.https}/validate?timeout=10s`, {
    method: 'POST',
    agent,
    headers: { 'content-type': 'application/json' },
  });
  let fingerprint: string | undefined;
  sent.on('socket', (socket: TLSSocket) => {
    socket.on('secureConnect', () => {
      fingerprint = socket.getPeerX509Certificate()?.fingerprint256;
    });
  });
  sent.end(text);
  const [response]: unknown[] = await once(sent, 'response');
  if (!(response instanceof IncomingMessage)) throw new Error('no response');
  return { body: await json(response), fingerprint };
}

/** A series of `etcdguard_admission_requests_total` for the guard. */
function request(operation: string, decision: string, reason: string, dryRun = false): string {
  return inOrder(
    `etcdguard_admission_requests_total{operation="${operation}",decision="${decision}",reason="${reason}",namespace="default",guard="etcd",dry_run="${dryRun}"}`,
  );
}

/** The same, where there is no guard. */
function other(operation: string, decision: string, reason: string): string {
  return inOrder(
    `etcdguard_admission_requests_total{operation="${operation}",decision="${decision}",reason="${reason}",namespace="",guard="",dry_run="false"}`,
  );
}

function denial(operation: string, reason: string): string {
  return inOrder(
    `etcdguard_denials_total{operation="${operation}",reason="${reason}",namespace="default",guard="etcd"}`,
  );
}

async function readiness(at: GuardProcess): Promise<{ status: number; text: string }> {
  const response = await fetch(`${at.url}/readyz`);
  return { status: response.status, text: await response.text() };
}

describe('etcd-guard serve', () => {
  it('says where it listens, is ready without etcd, and writes nothing but JSON', async () => {
    const at = await serve({ guards: NOBODY, args: ['--log-level=debug'] });
    expect(await at.logged('listening')).toStrictEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      msg: 'listening',
      https: expect.stringMatching(/^127\.0\.0\.1:[1-9]\d*$/),
      http: expect.stringMatching(/^127\.0\.0\.1:[1-9]\d*$/),
    });
    expect(await readiness(at)).toStrictEqual({ status: 200, text: 'ok\n' });
    await at.review(deleteReview('web-0'));
    await at.review(deleteReview('etcd-0'));
    await at.post('not a review');
    expect(await fetch(`${at.url}/healthz`).then((response) => response.text())).toBe('ok\n');
    // Reading `log` parses every line, of stdout and of stderr.
    expect(at.log.filter(({ msg }) => msg === 'decided')).toHaveLength(2);
  });

  it('without a certificate makes one, and says whom to trust', async () => {
    const at = await serve({ guards: NOBODY, selfSigned: true });
    expect(at.ca).toMatch(/^-----BEGIN CERTIFICATE-----\n/);
    expect(at.process.output).not.toContain('PRIVATE KEY');
    expect(await at.review(deleteReview('web-0'))).toMatchObject({ allowed: true });
    expect(await readiness(at)).toStrictEqual({ status: 200, text: 'ok\n' });
  });

  it('takes guards from several files', async () => {
    const directory = await temporaryDirectory('more-guards');
    const more = join(directory.path, 'more.json');
    await writeFile(more, JSON.stringify(guardOf({ 'etcd-1': '127.0.0.1:1' }, 'second')));
    const at = await serve({ guards: NOBODY, args: [`--guards=${more}`] });
    expect(await at.samples('etcdguard_guarded_pods')).toStrictEqual({
      'etcdguard_guarded_pods{guard="etcd",namespace="default"}': 1,
      'etcdguard_guarded_pods{guard="second",namespace="default"}': 1,
    });
    await directory.remove();
  });

  it('takes over new guards while it runs, and keeps the old ones if they are broken', async () => {
    const at = await serve({ guards: NOBODY });
    const decides = async (pod: string): Promise<string> => {
      const { auditAnnotations } = await at.review(deleteReview(pod));
      return auditAnnotations?.['guard'] ?? 'none';
    };
    const failures = 'etcdguard_reload_failures_total{file="guards"}';
    const failed = async (): Promise<number | undefined> => (await at.samples(failures))[failures];
    expect([await decides('etcd-0'), await decides('etcd-1')]).toStrictEqual([
      'default/etcd',
      'none',
    ]);
    expect(await failed()).toBe(0);

    await writeFile(at.guardsFile, NOBODY + '---\n' + NOBODY.replace('etcd-0', 'etcd-1'));
    expect(await at.logged('the new guard files are unusable: keeping the old ones')).toMatchObject(
      {
        level: 'error',
        problems: [
          `${at.guardsFile}: document 2: metadata.name: default/etcd is defined already, in ${at.guardsFile} document 1`,
        ],
      },
    );
    expect(await failed()).toBe(1);
    expect([await decides('etcd-0'), await decides('etcd-1')]).toStrictEqual([
      'default/etcd',
      'none',
    ]);

    const second = guardOf({ 'etcd-1': '127.0.0.1:1' }, 'second');
    await writeFile(at.guardsFile, NOBODY + '---\n' + guardFile(second));
    expect(await at.logged('guards reloaded')).toMatchObject({ level: 'info', guards: 2 });
    expect([await decides('etcd-0'), await decides('etcd-1')]).toStrictEqual([
      'default/etcd',
      'default/second',
    ]);
    expect(await failed()).toBe(1);
    expect(await at.samples('etcdguard_guarded_pods')).toStrictEqual({
      'etcdguard_guarded_pods{guard="etcd",namespace="default"}': 1,
      'etcdguard_guarded_pods{guard="second",namespace="default"}': 1,
    });
  });

  it('changes its certificate while requests run, and keeps the old one if the new one is broken', async () => {
    const at = await serve({ guards: NOBODY });
    const { fingerprint: first } = await reviewOnNewConnection(at);
    const renewed = await at.authority.issue({
      commonName: 'renewed',
      names: ['127.0.0.1'],
      notAfter: new Date('2035-01-01T00:00:00Z'),
    });
    await writeFile(at.certificate.certFile, renewed.cert);
    await writeFile(at.certificate.keyFile, renewed.key);
    // None of the requests on the way there fails.
    const second = await until('the new certificate', async () => {
      const { fingerprint, body } = await reviewOnNewConnection(at);
      expect(body).toMatchObject({ response: { allowed: true } });
      return fingerprint !== first && fingerprint;
    });
    expect(await at.samples('etcdguard_certificate_expiry_timestamp_seconds')).toStrictEqual({
      etcdguard_certificate_expiry_timestamp_seconds: Date.UTC(2035, 0) / 1000,
    });

    await writeFile(at.certificate.certFile, 'not a certificate');
    expect(await at.logged('the new certificate is unusable: keeping the old one')).toMatchObject({
      level: 'error',
    });
    expect(await at.samples('etcdguard_reload_failures_total')).toStrictEqual({
      'etcdguard_reload_failures_total{file="guards"}': 0,
      'etcdguard_reload_failures_total{file="certificate"}': 1,
      'etcdguard_reload_failures_total{file="access"}': 0,
    });
    expect(await reviewOnNewConnection(at)).toMatchObject({
      fingerprint: second,
      body: { response: { allowed: true } },
    });
    expect(await readiness(at)).toStrictEqual({ status: 200, text: 'ok\n' });
  });

  describe('asked to stop', () => {
    let silent: Listener;

    beforeAll(async () => {
      silent = await silentListener();
    });

    afterAll(() => silent.close());

    it('turns unready, goes on serving, finishes what is in flight, and exits with 0', async () => {
      const at = await serve({
        guards: guardFile(guardOf({ 'etcd-0': silent.address })),
        args: ['--shutdown-delay=1s'],
      });
      // Its member says nothing, so the review takes as long as one member may.
      const slow = at.review(deleteReview('etcd-0'));
      await until('the review is in flight', async () => {
        const [inFlight] = Object.values(
          await at.samples('etcdguard_admission_requests_in_flight'),
        );
        return inFlight === 1;
      });
      at.process.signal('SIGTERM');
      await at.logged('stopping');
      expect(await readiness(at)).toStrictEqual({
        status: 503,
        text: 'not ready: shutting down\n',
      });
      expect(await at.review(deleteReview('web-0'))).toMatchObject({ allowed: true });
      expect(at.process.running).toBe(true);
      expect(await slow).toMatchObject({
        allowed: false,
        auditAnnotations: { decision: 'deny', reason: 'Unverifiable' },
      });
      await expect(at.process.exit).resolves.toStrictEqual({ code: 0, signal: null });
      // What was written before the end may be read after it.
      await until('its last line', async () => at.log.at(-1)?.['msg'] === 'stopped');
    });

    it('twice, ends at once', async () => {
      const at = await serve({ guards: NOBODY, args: ['--shutdown-delay=10m'] });
      at.process.signal('SIGINT');
      await at.logged('stopping');
      expect(at.process.running).toBe(true);
      at.process.signal('SIGINT');
      await expect(at.process.exit).resolves.toStrictEqual({ code: null, signal: 'SIGINT' });
    });
  });

  describe('its metrics', () => {
    let cluster: EtcdCluster;

    beforeAll(async () => {
      cluster = await startEtcdCluster();
    });

    afterAll(() => cluster.stop());

    it('count exactly what it answered', async () => {
      const at = await serve({ guards: guardFile(guardFor(cluster)) });
      const leader = await cluster.leader();
      const [first, second] = await cluster.followers();
      const pods = [leader.name, first?.name ?? '', second?.name ?? ''] as const;
      const [l, f, s] = pods;
      const series: (readonly [unknown, string])[] = [
        [deleteReview('web-0'), 'none'],
        [deleteReview(l), 'LeaderProtected'],
        [deleteReview(l), 'LeaderProtected'],
        [deleteReview(l, { dryRun: true }), 'LeaderProtected'],
        [evictionReview(l, { dryRun: true }), 'Spared'],
        [deleteReview(f, { dryRun: true }), 'Spared'],
        [deleteReview(f), 'Spared'],
        [deleteReview(f), 'Spared'],
        [deleteReview(s), 'QuorumAtRisk'],
        [evictionReview(s), 'QuorumAtRisk'],
        [evictionReview(l), 'LeaderProtected'],
        [
          deleteReview(l, { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }),
          'AlreadyGoing',
        ],
        [deleteReview(s, { spec: { nodeName: '' } }), 'NotRunningHere'],
        [
          deleteReview(l, { metadata: { annotations: { 'etcd-guard.io/break-glass': 'fire' } } }),
          'BreakGlass',
        ],
      ];
      const answered: string[] = [];
      for (const [review] of series) {
        const { auditAnnotations } = await at.review(review);
        answered.push(auditAnnotations?.['reason'] ?? 'none');
      }
      expect(answered).toStrictEqual(series.map(([, reason]) => reason));
      expect(await at.post({ kind: 'AdmissionReview' })).toStrictEqual({
        status: 400,
        body: { error: 'the review has no request' },
      });

      expect(await at.samples('etcdguard_admission_requests_total')).toStrictEqual({
        [other('delete', 'allow', 'NotGuarded')]: 1,
        [other('eviction', 'allow', 'NotGuarded')]: 0,
        [other('delete', 'error', 'InternalError')]: 0,
        [other('eviction', 'error', 'InternalError')]: 0,
        [other('', 'error', 'BadRequest')]: 1,
        [request('delete', 'allow', 'Unverifiable')]: 0,
        [request('delete', 'deny', 'Unverifiable')]: 0,
        [request('eviction', 'allow', 'Unverifiable')]: 0,
        [request('eviction', 'deny', 'Unverifiable')]: 0,
        [request('delete', 'deny', 'LeaderProtected')]: 2,
        [request('delete', 'deny', 'LeaderProtected', true)]: 1,
        [request('eviction', 'allow', 'Spared', true)]: 1,
        [request('delete', 'allow', 'Spared', true)]: 1,
        [request('delete', 'allow', 'Spared')]: 2,
        [request('delete', 'deny', 'QuorumAtRisk')]: 1,
        [request('eviction', 'deny', 'QuorumAtRisk')]: 1,
        [request('eviction', 'deny', 'LeaderProtected')]: 1,
        [request('delete', 'allow', 'AlreadyGoing')]: 1,
        [request('delete', 'allow', 'NotRunningHere')]: 1,
        [request('delete', 'allow', 'BreakGlass')]: 1,
      });

      const never = ['AmbiguousGuard', 'Unverifiable', 'QuorumLost'].flatMap((reason) => [
        [denial('delete', reason), 0],
        [denial('eviction', reason), 0],
      ]);
      expect(await at.samples('etcdguard_denials_total')).toStrictEqual({
        ...Object.fromEntries(never),
        [denial('delete', 'LeaderProtected')]: 2,
        [denial('eviction', 'LeaderProtected')]: 1,
        [denial('delete', 'QuorumAtRisk')]: 1,
        [denial('eviction', 'QuorumAtRisk')]: 1,
      });

      const rest = [
        'etcdguard_handoffs_total',
        'etcdguard_break_glass_total',
        'etcdguard_reservations',
        'etcdguard_guarded_pods',
        'etcdguard_cluster_has_leader',
        'etcdguard_cluster_voters',
        'etcdguard_cluster_leader_changes_total',
        'etcdguard_keeps_status',
        'etcdguard_ready',
        'etcdguard_admission_requests_in_flight',
        'etcdguard_reload_failures_total',
      ];
      const samples = await Promise.all(rest.map((name) => at.samples(name)));
      expect(Object.assign({}, ...samples)).toStrictEqual({
        'etcdguard_handoffs_total{guard="etcd",namespace="default",outcome="moved"}': 0,
        'etcdguard_handoffs_total{guard="etcd",namespace="default",outcome="failed"}': 0,
        // The eviction while another was away.
        'etcdguard_handoffs_total{guard="etcd",namespace="default",outcome="refused"}': 1,
        'etcdguard_break_glass_total{guard="etcd",namespace="default"}': 1,
        // The follower, the one without a node, and the leader behind broken glass.
        'etcdguard_reservations{guard="etcd",namespace="default"}': 3,
        'etcdguard_guarded_pods{guard="etcd",namespace="default"}': 3,
        'etcdguard_cluster_has_leader{guard="etcd",namespace="default"}': 1,
        'etcdguard_cluster_voters{guard="etcd",health="healthy",namespace="default"}':
          expect.any(Number),
        'etcdguard_cluster_voters{guard="etcd",health="unhealthy",namespace="default"}':
          expect.any(Number),
        'etcdguard_cluster_voters{guard="etcd",health="unknown",namespace="default"}': 0,
        'etcdguard_cluster_leader_changes_total{guard="etcd",namespace="default"}': 0,
        etcdguard_keeps_status: 1,
        etcdguard_ready: 1,
        etcdguard_admission_requests_in_flight: 0,
        'etcdguard_reload_failures_total{file="guards"}': 0,
        'etcdguard_reload_failures_total{file="certificate"}': 0,
        'etcdguard_reload_failures_total{file="access"}': 0,
      });

      const durations = await at.samples('etcdguard_admission_duration_seconds_count');
      expect(durations).toStrictEqual({
        'etcdguard_admission_duration_seconds_count{decision="allow",operation="delete"}': 7,
        'etcdguard_admission_duration_seconds_count{decision="deny",operation="delete"}': 4,
        'etcdguard_admission_duration_seconds_count{decision="error",operation="delete"}': 0,
        'etcdguard_admission_duration_seconds_count{decision="allow",operation="eviction"}': 1,
        'etcdguard_admission_duration_seconds_count{decision="deny",operation="eviction"}': 2,
        'etcdguard_admission_duration_seconds_count{decision="error",operation="eviction"}': 0,
      });
      const builds = Object.entries(await at.samples('etcdguard_build_info'));
      expect(builds).toStrictEqual([
        [expect.stringMatching(/node="v24\.[\d.]+",version="\d+\.\d+\.\d+"/), 1],
      ]);
      expect(await checkMetrics(await at.metrics())).toStrictEqual({ ok: true, output: '' });
    });
  });
});
