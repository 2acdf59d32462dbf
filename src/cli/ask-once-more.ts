import type { EtcdCluster } from '../etcd/port.ts';
import { activeOfThisProcess, type ActiveMs } from '../sharing/active.ts';

/**
 * The same cluster, asked once more, for as long again, where somebody was silent while this process itself was busy for half of
 * the time or longer: a command has only just started, and on a crowded machine that takes seconds, which
 * would be taken for a silence of the members.
 */
export function askedOnceMore(
  etcd: EtcdCluster,
  activeMs: ActiveMs = activeOfThisProcess,
): EtcdCluster {
  const withPatience = async <T>(
    withinMs: number,
    ask: () => Promise<ReadonlyMap<string, T>>,
    isSilent: (answer: T) => boolean,
  ): Promise<ReadonlyMap<string, T>> => {
    const sinceMs = activeMs();
    const first = await ask();
    const wasBusy = activeMs() - sinceMs >= withinMs / 2;
    if (!wasBusy || ![...first.values()].some(isSilent)) return first;
    const second = await ask();
    // Whoever has been heard once is not silent.
    return new Map(
      Array.from(second, ([pod, answer]) => [
        pod,
        isSilent(answer) ? (first.get(pod) ?? answer) : answer,
      ]),
    );
  };
  return {
    ask: (endpoints, withinMs, options) =>
      withPatience(
        withinMs,
        () => etcd.ask(endpoints, withinMs, options),
        ({ kind }) => kind === 'silent',
      ),
    prove: (endpoints, withinMs) =>
      withPatience(
        withinMs,
        () => etcd.prove(endpoints, withinMs),
        ({ served, after }) => !served || after === null,
      ),
    moveLeader: (leader, to, withinMs) => etcd.moveLeader(leader, to, withinMs),
    close: () => etcd.close(),
  };
}
