import { until } from '../harness/until.ts';
import { etcdctl, type EtcdClients } from './clients.ts';
import type { History } from './history.ts';
import type { Member } from './member.ts';
import type { Pods } from './pods.ts';

/** For each step; a removal has to come about, or the cluster stays larger than it was. */
const WITHIN_MS = { add: 25_000, promote: 20_000, remove: 60_000 } as const;

/** Adds a member to the cluster and takes it away again, as somebody who scales it would. */
export class Membership {
  readonly #members: readonly Member[];
  readonly #history: History;
  readonly #pods: Pods;
  readonly #clients: EtcdClients;
  readonly #spare: (number: number) => Promise<Member | undefined>;
  #grown = 0;
  #adding = false;

  constructor(init: {
    /** Those that the cluster begins with. */
    readonly members: readonly Member[];
    readonly history: History;
    readonly pods: Pods;
    readonly clients: EtcdClients;
    /** A place for one more; undefined once there is none left. */
    readonly spare: (number: number) => Promise<Member | undefined>;
  }) {
    this.#members = init.members;
    this.#history = init.history;
    this.#pods = init.pods;
    this.#clients = init.clients;
    this.#spare = init.spare;
  }

  /**
   * Whether a member is just being added. Until every voter has been connected to all others for 5 s
   * without a break, etcd refuses that: no member may be restarted meanwhile.
   */
  get adding(): boolean {
    return this.#adding;
  }

  /** A learner that becomes a voter after a while. Returns what removes it. */
  async grow(learnerMs: number): Promise<() => Promise<void>> {
    const member = await this.#spare(this.#grown);
    if (member === undefined) throw new Error('there is no place for another member');
    this.#grown += 1;
    const old = this.#names();
    const all = [...old, member.name];
    this.#adding = true;
    const id = await this.#tried('add', () => this.#add(member)).finally(() => {
      this.#adding = false;
    });
    member.initialState = 'existing';
    member.initialCluster = [...this.#members, member]
      .map(({ name, peerUrl }) => `${name}=${peerUrl}`)
      .join(',');
    await this.#pods.add(member);
    const promoted = passing(learnerMs).then(() => this.#promote(id, [old, all]));
    return async () => {
      await promoted.catch((error: unknown) => this.#trouble(error));
      await this.#remove(member, id, [all, old]);
    };
  }

  /** Its id; an earlier try may have been carried out without an answer. */
  async #add({ name, peerUrl }: Member): Promise<string | undefined> {
    const listed = await this.#ctl('member', 'list');
    const there = listed.split('\n').find((line) => line.includes(peerUrl));
    if (there !== undefined) return there.split(',')[0];
    const added = await this.#ctl('member', 'add', name, '--learner', `--peer-urls=${peerUrl}`);
    return /Member\s+([0-9a-f]+) added/.exec(added)?.[1];
  }

  /** Through etcd's own call: filling its quota would take minutes. */
  async raiseNoSpace(member: Member): Promise<void> {
    const { id } = member;
    if (id === undefined) throw new Error(`${member.name} has no id yet`);
    await this.#clients
      .of(member)
      .maintenance.alarm(
        { action: 'Activate', memberID: BigInt(`0x${id}`).toString(), alarm: 'Nospace' },
        { deadline: Date.now() + 2_000 },
      );
  }

  async #promote(id: string, sets: string[][]): Promise<void> {
    this.#history.add({ kind: 'voters', sets });
    await this.#tried('promote', async () => {
      try {
        await this.#ctl('member', 'promote', id);
        return true;
      } catch (error) {
        // An earlier try may have been carried out without an answer.
        if (/can only promote a learner/.test(String(error))) return true;
        throw error;
      }
    });
    this.#history.add({ kind: 'voters', sets: sets.slice(1) });
  }

  async #remove(member: Member, id: string, sets: string[][]): Promise<void> {
    this.#history.add({ kind: 'voters', sets });
    await this.#tried('remove', async () => {
      try {
        await this.#ctl('member', 'remove', id);
        return true;
      } catch (error) {
        if (/member not found/i.test(String(error))) return true;
        throw error;
      }
    });
    this.#history.add({ kind: 'voters', sets: sets.slice(1) });
    this.#pods.retire(member);
  }

  #tried<T>(what: keyof typeof WITHIN_MS, attempt: () => Promise<T | undefined>): Promise<T> {
    return until(`member ${what}`, attempt, { timeoutMs: WITHIN_MS[what], intervalMs: 500 });
  }

  #ctl(...args: readonly string[]): Promise<string> {
    return etcdctl(
      this.#members.filter(({ active }) => active),
      ...args,
    );
  }

  #names(): string[] {
    return this.#members.map(({ name }) => name);
  }

  #trouble(error: unknown): void {
    this.#history.add({ kind: 'trouble', message: `grow: ${explained(error)}` });
  }
}

/** With what it came from: a step that ran out of time says there why it never came about. */
export function explained(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const why = error.cause instanceof Error ? `: ${error.cause.message}` : '';
  return `${error.message}${why}`.slice(0, 800);
}

function passing(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}
