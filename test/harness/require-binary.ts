import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const SOURCES: Readonly<Record<string, string>> = {
  etcd: 'apt-get install etcd-server, brew install etcd, or https://github.com/etcd-io/etcd/releases',
  etcdctl:
    'apt-get install etcd-client, brew install etcd, or https://github.com/etcd-io/etcd/releases',
  chromium: 'apt-get install chromium',
  prometheus: 'apt-get install prometheus, or brew install prometheus',
  promtool: 'apt-get install prometheus, or brew install prometheus',
  tmux: 'apt-get install tmux, or brew install tmux',
  zsh: 'apt-get install zsh, or brew install zsh',
  fish: 'apt-get install fish, or brew install fish',
  'kube-apiserver': 'scripts/kubernetes.sh',
  'kube-controller-manager': 'scripts/kubernetes.sh',
  kubectl: 'scripts/kubernetes.sh',
};

export class MissingBinary extends Error {
  constructor(name: string) {
    const source = SOURCES[name];
    super(`${name} is not installed${source === undefined ? '' : `; to get it: ${source}`}`);
    this.name = 'MissingBinary';
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function find(name: string, directories: readonly string[]): string | undefined {
  const assets = process.env['KUBEBUILDER_ASSETS'];
  // sbin: a plain user's PATH on Debian does not have it.
  const path = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin'];
  return [...directories, ...path, ...(assets === undefined ? [] : [assets])]
    .filter((directory) => directory !== '')
    .map((directory) => join(directory, name))
    .find(isExecutable);
}

/** Whether this machine has it where `requireBinary` would look. */
export function hasBinary(name: string): boolean {
  return find(name, []) !== undefined;
}

/** The path of a program: in the given directories, else in the PATH, else among KUBEBUILDER_ASSETS. */
export function requireBinary(name: string, ...directories: readonly string[]): string {
  const found = find(name, directories);
  if (found === undefined) throw new MissingBinary(name);
  return found;
}

/**
 * For `describe.skipIf`: whether a program is missing, which is said on stderr. With CI set
 * it throws instead, so that nothing is skipped in silence there.
 */
export function lacksBinary(...names: readonly string[]): boolean {
  const missing = names.filter((name) => find(name, []) === undefined);
  for (const name of missing) {
    const error = new MissingBinary(name);
    if (process.env['CI']) throw error;
    process.stderr.write(`SKIPPED: ${error.message}\n`);
  }
  return missing.length > 0;
}
