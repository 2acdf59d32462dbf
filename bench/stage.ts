import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { z } from 'zod';
import { CertificateAuthority } from '../test/harness/certificates.ts';
import { startEtcdCluster, type EtcdCluster } from '../test/harness/etcd-cluster.ts';
import { temporaryDirectory } from '../test/harness/reaper.ts';
import { freshBundle } from './bundle.ts';
import { Child, type ChildOptions } from './child.ts';
import { Guard, type GuardOptions } from './guard.ts';
import { deletionReview } from './reviews.ts';

const HOST = '127.0.0.1';
const NODE_ENV_FILE = join(import.meta.dirname, '../deploy/webhook/node.env');
const DOCKERFILE = join(import.meta.dirname, '../Dockerfile');

/** What the load generator can send. */
export type Shot = 'bare' | 'unguarded' | 'refused' | 'spared';

/** Everything that takes part, each in a process of its own. */
export interface Stage {
  readonly guardOptions: GuardOptions;
  readonly guard: Guard;
  readonly load: Child;
  readonly etcdClient: Child;
  readonly bodyBytes: number;
  readonly limits: string;
  stop(): Promise<void>;
}

/** Starts a real etcd, the guard, a bare server, and those who ask them. */
export async function setStage(progress: (line: string) => void): Promise<Stage> {
  const main = await freshBundle();
  const started: { stop(): Promise<unknown> }[] = [];
  const stop = async (): Promise<void> => {
    for (const one of started.toReversed()) await one.stop();
  };
  const child = (script: string, options: ChildOptions): Child => {
    const made = new Child(script, options);
    started.push(made);
    return made;
  };
  try {
    progress('starting a 3-member etcd');
    const directory = await temporaryDirectory('etcd-guard-bench');
    started.push({ stop: () => directory.remove() });
    // An election would be measured as a slow review; a busy machine must not cause one.
    const etcd = await startEtcdCluster({ electionTimeoutMs: 5_000, heartbeatMs: 500 });
    started.push(etcd);
    const { limits, env, execArgv } = await limitsOfTheImage();
    const tls = await servingCertificate(directory.path);
    const guardsFile = await writeGuards(directory.path, etcd);
    const guardOptions = { main, guardsFile, env, execArgv, ...tls };
    const guard = await Guard.start(guardOptions);
    started.push(guard);

    const bare = child('./bare-server.ts', { env, execArgv });
    const barePort = await bare.ask('listen', tls, { result: z.int() });
    const etcdClient = child('./etcd-client.ts', { env, execArgv });
    const addresses = etcd.members.map(({ address }) => address);
    await etcdClient.ask('open', { addresses }, { result: z.null() });
    const load = child('./load-generator.ts', { env: process.env, execArgv: [] });
    const bodyBytes = await prepare(load, etcd, {
      guard: { host: HOST, port: guard.port, ca: tls.ca },
      bare: { host: HOST, port: barePort, ca: tls.ca },
    });
    return { guardOptions, guard, load, etcdClient, bodyBytes, limits, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The memory limits that the image sets, for the guard and for all that it is compared with. */
async function limitsOfTheImage(): Promise<ChildOptions & { readonly limits: string }> {
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

async function writeGuards(directory: string, etcd: EtcdCluster): Promise<string> {
  const file = join(directory, 'guards.yaml');
  const guard = {
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'EtcdGuard',
    metadata: { name: 'etcd', namespace: 'default' },
    spec: {
      selector: { matchLabels: { app: 'etcd' } },
      members: {
        addresses: Object.fromEntries(etcd.members.map(({ name, address }) => [name, address])),
      },
    },
  };
  // JSON is YAML.
  await writeFile(file, JSON.stringify(guard));
  return file;
}

interface Targets {
  readonly guard: unknown;
  readonly bare: unknown;
}

async function prepare(load: Child, etcd: EtcdCluster, { guard, bare }: Targets): Promise<number> {
  const leader = await etcd.leader();
  const [follower] = await etcd.followers();
  if (follower === undefined) throw new Error('etcd has no follower');
  const unguarded = deletionReview({ name: 'shop-0', app: 'shop', dryRun: false });
  const refused = deletionReview({ name: leader.name, app: 'etcd', dryRun: false });
  // A dry run: without it the first review would reserve the pod, and the next ones be told so.
  const spared = deletionReview({ name: follower.name, app: 'etcd', dryRun: true });
  const shots: readonly (readonly [Shot, unknown, Buffer, readonly string[]])[] = [
    ['bare', bare, unguarded, ['"allowed":true']],
    ['unguarded', guard, unguarded, ['"allowed":true']],
    ['refused', guard, refused, ['"allowed":false', '"reason":"LeaderProtected"']],
    ['spared', guard, spared, ['"allowed":true', '"reason":"Spared"']],
  ];
  for (const [name, target, body, expected] of shots) {
    const params = { name, target, body: body.toString(), expected };
    await load.ask('prepare', params, { result: z.null() });
  }
  return unguarded.length;
}
