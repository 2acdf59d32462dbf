import { processorMs } from './process-figures.ts';
import { inMicroseconds, inMs } from './result.ts';
import { ETCD_TIMES, type EtcdTime, type ShotName, type Stage } from './stage.ts';
import { median, quantile } from './statistics.ts';

/** Requests one at a time. */
export interface OneByOne {
  readonly medianMs: number;
  readonly p99Ms: number;
  /** Milliseconds of processor time that the answering process spent on each; NaN: not known. */
  readonly processorMs: number;
  readonly samples: number;
}

export type Timed = ShotName | EtcdTime;

/** A few requests of each kind in turn, again and again: what else the machine does hits all alike. */
export async function oneByOne(
  stage: Stage,
  shots: readonly ShotName[],
  { turns, perTurn }: { readonly turns: number; readonly perTurn: number },
): Promise<ReadonlyMap<Timed, OneByOne>> {
  const taken = new Map<Timed, number[]>();
  const spent = new Map<Timed, number>();
  const note = (name: Timed, more: readonly number[]): void => {
    taken.set(name, [...(taken.get(name) ?? []), ...more]);
  };
  for (let turn = 0; turn < turns; turn += 1) {
    for (const name of shots) {
      const pid = stage.pidOf(name);
      const before = await processorMs(pid);
      note(name, await stage.load.latencies(name, perTurn));
      spent.set(name, (spent.get(name) ?? 0) + (await processorMs(pid)) - before);
    }
    for (const kind of ETCD_TIMES) note(kind, await stage.etcdTimes(kind, { count: perTurn }));
  }
  return new Map(
    [...taken].map(([name, values]) => [
      name,
      {
        medianMs: median(values),
        p99Ms: quantile(values, 0.99),
        processorMs: (spent.get(name) ?? Number.NaN) / values.length,
        samples: values.length,
      },
    ]),
  );
}

export const ONE_BY_ONE_COLUMNS: readonly string[] = ['median', 'p99', 'processor time'];

export function oneByOneCells({ medianMs, p99Ms, processorMs: ms }: OneByOne): readonly string[] {
  return [inMs(medianMs), inMs(p99Ms), inMicroseconds(ms)];
}
