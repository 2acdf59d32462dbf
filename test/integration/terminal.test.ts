import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { startEtcdCluster, type EtcdCluster } from '../harness/etcd-cluster.ts';
import { guardFile, guardFor } from '../harness/guard-process.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../harness/reaper.ts';
import { Tmux } from '../harness/tmux.ts';
import { until } from '../harness/until.ts';

const LONGEST = `${'etcd-of-the-very-long-name-'.repeat(9)}abcdefgh-0`;

function widest(text: string): number {
  return Math.max(...text.split('\n').map(({ length }) => length));
}

describe('in a real terminal', () => {
  let cluster: EtcdCluster;
  let directory: TemporaryDirectory;
  let tmux: Tmux | null;

  beforeAll(async () => {
    directory = await temporaryDirectory('terminal-test');
    cluster = await startEtcdCluster({
      names: ['etcd-production-0', 'etcd-production-1', 'etcd-production-2'],
    });
    const { members } = cluster;
    const long = Object.fromEntries(
      members.map(({ address }, at) => [`${LONGEST.slice(0, -1)}${at}`, address]),
    );
    await Promise.all([
      written(
        'guards.yaml',
        guardFile(guardFor(cluster, { name: 'etcd-production', namespace: 'kube-system' })),
      ),
      written(
        'long.yaml',
        guardFile({
          apiVersion: 'etcd-guard.io/v1alpha1',
          kind: 'EtcdGuard',
          metadata: { name: LONGEST, namespace: 'default' },
          spec: { members: { addresses: long } },
        }),
      ),
    ]);
  });

  afterEach(async () => {
    await tmux?.stop();
    tmux = null;
  });

  afterAll(async () => {
    await cluster?.stop();
    await directory?.remove();
  });

  async function written(name: string, content: string): Promise<void> {
    await writeFile(join(directory.path, name), content);
  }

  /** `eg` is the program, in the directory with the guard files. */
  async function terminal(columns: number, rows = 24, env = {}): Promise<Tmux> {
    const started = await Tmux.start({ columns, rows, env });
    tmux = started;
    await started.run(
      `cd ${directory.path}; eg() { ${process.execPath} ${inject('program')} "$@"; }; clear`,
    );
    await started.shows(/^\$$/);
    return started;
  }

  describe('status', () => {
    it.each([80, 120])('is a table at %i columns', async (columns) => {
      const { name: leader } = await cluster.leader();
      const shell = await terminal(columns);
      await shell.run('eg status -n kube-system --guards=guards.yaml; echo "done $?"');
      const screen = await shell.shows(/^done 0$/m);
      const [title, row, empty, header, ...pods] = screen.split('\n').slice(1, -2);
      expect(title).toMatch(
        columns === 80
          ? /^GUARD +LEADER +HEALTHY +QUORUM +DISRUPTIONS$/
          : /^GUARD +LEADER +HEALTHY +QUORUM +DISRUPTIONS ALLOWED$/,
      );
      expect(row).toMatch(new RegExp(`^kube-system/etcd-production +${leader} +3/3 +2 +1$`));
      expect(empty).toBe('');
      expect(header).toMatch(/^POD +ROLE +HEALTH +LAG +DELETE NOW$/);
      expect(pods).toStrictEqual(
        cluster.members.map(({ name }) =>
          expect.stringMatching(
            name === leader
              ? new RegExp(`^${name} +Leader +Healthy +0 +deny \\(LeaderProtected\\)$`)
              : new RegExp(`^${name} +Follower +Healthy +\\d+ +allow \\(Spared\\)$`),
          ),
        ),
      );
    });

    it('has a line for each fact at 40 columns', async () => {
      const { name: leader } = await cluster.leader();
      const shell = await terminal(40, 60);
      await shell.run('eg status -n kube-system --guards=guards.yaml; echo "done $?"');
      const screen = await shell.shows(/^done 0$/m);
      const flat = screen.replaceAll(/-\n +/g, '-');
      expect(flat).toMatch(new RegExp(`^LEADER +${leader}$`, 'm'));
      expect(flat).toMatch(/^HEALTHY +3\/3$/m);
      expect(flat).toMatch(
        new RegExp(
          `^POD +${leader}\nROLE +Leader\nHEALTH +Healthy\nLAG +0\nDELETE NOW +deny \\(LeaderProtected\\)$`,
          'm',
        ),
      );
    });

    it.each([40, 80, 120])(
      'keeps every letter of the longest names at %i columns',
      async (columns) => {
        const shell = await terminal(columns, 120);
        await shell.run('eg status --guards=long.yaml; echo "done $?"');
        const screen = await shell.shows(/^done 0$/m);
        // Nothing that the terminal itself had to wrap: every line is one that was printed.
        expect(widest(screen)).toBeLessThanOrEqual(columns);
        const letters = screen
          .split('\n')
          .slice(1)
          .flatMap((line) => line.match(/(?:[a-z]*-)+[a-z0-9]*|abcdefgh-\d/g) ?? []);
        expect(letters.length).toBeGreaterThan(4);
        for (const { index } of cluster.members.map((_, at) => ({ index: at }))) {
          expect(screen).toMatch(new RegExp(`${index}\\b`));
        }
      },
    );
  });

  describe('status --watch', () => {
    it('shows a new leader within two seconds, and gives the terminal back on Ctrl-C', async () => {
      const { name: old } = await cluster.leader();
      const next = (await cluster.followers())[0]?.name ?? '';
      const shell = await terminal(80);
      await shell.run("seq -f 'line %g' 40; echo on the screen before");
      const before = await shell.shows(/^on the screen before\n\$$/m);
      await shell.run('eg status --watch -n kube-system --guards=guards.yaml');
      const first = await shell.shows(/^Refreshed \d\d:\d\d:\d\dZ, Ctrl-C ends$/m);
      expect(first).toMatch(new RegExp(`^${old} +Leader +Healthy +\\d+ +deny`, 'm'));
      expect(first).not.toContain('on the screen before');
      expect(first).not.toContain('LEADER CHANGED');
      expect(await shell.variable('cursor_flag')).toBe('0');
      await cluster.moveLeader(next);
      const after = await shell.shows(
        new RegExp(
          `^LEADER CHANGED: kube-system/etcd-production from ${old} to ${next}`.replaceAll(
            ' ',
            '\\s+',
          ),
          'm',
        ),
        2_000,
      );
      expect(after).toMatch(new RegExp(`^${next} +Leader +Healthy +\\d+ +deny`, 'm'));
      expect(await shell.colored()).toMatch(/\[[\d;]*43m\s*LEADER CHANGED/);
      // It stays for some seconds, and the time goes on.
      const [time] = /Refreshed \S+/.exec(after) ?? [];
      await until('another time', async () => !(await shell.screen()).includes(time ?? '?'));
      await shell.press('C-c');
      const restored = await shell.shows(/^on the screen before$/m);
      // But for the lines that have scrolled up since.
      expect(restored).toContain(before.split('\n').slice(5, -1).join('\n'));
      expect(await shell.variable('cursor_flag')).toBe('1');
      expect(await shell.variable('alternate_on')).toBe('0');
      await shell.run('echo "code $?"');
      await shell.shows(/^code 130$/m);
      // Nothing of it is left, and nothing from before it is lost.
      const all = await shell.scrollback();
      expect(all).not.toContain('Refreshed');
      expect(all.match(/^line \d+$/gm)).toHaveLength(40);
    });

    it('is redrawn within two seconds though a member hangs, which is Unknown meanwhile', async () => {
      const [follower] = await cluster.followers();
      const { name = '' } = follower ?? {};
      const shell = await terminal(80);
      await shell.run('eg status --watch -n kube-system --guards=guards.yaml');
      await shell.shows(/^Refreshed/m);
      cluster.pauseMember(name);
      try {
        await shell.shows(new RegExp(`^${name} .* Unknown `, 'm'));
        const drawn = join(directory.path, 'drawn');
        await shell.record(drawn);
        const times: number[] = [];
        await until(
          'five pictures',
          async () => {
            const pictures = (await readFile(drawn, 'utf8')).split('Refreshed').length - 1;
            while (times.length < pictures) times.push(performance.now());
            return times.length > 5;
          },
          { intervalMs: 20 },
        );
        const gaps = times.slice(1).map((at, index) => at - (times[index] ?? 0));
        expect(Math.max(...gaps)).toBeLessThan(2_000);
        const screen = await shell.screen();
        expect(screen).toMatch(/^kube-system\/etcd-production +\S+ +2\/3 /m);
        expect(screen).not.toContain('NOT REFRESHED');
      } finally {
        cluster.resumeMember(name);
      }
      await shell.press('C-c');
      await cluster.waitHealthy();
    });

    it('gives the terminal back on SIGTERM, and needs no colour', async () => {
      const shell = await terminal(80, 24, { NO_COLOR: '1' });
      const watching = `exec ${process.execPath} ${inject('program')} status -w -n kube-system --guards=guards.yaml`;
      await shell.run(`sh -c 'echo $$ > pid; ${watching}'; echo "code $?"`);
      await shell.shows(/^Refreshed/m);
      await cluster.moveLeader((await cluster.followers())[0]?.name ?? '');
      await shell.shows(/^LEADER CHANGED/m);
      expect(await shell.colored()).not.toContain('\u001B');
      process.kill(Number(await readFile(join(directory.path, 'pid'), 'utf8')), 'SIGTERM');
      await shell.shows(/^code 143$/m);
      expect(await shell.variable('alternate_on')).toBe('0');
      expect(await shell.variable('cursor_flag')).toBe('1');
    });

    it('follows the size of the terminal', async () => {
      const shell = await terminal(120);
      await shell.run('eg status --watch -n kube-system --guards=guards.yaml');
      await shell.shows(/DISRUPTIONS ALLOWED/);
      await shell.resize(40, 10);
      const narrow = await shell.shows(/\.\.\. \d+ more lines do not fit$/);
      expect(narrow.split('\n').length).toBeLessThanOrEqual(10);
      await shell.resize(80, 24);
      await shell.shows(/^GUARD +LEADER +HEALTHY +QUORUM +DISRUPTIONS$/m);
    });
  });

  describe('handoff', () => {
    it('asks first, and takes anything but yes for a no', async () => {
      const { name: leader } = await cluster.leader();
      const shell = await terminal(120);
      const command = 'eg handoff -n kube-system --guards=guards.yaml; echo "code $?"';
      await shell.run(command);
      const asked = await shell.shows(/\? \[y\/N\]$/);
      const words = /Move leadership of kube-system\/etcd-production from (\S+) to (\S+)\?/;
      const [, from, to] = words.exec(asked) ?? [];
      expect(from).toBe(leader);
      await shell.run('no');
      await shell.shows(/^etcd-guard: nothing was moved\ncode 1$/m);
      expect((await cluster.leader()).name).toBe(leader);
      await shell.run(`clear; ${command}`);
      await shell.shows(/\? \[y\/N\]$/);
      await shell.press('C-c');
      await shell.shows(/^code 130$/m);
      expect((await cluster.leader()).name).toBe(leader);
      await shell.run(`clear; ${command}`);
      await shell.shows(/\? \[y\/N\]$/);
      await shell.run('y');
      await shell.shows(
        new RegExp(
          `^kube-system/etcd-production: leadership moved from ${leader} to ${to}\ncode 0$`,
          'm',
        ),
      );
      expect((await cluster.leader()).name).toBe(to);
    });
  });

  it('logs are pretty, unless JSON is asked for', async () => {
    const shell = await terminal(120);
    const serve =
      'eg serve --guards=guards.yaml --listen=127.0.0.1:0 --metrics-listen=127.0.0.1:0 --shutdown-delay=0s';
    await shell.run(serve);
    await shell.shows(
      /^\d\d:\d\d:\d\d\.\d{3} INFO {2}listening https=127\.0\.0\.1:\d+ http=127\.0\.0\.1:\d+$/m,
    );
    await shell.press('C-c');
    await shell.shows(/INFO {2}stopped$/m);
    await shell.run(`clear; ${serve} --log-format=json`);
    const json = /^\{"level":"info",.*"msg":"listening"/m;
    expect(await shell.shows(json)).toMatch(json);
    await shell.press('C-c');
  });
});
