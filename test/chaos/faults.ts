import type { KubeApiserver } from '../harness/kube-apiserver.ts';
import { etcdctl } from './clients.ts';
import type { History } from './history.ts';
import type { Member } from './member.ts';
import { explained, type Membership } from './membership.ts';
import type { Pods } from './pods.ts';
import type { Replicas } from './replicas.ts';
import { isDoneToMember, type Fault } from './schedule.ts';

/** Whom faults are done to. */
export interface Victims {
  readonly members: readonly Member[];
  readonly replicas: Replicas;
  readonly api: KubeApiserver;
  readonly pods: Pods;
  readonly membership: Membership;
  readonly history: History;
}

type OfMember = Exclude<Fault, { replica: number } | { kind: 'pauseApi' | 'grow' }>;
type OfProcess = 'kill' | 'crash' | 'restart' | 'pause' | 'stutter';
type Undo = () => Promise<void> | void;

const STUTTER_MS = [250, 150] as const;

/** Does a round's faults when their time comes, and undoes each when its time is over. */
export class Faults {
  readonly #victims: Victims;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #running = new Set<Promise<void>>();
  /** What was done and not undone yet. */
  readonly #undone = new Set<() => void>();
  #alarmed = false;

  constructor(victims: Victims) {
    this.#victims = victims;
  }

  begin(schedule: readonly Fault[]): void {
    for (const fault of schedule) {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        const doing = this.#carryOut(fault).finally(() => this.#running.delete(doing));
        this.#running.add(doing);
      }, fault.atMs);
      this.#timers.add(timer);
    }
  }

  /** Does nothing more, and undoes all that was done. */
  async heal(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    for (const undo of this.#undone) undo();
    await Promise.all(this.#running);
    if (this.#alarmed)
      await this.#disarm().catch((error: unknown) => this.#trouble('alarm', error));
  }

  async #carryOut(fault: Fault): Promise<void> {
    const { history, membership } = this.#victims;
    if (membership.adding && isDoneToMember(fault)) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, fault.forMs);
    this.#undone.add(resolve);
    try {
      const undo = await this.#do(fault, promise);
      history.add({ kind: 'fault', what: fault });
      await promise;
      await undo();
      history.add({ kind: 'healed', what: fault });
    } catch (error) {
      this.#trouble(fault.kind, error);
    } finally {
      clearTimeout(timer);
      this.#undone.delete(resolve);
    }
  }

  #trouble(what: string, error: unknown): void {
    this.#victims.history.add({ kind: 'trouble', message: `${what}: ${explained(error)}` });
  }

  async #do(fault: Fault, over: Promise<void>): Promise<Undo> {
    const { replicas, membership } = this.#victims;
    switch (fault.kind) {
      case 'killGuard':
        await replicas.kill(fault.replica);
        return () => replicas.start(fault.replica);
      case 'skewGuard':
        await replicas.kill(fault.replica);
        return () => replicas.start(fault.replica, fault.skewMs);
      case 'pauseGuard':
        replicas.pause(fault.replica);
        return () => replicas.resume(fault.replica);
      case 'pauseApi':
        return this.#pauseApi();
      case 'grow':
        return membership.grow(fault.forMs / 3);
      default: {
        const member = this.#victims.members[fault.member];
        if (member === undefined) throw new Error(`no member ${fault.member}`);
        return this.#doTo(member, fault, over);
      }
    }
  }

  #pauseApi(): Undo {
    const { api, history } = this.#victims;
    api.process.pause();
    history.add({ kind: 'apiserver', state: 'paused' });
    return () => {
      api.process.resume();
      history.add({ kind: 'apiserver', state: 'resumed' });
    };
  }

  async #move(to: Member): Promise<Undo> {
    const { members } = this.#victims;
    const leader = members.find(({ name }) => members.some((one) => one.leader === name));
    if (leader !== undefined && to.id !== undefined && leader !== to) {
      await etcdctl([leader], 'move-leader', to.id);
    }
    return () => undefined;
  }

  async #doTo(member: Member, fault: OfMember, over: Promise<void>): Promise<Undo> {
    switch (fault.kind) {
      case 'kill':
      case 'crash':
        return this.#kill(member, fault.kind === 'crash');
      case 'restart':
        await member.restart();
        return () => undefined;
      case 'pause':
        member.pause();
        return () => member.resume();
      case 'stutter':
        return this.#stutter(member, over);
      default:
        return this.#disturb(member, fault);
    }
  }

  async #disturb(member: Member, fault: Exclude<OfMember, { kind: OfProcess }>): Promise<Undo> {
    switch (fault.kind) {
      case 'disk':
        await member.place.fillDisk();
        return () => member.place.freeDisk();
      case 'alarm':
        return this.#alarm(member);
      case 'move':
        return this.#move(member);
      case 'cut':
        return this.#cut(member, fault);
      case 'slow':
      case 'loss':
        return this.#hamper(member, fault.kind);
    }
  }

  async #kill(member: Member, reported: boolean): Promise<Undo> {
    const { pods } = this.#victims;
    member.held = true;
    await member.kill();
    if (reported) await pods.report(member.name, 'terminated');
    return async () => {
      await member.wake();
      if (reported) await pods.report(member.name, 'running');
    };
  }

  /** As a disk or a processor that stalls again and again. */
  #stutter(member: Member, over: Promise<void>): Undo {
    const [stopped, running] = STUTTER_MS;
    this.#link(member, 'slowed');
    const ended = over.then(() => 'over' as const);
    const stuttering = (async () => {
      while ((await Promise.race([ended, passing(0)])) !== 'over') {
        member.pause();
        await passing(stopped);
        member.resume();
        await passing(running);
      }
    })();
    return async () => {
      await stuttering;
      this.#link(member, 'freed');
    };
  }

  async #cut(member: Member, { from, way }: Extract<Fault, { kind: 'cut' }>): Promise<Undo> {
    await member.place.cut(from, way);
    this.#link(member, 'cut');
    return async () => {
      this.#link(member, 'joined');
      await member.place.join();
    };
  }

  async #hamper(member: Member, kind: 'slow' | 'loss'): Promise<Undo> {
    const { place } = member;
    this.#link(member, 'slowed');
    await (kind === 'slow' ? place.slow() : place.lose());
    return async () => {
      await place.join();
      this.#link(member, 'freed');
    };
  }

  #link(member: Member, state: 'cut' | 'joined' | 'slowed' | 'freed'): void {
    this.#victims.history.add({ kind: 'link', member: member.name, state });
  }

  /** As if its space had run out: no writes until somebody disarms it. */
  async #alarm(member: Member): Promise<Undo> {
    // Even of an alarm that was not answered in time: it may be raised all the same.
    this.#alarmed = true;
    await this.#victims.membership.raiseNoSpace(member);
    return () => this.#disarm();
  }

  async #disarm(): Promise<void> {
    await etcdctl(this.#victims.members, 'alarm', 'disarm');
    this.#alarmed = false;
  }
}

function passing(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}
