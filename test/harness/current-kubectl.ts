import { execa } from 'execa';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('../../scripts/kubectl.sh', import.meta.url));

/** A kubectl whose kustomize knows components. Throws, with what the script says, if there is none. */
export async function currentKubectl(): Promise<string> {
  const { exitCode, stdout, stderr } = await execa(SCRIPT, { reject: false });
  if (exitCode === 0) return stdout;
  throw new Error(`no kubectl of 1.21 or newer; to get it: scripts/kubectl.sh (${stderr})`);
}
