import { execa } from 'execa';
import { chmod, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { objectsIn, only, ROOT } from '../deploy/manifests.ts';
import { workload } from '../deploy/pods.ts';
import { currentKubectl } from '../harness/current-kubectl.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../harness/reaper.ts';
import { requireBinary } from '../harness/require-binary.ts';

const BASICS = ['bash', 'cat', 'dirname', 'grep', 'mkdir', 'rm', 'sed'];
const OWN = 'etcd-guard';

let scratch: TemporaryDirectory;

beforeEach(async () => {
  scratch = await temporaryDirectory('deploy-scripts');
});

afterEach(async () => {
  await scratch.remove();
});

/** Programs of these names that write down how they are called, and fail if `body` says so. */
async function pretend(names: readonly string[], body = ''): Promise<void> {
  for (const name of names) {
    const path = join(scratch.path, name);
    const script = `#!${requireBinary('bash')}\necho "${name} $* KUBECONFIG=$KUBECONFIG" >>"$CALLS"\n${body}\n`;
    await writeFile(path, script);
    await chmod(path, 0o755);
  }
}

/** Runs it with nothing in the PATH but the basics and what was pretended. */
async function demo(...args: readonly string[]): Promise<{
  readonly code: number | undefined;
  readonly said: string;
  readonly calls: string[];
}> {
  const there = new Set(await readdir(scratch.path));
  for (const name of BASICS.filter((one) => !there.has(one))) {
    await symlink(requireBinary(name), join(scratch.path, name));
  }
  const calls = join(scratch.path, 'calls');
  await writeFile(calls, '');
  const { exitCode, stderr } = await execa('bash', ['scripts/minikube-demo.sh', ...args], {
    cwd: ROOT,
    reject: false,
    extendEnv: false,
    env: {
      PATH: scratch.path,
      HOME: scratch.path,
      XDG_CACHE_HOME: join(scratch.path, 'cache'),
      KUBECONFIG: join(scratch.path, 'of-the-user'),
      CALLS: calls,
    },
  });
  const written = await readFile(calls, 'utf8');
  return {
    code: exitCode,
    said: stderr,
    calls: written.split('\n').filter((line) => line !== ''),
  };
}

const kubeconfig = (kind: string): string => join(scratch.path, `cache/${OWN}/${kind}.kubeconfig`);

const release = (image: string): Promise<{ exitCode?: number; stderr: string }> =>
  execa('scripts/release-manifests.sh', [image, scratch.path], { cwd: ROOT, reject: false });

/** Where there is no local kubernetes build. */
const e2eCluster = (...args: readonly string[]) =>
  execa('scripts/e2e-cluster.sh', args, {
    cwd: ROOT,
    reject: false,
    env: { LOCAL_KUBERNETES: scratch.path },
  });

describe('scripts/minikube-demo.sh', () => {
  it.each([
    [[], ['minikube', 'kubectl', 'curl']],
    [['--kind'], ['kind', 'kubectl', 'curl', 'docker']],
    [['--down'], ['minikube']],
  ])('%j names all that is missing at once, and where to get it', async (args, missing) => {
    const { code, said } = await demo(...args);
    expect(code).toBe(1);
    const named = [...said.matchAll(/(\S+) is not installed: \S/g)].map(([, name]) => name);
    expect(named).toEqual(missing);
  });

  it('says that the docker daemon does not answer', async () => {
    await pretend(['minikube', 'kubectl', 'curl']);
    await pretend(['docker'], 'exit 1');
    const { code, said, calls } = await demo();
    expect(code).toBe(1);
    expect(said).toContain('docker is installed, but its daemon does not answer');
    expect(calls).toEqual([expect.stringContaining('docker info')]);
  });

  it.each([
    ['minikube', [], `minikube delete --profile ${OWN}`],
    ['kind', ['--kind'], `kind delete cluster --name ${OWN}`],
  ])('takes down nothing but its own cluster on %s', async (kind, flags, command) => {
    await pretend(['minikube', 'kind', 'kubectl']);
    const { code, calls } = await demo(...flags, '--down');
    expect(code).toBe(0);
    expect(calls).toEqual([`${command} KUBECONFIG=${kubeconfig(kind)}`]);
  });

  it('stops at a cluster that can not be started, and has touched no kubeconfig but its own', async () => {
    await pretend(['kubectl', 'curl', 'docker']);
    await pretend(['minikube'], 'exit 70');
    const { code, said, calls } = await demo();
    expect(code).toBe(1);
    expect(said).toContain('minikube could not start a cluster');
    const [info, buildx, start, ...more] = calls;
    expect(info).toMatch(/^docker info /);
    expect(buildx).toMatch(/^docker buildx version /);
    expect(start).toMatch(new RegExp(`^minikube start --profile ${OWN} `));
    expect(start).toContain(`KUBECONFIG=${kubeconfig('minikube')}`);
    expect(more).toEqual([]);
    await expect(stat(join(scratch.path, 'of-the-user'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('knows no other arguments', async () => {
    expect(await demo('--up')).toMatchObject({ code: 2, calls: [] });
  });
});

describe('scripts/e2e-cluster.sh', () => {
  it('says plainly that there is neither a local kubernetes build nor a cluster', async () => {
    const { exitCode, stderr } = await e2eCluster();
    expect(exitCode).toBe(3);
    expect(stderr).toBe(
      `e2e-cluster.sh: no cluster: there is no local kubernetes build in ${scratch.path} (LOCAL_KUBERNETES), and --context names none (--help)`,
    );
  });

  it('takes an image only for a cluster that is named', async () => {
    expect(await e2eCluster('--image', 'etcd-guard:1')).toMatchObject({ exitCode: 2 });
  });
});

describe('scripts/release-manifests.sh', () => {
  // It renders with this one, and would only say that it failed.
  beforeAll(async () => {
    await currentKubectl();
  });

  it.each([
    `ghcr.io/owner/etcd-guard@sha256:${'0123456789abcdef'.repeat(4)}`,
    'registry.example.com:5000/etcd-guard:1.2.3',
  ])('sets the image %s, and leaves nothing else behind', { timeout: 60_000 }, async (image) => {
    expect(await release(image)).toMatchObject({ exitCode: 0 });
    const files = (await readdir(scratch.path)).toSorted();
    expect(files).toEqual([
      'etcd-guard-cert-manager.yaml',
      'etcd-guard-fail-open.yaml',
      'etcd-guard-legacy.yaml',
      'etcd-guard.yaml',
      'etcd.yaml',
    ]);
    for (const file of files.filter((name) => name !== 'etcd.yaml')) {
      const objects = objectsIn(await readFile(join(scratch.path, file), 'utf8'));
      expect(workload(only(objects, 'Deployment')).container.image).toBe(image);
    }
    expect((await readdir(ROOT)).filter((name) => name.startsWith('.release'))).toEqual([]);
  });

  it.each(['etcd-guard', 'registry.example.com:5000/etcd-guard', 'etcd guard:1', ''])(
    'refuses "%s", which has neither a tag nor a digest',
    async (image) => {
      expect(await release(image)).toMatchObject({
        exitCode: 2,
        stderr: expect.stringContaining('is no image with a tag or a digest'),
      });
      expect(await readdir(scratch.path)).toEqual([]);
    },
  );
});
