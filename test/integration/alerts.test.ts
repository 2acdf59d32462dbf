import { execa } from 'execa';
import { readdirSync, readFileSync } from 'node:fs';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { queries } from '../../scripts/monitoring/dashboard.ts';
import { RULES } from '../../scripts/monitoring/files.ts';
import { alertsIn } from '../../scripts/monitoring/rules.ts';
import { ROOT } from '../deploy/manifests.ts';
import { startEtcdCluster, type EtcdCluster } from '../harness/etcd-cluster.ts';
import {
  deleteReview,
  evictionReview,
  guardFile,
  guardFor,
  startGuard,
  type GuardProcess,
} from '../harness/guard-process.ts';
import { freePort } from '../harness/loopback.ts';
import { startPrometheus, type Prometheus } from '../harness/prometheus.ts';
import { checkConfig, checkRules, testRules } from '../harness/promtool.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../harness/reaper.ts';
import { until } from '../harness/until.ts';

const RULE_TESTS = join(ROOT, 'test/deploy/alerts');
const DAY_MS = 86_400_000;
/** A busy machine scrapes late. */
const SOON_MS = 60_000;

const shipped = await alertsIn(join(ROOT, RULES));

describe('the alerts, by promtool,', () => {
  it('are rules', async () => {
    expect(await checkRules(join(ROOT, RULES))).toMatchObject({ ok: true });
  });

  it.each(readdirSync(RULE_TESTS))('fire, resolve and stay quiet as %s says', async (file) => {
    const { ok, output } = await testRules(join(RULE_TESTS, file));
    expect({ ok, output }).toMatchObject({ ok: true });
  });

  it('have links to their runbooks, once the line of the docs has made them', async () => {
    const docs = readFileSync(join(ROOT, 'docs/metrics.md'), 'utf8');
    const [, line = ''] = /```sh\n(sed [\s\S]+?)```/.exec(docs) ?? [];
    const directory = await temporaryDirectory('runbooks');
    const folder = dirname(RULES);
    await cp(join(ROOT, folder), join(directory.path, folder), { recursive: true });
    await execa('sh', ['-c', line], { cwd: directory.path });
    const linked = join(directory.path, RULES);
    const links = (await alertsIn(linked)).map(({ annotations }) => annotations.runbook_url);
    expect(links).toStrictEqual(
      shipped.map(
        ({ alert }) => `https://git.example.com/etcd-guard/blob/main/docs/runbooks/${alert}.md`,
      ),
    );
    expect(await checkRules(linked)).toMatchObject({ ok: true });
    const forOperator = await readFile(join(dirname(linked), 'prometheus-rule.yaml'), 'utf8');
    expect(forOperator.match(/runbook_url: https:/g)).toHaveLength(shipped.length);
    await directory.remove();
  });

  it('have a scrape configuration in the docs that Prometheus takes', async () => {
    const docs = readFileSync(join(ROOT, 'docs/metrics.md'), 'utf8');
    const [, example = ''] = /```yaml\n([\s\S]+?)```/.exec(docs) ?? [];
    const directory = await temporaryDirectory('prometheus-config');
    const config = join(directory.path, 'prometheus.yaml');
    await writeFile(config, withoutDiscovery(example));
    await writeFile(
      join(directory.path, 'etcd-guard.rules.yml'),
      await readFile(join(ROOT, RULES), 'utf8'),
    );
    const { ok, output } = await checkConfig(config);
    await directory.remove();
    expect({ ok, output }).toMatchObject({ ok: true });
    expect(output).toContain(`${shipped.length} rules found`);
  });
});

/** Debian's Prometheus is built without that of Kubernetes. */
function withoutDiscovery(config: string): string {
  const schema = z.looseObject({
    scrape_configs: z.tuple([
      z.looseObject({
        job_name: z.literal('etcd-guard'),
        honor_labels: z.literal(true),
        kubernetes_sd_configs: z.tuple([
          z.strictObject({
            role: z.literal('pod'),
            namespaces: z.strictObject({ names: z.tuple([z.literal('etcd-guard')]) }),
          }),
        ]),
      }),
    ]),
  });
  const parsed = schema.parse(parse(config));
  const { kubernetes_sd_configs: _discovery, ...job } = parsed.scrape_configs[0];
  return stringify({ ...parsed, scrape_configs: [job] });
}

/** The same rules with seconds for minutes: each period and range shorter, nothing else changed. */
function hurried(rules: string): string {
  const seconds: Readonly<Record<string, string>> = {
    '3m': '5s',
    '5m': '15s',
    '10m': '15s',
    '15m': '20s',
    '1h': '20s',
    '20m:1m': '20s:1s',
  };
  return rules
    .replaceAll(/^( +for:) \w+$/gm, '$1 1s')
    .replaceAll(/\[([\w:]+)\]/g, (_all, range: string) => `[${seconds[range] ?? range}]`)
    .replace('time() - 900', 'time() - 20');
}

/** Resolves once it is served. */
async function renew(at: GuardProcess, lifeMs: number): Promise<void> {
  const { cert, key } = await at.authority.issue({
    commonName: 'etcd-guard',
    names: ['127.0.0.1', 'localhost'],
    notAfter: new Date(Date.now() + lifeMs),
  });
  await writeFile(at.certificate.keyFile, key);
  await writeFile(at.certificate.certFile, cert);
  const name = 'etcdguard_certificate_expiry_timestamp_seconds';
  await until('the new certificate', async () => {
    const left = ((await at.samples(name))[name] ?? 0) * 1_000 - Date.now();
    return Math.abs(left - lifeMs) < 60_000;
  });
}

async function exposition(url: string, accept: string) {
  const response = await fetch(`${url}/metrics`, { headers: { accept } });
  return { type: response.headers.get('content-type'), body: await response.text() };
}

/** The guard's own, as Prometheus' text format has them. */
function seriesIn(body: string): readonly string[] {
  return body
    .split('\n')
    .filter((line) => line.startsWith('etcdguard_'))
    .map((line) => line.slice(0, line.lastIndexOf(' ')).replace('.0"', '"'));
}

describe('a real Prometheus that scrapes a real guard', { timeout: 150_000 }, () => {
  let cluster: EtcdCluster;
  let guard: GuardProcess;
  let prometheus: Prometheus;
  let directory: TemporaryDirectory;
  let metricsPort: number;
  let guards: string;

  beforeAll(async () => {
    cluster = await startEtcdCluster();
    guards = guardFile(guardFor(cluster));
    metricsPort = await freePort();
    directory = await temporaryDirectory('hurried-rules');
    guard = await start();
    const ruleFile = join(directory.path, 'rules.yml');
    await writeFile(ruleFile, hurried(await readFile(join(ROOT, RULES), 'utf8')));
    prometheus = await startPrometheus({
      ruleFiles: [ruleFile],
      scrapeConfigs: [
        {
          job_name: 'etcd-guard',
          honor_labels: true,
          static_configs: [
            {
              targets: [`127.0.0.1:${metricsPort}`],
              // As discovery by the operator gives them.
              labels: { namespace: 'etcd-guard', pod: 'etcd-guard-0' },
            },
          ],
        },
      ],
    });
    await prometheus.waitFor('etcdguard_cluster_has_leader == 1', undefined, SOON_MS);
  }, 120_000);

  afterAll(async () => {
    await prometheus.stop();
    await guard.stop();
    await cluster.stop();
    await directory.remove();
  });

  async function start(): Promise<GuardProcess> {
    const started = await startGuard({
      program: inject('program'),
      guards,
      args: [`--metrics-listen=127.0.0.1:${metricsPort}`],
    });
    await renew(started, 90 * DAY_MS);
    return started;
  }

  async function fires(alert: string): Promise<Readonly<Record<string, string>>> {
    const firing = `ALERTS{alertname="${alert}",alertstate="firing"}`;
    const [sample] = await prometheus.waitFor(firing, undefined, SOON_MS);
    const {
      __name__: _name,
      alertname: _alert,
      alertstate: _state,
      ...rest
    } = sample?.labels ?? {};
    return rest;
  }

  async function resolves(...alerts: readonly string[]): Promise<void> {
    for (const alert of alerts) {
      const query = `ALERTS{alertname="${alert}"}`;
      await prometheus.waitFor(query, (samples) => samples.length === 0, SOON_MS);
    }
  }

  /** A look at the cluster that changes nothing. */
  async function look(): Promise<void> {
    const { name } = await cluster.leader();
    await guard.review(deleteReview(name, { dryRun: true }));
  }

  const GUARD = { namespace: 'default', guard: 'etcd' };

  it('gets OpenMetrics, with units, and keeps the namespaces that the guard gives', async () => {
    const url = `${prometheus.url}/api/v1/targets/metadata?metric=etcdguard_admission_duration_seconds`;
    const metadata = z.object({
      data: z.tuple([z.looseObject({ type: z.string(), unit: z.string() })]),
    });
    const answer: unknown = await fetch(url).then((response) => response.json());
    // Prometheus' own format has no units.
    expect(metadata.parse(answer).data[0]).toMatchObject({ type: 'histogram', unit: 'seconds' });
    const [leader] = await prometheus.query('etcdguard_cluster_has_leader');
    expect(leader?.labels).toMatchObject(GUARD);
    const [ready] = await prometheus.query('etcdguard_ready');
    expect(ready?.labels).toMatchObject({ namespace: 'etcd-guard', pod: 'etcd-guard-0' });
    const none = 'etcdguard_admission_requests_total{reason="NotGuarded",namespace="",guard=""}';
    expect(await prometheus.query(none)).toHaveLength(2);
    expect(await prometheus.query('{exported_namespace!=""}')).toStrictEqual([]);
  });

  it('has the same samples in both formats, each under its own content type', async () => {
    const text = await exposition(guard.url, 'text/plain');
    const open = await exposition(
      guard.url,
      'application/openmetrics-text;version=1.0.0,text/plain;q=0.5',
    );
    expect(text.type).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(open.type).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8');
    expect(open.body.endsWith('\n# EOF\n')).toBe(true);
    expect(seriesIn(text.body).length).toBeGreaterThan(200);
    expect(seriesIn(open.body)).toStrictEqual(seriesIn(text.body));
  });

  it('answers every query of the dashboard and every alert’s', async () => {
    await guard.review(deleteReview((await cluster.leader()).name));
    await prometheus.waitFor('etcdguard_denials_total > 0', undefined, SOON_MS);
    const empty: string[] = [];
    for (const query of queries()) {
      if ((await prometheus.query(query)).length === 0) empty.push(query);
    }
    // With guards from files nobody knows of other pods.
    expect(empty).toStrictEqual([
      'max by (namespace) (last_over_time(etcdguard_unguarded_pods{namespace=~".*"}[3m]))',
    ]);
    for (const { expr } of shipped) await prometheus.query(expr);
  });

  it('fires nothing while all is well', async () => {
    await look();
    await resolves('EtcdGuardDenialsStorm');
    expect(await prometheus.query('ALERTS')).toStrictEqual([]);
  });

  it('fires EtcdGuardReloadFailed for a broken guard file, and resolves it', async () => {
    await writeFile(guard.guardsFile, 'rubbish');
    expect(await fires('EtcdGuardReloadFailed')).toMatchObject({ file: 'guards' });
    await writeFile(guard.guardsFile, guards);
    await resolves('EtcdGuardReloadFailed');
  });

  it('fires both alerts of a certificate that is about to expire, and resolves them when it is renewed', async () => {
    await renew(guard, 10 * DAY_MS);
    await fires('EtcdGuardCertificateExpiring');
    expect(
      await prometheus.query('ALERTS{alertname="EtcdGuardCertificateExpiresToday"}'),
    ).toStrictEqual([]);
    await renew(guard, DAY_MS / 2);
    await fires('EtcdGuardCertificateExpiresToday');
    await renew(guard, 90 * DAY_MS);
    await resolves('EtcdGuardCertificateExpiring', 'EtcdGuardCertificateExpiresToday');
  });

  it('fires EtcdGuardDenialsStorm when the leader is to go again and again, and resolves it', async () => {
    const { name } = await cluster.leader();
    for (let n = 0; n < 20; n += 1) await guard.review(deleteReview(name));
    expect(await fires('EtcdGuardDenialsStorm')).toStrictEqual({ ...GUARD, severity: 'warning' });
    await resolves('EtcdGuardDenialsStorm');
  });

  it('fires EtcdGuardNoLeader, EtcdGuardUnverifiable and EtcdGuardEtcdCallsTimeOut when no member answers, and resolves them', async () => {
    const members = cluster.members.map(({ name }) => name);
    for (const name of members) cluster.pauseMember(name);
    for (let n = 0; n < 6; n += 1) {
      const { auditAnnotations } = await guard.review(
        deleteReview(members[0] ?? ''),
        '?timeout=3s',
      );
      expect(auditAnnotations).toMatchObject({ reason: 'Unverifiable' });
    }
    expect(await fires('EtcdGuardNoLeader')).toStrictEqual({ ...GUARD, severity: 'critical' });
    expect(await fires('EtcdGuardUnverifiable')).toStrictEqual({ ...GUARD, severity: 'warning' });
    expect((await fires('EtcdGuardEtcdCallsTimeOut'))['method']).toMatch(/^(Status|MemberList)$/);
    for (const name of members) cluster.resumeMember(name);
    await cluster.waitHealthy();
    await look();
    await resolves('EtcdGuardNoLeader', 'EtcdGuardUnverifiable', 'EtcdGuardEtcdCallsTimeOut');
  });

  it('fires EtcdGuardNoDisruptionAllowed when a member is down, and resolves it', async () => {
    const [follower] = await cluster.followers();
    await cluster.killMember(follower?.name ?? '');
    await look();
    expect(await fires('EtcdGuardNoDisruptionAllowed')).toStrictEqual({
      ...GUARD,
      severity: 'warning',
    });
    await cluster.restartMember(follower?.name ?? '');
    await cluster.waitHealthy();
    await look();
    await resolves('EtcdGuardNoDisruptionAllowed');
  });

  it('counts a change of the leader, within two seconds of a look', async () => {
    const changes = 'etcdguard_cluster_leader_changes_total';
    const [before] = await prometheus.query(changes);
    const [follower] = await cluster.followers();
    await cluster.moveLeader(follower?.name ?? '');
    await look();
    const from = Date.now();
    await prometheus.waitFor(`${changes} > ${before?.value}`, undefined, SOON_MS);
    expect(Date.now() - from).toBeLessThan(2_000);
  });

  it('fires EtcdGuardBreakGlassUsed at once, and EtcdGuardReservationStuck if the pod stays', async () => {
    const [follower] = await cluster.followers();
    const annotations = { 'etcd-guard.io/break-glass': 'fire drill' };
    const review = deleteReview(follower?.name ?? '', { metadata: { annotations } });
    expect(await guard.review(review)).toMatchObject({ allowed: true });
    expect(await fires('EtcdGuardBreakGlassUsed')).toStrictEqual({
      ...GUARD,
      severity: 'warning',
    });
    expect(await fires('EtcdGuardReservationStuck')).toMatchObject(GUARD);
    await resolves('EtcdGuardBreakGlassUsed');
    // Meanwhile another eviction of the leader finds that it can't be spared.
    const { name } = await cluster.leader();
    await guard.review(evictionReview(name));
    await prometheus.waitFor('etcdguard_handoffs_total{outcome="refused"} > 0');
  });

  it('fires EtcdGuardDown and EtcdGuardReplicaDown when the guard is killed, and resolves all when it is back', async () => {
    await guard.stop();
    expect(await fires('EtcdGuardDown')).toStrictEqual({ severity: 'critical' });
    expect(await fires('EtcdGuardReplicaDown')).toMatchObject({
      instance: `127.0.0.1:${metricsPort}`,
    });
    guard = await start();
    await look();
    await resolves('EtcdGuardDown', 'EtcdGuardReplicaDown', 'EtcdGuardReservationStuck');
    await until('nothing fires', async () => (await prometheus.query('ALERTS')).length === 0, {
      timeoutMs: SOON_MS,
    });
  });
});
