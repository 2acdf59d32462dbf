import { execa } from 'execa';
import { readdir, readFile } from 'node:fs/promises';

/**
 * Milliseconds of processor time that all threads of a process have had so far: unlike time on the
 * clock, hardly any more on a busy machine. NaN where the kernel doesn't tell (Linux does).
 */
export async function processorMs(pid: number): Promise<number> {
  try {
    const directory = `/proc/${pid}/task`;
    let nanoseconds = 0;
    for (const thread of await readdir(directory)) {
      const text = await readFile(`${directory}/${thread}/schedstat`, 'utf8');
      nanoseconds += Number(text.split(' ', 1)[0]);
    }
    return nanoseconds / 1e6;
  } catch {
    return Number.NaN;
  }
}

/** What a process has in memory now. */
export async function residentMiB(pid: number): Promise<number> {
  const { stdout } = await execa('ps', ['-o', 'rss=', '-p', String(pid)], { reject: false });
  return stdout === '' ? Number.NaN : Number(stdout) / 1024;
}
