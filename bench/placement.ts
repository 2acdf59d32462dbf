import { execa } from 'execa';

export const PLACEMENTS = ['apart', 'together', 'free'] as const;

/**
 * Where processes run. apart: the load generator on one processor, everything that is compared on
 * another; together: all of them on one; free: wherever the kernel puts them. etcd is always free.
 */
export type Placement = (typeof PLACEMENTS)[number];

export type Role = 'load' | 'compared';

/** Keeps processes on processors, where util-linux' taskset can. */
export class Processors {
  readonly #of: Readonly<Record<Role, number | null>>;
  /** For the header of a report. */
  readonly words: string;

  private constructor(of: Readonly<Record<Role, number | null>>, words: string) {
    this.#of = of;
    this.words = words;
  }

  static async divide(placement: Placement): Promise<Processors> {
    const free = { load: null, compared: null };
    if (placement === 'free') return new Processors(free, 'placement free');
    const [first, second] = await allowed();
    if (first === undefined) {
      return new Processors(free, `placement free (taskset is missing, so not ${placement})`);
    }
    const compared = placement === 'apart' && second !== undefined ? second : first;
    const words = `placement ${placement} (load on processor ${first}, compared on ${compared})`;
    return new Processors({ load: first, compared }, words);
  }

  /** All threads that it has; those that it makes later follow. */
  async place(pid: number, role: Role): Promise<void> {
    const processor = this.#of[role];
    if (processor === null) return;
    await execa('taskset', ['-a', '-p', '-c', String(processor), String(pid)]);
  }
}

/** The processors that this process may use; none where that can't be told. */
async function allowed(): Promise<readonly number[]> {
  const { stdout, failed } = await execa('taskset', ['-p', '-c', String(process.pid)], {
    reject: false,
  });
  if (failed) return [];
  const list = stdout.split(':').at(-1) ?? '';
  return list.split(',').flatMap((range) => {
    const [from = Number.NaN, to = from] = range.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, at) => from + at);
  });
}
