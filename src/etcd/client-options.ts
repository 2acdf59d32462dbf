import { getCACertificates } from 'node:tls';

import type { IOptions } from 'etcd3';

import type { TlsSettings } from './port.ts';

/** Where one member is, and the name that its certificate is checked against. */
export interface MemberTarget {
  /** host:port */
  readonly address: string;
  /** null: the host of the address. */
  readonly serverName: string | null;
}

type Policy = NonNullable<NonNullable<IOptions['faultHandling']>['global']>;

const NEVER_ABORTED = { signal: new AbortController().signal };

/** etcd3's default retries three times and then sends nothing for 5 s; every round must really ask. */
const NO_POLICY: Policy = {
  get _altReturn(): never {
    throw new TypeError('exists for the type only');
  },
  onSuccess: () => ({ dispose: () => undefined }),
  onFailure: () => ({ dispose: () => undefined }),
  execute: async (run) => run(NEVER_ABORTED),
};

let sessions = 0;

/** Options for a client of one member, whose services share one TCP connection of its own. */
export function clientOptions(target: MemberTarget, tls: TlsSettings | null): IOptions {
  sessions += 1;
  return {
    hosts: target.address,
    faultHandling: { host: () => NO_POLICY, global: NO_POLICY },
    ...(tls === null ? {} : { credentials: tlsCredentials(tls) }),
    grpcOptions: {
      // Connections to etcd never go through the proxy that the environment names.
      'grpc.enable_http_proxy': 0,
      // Spares a TXT look-up of the member's name.
      'grpc.service_config_disable_resolution': 1,
      'grpc.enable_channelz': 0,
      // grpc-js pools connections by their options; this makes the pool give each client a new
      // connection rather than one that a discarded client left in its back-off.
      'etcd-guard.session': sessions,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 500,
      'grpc.dns_min_time_between_resolutions_ms': 100,
      ...(target.serverName === null
        ? {}
        : {
            'grpc.ssl_target_name_override': target.serverName,
            'grpc.default_authority': target.serverName,
          }),
    },
  };
}

function tlsCredentials(tls: TlsSettings): NonNullable<IOptions['credentials']> {
  return {
    // etcd3 insists on one; without a CA the member's certificate is checked as Node checks others.
    rootCertificate: tls.ca ?? Buffer.from(getCACertificates().join('\n')),
    ...(tls.key === null ? {} : { privateKey: tls.key }),
    ...(tls.cert === null ? {} : { certChain: tls.cert }),
  };
}
