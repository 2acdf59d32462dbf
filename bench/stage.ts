import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { z } from 'zod';
import { CertificateAuthority } from '../test/harness/certificates.ts';
import { startEtcdCluster, type EtcdCluster } from '../test/harness/etcd-cluster.ts';
import { temporaryDirectory } from '../test/harness/reaper.ts';
import { Child, type ChildOptions } from './child.ts';
import type { Target } from './connection.ts';
import { Guard, type GuardOptions } from './guard.ts';
import { writeGuards } from './guard-documents.ts';
import { Load, type Shot } from './load.ts';
import type { Processors } from './placement.ts';
import { deletionReview } from './reviews.ts';

const HOST = '127.0.0.1';
const NODE_ENV_FILE = join(import.meta.dirname, '../deploy/webhook/node.env');
const DOCKERFILE = join(import.meta.dirname, '../Dockerfile');

/** What the load generator can send to every stage. */
export const SHOTS = ['bare', 'bare with a round', 'unguarded', 'refused', 'spared'] as const;
export type ShotName = (typeof SHOTS)[number];

/** What raw etcd3 can be asked to do. */
export const ETCD_TIMES = ['round', 'round with one list', 'read'] as const;
export type EtcdTime = (typeof ETCD_TIMES)[number];

const timesSchema = z.array(z.number());

/** How a stage is set. */
export interface StageOptions {
  /** The bundle's entry. */
  readonly main: string;
  readonly members: number;
  readonly processors: Processors;
  readonly progress: (line: string) => void;
}

/** Everything that takes part, each in a process of its own. */
export class Stage {
  readonly etcd: EtcdCluster;
  readonly guard: Guard;
  readonly guardOptions: GuardOptions;
  readonly load: Load;
  /** A directory that goes with the stage. */
  readonly directory: string;
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.etcd = parts.etcd;
    this.guard = parts.guard;
    this.guardOptions = parts.guardOptions;
    this.load = parts.load;
    this.directory = parts.directory;
    this.#parts = parts;
  }

  /** Who answers a kind of request. */
  pidOf(shot: ShotName): number {
    if (shot === 'bare') return this.#parts.bare.child.pid;
    if (shot === 'bare with a round') return this.#parts.bareRound.child.pid;
    return this.guard.pid;
  }

  /** Milliseconds of raw etcd3 requests, one after another, so many or for so long. */
  etcdTimes(
    kind: EtcdTime,
    until: { readonly count: number } | { readonly ms: number },
  ): Promise<readonly number[]> {
    const withinMs = 60_000 + ('ms' in until ? until.ms : 0);
    return this.#parts.etcdClient.ask(
      'times',
      { kind, ...until },
      { result: timesSchema, withinMs },
    );
  }

  /** Another guard, on the processor of those that are compared. */
  async startGuard(options: Partial<GuardOptions>): Promise<Guard> {
    const guard = await Guard.start({ ...this.guardOptions, ...options });
    await this.#parts.processors.place(guard.pid, 'compared');
    return guard;
  }

  /** Where a guard of this stage takes reviews. */
  targetOf({ port }: { readonly port: number }): Target {
    return { host: HOST, port, ca: this.#parts.ca };
  }

  shotTarget(shot: ShotName): Target {
    const { bare, bareRound } = this.#parts;
    if (shot === 'bare') return this.targetOf(bare);
    return this.targetOf(shot === 'bare with a round' ? bareRound : this.guard);
  }

  /** Waits until it knows who leads, whom a review can be about. */
  async roles(): Promise<{ readonly leader: string; readonly follower: string | null }> {
    const leader = await this.etcd.leader();
    const [follower] = await this.etcd.followers();
    return { leader: leader.name, follower: follower?.name ?? null };
  }

  stop(): Promise<void> {
    return this.#parts.stop();
  }
}

interface Bare {
  readonly child: Child;
  readonly port: number;
}

interface Parts {
  readonly etcd: EtcdCluster;
  readonly guard: Guard;
  readonly guardOptions: GuardOptions;
  readonly bare: Bare;
  readonly bareRound: Bare;
  readonly etcdClient: Child;
  readonly load: Load;
  readonly directory: string;
  readonly ca: string;
  readonly processors: Processors;
  stop(): Promise<void>;
}

/** Starts a real etcd, the guard, bare servers, and those who ask them. */
export async function setStage(options: StageOptions): Promise<Stage> {
  const started: { stop(): Promise<unknown> }[] = [];
  const stop = async (): Promise<void> => {
    for (const one of started.splice(0).toReversed()) await one.stop();
  };
  try {
    const parts = await startParts(options, started, stop);
    await prepare(parts);
    return new Stage(parts);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startParts(
  { main, members, processors, progress }: StageOptions,
  started: { stop(): Promise<unknown> }[],
  stop: () => Promise<void>,
): Promise<Parts> {
  const child = (script: string, how: ChildOptions): Child => {
    const made = new Child(script, how);
    started.push(made);
    return made;
  };
  progress(`starting an etcd of ${members}`);
  const temporary = await temporaryDirectory('etcd-guard-bench');
  const directory = temporary.path;
  started.push({ stop: () => temporary.remove() });
  // An election would be measured as a slow review; a busy machine must not cause one.
  const etcd = await startEtcdCluster({ members, electionTimeoutMs: 5_000, heartbeatMs: 500 });
  started.push(etcd);
  const { env, execArgv } = await limitsOfTheImage();
  const { ca, ...tls } = await servingCertificate(directory);
  const source = ['--guards', await writeGuards(directory, etcd)];
  const guardOptions = { main, source, env, execArgv, ...tls };
  const guard = await Guard.start(guardOptions);
  started.push(guard);
  const addresses = etcd.members.map(({ address }) => address);

  const bareServer = async (asks: readonly string[]): Promise<Bare> => {
    const server = child('./bare-server.ts', { env, execArgv });
    const params = { ...tls, addresses: asks };
    return { child: server, port: await server.ask('listen', params, { result: z.int() }) };
  };
  const bare = await bareServer([]);
  const bareRound = await bareServer(addresses);
  const etcdClient = child('./etcd-client.ts', { env, execArgv });
  await etcdClient.ask('open', { addresses }, { result: z.null() });
  const generator = child('./load-generator.ts', { env: process.env, execArgv: [] });

  await processors.place(generator.pid, 'load');
  for (const { pid } of [guard, bare.child, bareRound.child, etcdClient]) {
    await processors.place(pid, 'compared');
  }
  const load = new Load(generator);
  const servers = { guard, bare, bareRound, etcdClient };
  return { ...servers, etcd, guardOptions, load, directory, ca, processors, stop };
}

/** The memory limits that the image sets, for the guard and for all that it is compared with. */
export async function limitsOfTheImage(): Promise<ChildOptions & { readonly limits: string }> {
  const variables = parseEnv(await readFile(NODE_ENV_FILE, 'utf8'));
  const words = Object.entries(variables).map(([name, value]) => `${name}="${value}"`);
  const entrypoint = /^ENTRYPOINT (\[.*\])$/m.exec(await readFile(DOCKERFILE, 'utf8'))?.[1] ?? '[]';
  const [, ...rest] = z.array(z.string()).min(2).parse(JSON.parse(entrypoint));
  const execArgv = rest.filter((word) => word.startsWith('--'));
  return {
    limits: [...words, ...execArgv].join(' '),
    env: { ...process.env, ...variables },
    execArgv,
  };
}

async function servingCertificate(directory: string) {
  const authority = await CertificateAuthority.create();
  const files = await authority.issueFiles(directory, 'serving', {
    commonName: 'etcd-guard',
    names: [HOST],
  });
  return { ...files, ca: authority.cert };
}

export const ALLOWED: readonly string[] = ['"allowed":true'];
export const REFUSED: readonly string[] = ['"allowed":false', '"reason":"LeaderProtected"'];
export const SPARED: readonly string[] = ['"allowed":true', '"reason":"Spared"'];

async function prepare({ etcd, guard, bare, bareRound, load, ca }: Parts): Promise<void> {
  const leader = await etcd.leader();
  const [follower] = await etcd.followers();
  const at = ({ port }: { readonly port: number }): Target => ({ host: HOST, port, ca });
  const unguarded = deletionReview({ name: 'shop-0', app: 'shop', dryRun: false });
  const refused = deletionReview({ name: leader.name, app: 'etcd', dryRun: false });
  // A dry run: without it the first review would reserve the pod, and the next ones be told so.
  const spared = deletionReview({ name: follower?.name ?? 'none', app: 'etcd', dryRun: true });
  const shots: readonly Shot[] = [
    { name: 'bare', target: at(bare), body: unguarded, expected: ALLOWED },
    { name: 'bare with a round', target: at(bareRound), body: unguarded, expected: ALLOWED },
    { name: 'unguarded', target: at(guard), body: unguarded, expected: ALLOWED },
    { name: 'refused', target: at(guard), body: refused, expected: REFUSED },
    { name: 'spared', target: at(guard), body: spared, expected: SPARED },
  ];
  await load.prepare(...shots);
}
