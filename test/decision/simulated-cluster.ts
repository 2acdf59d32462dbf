import { memberId, type MemberId } from '../../src/decision/member-id.ts';
import type { ListedMember, PodFacts, ProofAnswer } from '../../src/decision/situation.ts';
import type { Answer } from '../../src/decision/situation.ts';

/** Numbers from a seed, the same on every machine (mulberry32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** A whole number from 0 to n - 1. */
  below(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
  }

  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(from: readonly T[]): T {
    const found = from[this.below(from.length)];
    if (found === undefined) throw new Error('nothing to pick from');
    return found;
  }

  shuffled<T>(all: readonly T[]): T[] {
    return all
      .map((value) => ({ value, at: this.below(1 << 30) }))
      .sort((a, b) => a.at - b.at)
      .map(({ value }) => value);
  }
}

/** A raft member, as far as leadership goes, together with the pod that runs it. */
export interface Member {
  readonly index: number;
  readonly id: MemberId;
  readonly pod: string;
  /** Changes when the pod is made anew; null while there is none. */
  uid: string | null;
  terminating: boolean;
  up: boolean;
  /** Stopped, but with all that it knew: it answers nobody. */
  paused: boolean;
  term: number;
  names: MemberId | null;
  /** Members of one group reach each other. */
  group: number;
  /** The moment since which it could be of no use to the cluster; null while it is. */
  uselessSince: number | null;
}

/** How somebody came to lead. */
interface Election {
  readonly moment: number;
  readonly by: 'cluster' | 'guard';
}

const CLUSTER_ID = 'c1d2';

/** A cluster of voters: who is up, who reaches whom, who follows whom. Events are numbered moments. */
export class SimulatedCluster {
  readonly members: readonly Member[];
  readonly quorum: number;
  readonly elections = new Map<number, Election>();
  moment = 0;
  #uids = 0;

  constructor(voters: number) {
    this.quorum = Math.floor(voters / 2) + 1;
    this.members = Array.from({ length: voters }, (_, index) => ({
      index,
      id: memberId(`${(index + 10).toString(16)}0`),
      pod: `etcd-${index}`,
      uid: this.#uid(),
      terminating: false,
      up: true,
      paused: false,
      term: 1,
      names: null,
      group: 0,
      uselessSince: null,
    }));
    const [first] = this.members;
    if (first !== undefined) this.elect(first, 'cluster');
  }

  of(pod: string): Member {
    const found = this.members.find((member) => member.pod === pod);
    if (found === undefined) throw new Error(`no member for ${pod}`);
    return found;
  }

  /** The member that leads in truth: it claims to, and a quorum follows. */
  leader(): Member | null {
    const claiming = this.members.filter((member) => this.#leads(member));
    return claiming.sort((a, b) => b.term - a.term)[0] ?? null;
  }

  #leads(member: Member): boolean {
    return (
      active(member) && member.names === member.id && this.#followers(member).length >= this.quorum
    );
  }

  #followers(leader: Member): readonly Member[] {
    return this.members.filter(
      (member) => reaches(member, leader) && active(member) && member.term <= leader.term,
    );
  }

  /** Takes note of who can be of use; to be called after every event. */
  tick(): void {
    this.moment += 1;
    const leader = this.leader();
    for (const member of this.members) {
      const useful = leader !== null && active(member) && reaches(member, leader);
      if (useful) member.uselessSince = null;
      else member.uselessSince ??= this.moment;
    }
  }

  // ---- what the cluster does ----

  elect(candidate: Member, by: Election['by']): boolean {
    const around = this.members.filter((m) => active(m) && reaches(m, candidate));
    if (!active(candidate) || around.length < this.quorum) return false;
    const term = Math.max(...around.map((member) => member.term)) + 1;
    for (const member of around) {
      member.term = term;
      member.names = candidate.id;
    }
    this.elections.set(term, { moment: this.moment, by });
    return true;
  }

  heartbeat(): void {
    const leader = this.leader();
    if (leader === null) return;
    for (const member of this.#followers(leader)) {
      member.term = leader.term;
      member.names = leader.id;
    }
  }

  /** Notices that its leader is gone; an old leader, that it has no quorum. */
  timeOut(member: Member): void {
    const named = this.members.find(({ id }) => id === member.names);
    if (named === undefined || !active(member)) return;
    const hears = named === member ? this.#leads(member) : active(named) && reaches(member, named);
    if (!hears) member.names = null;
  }

  moveLeader(from: Member, to: Member): boolean {
    if (this.leader() !== from || !active(to) || !reaches(from, to)) return false;
    return this.elect(to, 'guard');
  }

  stop(member: Member): void {
    member.up = false;
    member.names = null;
  }

  /** A new pod with the old data. */
  recreate(member: Member): void {
    member.uid = this.#uid();
    member.terminating = false;
  }

  #uid(): string {
    this.#uids += 1;
    return `uid-${this.#uids}`;
  }

  // ---- what a guard sees of it ----

  podFacts(): PodFacts[] {
    return this.members
      .filter(({ uid }) => uid !== null)
      .map(({ pod, terminating }) => ({
        name: pod,
        address: `${pod}:2379`,
        hosts: [pod],
        terminating,
        cordoned: false,
      }));
  }

  status(member: Member): Answer {
    if (!active(member)) return { kind: 'silent', cause: 'connection refused' };
    return {
      kind: 'status',
      id: member.id,
      clusterId: CLUSTER_ID,
      list: this.#list(),
      leader: member.names,
      term: BigInt(member.term),
      raftIndex: 100n,
      appliedIndex: 100n,
      corrupt: [],
      noSpace: [],
    };
  }

  #list(): readonly ListedMember[] {
    return this.members.map(({ id, pod }) => ({
      id,
      name: pod,
      learner: false,
      clientAddresses: [`${pod}:2379`],
      hosts: [pod],
    }));
  }

  /** A read is served if its leader has a quorum of its own term at that moment. */
  serves(member: Member): boolean {
    const leader = this.members.find(({ id }) => id === member.names);
    if (leader === undefined || !active(member) || !reaches(member, leader)) return false;
    return this.#leads(leader) && leader.term === member.term;
  }

  afterRead(member: Member): ProofAnswer['after'] {
    const status = this.status(member);
    if (status.kind !== 'status') return null;
    return { id: status.id, clusterId: status.clusterId, leader: status.leader };
  }
}

export function active({ up, paused }: Member): boolean {
  return up && !paused;
}

function reaches(a: Member, b: Member): boolean {
  return a.group === b.group;
}
