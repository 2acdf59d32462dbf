import { Etcd3 } from 'etcd3';
import { execa } from 'execa';
import { clientOptions } from '../../src/etcd/client-options.ts';
import { requireBinary } from '../harness/require-binary.ts';
import type { Dice } from './dice.ts';
import type { History } from './history.ts';
import type { Member } from './member.ts';

const WITHIN_MS = 2_000;
const BETWEEN_WRITES_MS = 30;
const PAGE = 1_000;
const PREFIX = 'chaos/';

/** Clients of etcd, one connection a member. */
export class EtcdClients {
  readonly #clients = new Map<string, Etcd3>();

  of({ name, address }: Member): Etcd3 {
    let client = this.#clients.get(name);
    if (client === undefined) {
      client = new Etcd3(clientOptions({ address, serverName: null }, null));
      this.#clients.set(name, client);
    }
    return client;
  }

  /** Resolves once it is acknowledged. */
  async put(member: Member, key: string, value: string): Promise<void> {
    await this.of(member).kv.put(
      { key: Buffer.from(key), value: Buffer.from(value) },
      { deadline: Date.now() + WITHIN_MS },
    );
  }

  /** Whether the member serves a linearizable read. */
  async serves(member: Member): Promise<boolean> {
    try {
      await this.of(member).kv.range(
        { key: Buffer.from(PREFIX) },
        { deadline: Date.now() + 1_000 },
      );
      return true;
    } catch {
      return false;
    }
  }

  /** All that was written, by a linearizable read, page by page. */
  async *all(member: Member): AsyncGenerator<readonly (readonly [string, string])[]> {
    const end = Buffer.from(PREFIX.replace('/', '0'));
    for (let key = Buffer.from(PREFIX); ;) {
      const { kvs, more } = await this.of(member).kv.range(
        { key, range_end: end, limit: PAGE, sort_target: 'Key', sort_order: 'Ascend' },
        { deadline: Date.now() + 10_000 },
      );
      yield kvs.map((kv) => [kv.key.toString(), kv.value.toString()] as const);
      const last = kvs.at(-1);
      if (!more || last === undefined) return;
      key = Buffer.concat([last.key, Buffer.from([0])]);
    }
  }

  async forget(member: Member, prefix: string): Promise<void> {
    await this.of(member).delete().prefix(prefix);
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
  }
}

/** Writes keys of its own until it is told to stop, through whichever member answers. */
export async function write(
  name: string,
  context: {
    readonly clients: EtcdClients;
    readonly members: () => readonly Member[];
    readonly history: History;
    readonly dice: Dice;
    readonly over: AbortSignal;
  },
): Promise<void> {
  const { clients, members, history, dice, over } = context;
  let member = dice.pick(members());
  for (let n = 0; !over.aborted; n += 1) {
    const key = `${PREFIX}${name}/${String(n).padStart(8, '0')}`;
    const value = `${name}-${n}-${dice.between(0, 1_000_000)}`;
    try {
      await clients.put(member, key, value);
      history.add({ kind: 'write', key, value });
    } catch {
      // Whether it was carried out is not known, so the key is not used again.
      member = dice.pick(members());
    }
    await pause(dice.between(0, 2 * BETWEEN_WRITES_MS));
  }
}

/** etcdctl at these members; throws with what it said. */
export async function etcdctl(
  members: readonly Member[],
  ...args: readonly string[]
): Promise<string> {
  const endpoints = members.map(({ address }) => address).join(',');
  const { stdout } = await execa(
    requireBinary('etcdctl'),
    [`--endpoints=${endpoints}`, '--dial-timeout=2s', '--command-timeout=3s', ...args],
    { env: { ETCDCTL_API: '3' }, timeout: 10_000 },
  );
  return stdout;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}
