import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ManagedProcess } from '../harness/managed-process.ts';
import { requireBinary } from '../harness/require-binary.ts';
import type { History } from './history.ts';
import type { Place } from './network.ts';
import { beliefIn, Tail } from './raft-log.ts';

const CLIENT_PORT = 2379;
const PEER_PORT = 2380;
/** As a kubelet: a container that ended is started again, sooner than a real one would. */
const RESTART_MS = 700;

export interface MemberInit {
  readonly name: string;
  readonly place: Place;
  readonly history: History;
  /** Where its logs go. */
  readonly directory: string;
  /** Names of members by their ids, as they become known. */
  readonly names: Map<string, string>;
}

/** One etcd member with its pod's container: it runs while the pod does, unless it is held down. */
export class Member {
  readonly name: string;
  readonly place: Place;
  /** `--initial-cluster` of the next start. */
  initialCluster = '';
  initialState: 'new' | 'existing' = 'new';
  /** Down for as long as this is set, as in a crash back-off. */
  held = false;
  readonly #history: History;
  readonly #directory: string;
  readonly #names: Map<string, string>;
  readonly #tails = new Set<Tail>();
  #process: ManagedProcess | undefined;
  /** The pod that it runs for. */
  #owner: string | undefined;
  #starts = 0;
  #over = false;
  #id: string | undefined;
  #leader: string | null = null;
  /** One start or stop after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(init: MemberInit) {
    this.name = init.name;
    this.place = init.place;
    this.#history = init.history;
    this.#directory = init.directory;
    this.#names = init.names;
  }

  /** host:port */
  get address(): string {
    return `${this.place.host}:${CLIENT_PORT}`;
  }

  get port(): number {
    return CLIENT_PORT;
  }

  get peerUrl(): string {
    return `http://${this.place.host}:${PEER_PORT}`;
  }

  /** hex; undefined until its log has told it. */
  get id(): string | undefined {
    return this.#id;
  }

  /** The name of whom it takes for the leader. */
  get leader(): string | null {
    return this.#leader;
  }

  get running(): boolean {
    return this.#process?.running === true;
  }

  get active(): boolean {
    return this.#process?.active === true;
  }

  /** The container of this pod begins: a fresh pod is in no back-off. */
  runFor(uid: string): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#owner !== undefined && this.#owner !== uid) await this.#process?.stop(0);
      this.#owner = uid;
      this.held = false;
      await this.#start();
    });
  }

  /** Ends with its pod; another pod's container is left alone. */
  stopFor(uid: string, graceMs: number): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#owner !== uid) return;
      this.#owner = undefined;
      await this.#process?.stop(graceMs);
    });
  }

  /** SIGKILL; it stays down while it is held. */
  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  /** SIGTERM, as a container that a probe restarts. */
  async restart(): Promise<void> {
    await this.#process?.stop();
  }

  pause(): void {
    if (!this.running) return;
    this.#process?.pause();
    this.#history.add({ kind: 'process', member: this.name, state: 'paused' });
  }

  resume(): void {
    if (!this.running) return;
    this.#history.add({ kind: 'process', member: this.name, state: 'resumed' });
    this.#process?.resume();
  }

  /** If its pod is there and nothing holds it. */
  wake(): Promise<void> {
    this.held = false;
    return this.#inTurn(() => this.#start());
  }

  /** Reads on in its logs. */
  async readLogs(): Promise<void> {
    for (const tail of this.#tails) {
      for (const line of await tail.lines()) this.#hear(line);
    }
  }

  async end(): Promise<void> {
    this.#over = true;
    await this.#process?.kill();
    for (const tail of this.#tails) await tail.close();
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #start(): Promise<void> {
    if (this.running || this.held || this.#over || this.#owner === undefined) return;
    const { host, dataDir } = this.place;
    this.#starts += 1;
    const log = join(this.#directory, `${this.name}-${this.#starts}.log`);
    const client = `http://${this.address}`;
    const [command, args] = this.place.through(requireBinary('etcd'), [
      `--name=${this.name}`,
      `--data-dir=${dataDir}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=http://${host}:${PEER_PORT}`,
      `--initial-advertise-peer-urls=${this.peerUrl}`,
      `--initial-cluster=${this.initialCluster}`,
      `--initial-cluster-state=${this.initialState}`,
      '--logger=zap',
      `--log-outputs=${log}`,
    ]);
    this.#history.add({ kind: 'process', member: this.name, state: 'started' });
    this.#leader = null;
    const started = await ManagedProcess.start(command, args, { name: `etcd ${this.name}` });
    this.#process = started;
    this.#tails.add(new Tail(log));
    void started.exit.then(() => this.#ended(started));
  }

  async #ended(process: ManagedProcess): Promise<void> {
    this.#history.add({ kind: 'process', member: this.name, state: 'ended' });
    this.#leader = null;
    await delay(RESTART_MS);
    if (this.#process === process) await this.#inTurn(() => this.#start());
  }

  #hear(line: string): void {
    const belief = beliefIn(line);
    if (belief === undefined) return;
    const { t, id, leader, term } = belief;
    this.#id = id;
    this.#names.set(id, this.name);
    const name = leader === null ? null : (this.#names.get(leader) ?? leader);
    this.#leader = this.running ? name : null;
    this.#history.add({ kind: 'belief', member: this.name, leader: name, term }, t);
  }
}
