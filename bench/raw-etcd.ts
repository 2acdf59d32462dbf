import { Etcd3 } from 'etcd3';

/** Long: on a busy machine the first rounds of all are slow. */
const WITHIN_MS = 10_000;
/** The guard's read: counts a key that need not exist. */
const READ = { key: Buffer.from('etcd-guard'), count_only: true, limit: 1 };

/** Raw etcd3, one client a member like the guard's, without any of the guard's code. */
export class RawEtcd {
  readonly #clients: readonly Etcd3[];
  #reads = 0;

  constructor(addresses: readonly string[]) {
    this.#clients = addresses.map((hosts) => new Etcd3({ hosts }));
  }

  /** The guard's requests, side by side and with a deadline as well; lists from so many members. */
  async round(lists = Infinity): Promise<void> {
    const options = { deadline: Date.now() + WITHIN_MS };
    await Promise.all([
      ...this.#clients.map((client) => client.maintenance.status(options)),
      ...this.#clients.slice(0, lists).map((client) => client.cluster.memberList({}, options)),
    ]);
  }

  /** A linearizable read of each member in turn: the leader answers sooner than its followers. */
  async read(): Promise<void> {
    this.#reads += 1;
    const client = this.#clients[this.#reads % this.#clients.length];
    await client?.kv.range(READ, { deadline: Date.now() + WITHIN_MS });
  }
}
