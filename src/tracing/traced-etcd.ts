import type { EtcdCluster, EtcdRequestObserver } from '../etcd/port.ts';
import type { Outcome, Tracing } from './port.ts';

/** Every round of a review, and every move of leadership, is a part of it. */
export function tracedEtcd(cluster: EtcdCluster, tracing: Tracing): EtcdCluster {
  return {
    ask: (endpoints, withinMs, options) =>
      tracing.part(
        'etcd ask',
        () => cluster.ask(endpoints, withinMs, options),
        (answers) =>
          round(answers.size, [...answers.values()].filter(({ kind }) => kind === 'status').length),
      ),
    prove: (endpoints, withinMs) =>
      tracing.part(
        'etcd prove',
        () => cluster.prove(endpoints, withinMs),
        (answers) =>
          round(answers.size, [...answers.values()].filter(({ served }) => served).length),
      ),
    moveLeader: (leader, to, withinMs) =>
      tracing.part(
        'etcd move leader',
        () => cluster.moveLeader(leader, to, withinMs),
        () => ({ attributes: { 'etcd.from': leader.pod, 'etcd.to': to }, failed: false }),
      ),
    close: () => cluster.close(),
  };
}

/** A member that does not answer is an answer: no round fails. */
function round(asked: number, answered: number): Outcome {
  return { attributes: { 'etcd.asked': asked, 'etcd.answered': answered }, failed: false };
}

/** Tells both: every request to a member is a part of the round that makes it. */
export function tracedRequests(
  observer: EtcdRequestObserver,
  tracing: Tracing,
): EtcdRequestObserver {
  return {
    etcdRequest(method, outcome, seconds, address) {
      observer.etcdRequest(method, outcome, seconds, address);
      const attributes = {
        'rpc.system': 'grpc',
        'rpc.method': method,
        'server.address': address,
        'etcd.outcome': outcome,
      };
      tracing.asked(`etcd ${method}`, seconds, { attributes, failed: outcome !== 'ok' });
    },
  };
}
