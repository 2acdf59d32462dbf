import { execa } from 'execa';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { REASONS } from '../../src/decision/situation.ts';
import { startEtcdCluster, type CommandResult, type EtcdCluster } from '../harness/etcd-cluster.ts';
import { guardFile, guardFor } from '../harness/guard-process.ts';
import { ManagedProcess } from '../harness/managed-process.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../harness/reaper.ts';
import { requireBinary } from '../harness/require-binary.ts';
import { Tmux } from '../harness/tmux.ts';

async function etcdGuard(...args: readonly string[]): Promise<CommandResult> {
  const result = await execa(process.execPath, [inject('program'), ...args], {
    reject: false,
    timeout: 30_000,
    stripFinalNewline: false,
  });
  return { exitCode: result.exitCode ?? -1, stdout: result.stdout, stderr: result.stderr };
}

let directory: TemporaryDirectory;
/** Of a guard whose members nobody starts. */
let nobody: string;

beforeAll(async () => {
  directory = await temporaryDirectory('commands-test');
  nobody = join(directory.path, 'nobody.yaml');
  await writeFile(
    nobody,
    guardFile({
      apiVersion: 'etcd-guard.io/v1alpha1',
      kind: 'EtcdGuard',
      metadata: { name: 'nobody', namespace: 'default' },
      spec: { members: { addresses: { 'etcd-0': '127.0.0.1:1', 'etcd-1': '127.0.0.1:1' } } },
    }),
  );
});

afterAll(() => directory.remove());

describe('explain', () => {
  it('lists every reason, and explains each', async () => {
    const { exitCode, stdout } = await etcdGuard('explain');
    expect(exitCode).toBe(0);
    for (const reason of REASONS) expect(stdout).toMatch(new RegExp(`^${reason} `, 'm'));
    const one = await etcdGuard('explain', 'quorumatrisk');
    expect(one).toMatchObject({ exitCode: 0, stderr: '' });
    expect(one.stdout).toMatch(/^QuorumAtRisk: refused/);
  });

  it('names the near ones of what it does not know, with exit code 2', async () => {
    expect(await etcdGuard('explain', 'Quorum')).toStrictEqual({
      exitCode: 2,
      stdout: '',
      stderr:
        "etcd-guard: no reason is called 'Quorum'; did you mean QuorumLost or QuorumAtRisk or QuorumAtRiskAllowed?\nTry: etcd-guard explain\n",
    });
  });
});

describe('whoever has read enough', () => {
  it.each(['explain', '--help', 'status --help', 'completion bash', 'status -A --guards=NOBODY'])(
    'ends etcd-guard %s quietly',
    async (line) => {
      const words = line.replace('NOBODY', nobody).split(' ');
      const command = `"$0" "$@" | true; exit "\${PIPESTATUS[0]}"`;
      const { exitCode, stderr } = await execa(
        'bash',
        ['-c', command, process.execPath, inject('program'), ...words],
        { reject: false },
      );
      expect({ exitCode, stderr }).toStrictEqual({
        exitCode: line.includes('NOBODY') ? 3 : 0,
        stderr: '',
      });
    },
  );
});

describe('wait', () => {
  it('says what is missing, and gives up with exit code 1', async () => {
    const args = ['wait', 'etcd-0', `--guards=${nobody}`, '--timeout=700ms'];
    const deletable = await etcdGuard(...args, '--for=deletable');
    expect(deletable).toMatchObject({ exitCode: 1, stdout: '' });
    expect(deletable.stderr).toMatch(
      /^etcd-guard: waiting: deny \(Unverifiable\): [^\n]+\netcd-guard: etcd-0 was not deletable within 0\.7 s\n$/,
    );
    const healthy = await etcdGuard(...args, '--for=healthy');
    expect(healthy).toStrictEqual({
      exitCode: 1,
      stdout: '',
      stderr:
        'etcd-guard: waiting: no member answers from here (etcd-0: connection refused)\netcd-guard: etcd-0 was not healthy within 0.7 s\n',
    });
  });

  it('does not take what the policy lets go unjudged for deletable', async () => {
    const allowing = join(directory.path, 'allowing.yaml');
    const text = await readFile(nobody, 'utf8');
    await writeFile(allowing, `${text}  policy: {unknown: Allow}\n`);
    const args = ['wait', 'etcd-0', `--guards=${allowing}`, '--for=deletable', '--timeout=0'];
    expect(await etcdGuard(...args)).toMatchObject({ exitCode: 1, stdout: '' });
  });

  it('ends at once and quietly by Ctrl-C', async () => {
    const args = ['wait', 'etcd-0', `--guards=${nobody}`, '--for=deletable', '--timeout=10m'];
    const waiting = await ManagedProcess.start(process.execPath, [inject('program'), ...args]);
    await waiting.waitForOutput(/waiting: .*\n/);
    await expect(waiting.kill('SIGINT')).resolves.toStrictEqual({ code: 130, signal: null });
    expect(waiting.output.trimEnd().split('\n')).toHaveLength(1);
  });
});

describe('handoff', () => {
  it('is not made where nobody can confirm it, or nobody tells who leads', async () => {
    expect(await etcdGuard('handoff', `--guards=${nobody}`)).toStrictEqual({
      exitCode: 2,
      stdout: '',
      stderr: 'etcd-guard: nobody is there to confirm it: give --yes\n',
    });
    const unclear = await etcdGuard('handoff', `--guards=${nobody}`, '--yes');
    expect(unclear).toMatchObject({ exitCode: 3, stdout: '' });
    expect(unclear.stderr).toBe(
      "etcd-guard: default/nobody can't be asked from here: no quorum of voters gives one member list (etcd-0: connection refused, etcd-1: connection refused). Are its members running (kubectl get pods -n default)? If so, run this where they can be reached, such as in a pod of the cluster.\n",
    );
  });

  it('of a pod or guard that there is not ends with exit code 4', async () => {
    const none = await etcdGuard('handoff', '--guard=none', `--guards=${nobody}`, '-y');
    expect(none).toStrictEqual({
      exitCode: 4,
      stdout: '',
      stderr: "etcd-guard: no EtcdGuard 'none' in namespace default\n",
    });
    const pod = await etcdGuard('handoff', 'web-0', `--guards=${nobody}`, '-y');
    expect(pod).toStrictEqual({
      exitCode: 4,
      stdout: '',
      stderr: 'etcd-guard: no EtcdGuard with a pod web-0 in namespace default\n',
    });
  });
});

describe('of a real cluster', () => {
  let cluster: EtcdCluster;
  let guards: string;

  beforeAll(async () => {
    cluster = await startEtcdCluster();
    guards = join(directory.path, 'guards.yaml');
    await writeFile(guards, guardFile(guardFor(cluster)));
  });

  afterAll(() => cluster?.stop());

  async function roles() {
    const leader = await cluster.leader();
    const [first, second] = await cluster.followers();
    if (first === undefined || second === undefined) throw new Error('three members are needed');
    return { leader: leader.name, first: first.name, second: second.name };
  }

  describe('handoff', () => {
    it('only says what it would do in a dry run', async () => {
      const { leader } = await roles();
      const result = await etcdGuard('handoff', '--dry-run', `--guards=${guards}`);
      expect(result).toMatchObject({ exitCode: 0, stderr: '' });
      expect(result.stdout).toMatch(
        new RegExp(`^default/etcd: leadership would be moved from ${leader} to etcd-\\d\n$`),
      );
      expect((await cluster.leader()).name).toBe(leader);
    });

    it('moves leadership off whoever leads, to whom it says', async () => {
      const { leader } = await roles();
      const result = await etcdGuard('handoff', '--yes', `--guards=${guards}`);
      expect(result).toMatchObject({ exitCode: 0, stderr: '' });
      const words = new RegExp(`^default/etcd: leadership moved from ${leader} to (etcd-\\d)\n$`);
      const [, next] = words.exec(result.stdout) ?? [];
      expect(next).toMatch(/^etcd-\d$/);
      expect(next).not.toBe(leader);
      expect((await cluster.leader()).name).toBe(next);
    });

    it('moves it off the pod that is named, to the one that is asked for', async () => {
      const { leader, second } = await roles();
      const args = ['handoff', leader, '--to', second, '-y', `--guards=${guards}`];
      expect(await etcdGuard(...args)).toStrictEqual({
        exitCode: 0,
        stdout: `default/etcd: leadership moved from ${leader} to ${second}\n`,
        stderr: '',
      });
      expect((await cluster.leader()).name).toBe(second);
      // As often as a script repeats it.
      expect(await etcdGuard(...args)).toStrictEqual({
        exitCode: 0,
        stdout: `default/etcd: nothing to do: ${second} leads, not ${leader}\n`,
        stderr: '',
      });
      expect(await etcdGuard('handoff', '--to', second, '-y', `--guards=${guards}`)).toStrictEqual({
        exitCode: 0,
        stdout: `default/etcd: nothing to do: ${second} leads already\n`,
        stderr: '',
      });
    });

    it('does not move it to a pod that there is not', async () => {
      const args = ['handoff', '--to', 'etcd-9', '-y', `--guards=${guards}`];
      expect(await etcdGuard(...args)).toStrictEqual({
        exitCode: 4,
        stdout: '',
        stderr: 'etcd-guard: default/etcd has no pod etcd-9\n',
      });
    });

    it('does not move it to one that is not healthy, nor at all if there is no other', async () => {
      const { leader, first, second } = await roles();
      const stopped = cluster.member(first);
      stopped.process.pause();
      const to = await etcdGuard('handoff', '--to', first, '-y', `--guards=${guards}`);
      expect(to).toMatchObject({ exitCode: 1, stdout: '' });
      expect(to.stderr).toMatch(
        new RegExp(
          `^etcd-guard: leadership of default/etcd stays where it is: ${first} \\(.+\\) is not fit to lead\n$`,
        ),
      );
      // Two of three are a quorum, and the one that is left is fit.
      const moved = await etcdGuard('handoff', leader, '-y', `--guards=${guards}`);
      expect(moved).toMatchObject({
        exitCode: 0,
        stdout: `default/etcd: leadership moved from ${leader} to ${second}\n`,
      });
      stopped.process.resume();
      await cluster.waitHealthy();
    });
  });

  describe('wait', () => {
    it('is over at once where it holds already', async () => {
      const { leader, first } = await roles();
      const deletable = await etcdGuard('wait', first, '--for=deletable', `--guards=${guards}`);
      expect(deletable).toMatchObject({ exitCode: 0, stderr: '' });
      expect(deletable.stdout).toMatch(new RegExp(`^allow \\(Spared\\): ${first} follows in `));
      const healthy = await etcdGuard('wait', leader, '--for', 'healthy', `--guards=${guards}`);
      expect(healthy).toStrictEqual({
        exitCode: 0,
        stdout: `${leader} is healthy; 3/3 voters are\n`,
        stderr: '',
      });
    });

    it('is over as soon as leadership has been moved off the pod', async () => {
      const { leader, first } = await roles();
      const args = ['wait', leader, '--for=deletable', '--timeout=1m', `--guards=${guards}`];
      const waiting = await ManagedProcess.start(process.execPath, [inject('program'), ...args]);
      await waiting.waitForOutput(/waiting: deny \(LeaderProtected\): .*\n/);
      await cluster.moveLeader(first);
      await expect(waiting.exit).resolves.toStrictEqual({ code: 0, signal: null });
      expect(waiting.output).toMatch(
        new RegExp(`\nallow \\(Spared\\): ${leader} follows in .*\n$`),
      );
    });

    it('for a member that comes back is over once it is a healthy voter', async () => {
      const { first } = await roles();
      const member = cluster.member(first);
      member.process.pause();
      const args = ['wait', first, '--for=healthy', '--timeout=1m', `--guards=${guards}`];
      const waiting = await ManagedProcess.start(process.execPath, [inject('program'), ...args]);
      await waiting.waitForOutput(new RegExp(`waiting: ${first} is unknown \\(.*\\)\n`));
      member.process.resume();
      await expect(waiting.exit).resolves.toStrictEqual({ code: 0, signal: null });
      expect(waiting.output).toMatch(new RegExp(`\n${first} is healthy; 3/3 voters are\n$`));
    });
  });
});

describe('completion', () => {
  let tmux: Tmux | null = null;

  afterEach(async () => {
    await tmux?.stop();
    tmux = null;
  });

  it.each<[string, string[], string[]]>([
    ['commands', ['st'], ['status']],
    ['options', ['check', 'etcd-0', '--ev'], ['--eviction']],
    ['options that are not given yet', ['status', '--watch', '--w'], []],
    ['values', ['status', '-o', ''], ['table', 'json', 'yaml', 'name']],
    ['values behind =', ['check', '--via=d'], ['--via=direct']],
    ['values that bash took apart', ['check', '--via', '=', 'd'], ['--via=direct']],
    [
      'reasons',
      ['explain', 'Quorum'],
      ['QuorumLost', 'QuorumAtRisk', 'QuorumAtRiskAllowed', 'QuorumAnswers'],
    ],
    ['shells', ['completion', ''], ['bash', 'zsh', 'fish']],
    ['topics of help', ['help', 'sta'], ['status']],
    ['pods of a file', ['check', '--guards', 'NOBODY', 'etcd-'], ['etcd-0', 'etcd-1']],
    [
      'pods behind other words',
      ['handoff', 'etcd-0', '--guards=NOBODY', '--to=etcd-1'],
      ['--to=etcd-1'],
    ],
    ['guards of a file', ['status', '--guards=NOBODY', ''], ['nobody']],
    ['nothing of a file that is not there', ['status', '--guards=/nowhere', ''], []],
    ['nothing of what it does not know', ['frob', ''], []],
  ])('knows %s', async (_, words, candidates) => {
    const given = words.map((word) => word.replace('NOBODY', nobody));
    expect(await etcdGuard('__complete', ...given)).toStrictEqual({
      exitCode: 0,
      stdout: [...candidates, ':4', ''].join('\n'),
      stderr: '',
    });
  });

  it('leaves names of files to the shell', async () => {
    expect((await etcdGuard('__complete', 'status', '--guards', 'gu')).stdout).toBe(':0\n');
  });

  /** `etcd-guard` in the PATH of a shell whose prompt is `$ `. */
  async function shellWith(shell: readonly string[], load: string): Promise<Tmux> {
    const bin = join(directory.path, 'etcd-guard');
    await writeFile(bin, `#!/bin/sh\nexec '${process.execPath}' '${inject('program')}' "$@"\n`, {
      mode: 0o755,
    });
    const env = { PATH: `${directory.path}:${process.env['PATH'] ?? ''}`, PROMPT: '$ ' };
    tmux = await Tmux.start({ columns: 120, env, shell });
    await tmux.run(`cd ${directory.path}; ${load}; clear`);
    await tmux.shows(/^\$$/);
    return tmux;
  }

  const SHELLS = [
    [
      'bash',
      () => [requireBinary('bash'), '--noprofile', '--norc', '-i'],
      'source <(etcd-guard completion bash)',
    ],
    [
      'zsh',
      () => [requireBinary('zsh'), '-f', '-i'],
      'autoload -U compinit; compinit -u -D; source <(etcd-guard completion zsh)',
    ],
    [
      'fish',
      () => [
        requireBinary('fish'),
        '--no-config',
        '-i',
        '-C',
        'function fish_prompt; echo -n "\\$ "; end; function fish_right_prompt; end',
      ],
      'etcd-guard completion fish | source',
    ],
  ] as const;

  it.each(SHELLS)('works in %s', async (_, shell, load) => {
    const terminal = await shellWith(shell(), load);
    await terminal.type('etcd-guard expl');
    await terminal.press('Tab');
    await terminal.shows(/^\$ etcd-guard explain$/m);
    await terminal.type('Spa');
    await terminal.press('Tab');
    await terminal.shows(/^\$ etcd-guard explain Spared$/m);
    await terminal.press('C-u');
    await terminal.type('etcd-guard check --guards nob');
    await terminal.press('Tab');
    await terminal.shows(/^\$ etcd-guard check --guards nobody\.yaml$/m);
    await terminal.type('--via=dir');
    await terminal.press('Tab');
    await terminal.shows(/^\$ etcd-guard check --guards nobody\.yaml --via=direct$/m);
    await terminal.type('-o=ya');
    await terminal.press('Tab');
    await terminal.shows(/^\$ etcd-guard check --guards nobody\.yaml --via=direct -o=yaml$/m);
    await terminal.type('etc');
    await terminal.press('Tab');
    await terminal.type('1');
    const line = /^\$ etcd-guard check --guards nobody\.yaml --via=direct -o=yaml etcd-1$/m;
    expect(await terminal.shows(line)).toMatch(line);
  });
});
