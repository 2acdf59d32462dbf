import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createConnection } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startEtcdCluster, type EtcdCluster } from '../harness/etcd-cluster.ts';
import { resettingListener, silentListener } from '../harness/loopback.ts';
import { ManagedProcess } from '../harness/managed-process.ts';
import { startPrometheus } from '../harness/prometheus.ts';
import { checkMetrics } from '../harness/promtool.ts';
import { until } from '../harness/until.ts';

function runs(pid: number): boolean {
  try {
    // A zombie still has an entry, and its state is Z.
    return !execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).startsWith(
      'Z',
    );
  } catch {
    return false;
  }
}

describe('ManagedProcess', () => {
  it('puts the output into the error when the process ends before it is ready', async () => {
    const start = ManagedProcess.start('sh', ['-c', 'echo broken configuration; exit 3'], {
      ready: () => false,
    });
    await expect(start).rejects.toThrow(/with code 3\nbroken configuration/);
  });

  it('ends what does not become ready in time', async () => {
    const start = ManagedProcess.start('sh', ['-c', 'echo pid=$$; exec sleep 600'], {
      ready: () => new Promise(() => {}),
      readyTimeoutMs: 300,
    });
    const error: unknown = await start.catch((reason: unknown) => reason);
    const pid = Number(/pid=(\d+)/.exec(String(error))?.[1]);
    expect(String(error)).toContain('not ready: not within 300 ms');
    expect(runs(pid)).toBe(false);
  });

  it('says what could not be started', async () => {
    await expect(ManagedProcess.start('/nowhere/etcd', [])).rejects.toThrow('etcd did not start');
  });

  it('insists with SIGKILL after the grace, also on a paused process', async () => {
    const stubborn = await ManagedProcess.start('sh', [
      '-c',
      'trap "" TERM; echo up; while :; do read -r x || sleep 1; done',
    ]);
    await stubborn.waitForOutput(/up/);
    stubborn.pause();
    await expect(stubborn.stop(200)).resolves.toStrictEqual({ code: null, signal: 'SIGKILL' });
  });

  it('leaves no process and no directory behind when its own process is killed', async () => {
    const script = `
      import { ManagedProcess } from ${JSON.stringify(new URL('../harness/managed-process.ts', import.meta.url).href)};
      import { temporaryDirectory } from ${JSON.stringify(new URL('../harness/reaper.ts', import.meta.url).href)};
      const gone = await ManagedProcess.start('sleep', ['0']);
      await gone.exit;
      const kept = await ManagedProcess.start('sleep', ['600']);
      const directory = await temporaryDirectory('harness test');
      console.log(JSON.stringify({ pid: kept.pid, path: directory.path }));
      setInterval(() => {}, 1000);
    `;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line]: unknown[] = await once(parent.stdout, 'data');
    const { pid, path }: { pid: number; path: string } = JSON.parse(String(line));
    expect([runs(pid), existsSync(path)]).toStrictEqual([true, true]);
    parent.kill('SIGKILL');
    await until('everything is cleared away', () => !runs(pid) && !existsSync(path));
  });
});

describe('listeners', () => {
  it('silent: takes the connection and says nothing', async () => {
    const listener = await silentListener();
    const socket = createConnection(listener.port, listener.host);
    await once(socket, 'connect');
    socket.write('hello');
    await until('the connection is counted', () => listener.connections() === 1);
    expect(socket.bytesRead).toBe(0);
    socket.destroy();
    await listener.close();
  });

  it('resetting: resets the connection', async () => {
    const listener = await resettingListener();
    const socket = createConnection(listener.port, listener.host);
    const [error]: unknown[] = await once(socket, 'error');
    expect(error).toMatchObject({ code: 'ECONNRESET' });
    await listener.close();
  });
});

describe('EtcdCluster', () => {
  let cluster: EtcdCluster | undefined;

  afterEach(async () => {
    await cluster?.stop();
    cluster = undefined;
  });

  it('elects, moves, loses and regains a leader', async () => {
    cluster = await startEtcdCluster();
    const first = await cluster.leader();
    const [follower] = await cluster.followers();
    const moved = await cluster.moveLeader(follower?.name ?? '');
    expect(moved.name).toBe(follower?.name);

    await cluster.killMember(moved.name);
    const next = await cluster.leader();
    expect(next.id).not.toBe(moved.id);

    await cluster.put('key', 'value\nof two lines');
    const restarted = await cluster.restartMember(moved.name);
    await cluster.waitHealthy();
    expect(restarted).toMatchObject({ id: moved.id, address: moved.address });
    await expect(cluster.get('key')).resolves.toBe('value\nof two lines');
    await expect(cluster.get('other')).resolves.toBeUndefined();
    expect(cluster.members.map(({ id }) => id)).toContain(first.id);
  });

  it('pauses and resumes a member', async () => {
    cluster = await startEtcdCluster();
    const leader = await cluster.leader();
    cluster.pauseMember(leader.name);
    const next = await cluster.leader();
    expect(next.id).not.toBe(leader.id);
    await expect(cluster.status(leader.name)).resolves.toBeUndefined();
    cluster.resumeMember(leader.name);
    await cluster.waitHealthy();
  });

  it('takes a learner, and promotes it', async () => {
    cluster = await startEtcdCluster({ names: ['alpha'] });
    const learner = await cluster.addLearner('beta');
    await expect(cluster.status('beta')).resolves.toMatchObject({
      memberId: learner.id,
      learner: true,
    });
    await cluster.promote('beta');
    await cluster.waitHealthy();
    await expect(cluster.status('beta')).resolves.toMatchObject({ learner: false });
  });

  it('asks for certificates and passwords', async () => {
    cluster = await startEtcdCluster({
      clientCertAuth: true,
      auth: { username: 'guard', password: 'secret' },
    });
    const [member] = cluster.members;
    await expect(cluster.put('key', 'value')).resolves.toBeUndefined();
    await expect(cluster.etcdctl('--user=guard:secret', 'get', 'key')).resolves.toMatchObject({
      stderr: expect.stringContaining('permission denied'),
    });
    await expect(cluster.etcdctl('--user=guard:wrong', 'get', 'key')).resolves.toMatchObject({
      stderr: expect.stringContaining('authentication failed'),
    });
    await expect(
      cluster.etcdctl('--cert=', '--key=', 'endpoint', 'health'),
    ).resolves.not.toMatchObject({ exitCode: 0 });
    expect(member?.clientUrl).toMatch(/^https:/);
  });
});

describe('Prometheus', () => {
  let etcd: EtcdCluster;

  beforeAll(async () => {
    etcd = await startEtcdCluster({ members: 1 });
  });
  afterAll(() => etcd.stop());

  it('scrapes and answers', async () => {
    const prometheus = await startPrometheus({
      scrapeConfigs: [
        {
          job_name: 'etcd',
          static_configs: [{ targets: etcd.members.map(({ address }) => address) }],
        },
      ],
    });
    const samples = await prometheus.waitFor('etcd_server_has_leader{job="etcd"}');
    expect(samples).toMatchObject([{ value: 1, labels: { job: 'etcd' } }]);
    await prometheus.stop();
  });

  it('has promtool judge metrics', async () => {
    await expect(
      checkMetrics('# HELP a_total A.\n# TYPE a_total counter\na_total 1\n'),
    ).resolves.toStrictEqual({ ok: true, output: '' });
    await expect(checkMetrics('a_total{ 1\n')).resolves.toMatchObject({ ok: false });
  });
});
