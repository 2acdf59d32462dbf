import { execa } from 'execa';
import { z } from 'zod';
import { join } from 'node:path';
import {
  CertificateAuthority,
  type Certificate,
  type CertificateFiles,
  type CertificateRequest,
} from './certificates.ts';
import { freePort } from './loopback.ts';
import { ManagedProcess } from './managed-process.ts';
import { temporaryDirectory, type TemporaryDirectory } from './reaper.ts';
import { requireBinary } from './require-binary.ts';
import { until } from './until.ts';

export interface EtcdCredentials {
  readonly username: string;
  readonly password: string;
}

export interface EtcdClusterOptions {
  readonly members?: number;
  /** One name a member; etcd-0, etcd-1, ... otherwise. */
  readonly names?: readonly string[];
  /** One loopback address a member; 127.0.0.1 otherwise. */
  readonly hosts?: readonly string[];
  /** Every member's client port, where each has an address of its own. */
  readonly clientPort?: number;
  /** Clients speak TLS; members among themselves do not. */
  readonly tls?: boolean;
  /** Clients have to show a certificate; implies tls. */
  readonly clientCertAuth?: boolean;
  /** Switches authentication on. The user root gets this password; another name becomes a user without any role. */
  readonly auth?: EtcdCredentials;
  readonly electionTimeoutMs?: number;
  readonly heartbeatMs?: number;
  /** Where etcd is looked for before the PATH. */
  readonly binaries?: string;
  /** More command-line arguments for every member. */
  readonly args?: readonly string[];
}

export interface EtcdClientCertificates extends CertificateFiles {
  readonly caFile: string;
}

export interface EtcdMember {
  readonly name: string;
  /** As etcdctl prints it. */
  readonly id: string;
  readonly clientUrl: string;
  readonly peerUrl: string;
  /** host:port of the client URL */
  readonly address: string;
  readonly host: string;
  readonly port: number;
  readonly dataDir: string;
  readonly learner: boolean;
  /** The member's own certificate: localhost, its address, its name and NAME.etcd.default.svc. */
  readonly serverCertificate: CertificateFiles | undefined;
  /** The last process: it may have ended. */
  readonly process: ManagedProcess;
}

export interface EtcdStatus {
  /** hex, like all ids here */
  readonly memberId: string;
  readonly clusterId: string;
  /** undefined while there is none */
  readonly leader: string | undefined;
  readonly term: string;
  readonly index: string;
  readonly learner: boolean;
  readonly version: string;
}

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const uint64 = z.union([z.number(), z.string()]).transform(String);
const statusesSchema = z
  .array(
    z
      .object({
        Status: z.object({
          header: z.object({ member_id: uint64, cluster_id: uint64, raft_term: uint64 }),
          leader: uint64.default('0'),
          raftIndex: uint64.default('0'),
          isLearner: z.boolean().default(false),
          version: z.string(),
        }),
      })
      .transform(({ Status: status }): EtcdStatus => ({
        memberId: hex(status.header.member_id),
        clusterId: hex(status.header.cluster_id),
        leader: status.leader === '0' ? undefined : hex(status.leader),
        term: status.header.raft_term,
        index: status.raftIndex,
        learner: status.isLearner,
        version: status.version,
      })),
  )
  .nullable();

function hex(decimal: string): string {
  return BigInt(decimal).toString(16);
}

/** etcdctl prints 64-bit numbers bare, and JSON.parse would round them; those in texts stay as they are. */
function parseEtcdJson(text: string): unknown {
  return JSON.parse(text.replaceAll(/":(\d{16,})/g, '":"$1"'));
}

/** Without settings that this process was given for an etcd of its own. */
function etcdEnvironment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^ETCD(CTL)?_/.test(name));
  return {
    ...Object.fromEntries(own),
    ETCDCTL_API: '3',
    // etcd before 3.5 asks for this on anything but amd64.
    ...(process.arch === 'x64' ? {} : { ETCD_UNSUPPORTED_ARCH: process.arch }),
  };
}

interface Blueprint {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly clientUrl: string;
  readonly peerUrl: string;
  readonly dataDir: string;
  readonly serverCertificate: CertificateFiles | undefined;
}

interface Started extends Blueprint {
  id: string;
  learner: boolean;
  process: ManagedProcess;
}

const PORT_TAKEN = /address already in use/;
const START_ATTEMPTS = 3;

/** Starts etcd processes on loopback that form one cluster, and waits until they serve. */
export async function startEtcdCluster(options: EtcdClusterOptions = {}): Promise<EtcdCluster> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await EtcdCluster.start(options);
    } catch (error) {
      // Between being found free and being bound a port can be taken.
      if (attempt === START_ATTEMPTS || !PORT_TAKEN.test(String(error))) throw error;
    }
  }
}

export class EtcdCluster {
  /** For clients: the authority, and a certificate to show. Undefined without TLS. */
  readonly certificates: EtcdClientCertificates | undefined;
  readonly electionTimeoutMs: number;
  readonly #options: EtcdClusterOptions;
  readonly #directory: TemporaryDirectory;
  readonly #authority: CertificateAuthority | undefined;
  readonly #etcd: string;
  readonly #etcdctl: string;
  readonly #speedups: readonly string[];
  readonly #members = new Map<string, Started>();
  /** Of members that were given another etcd than the others. */
  readonly #programs = new Map<string, string>();
  #rootPassword: string | undefined;

  private constructor(init: {
    options: EtcdClusterOptions;
    directory: TemporaryDirectory;
    authority: CertificateAuthority | undefined;
    certificates: EtcdClientCertificates | undefined;
    etcd: string;
    etcdctl: string;
    speedups: readonly string[];
  }) {
    this.#options = init.options;
    this.#directory = init.directory;
    this.#authority = init.authority;
    this.certificates = init.certificates;
    this.electionTimeoutMs = init.options.electionTimeoutMs ?? 1_000;
    this.#etcd = init.etcd;
    this.#etcdctl = init.etcdctl;
    this.#speedups = init.speedups;
  }

  static async start(options: EtcdClusterOptions): Promise<EtcdCluster> {
    const places = options.binaries === undefined ? [] : [options.binaries];
    const etcd = requireBinary('etcd', ...places);
    const etcdctl = requireBinary('etcdctl', ...places);
    const help = await execa(etcd, ['--help'], { reject: false, all: true });
    const directory = await temporaryDirectory('etcd-cluster');
    const tls = options.tls === true || options.clientCertAuth === true;
    const authority = tls ? await CertificateAuthority.create('etcd authority') : undefined;
    const certificates = authority && {
      caFile: await authority.writeTo(directory.path),
      ...(await authority.issueFiles(directory.path, 'client', { commonName: 'client' })),
    };
    const cluster = new EtcdCluster({
      options,
      directory,
      authority,
      certificates,
      etcd,
      etcdctl,
      // The data is thrown away, and a disk under load must not cause elections.
      speedups: help.all.includes('--unsafe-no-fsync') ? ['--unsafe-no-fsync'] : [],
    });
    try {
      await cluster.#startAll();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  get members(): readonly EtcdMember[] {
    return [...this.#members.values()].map((member) => describe(member));
  }

  /** Client URLs of all members, whether they run or not. */
  get endpoints(): readonly string[] {
    return this.members.map((member) => member.clientUrl);
  }

  member(name: string): EtcdMember {
    return describe(this.#find(name));
  }

  /** What a member says of itself; undefined when it does not answer within two seconds. */
  async status(name: string): Promise<EtcdStatus | undefined> {
    const [status] = await this.#statuses([name]);
    return status;
  }

  /**
   * The leader, once it names itself and so does a quorum of all members: until an
   * election is over, survivors go on naming a leader that has died.
   */
  async leader(timeoutMs = 15_000): Promise<EtcdMember> {
    return until('a leader that a quorum agrees on', () => this.#agreedLeader(), { timeoutMs });
  }

  /** The voters that run and do not lead. */
  async followers(): Promise<readonly EtcdMember[]> {
    const leader = await this.leader();
    return this.#servingVoters().filter(({ id }) => id !== leader.id);
  }

  /** Waits until every running voter serves a linearizable read (learners never do). */
  async waitHealthy(timeoutMs = 30_000): Promise<void> {
    const names = this.#servingVoters().map(({ name }) => name);
    await until(
      'every member healthy',
      async () => (await this.etcdctlAt(names, 'endpoint', 'health')).exitCode === 0,
      { timeoutMs },
    );
  }

  /** SIGTERM: a leader hands its leadership over first. */
  async stopMember(name: string): Promise<void> {
    await this.#find(name).process.stop();
  }

  /** SIGKILL */
  async killMember(name: string): Promise<void> {
    await this.#find(name).process.kill();
  }

  /** SIGSTOP: connections stay open, nobody answers. */
  pauseMember(name: string): void {
    this.#find(name).process.pause();
  }

  resumeMember(name: string): void {
    this.#find(name).process.resume();
  }

  /** Starts a stopped member again on its own data; resolves when it serves (which takes a quorum). */
  async restartMember(name: string): Promise<EtcdMember> {
    const member = this.#find(name);
    await member.process.stop();
    member.process = await this.#launch(member, 'existing', this.#initialCluster());
    await this.#learnId(member);
    return describe(member);
  }

  /** Ends a member and starts it again on its own data, with the etcd of this directory. */
  async upgradeMember(name: string, binaries: string): Promise<EtcdMember> {
    this.#programs.set(name, requireBinary('etcd', binaries));
    return this.restartMember(name);
  }

  /** Adds a member that does not vote, and starts it. */
  async addLearner(name = `etcd-${this.#members.size}`): Promise<EtcdMember> {
    const member = await this.#plan(name, '127.0.0.1');
    // For its first five seconds etcd calls a cluster of several too unhealthy for that.
    await until('the learner is added', async () => {
      await this.#command('member', 'add', name, '--learner', `--peer-urls=${member.peerUrl}`);
      return true;
    });
    const initialCluster = `${this.#initialCluster()},${name}=${member.peerUrl}`;
    const process = await this.#launch(member, 'existing', initialCluster);
    const started = { ...member, id: '', learner: true, process };
    this.#members.set(name, started);
    await this.#learnId(started);
    return describe(started);
  }

  /** Makes a learner a voter, as soon as it has caught up. */
  async promote(name: string): Promise<void> {
    const member = this.#find(name);
    await until('the promotion', async () => {
      await this.#command('member', 'promote', member.id);
      return true;
    });
    member.learner = false;
  }

  /** Moves the leadership to this member, and waits until that is agreed on. */
  async moveLeader(name: string): Promise<EtcdMember> {
    const target = this.#find(name);
    return until('the move of the leadership', async () => {
      const leader = await this.leader();
      if (leader.id === target.id) return leader;
      await this.etcdctlAt([leader.name], 'move-leader', target.id);
      return undefined;
    });
  }

  async put(key: string, value: string): Promise<void> {
    await this.#command('put', '--', key, value);
  }

  /** The value, or undefined if there is none; a linearizable read. */
  async get(key: string): Promise<string | undefined> {
    const stdout = await this.#command('get', '--write-out', 'simple', '--', key);
    return stdout === '' ? undefined : stdout.slice(stdout.indexOf('\n') + 1);
  }

  /** Runs etcdctl against all running voters, as root where authentication is on. Does not throw. */
  async etcdctl(...args: readonly string[]): Promise<CommandResult> {
    return this.etcdctlAt(
      this.#servingVoters().map(({ name }) => name),
      ...args,
    );
  }

  /** Runs etcdctl against these members. Does not throw. */
  async etcdctlAt(names: readonly string[], ...args: readonly string[]): Promise<CommandResult> {
    const tls = this.certificates;
    const result = await execa(
      this.#etcdctl,
      [
        `--endpoints=${names.map((name) => this.#find(name).clientUrl).join(',')}`,
        '--dial-timeout=2s',
        '--command-timeout=2s',
        ...(tls
          ? [`--cacert=${tls.caFile}`, `--cert=${tls.certFile}`, `--key=${tls.keyFile}`]
          : []),
        ...(this.#rootPassword === undefined ? [] : [`--user=root:${this.#rootPassword}`]),
        ...args,
      ],
      { reject: false, extendEnv: false, env: etcdEnvironment(), timeout: 20_000 },
    );
    return { exitCode: result.exitCode ?? 1, stdout: result.stdout, stderr: result.stderr };
  }

  /** Adds a user and, where given, a role for it that exists (root is one). */
  async addUser({ username, password }: EtcdCredentials, role?: string): Promise<void> {
    await this.#command('user', 'add', `${username}:${password}`);
    if (role !== undefined) await this.#command('user', 'grant-role', username, role);
  }

  /** Another certificate of the authority that members and clients of a cluster with TLS share. */
  async issue(request: CertificateRequest): Promise<Certificate> {
    if (this.#authority === undefined) throw new Error('the cluster has no TLS');
    return this.#authority.issue(request);
  }

  /** Ends every member and removes the data. */
  async stop(): Promise<void> {
    // All of it is thrown away: no hand-overs of leadership that nobody needs.
    await Promise.all([...this.#members.values()].map((member) => member.process.kill()));
    await this.#directory.remove();
  }

  async #startAll(): Promise<void> {
    const planned = await this.#planAll();
    const initialCluster = planned.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(',');
    for (const member of planned) {
      const process = await this.#launch(member, 'new', initialCluster);
      this.#members.set(member.name, { ...member, id: '', learner: false, process });
    }
    // None answers before a quorum runs.
    await Promise.all([...this.#members.values()].map((member) => this.#learnId(member)));
    await this.waitHealthy();
    if (this.#options.auth) await this.#enableAuth(this.#options.auth);
  }

  async #planAll(): Promise<readonly Blueprint[]> {
    const { names, hosts = [], members = names?.length ?? 3 } = this.#options;
    const all = Array.from({ length: members }, (_, ordinal) =>
      this.#plan(names?.[ordinal] ?? `etcd-${ordinal}`, hosts[ordinal] ?? '127.0.0.1'),
    );
    return Promise.all(all);
  }

  async #plan(name: string, host: string): Promise<Blueprint> {
    const scheme = this.#authority ? 'https' : 'http';
    const port = this.#options.clientPort ?? (await freePort(host));
    return {
      name,
      host,
      port,
      clientUrl: `${scheme}://${host}:${port}`,
      peerUrl: `http://${host}:${await freePort(host)}`,
      dataDir: join(this.#directory.path, name),
      serverCertificate: await this.#authority?.issueFiles(this.#directory.path, name, {
        commonName: name,
        names: [...new Set(['localhost', '127.0.0.1', host, name, `${name}.etcd.default.svc`])],
      }),
    };
  }

  async #launch(
    member: Blueprint,
    state: 'new' | 'existing',
    initialCluster: string,
  ): Promise<ManagedProcess> {
    const { serverCertificate: server } = member;
    const args = [
      `--name=${member.name}`,
      `--data-dir=${member.dataDir}`,
      `--listen-client-urls=${member.clientUrl}`,
      `--advertise-client-urls=${member.clientUrl}`,
      `--listen-peer-urls=${member.peerUrl}`,
      `--initial-advertise-peer-urls=${member.peerUrl}`,
      `--initial-cluster=${initialCluster}`,
      `--initial-cluster-state=${state}`,
      `--election-timeout=${this.electionTimeoutMs}`,
      `--heartbeat-interval=${this.#options.heartbeatMs ?? 100}`,
      ...this.#speedups,
      ...(server ? [`--cert-file=${server.certFile}`, `--key-file=${server.keyFile}`] : []),
      // The authority alone would already make etcd ask for client certificates.
      ...(this.#options.clientCertAuth && this.certificates
        ? ['--client-cert-auth', `--trusted-ca-file=${this.certificates.caFile}`]
        : []),
      ...(this.#options.args ?? []),
    ];
    return ManagedProcess.start(this.#programs.get(member.name) ?? this.#etcd, args, {
      name: `etcd ${member.name}`,
      env: etcdEnvironment(),
    });
  }

  /** A member answers Status only once it has joined: this is also the wait for readiness. */
  async #learnId(member: Started): Promise<void> {
    const status = await member.process.orExplain('no answer to a status request', 30_000, () =>
      this.status(member.name),
    );
    member.id = status.memberId;
  }

  async #enableAuth({ username, password }: EtcdCredentials): Promise<void> {
    await this.addUser({ username: 'root', password });
    // It may exist already; granting it tells.
    await this.etcdctl('role', 'add', 'root');
    await this.#command('user', 'grant-role', 'root', 'root');
    if (username !== 'root') await this.addUser({ username, password });
    await this.#command('auth', 'enable');
    this.#rootPassword = password;
    await this.waitHealthy();
  }

  #servingVoters(): readonly EtcdMember[] {
    return this.members.filter(({ learner, process }) => !learner && process.active);
  }

  async #agreedLeader(): Promise<EtcdMember | undefined> {
    const statuses = await this.#statuses(this.#servingVoters().map(({ name }) => name));
    const own = statuses.find(({ memberId, leader }) => memberId === leader);
    const votes = statuses.filter(({ leader }) => leader === own?.memberId);
    const voters = this.members.filter(({ learner }) => !learner);
    if (own === undefined || votes.length <= voters.length / 2) return undefined;
    return voters.find(({ id }) => id === own.memberId);
  }

  /** Of those that answer: etcdctl fails if one does not, and prints what the others said. */
  async #statuses(names: readonly string[]): Promise<readonly EtcdStatus[]> {
    const { stdout } = await this.etcdctlAt(names, 'endpoint', 'status', '--write-out', 'json');
    return stdout === '' ? [] : (statusesSchema.parse(parseEtcdJson(stdout)) ?? []);
  }

  async #command(...args: readonly string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await this.etcdctl(...args);
    if (exitCode !== 0) throw new Error(`etcdctl ${args.join(' ')}: ${stderr || stdout}`);
    return stdout;
  }

  #initialCluster(): string {
    return this.members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(',');
  }

  #find(name: string): Started {
    const member = this.#members.get(name);
    if (member === undefined) throw new Error(`no etcd member ${name}`);
    return member;
  }
}

function describe(member: Started): EtcdMember {
  return { ...member, address: `${member.host}:${member.port}` };
}
