import { connectEtcd } from '../etcd/connect.ts';
import type { ConnectionSettings, EtcdCluster, EtcdRequestObserver } from '../etcd/port.ts';
import { askedOnceMore } from './ask-once-more.ts';

/** Nobody counts the requests of a single command. */
const UNOBSERVED: EtcdRequestObserver = { etcdRequest: () => undefined };

/** A cluster as commands ask it. */
export function connectForCommand(settings: ConnectionSettings): EtcdCluster {
  return askedOnceMore(connectEtcd(settings, UNOBSERVED, { keepsAll: true }));
}
