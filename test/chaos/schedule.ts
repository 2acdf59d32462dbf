import { Dice } from './dice.ts';

/** From whom a member is cut off. Guards stand for everybody outside: guards, writers, etcdctl. */
export type CutFrom = 'peers' | 'guards' | 'all';

/** What is done to the world at a moment of a round, and for how long. */
export type Fault = { readonly atMs: number; readonly forMs: number } & (
  | {
      readonly kind: 'kill' | 'crash' | 'restart' | 'pause' | 'stutter';
      readonly member: number;
    }
  | { readonly kind: 'slow' | 'loss' | 'disk' | 'alarm' | 'move'; readonly member: number }
  | {
      readonly kind: 'cut';
      readonly member: number;
      readonly from: CutFrom;
      readonly way: 'both' | 'in' | 'out';
    }
  | { readonly kind: 'killGuard' | 'pauseGuard'; readonly replica: number }
  | { readonly kind: 'skewGuard'; readonly replica: number; readonly skewMs: number }
  | { readonly kind: 'pauseApi' }
  /** A member more: a learner for the first third, then a voter, removed at the end. */
  | { readonly kind: 'grow' }
);

export type FaultKind = Fault['kind'];

/** What a round is made from. */
export interface Round {
  readonly seed: number;
  readonly number: number;
  readonly members: number;
  readonly lengthMs: number;
  /** Whether members have networks and disks of their own. */
  readonly namespaces: boolean;
}

const REPLICAS = 2;
/** How often what is done, in proportion. */
const WEIGHTS: Readonly<Record<FaultKind, number>> = {
  kill: 10,
  crash: 8,
  restart: 6,
  pause: 10,
  stutter: 5,
  cut: 14,
  slow: 6,
  loss: 5,
  disk: 4,
  alarm: 2,
  move: 12,
  killGuard: 7,
  pauseGuard: 7,
  skewGuard: 3,
  pauseApi: 4,
  grow: 8,
};
const NEED_NAMESPACES: readonly FaultKind[] = ['cut', 'slow', 'loss', 'disk'];
/** Milliseconds; the shortest and the longest. */
const LENGTHS: Readonly<Partial<Record<FaultKind, readonly [number, number]>>> = {
  move: [0, 0],
  restart: [0, 0],
  killGuard: [300, 3_000],
  skewGuard: [300, 600],
  pauseGuard: [300, 14_000],
  pauseApi: [500, 6_000],
  alarm: [1_000, 4_000],
  grow: [15_000, 30_000],
};
const LENGTH: readonly [number, number] = [700, 9_000];

/** All that is done in a round, in order: the same for the same round. */
export function scheduleOf(round: Round): readonly Fault[] {
  const dice = Dice.for(round.seed, `round ${round.number}`);
  const faults: Fault[] = [];
  for (let atMs = 1_000; ;) {
    atMs += dice.between(200, 2_600);
    if (atMs >= round.lengthMs) return faults;
    const fault = draw(dice, round, atMs);
    if (fits(fault, faults, { round, mayLoseQuorum: dice.chance(0.12) })) faults.push(fault);
  }
}

function draw(dice: Dice, round: Round, atMs: number): Fault {
  const kinds = Object.entries(WEIGHTS).filter(
    ([kind]) => round.namespaces || !NEED_NAMESPACES.some((need) => need === kind),
  );
  const weights: Partial<Record<FaultKind, number>> = Object.fromEntries(kinds);
  const kind = dice.weighted(weights);
  const [low, high] = LENGTHS[kind] ?? LENGTH;
  const timed = { atMs, forMs: dice.between(low, high) };
  switch (kind) {
    case 'pauseApi':
    case 'grow':
      return { ...timed, kind };
    case 'killGuard':
    case 'pauseGuard':
      return { ...timed, kind, replica: dice.between(0, REPLICAS - 1) };
    case 'skewGuard': {
      const replica = dice.between(0, REPLICAS - 1);
      return { ...timed, kind, replica, skewMs: dice.between(-5_000, 5_000) };
    }
    case 'cut': {
      const member = dice.between(0, round.members - 1);
      const from = dice.pick(['peers', 'guards', 'all'] as const);
      return {
        ...timed,
        kind,
        member,
        from,
        way: dice.pick(['both', 'both', 'in', 'out'] as const),
      };
    }
    default:
      return { ...timed, kind, member: dice.between(0, round.members - 1) };
  }
}

/** Who or what a fault is done to: nothing else is done to it at the same time. */
export function laneOf(fault: Fault): string {
  if ('member' in fault) return fault.kind === 'move' ? 'leadership' : `member ${fault.member}`;
  if ('replica' in fault) return `replica ${fault.replica}`;
  return fault.kind;
}

/** Most of the time a quorum is left alone; now and then it is not. */
function fits(
  fault: Fault,
  earlier: readonly Fault[],
  { round, mayLoseQuorum }: { readonly round: Round; readonly mayLoseQuorum: boolean },
): boolean {
  if (fault.kind === 'grow' && fault.atMs + fault.forMs > round.lengthMs) return false;
  const current = earlier.filter(({ atMs, forMs }) => atMs + forMs + SETTLE_MS > fault.atMs);
  if (current.some((one) => laneOf(one) === laneOf(fault))) return false;
  if (!isDoneToMember(fault)) return true;
  const spared = Math.floor((round.members - 1) / 2) + (mayLoseQuorum ? 1 : 0);
  return current.filter(isDoneToMember).length < spared;
}

/** Before the next thing is done to the same. */
const SETTLE_MS = 500;

/** Whether it takes a member away for a while, or keeps it from the others. */
export function isDoneToMember(fault: Fault): boolean {
  return 'member' in fault && fault.kind !== 'move' && fault.kind !== 'alarm';
}
