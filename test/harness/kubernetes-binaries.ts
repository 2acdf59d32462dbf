import { execa } from 'execa';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('../../scripts/kubernetes.sh', import.meta.url));
/** What scripts/kubernetes.sh exits with when --quick finds nothing. */
const NOT_AT_HAND = 3;

/**
 * The directory with kube-apiserver, kubectl and kube-controller-manager. Undefined if
 * they could only be had by a build from source and `quick` forbids that.
 */
export async function kubernetesBinaries(quick = false): Promise<string | undefined> {
  const result = await execa(SCRIPT, quick ? ['--quick'] : [], {
    reject: false,
    stderr: ['inherit', 'pipe'],
  });
  if (result.exitCode === NOT_AT_HAND) return undefined;
  if (result.exitCode !== 0) throw new Error(`${SCRIPT}: ${result.stderr}`);
  return result.stdout;
}
