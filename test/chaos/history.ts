import { createWriteStream, readFileSync, type WriteStream } from 'node:fs';
import { z } from 'zod';
import { BREAKAGES } from './options.ts';

const t = z.number();

/**
 * What happened, one JSON line each. `t` is milliseconds since the epoch; lines need not be in its
 * order, as members' own logs are read a little later than they are written.
 */
const eventSchema = z.discriminatedUnion('kind', [
  z.object({
    t,
    kind: z.literal('begin'),
    seed: z.number(),
    seconds: z.number(),
    members: z.array(z.string()),
    actors: z.number(),
    namespaces: z.boolean(),
    broken: z.enum(BREAKAGES).nullable(),
    etcd: z.string(),
  }),
  z.object({ t, kind: z.literal('phase'), round: z.number(), phase: z.enum(['faults', 'calm']) }),
  /** Done to the world, or undone. */
  z.object({ t, kind: z.literal('fault'), what: z.looseObject({ kind: z.string() }) }),
  z.object({ t, kind: z.literal('healed'), what: z.looseObject({ kind: z.string() }) }),
  z.object({ t, kind: z.literal('trouble'), message: z.string() }),
  /** The sets of voters that there may be from now on: two while the membership changes. */
  z.object({ t, kind: z.literal('voters'), sets: z.array(z.array(z.string())) }),
  z.object({
    t,
    kind: z.literal('process'),
    member: z.string(),
    state: z.enum(['started', 'ended', 'paused', 'resumed']),
  }),
  /** `slowed`: it may miss deadlines without being of no use. */
  z.object({
    t,
    kind: z.literal('link'),
    member: z.string(),
    state: z.enum(['cut', 'joined', 'slowed', 'freed']),
  }),
  /** Whom a member takes for the leader, by its own log. */
  z.object({
    t,
    kind: z.literal('belief'),
    member: z.string(),
    leader: z.string().nullable(),
    term: z.number(),
  }),
  z.object({
    t,
    kind: z.literal('pod'),
    name: z.string(),
    uid: z.string(),
    state: z.enum(['created', 'terminating', 'gone']),
  }),
  z.object({
    t,
    kind: z.literal('replica'),
    replica: z.number(),
    state: z.enum(['started', 'killed', 'paused', 'resumed']),
    skewMs: z.number().optional(),
  }),
  z.object({ t, kind: z.literal('apiserver'), state: z.enum(['paused', 'resumed']) }),
  /** From when it reached the guard to when its answer left. */
  z.object({
    t,
    kind: z.literal('review'),
    id: z.string(),
    from: z.number(),
    timeoutMs: z.number(),
    replica: z.number(),
    operation: z.enum(['delete', 'eviction']),
    pod: z.string(),
    uid: z.string(),
    user: z.string(),
    dryRun: z.boolean(),
    /** abandoned: the API server hung up; failed: the replica did. */
    outcome: z.enum(['allow', 'deny', 'abandoned', 'failed']),
    reason: z.string(),
    message: z.string(),
  }),
  /** What an actor asked the API server for, and its HTTP code; 0: no answer. */
  z.object({
    t,
    kind: z.literal('request'),
    from: z.number(),
    actor: z.string(),
    what: z.string(),
    pod: z.string(),
    code: z.number(),
    message: z.string(),
  }),
  z.object({ t, kind: z.literal('ledger'), entries: z.record(z.string(), z.unknown()) }),
  /** Acknowledged by etcd. */
  z.object({ t, kind: z.literal('write'), key: z.string(), value: z.string() }),
  /** Read back at the end; several lines make the whole. */
  z.object({ t, kind: z.literal('found'), pairs: z.array(z.tuple([z.string(), z.string()])) }),
  /** A calm round: which followers could be deleted, how often the leader was refused. */
  z.object({
    t,
    kind: z.literal('liveness'),
    round: z.number(),
    tookMs: z.number(),
    withinMs: z.number(),
    deleted: z.array(z.string()),
    left: z.array(z.string()),
    leaderRefused: z.number(),
    trouble: z.string(),
  }),
  z.object({ t, kind: z.literal('end'), interrupted: z.boolean() }),
]);

/** One line of a history. */
export type Event = z.infer<typeof eventSchema>;
export type EventOf<K extends Event['kind']> = Extract<Event, { kind: K }>;
export type Review = EventOf<'review'>;

/** What is left to say once the time is known. */
export type Untimed = Event extends infer E ? (E extends Event ? Omit<E, 't'> : never) : never;

/** Records what happens, in a file and for those who check on the way. */
export class History {
  readonly path: string;
  readonly #file: WriteStream;
  readonly #events: Event[] = [];

  constructor(path: string) {
    this.path = path;
    this.#file = createWriteStream(path);
  }

  get events(): readonly Event[] {
    return this.#events;
  }

  /** Now, unless it is known when. */
  add(event: Untimed, at = now()): void {
    const timed: Event = eventSchema.parse({ ...event, t: at });
    this.#events.push(timed);
    this.#file.write(`${JSON.stringify(timed)}\n`);
  }

  close(): Promise<void> {
    return new Promise((resolve) => void this.#file.end(() => resolve()));
  }
}

/** The clock that members write their logs by. */
export function now(): number {
  return Date.now();
}

/** Throws where a line is none of a history's. */
export function readHistory(path: string): readonly Event[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.flatMap((line, index) => {
    if (line === '') return [];
    try {
      return [eventSchema.parse(JSON.parse(line))];
    } catch (error) {
      // A run that was killed may have left half a line.
      if (index === lines.length - 1) return [];
      throw new Error(`${path}:${index + 1} is not a line of a history`, { cause: error });
    }
  });
}
