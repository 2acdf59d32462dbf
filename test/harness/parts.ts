import type { Plugin } from 'vitest/config';
import { currentKubectl } from './current-kubectl.ts';
import { requireHistory } from './earlier-program.ts';
import { kubernetesBinaries } from './kubernetes-binaries.ts';
import { newerEtcd } from './newer-etcd.ts';
import { requirePlatform } from './platform.ts';
import { MissingBinary, requireBinary } from './require-binary.ts';

/** Parts that are more than a program in the PATH; each throws if it is missing. */
const BEYOND_PATH: Readonly<Record<string, () => unknown>> = {
  kubernetes,
  'kube-controller-manager': async () =>
    requireBinary('kube-controller-manager', await kubernetes()),
  'current kubectl': currentKubectl,
  'newer etcd': newerEtcd,
  history: requireHistory,
  linux: () => {
    requirePlatform('linux');
  },
  'linux on x64': () => {
    requirePlatform('linux', 'x64');
  },
};

const ETCD = ['etcd', 'etcdctl'];
const KUBERNETES = [...ETCD, 'kubernetes'];
const CONTROLLERS = [...KUBERNETES, 'kube-controller-manager'];

/** The real parts that each file of tests needs; files that need none are not named. */
export const NEEDS: Readonly<Record<string, readonly string[]>> = {
  'test/e2e/access-components.test.ts': ['current kubectl'],
  'test/e2e/canaries.test.ts': KUBERNETES,
  'test/e2e/certificates.test.ts': [...KUBERNETES, 'openssl'],
  'test/e2e/client-certificate.test.ts': KUBERNETES,
  'test/e2e/cluster-mode.test.ts': CONTROLLERS,
  'test/e2e/command-line.test.ts': KUBERNETES,
  'test/e2e/controllers.test.ts': CONTROLLERS,
  'test/e2e/crd.test.ts': KUBERNETES,
  'test/e2e/deploy.test.ts': [...CONTROLLERS, 'current kubectl'],
  'test/e2e/events.test.ts': KUBERNETES,
  'test/e2e/faults.test.ts': CONTROLLERS,
  'test/e2e/harness.test.ts': CONTROLLERS,
  'test/e2e/injection.test.ts': CONTROLLERS,
  'test/e2e/kubectl-by-npm.test.ts': ['linux on x64'],
  'test/e2e/kubernetes-api.test.ts': KUBERNETES,
  'test/e2e/locks.test.ts': CONTROLLERS,
  'test/e2e/manifest-schemas.test.ts': ['current kubectl'],
  'test/e2e/observing.test.ts': [...KUBERNETES, 'jq'],
  'test/e2e/role-floor.test.ts': KUBERNETES,
  'test/e2e/skew.test.ts': KUBERNETES,
  'test/e2e/status-page.test.ts': KUBERNETES,
  'test/e2e/status.test.ts': KUBERNETES,
  'test/e2e/upgrade.test.ts': [...KUBERNETES, 'history'],
  'test/e2e/webhook.test.ts': [...KUBERNETES, 'prometheus'],
  'test/integration/access-components.test.ts': ['prometheus', 'openssl'],
  'test/integration/alerts.test.ts': [...ETCD, 'prometheus', 'promtool'],
  'test/integration/cluster.test.ts': ETCD,
  'test/integration/command-line.test.ts': ETCD,
  'test/integration/commands.test.ts': [...ETCD, 'tmux', 'zsh', 'fish'],
  'test/integration/deploy-scripts.test.ts': ['current kubectl'],
  'test/integration/earlier-program.test.ts': ['history'],
  'test/integration/etcd-alarm.test.ts': ETCD,
  'test/integration/etcd-auth.test.ts': ETCD,
  'test/integration/etcd-members.test.ts': ETCD,
  'test/integration/etcd-tls.test.ts': ETCD,
  'test/integration/etcd-unreachable.test.ts': ETCD,
  'test/integration/etcd-upgrade.test.ts': [...ETCD, 'newer etcd'],
  'test/integration/harness.test.ts': [...ETCD, 'prometheus', 'promtool'],
  'test/integration/leader-change.test.ts': [...ETCD, 'prometheus', 'tmux'],
  'test/integration/member-addresses.test.ts': [...ETCD, 'linux'],
  'test/integration/serve.test.ts': [...ETCD, 'promtool'],
  'test/integration/status-page.test.ts': [...ETCD, 'chromium'],
  'test/integration/terminal.test.ts': [...ETCD, 'tmux'],
  'test/integration/traces.test.ts': ETCD,
};

/** Kept, as to look for it again may be to try a download again. */
let atHand: Promise<string | undefined> | undefined;

async function kubernetes(): Promise<string> {
  atHand ??= kubernetesBinaries(true);
  const directory = await atHand;
  if (directory === undefined) throw new MissingBinary('kube-apiserver');
  return directory;
}

/** Of a part that this machine has not: what is missing, and what provides it. */
export async function lackOf(part: string): Promise<string | undefined> {
  try {
    await (BEYOND_PATH[part] ?? (() => requireBinary(part)))();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The files of a folder that can't run here, each with all that it lacks; each part is looked for once. */
export async function incomplete(
  folder: string,
  lack: (part: string) => Promise<string | undefined>,
): Promise<ReadonlyMap<string, string>> {
  const files = Object.entries(NEEDS).filter(([file]) => file.startsWith(folder));
  const lacks = new Map<string, string | undefined>();
  for (const part of new Set(files.flatMap(([, parts]) => parts)))
    lacks.set(part, await lack(part));
  return new Map(
    files.flatMap(([file, parts]) => {
      const missing = new Set(parts.flatMap((part) => lacks.get(part) ?? []));
      return missing.size === 0 ? [] : [[file, [...missing].join('. ')] as const];
    }),
  );
}

/**
 * Leaves out of a project what can't run on this machine, file by file, and says so on stderr. With CI
 * set it leaves out nothing: there a missing part is a failure.
 */
export function leaveOutIncomplete(folder: string): Plugin {
  return {
    name: 'leave-out-incomplete',
    // oxlint-disable-next-line typescript/no-misused-promises -- Vitest waits for it, whatever its type says
    async configureVitest({ vitest, project }) {
      if (process.env['CI']) return;
      const files = await incomplete(folder, lackOf);
      for (const [file, why] of files) process.stderr.write(`LEFT OUT ${file}: ${why}\n`);
      project.config.exclude.push(...files.keys());
      if (files.size > 0) vitest.config.passWithNoTests = true;
    },
  };
}
