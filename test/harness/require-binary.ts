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
  jq: 'apt-get install jq, or brew install jq',
  openssl: 'apt-get install openssl, or brew install openssl',
  'kube-apiserver': 'scripts/kubernetes.sh',
  'kube-controller-manager': 'scripts/kubernetes.sh',
  kubectl: 'scripts/kubernetes.sh',
};

/** Other names of builds of the same program. */
const ALSO: Readonly<Record<string, readonly string[]>> = {
  chromium: ['google-chrome', 'chromium-browser'],
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
  const places = [...directories, ...path, ...(assets === undefined ? [] : [assets])];
  return [name, ...(ALSO[name] ?? [])]
    .flatMap((one) => places.filter((place) => place !== '').map((place) => join(place, one)))
    .find(isExecutable);
}

/** The path of a program: in the given directories, else in the PATH, else among KUBEBUILDER_ASSETS. */
export function requireBinary(name: string, ...directories: readonly string[]): string {
  const found = find(name, directories);
  if (found === undefined) throw new MissingBinary(name);
  return found;
}
