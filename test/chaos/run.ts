import { Actor } from './actor.ts';
import { goCalmly } from './calm.ts';
import { check, type Violation } from './check.ts';
import { write } from './clients.ts';
import { Dice } from './dice.ts';
import { Faults } from './faults.ts';
import { counted } from './figures.ts';
import { now, type Event, type History } from './history.ts';
import type { RunOptions } from './options.ts';
import { scheduleOf } from './schedule.ts';
import { etcdVersion, World } from './world.ts';

const ROUND_MS = 60_000;
const WRITERS = 3;
const PROGRESS_MS = 5_000;
const CHECK_MS = 15_000;
/** Whose requests are meant: people, and a controller that is given a hand-off. */
const IDENTITIES = ['alice', 'bob', 'system:serviceaccount:kube-system:statefulset-controller'];

/** One run from start to end. */
export class Run {
  readonly #options: RunOptions;
  readonly #history: History;
  readonly #say: (line: string) => void;
  readonly #over = new AbortController();
  #world: World | undefined;

  constructor(options: RunOptions, history: History, say: (line: string) => void) {
    this.#options = options;
    this.#history = history;
    this.#say = say;
  }

  /** The end of what the guards have logged. */
  get logs(): readonly string[] {
    return this.#world?.replicas.logs ?? [];
  }

  /** Until the time is up, something was broken, or it is interrupted. */
  async run(): Promise<void> {
    const { members, broken, seed, seconds, actors, program, plain } = this.#options;
    this.#say(`seed ${seed}: starting an API server, two guards and ${members} members`);
    const world = await World.start({ members, broken, program, plain, history: this.#history });
    this.#world = world;
    this.#history.add({
      kind: 'begin',
      seed,
      seconds,
      members: world.members.map(({ name }) => name),
      actors,
      namespaces: world.namespaces,
      broken,
      etcd: await etcdVersion(),
    });
    if (!world.namespaces) this.#say('no network namespaces here: nobody is cut off or slowed');
    const stopTalking = this.#talk(world);
    try {
      await this.#rounds(world);
    } finally {
      stopTalking();
      this.#history.add({ kind: 'end', interrupted: this.#over.signal.aborted });
      await world.stop();
    }
  }

  async #rounds(world: World): Promise<void> {
    const { seed, seconds } = this.#options;
    const endsAt = now() + seconds * 1_000;
    const writing = new AbortController();
    const writers = this.#writers(world, writing.signal);
    const calmActor = await this.#actor(world, 'calm', 0);
    let round = 0;
    do {
      const lengthMs = Math.min(ROUND_MS, Math.max(5_000, endsAt - now()));
      await this.#round(world, round, lengthMs);
      this.#history.add({ kind: 'phase', round, phase: 'calm' });
      const over = this.#over.signal;
      await goCalmly({ world, history: this.#history, actor: calmActor, round, over });
      round += 1;
    } while (now() < endsAt - 5_000 && !this.#over.signal.aborted);
    writing.abort();
    await writers;
    for (const refusal of world.pods.refusals) {
      this.#history.add({ kind: 'trouble', message: `final DELETE refused: ${refusal}` });
    }
    if (this.#options.broken === 'forget') await this.#forget(world);
    await this.#readBack(world);
    this.#say(`seed ${seed}: ${round} rounds are over`);
  }

  async #round(world: World, number: number, lengthMs: number): Promise<void> {
    const { seed, members, actors } = this.#options;
    const { namespaces } = world;
    this.#history.add({ kind: 'phase', round: number, phase: 'faults' });
    const faults = new Faults({ ...parts(world), history: this.#history });
    faults.begin(scheduleOf({ seed, number, members, lengthMs, namespaces }));
    const over = new AbortController();
    const acting = Array.from({ length: actors }, async (_, index) => {
      const actor = await this.#actor(world, `actor ${index}`, number);
      await actor.act(over.signal);
    });
    await this.#passing(lengthMs);
    over.abort();
    await faults.heal();
    await Promise.all(acting);
  }

  async #actor(world: World, name: string, round: number): Promise<Actor> {
    const index = Number(/\d+/.exec(name)?.[0] ?? 0);
    // One name each, so that a review can be told to whose request it belongs.
    const user = IDENTITIES[index] ?? `user-${index}`;
    const groups = ['system:masters'];
    return new Actor({
      name: `${name} (${user})`,
      client: await world.api.client({ user, groups }),
      pods: world.pods,
      policy: world.policy,
      history: this.#history,
      dice: Dice.for(this.#options.seed, `round ${round} ${name}`),
      leader: () => world.leader(),
      holds: () => world.membership.adding,
    });
  }

  #writers(world: World, over: AbortSignal): Promise<unknown> {
    const { clients } = world;
    return Promise.all(
      Array.from({ length: WRITERS }, (_, index) =>
        write(`writer-${index}`, {
          clients,
          members: () => world.members,
          history: this.#history,
          dice: Dice.for(this.#options.seed, `writer ${index}`),
          over,
        }),
      ),
    );
  }

  /** Acknowledged writes that are lost, as a broken cluster would lose them. */
  async #forget(world: World): Promise<void> {
    const [member] = world.members;
    if (member !== undefined) await world.clients.forget(member, 'chaos/writer-1/0000000');
  }

  async #readBack(world: World): Promise<void> {
    if (this.#over.signal.aborted) return;
    for (const member of world.members) {
      if (!(await world.clients.serves(member))) continue;
      for await (const page of world.clients.all(member)) {
        this.#history.add({ kind: 'found', pairs: page.map(([key, value]) => [key, value]) });
      }
      return;
    }
    this.#history.add({ kind: 'trouble', message: 'nobody serves a read at the end' });
  }

  #passing(ms: number): Promise<void> {
    const { signal } = this.#over;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      signal.addEventListener('abort', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Says how it goes every few seconds, and ends the run once a promise is broken. */
  #talk(world: World): () => void {
    const startedAt = now();
    const telling = setInterval(() => {
      const seconds = Math.round((now() - startedAt) / 1_000);
      this.#say(`${String(seconds).padStart(4)} s  ${progress(this.#history.events, world)}`);
    }, PROGRESS_MS);
    const checking = setInterval(() => {
      const [first] = this.#violations();
      if (first === undefined) return;
      this.#say(`broken: ${first.what}`);
      this.#over.abort();
    }, CHECK_MS);
    return () => {
      clearInterval(telling);
      clearInterval(checking);
    };
  }

  /** Of what is old enough for all logs about it to have been read. */
  #violations(): readonly Violation[] {
    const settled = now() - 3_000;
    return check(
      this.#history.events.filter(({ t }) => t < settled),
      false,
    ).violations;
  }
}

function parts(world: World) {
  const { members, replicas, api, pods, membership } = world;
  return { members, replicas, api, pods, membership };
}

function progress(events: readonly Event[], world: World): string {
  const writes = events.filter(({ kind }) => kind === 'write').length;
  const faults = events.filter(({ kind }) => kind === 'fault').length;
  const answers = events.flatMap((event) =>
    event.kind === 'review' && event.reason !== 'AlreadyGoing' && !event.dryRun
      ? [`${event.outcome} ${event.reason}`.trim()]
      : [],
  );
  const leader = world.leader() ?? 'nobody';
  return `${leader} leads, ${writes} writes, ${faults} faults; ${counted(answers)}`;
}
