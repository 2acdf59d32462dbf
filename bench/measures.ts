import { z } from 'zod';
import type { Lengths } from './options.ts';
import type { Shot, Stage } from './stage.ts';

/** Milliseconds of every request, one at a time. */
export type OneByOne = Readonly<Record<Timed, readonly number[]>>;

export type EtcdTimes = 'round' | 'round with one list' | 'read';
export type Timed = Shot | EtcdTimes;

/** Answers a second in every turn; for rounds, how many fit one after another. */
export type Rates = Readonly<Record<Rated, readonly number[]>>;

export type Rated = 'bare' | 'unguarded' | 'refused' | 'round';

/** What a minute of full load leaves. */
export interface FullLoad {
  readonly seconds: number;
  readonly answers: number;
  readonly residentMiB: number;
  readonly highestResidentMiB: number;
}

export const CONNECTIONS = 32;
const MIB = 1024 * 1024;

const times = z.array(z.number());
const rateResult = z.object({ answers: z.int(), seconds: z.number(), busy: z.number() });
const ETCD_TIMES: readonly EtcdTimes[] = ['round', 'round with one list', 'read'];
const SHOTS: readonly Shot[] = ['bare', 'unguarded', 'refused', 'spared'];
const RATED: readonly Rated[] = ['bare', 'unguarded', 'refused', 'round'];

type RateResult = z.infer<typeof rateResult>;

/** Everything once at full speed, until V8 has compiled what it will compile. */
export async function warmUp(stage: Stage, ms: number): Promise<void> {
  for (const name of SHOTS) await rateOf(stage, [name], { connections: CONNECTIONS, ms });
  for (const name of SHOTS) await rateOf(stage, [name], { connections: 1, ms: ms / 4 });
  for (const kind of ETCD_TIMES) await stage.etcdClient.ask('times', { kind, ms }, longer(ms));
}

/** A few requests of each kind in turn, again and again: what else the machine does hits all alike. */
export async function measureOneByOne(stage: Stage, lengths: Lengths): Promise<OneByOne> {
  const taken: Record<Timed, number[]> = {
    bare: [],
    unguarded: [],
    refused: [],
    spared: [],
    round: [],
    'round with one list': [],
    read: [],
  };
  const count = lengths.perTurn;
  for (let turn = 0; turn < lengths.turns; turn += 1) {
    for (const name of SHOTS) {
      const got = await stage.load.ask('latencies', { name, count }, { result: times });
      taken[name].push(...got);
    }
    for (const kind of ETCD_TIMES) {
      const got = await stage.etcdClient.ask('times', { kind, count }, { result: times });
      taken[kind].push(...got);
    }
  }
  return taken;
}

/** Slices of full load in turn. */
export async function measureRates(
  stage: Stage,
  { loadTurns, loadMs }: Lengths,
): Promise<{ readonly rates: Rates; readonly generatorBusy: number }> {
  const rates: Record<Rated, number[]> = { bare: [], unguarded: [], refused: [], round: [] };
  let generatorBusy = 0;
  for (let turn = 0; turn < loadTurns; turn += 1) {
    for (const name of RATED) {
      if (name === 'round') {
        const params = { kind: name, ms: loadMs };
        const taken = await stage.etcdClient.ask('times', params, longer(loadMs));
        rates.round.push(1000 / (taken.reduce((sum, ms) => sum + ms, 0) / taken.length));
      } else {
        const got = await rateOf(stage, [name], { connections: CONNECTIONS, ms: loadMs });
        rates[name].push(got.answers / got.seconds);
        generatorBusy = Math.max(generatorBusy, got.busy);
      }
    }
  }
  return { rates, generatorBusy };
}

/**
 * Requests to etcd while unguarded reviews are answered. The fewest of three tries: the guard looks
 * at its clusters every 30 s of its own accord.
 */
export async function countEtcdRequests(
  stage: Stage,
): Promise<{ readonly reviews: number; readonly etcdRequests: number }> {
  const count = 1_000;
  const seen: number[] = [];
  while (seen.length < 3 && !seen.includes(0)) {
    const before = await etcdRequests(stage);
    await stage.load.ask('latencies', { name: 'unguarded', count }, { result: times });
    seen.push((await etcdRequests(stage)) - before);
  }
  return { reviews: count, etcdRequests: Math.min(...seen) };
}

function etcdRequests({ guard }: Stage): Promise<number> {
  return guard.metric('etcdguard_etcd_request_duration_seconds_count');
}

/** Half of the connections ask for the leader, half for a pod that nobody guards. */
export async function measureFullLoad(stage: Stage, ms: number): Promise<FullLoad> {
  const parts = 12;
  const resident: number[] = [];
  let answers = 0;
  for (let part = 0; part < parts; part += 1) {
    const got = await rateOf(stage, ['refused', 'unguarded'], {
      connections: CONNECTIONS,
      ms: ms / parts,
    });
    answers += got.answers;
    resident.push((await stage.guard.metric('process_resident_memory_bytes')) / MIB);
  }
  return {
    seconds: ms / 1000,
    answers,
    residentMiB: resident.at(-1) ?? Number.NaN,
    highestResidentMiB: Math.max(...resident),
  };
}

function rateOf(
  { load }: Stage,
  names: readonly Shot[],
  { connections, ms }: { readonly connections: number; readonly ms: number },
): Promise<RateResult> {
  const withinMs = longer(ms).withinMs;
  return load.ask('rate', { names, connections, ms }, { result: rateResult, withinMs });
}

function longer(ms: number) {
  return { result: times, withinMs: ms + 30_000 };
}
