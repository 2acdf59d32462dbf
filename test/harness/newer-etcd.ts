import { execa } from 'execa';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('../../scripts/newer-etcd.sh', import.meta.url));

/** The directory with etcd and etcdctl one minor version newer than those installed; throws, with what the script says, if there is none. */
export async function newerEtcd(): Promise<string> {
  const { exitCode, stdout, stderr } = await execa(SCRIPT, { reject: false });
  if (exitCode === 0) return stdout;
  // Before that is what it tried.
  const why = stderr.split('\n').at(-1) ?? '';
  throw new Error(`no newer etcd; to get it: scripts/newer-etcd.sh (${why})`);
}
