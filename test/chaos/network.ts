import { execa } from 'execa';
import { join } from 'node:path';
import { ManagedProcess } from '../harness/managed-process.ts';
import type { CutFrom } from './schedule.ts';

/** A network and a disk for each member, or none: loopback addresses and plain directories. */
export interface Network {
  readonly namespaces: boolean;
  /** One more. */
  add(): Promise<Place>;
}

/** Where one member lives. */
export interface Place {
  readonly host: string;
  readonly dataDir: string;
  /** The command that runs this one there. */
  through(command: string, args: readonly string[]): readonly [string, readonly string[]];
  cut(from: CutFrom, way: 'both' | 'in' | 'out'): Promise<void>;
  /** Some of what is sent gets lost on the way. */
  lose(): Promise<void>;
  /** What is sent queues up behind a slow line. */
  slow(): Promise<void>;
  join(): Promise<void>;
  fillDisk(): Promise<void>;
  freeDisk(): Promise<void>;
}

const DATA = '/mnt';
const DISK = '384m';
const RATE = ['rate', '96kbit', 'burst', '4kb', 'latency', '3s'];
const LOSS = '0.25';

/** Whether this process may make namespaces, and has what it needs for that. */
export async function namespacesWork(): Promise<boolean> {
  const script =
    'command -v nsenter ip iptables tc && mount -t tmpfs -o size=1m none /mnt && iptables -L && ip link add dummy type veth';
  const tried = await execa('unshare', ['--net', '--mount', 'sh', '-ec', script], {
    reject: false,
  });
  return tried.exitCode === 0;
}

/** The directory is for members without a disk of their own. */
export async function makeNetwork(init: {
  readonly directory: string;
  readonly namespaces: boolean;
}): Promise<Network> {
  let count = 0;
  if (!init.namespaces) {
    const add = (): Promise<Place> => Promise.resolve(plainPlace(count++, init.directory));
    return { namespaces: false, add };
  }
  const subnet = `10.${200 + (process.pid % 50)}.${process.pid % 251}`;
  const bridge = await makeBridge(subnet);
  return { namespaces: true, add: () => makePlace(bridge, subnet, count++) };
}

async function makeBridge(subnet: string): Promise<ManagedProcess> {
  const bridge = await holder('bridge');
  const own = `chaos${process.pid}`;
  await run(bridge, [
    'ip link set lo up',
    'ip link add bridge type bridge',
    'ip link set bridge up',
    `ip link add outside type veth peer name ${own} netns ${process.pid}`,
    'ip link set outside master bridge up',
  ]);
  await execa('ip', ['addr', 'add', `${subnet}.1/24`, 'dev', own]);
  await execa('ip', ['link', 'set', own, 'up']);
  return bridge;
}

async function makePlace(bridge: ManagedProcess, subnet: string, index: number): Promise<Place> {
  const place = await holder(`place ${index}`);
  const host = `${subnet}.${10 + index}`;
  await run(bridge, [
    `ip link add m${index} type veth peer name eth0 netns ${place.pid}`,
    `ip link set m${index} master bridge up`,
  ]);
  await run(place, [
    'ip link set lo up',
    `ip addr add ${host}/24 dev eth0`,
    'ip link set eth0 up',
    `mount -t tmpfs -o size=${DISK} none ${DATA}`,
  ]);
  return new NamespacePlace({ holder: place, host, outside: `${subnet}.1` });
}

/**
 * Holds a network and a list of mounts without a name: they go with the last process in them, so
 * that nothing stays behind however this ends.
 */
async function holder(name: string): Promise<ManagedProcess> {
  return ManagedProcess.start('unshare', ['--net', '--mount', 'sleep', 'infinity'], {
    name,
    ready: async ({ pid }) => {
      const own = await execa('readlink', ['/proc/self/ns/net', `/proc/${pid}/ns/net`]);
      const [ours, its] = own.stdout.split('\n');
      return ours !== its;
    },
  });
}

function inside({ pid }: ManagedProcess): readonly string[] {
  return ['--target', String(pid), '--net', '--mount'];
}

async function run(place: ManagedProcess, commands: readonly string[]): Promise<void> {
  await execa('nsenter', [...inside(place), 'sh', '-ec', commands.join('\n')]);
}

class NamespacePlace implements Place {
  readonly host: string;
  readonly dataDir = join(DATA, 'data');
  readonly #holder: ManagedProcess;
  readonly #outside: string;

  constructor(init: { holder: ManagedProcess; host: string; outside: string }) {
    this.#holder = init.holder;
    this.host = init.host;
    this.#outside = init.outside;
  }

  through(command: string, args: readonly string[]): readonly [string, readonly string[]] {
    return ['nsenter', [...inside(this.#holder), command, ...args]];
  }

  async cut(from: CutFrom, way: 'both' | 'in' | 'out'): Promise<void> {
    const chains = { both: ['INPUT', 'OUTPUT'], in: ['INPUT'], out: ['OUTPUT'] }[way];
    await run(
      this.#holder,
      chains.map((chain) => {
        const other = chain === 'INPUT' ? '-s' : '-d';
        const whom = {
          all: '',
          guards: `${other} ${this.#outside}`,
          peers: `! ${other} ${this.#outside}`,
        }[from];
        // Not its own loopback.
        return `iptables -A ${chain} ${chain === 'INPUT' ? '-i' : '-o'} eth0 ${whom} -j DROP`;
      }),
    );
  }

  async lose(): Promise<void> {
    const random = `-m statistic --mode random --probability ${LOSS}`;
    await run(this.#holder, [`iptables -A INPUT -i eth0 ${random} -j DROP`]);
  }

  async slow(): Promise<void> {
    await run(this.#holder, [`tc qdisc add dev eth0 root tbf ${RATE.join(' ')}`]);
  }

  async join(): Promise<void> {
    await run(this.#holder, ['iptables -F', 'tc qdisc del dev eth0 root 2>/dev/null || true']);
  }

  async fillDisk(): Promise<void> {
    // It ends where the disk does.
    await run(this.#holder, [`dd if=/dev/zero of=${DATA}/filler bs=64k 2>/dev/null || true`]);
  }

  async freeDisk(): Promise<void> {
    await run(this.#holder, [`rm -f ${DATA}/filler`]);
  }
}

function plainPlace(index: number, directory: string): Place {
  return {
    host: `127.77.${process.pid % 251}.${10 + index}`,
    dataDir: join(directory, `data-${index}`),
    through: (command, args) => [command, args],
    cut: lacking,
    lose: lacking,
    slow: lacking,
    join: () => Promise.resolve(),
    fillDisk: lacking,
    freeDisk: () => Promise.resolve(),
  };
}

function lacking(): Promise<never> {
  return Promise.reject(new Error('there are no namespaces'));
}
