import { execa } from 'execa';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('../../scripts/newer-etcd.sh', import.meta.url));

/** The directory with etcd and etcdctl of 3.5 or newer; throws what the script says if there is none. */
export async function newerEtcd(): Promise<string> {
  const { exitCode, stdout, stderr } = await execa(SCRIPT, { reject: false });
  if (exitCode !== 0) throw new Error(stderr);
  return stdout;
}
