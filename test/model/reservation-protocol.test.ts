import { describe, expect, it, onTestFinished } from 'vitest';
import { explore, walk, type Explored, type Model } from './explore.ts';
import {
  PROTOCOL,
  reservationProtocol,
  SURROUNDINGS,
  type Protocol,
  type State,
  type Surroundings,
} from './reservation-protocol.ts';

const LIMIT = 2_000_000;
/** Alone on a processor the largest takes some ten seconds. */
const TIMEOUT_MS = 900_000;

const CALM: Partial<Surroundings> = { handOffs: false };

function modelOf(protocol: Partial<Protocol>, surroundings: Partial<Surroundings>): Model<State> {
  return reservationProtocol({ ...PROTOCOL, ...protocol }, { ...SURROUNDINGS, ...surroundings });
}

/** From what these steps come to, unless there are none. */
function run(
  protocol: Partial<Protocol>,
  surroundings: Partial<Surroundings>,
  first: readonly string[] = [],
): Explored {
  const model = modelOf(protocol, surroundings);
  const explored = explore({ ...model, start: walk(model, first) }, LIMIT);
  onTestFinished(({ task }) => {
    const { states, steps } = explored;
    Object.assign(task.meta, { states, steps });
    process.stdout.write(`${task.name}: ${states} states, ${steps} steps\n`);
  });
  return explored;
}

describe('the reservation protocol, explored to its end', { timeout: TIMEOUT_MS }, () => {
  it.each<[string, Partial<Surroundings>]>([
    ['two requests for followers, each reviewed up to twice', CALM],
    ['two requests, and the leader handed over', {}],
    ['leaders that etcd elects as it likes', { handOffs: false, elections: true }],
  ])('never lets too many go, nor the leader: %s', (_, surroundings) => {
    const { counterexample, states } = run({}, surroundings);
    expect(counterexample).toBeNull();
    // That it is not so because nothing can happen.
    expect(states).toBeGreaterThan(10_000);
  });
});

/** What is left out, and where that shows: in the surroundings as they are, unless others are named. */
const MUTATIONS: readonly [string, Partial<Protocol>, Partial<Surroundings>?, string[]?][] = [
  ['the ledger is written whatever is in it by now', { compareAndSwap: false }, CALM],
  ['pods are read before the ledger', { order: ['pods', 'ledger'] }, CALM],
  ['who loses the swap reads the ledger alone', { readsAllAgain: false }, CALM],
  ['entries end after a minute and a half', { entryEndsAt: 3 }, CALM],
  ['an own entry is good for a minute and a half', { reusedUntil: 3 }, CALM],
  ['nothing is reserved', { reservesFirst: false }, CALM],
  ['whoever is reserved counts as healthy', { reservedCount: false }, CALM],
  ['whoever is terminating counts as healthy', { seesTerminating: false }, CALM],
  ['an own entry is trusted without a look', { keeps: false }],
  [
    'the entry of a hand-off stays its writer’s when another is allowed under it',
    { rewrites: false },
  ],
  [
    'a failed hand-off leaves nothing of the entry that it replaced',
    { restores: false },
    { elections: true },
    // From the beginning it is found as well, after two hundred thousand states.
    ['etcd elects etcd-1', ...allowing(0), 'etcd elects etcd-0'],
  ],
];

/** All the steps by which a follower is let go, the first request being for it. */
function allowing(voter: number): readonly string[] {
  return [
    `request 0 for etcd-${voter}`,
    '0 reads the ledger',
    '0 reads the pods',
    `0 finds etcd-${voter} spared`,
    `0 reserves etcd-${voter}`,
    '0 is allowed',
  ];
}

describe('without a part of it', { timeout: TIMEOUT_MS }, () => {
  it.each(MUTATIONS)('something breaks: %s', (_, protocol, surroundings = {}, first = []) => {
    const { counterexample } = run(protocol, surroundings, first);
    expect(counterexample?.at(-1)).toMatch(/ may go at any moment$/);
  });

  it('each part is tried', () => {
    const parts = MUTATIONS.flatMap(([, protocol]) => Object.keys(protocol));
    // These two stand for each other, and entries go by uid for the sake of those who wait: see below.
    const others = ['byUid', 'leaderStays', 'protectsCandidate'];
    expect([...parts, ...others].sort()).toEqual(Object.keys(PROTOCOL).sort());
  });
});

/** Of a hand-off that has begun: a request for its candidate, and the move. */
const CANDIDATE_GOES = /^1 |^request 1 for etcd-1$|^0 moves leadership to etcd-1$/;

/** How the candidate comes to be let go although it is about to lead, of five voters; null: it does not. */
function candidateGoes(protocol: Partial<Protocol>): readonly string[] | null {
  const model = modelOf(protocol, { voters: 5 });
  const start = walk(model, [
    'request 0 for etcd-0',
    '0 reads the ledger',
    '0 reads the pods',
    '0 chooses etcd-1 to lead',
    '0 reserves etcd-0',
  ]);
  const steps = (state: State) =>
    model.steps(state).filter(({ label }) => CANDIDATE_GOES.test(label));
  return explore({ ...model, start, steps }, LIMIT).counterexample;
}

describe('the candidate of a hand-off', () => {
  it('is kept twice over: it is protected, and a leader that is to go proves nobody spared', () => {
    expect(candidateGoes({})).toBeNull();
    expect(candidateGoes({ protectsCandidate: false })).toBeNull();
    expect(candidateGoes({ leaderStays: false })).toBeNull();
    expect(candidateGoes({ protectsCandidate: false, leaderStays: false })?.at(-1)).toBe(
      'etcd-1 leads and may go at any moment',
    );
  });
});

/** It was let go, and is back before anybody has looked. */
const BACK = [
  ...allowing(1),
  '0 deletes etcd-1',
  'etcd-1 is gone',
  'etcd-1 is made anew',
  'etcd-1 is back',
];
const HALF_A_MINUTE = 'half a minute passes';

describe('entries by name instead of uid', { timeout: TIMEOUT_MS }, () => {
  /** Whether this one can be let go after these steps, if nobody asks for another and no time passes. */
  function canGo(voter: number, protocol: Partial<Protocol>, first: readonly string[]): boolean {
    const model = modelOf(protocol, CALM);
    const goes = ({ requests }: State): string | null =>
      requests.some((one) => one?.target === voter && one.review === null) ? 'it goes' : null;
    const alone: Model<State> = {
      ...model,
      start: walk(model, first),
      steps: (state) =>
        model
          .steps(state)
          .filter(({ label }) => label !== HALF_A_MINUTE)
          .filter(({ label }) => !/ for etcd-/.test(label) || label.endsWith(` for etcd-${voter}`)),
      broken: goes,
      // Here it matters who is who.
      key: JSON.stringify,
    };
    return explore(alone, LIMIT).counterexample !== null;
  }
  const BY_NAME = { byUid: false };
  const LATER = [...BACK, HALF_A_MINUTE, HALF_A_MINUTE, HALF_A_MINUTE];

  it('would let nobody go who must not: a new pod inherits what is only ever a reason to refuse', () => {
    expect(run(BY_NAME, CALM).counterexample).toBeNull();
  });

  it('would have others wait for one that is back', () => {
    expect(canGo(2, {}, BACK)).toBe(true);
    expect(canGo(2, BY_NAME, BACK)).toBe(false);
  });

  it('would refuse a new pod because the old one was allowed long ago', () => {
    expect(canGo(1, {}, LATER)).toBe(true);
    expect(canGo(1, BY_NAME, LATER)).toBe(false);
  });
});

/** What the protocol reckons with. Where the world is otherwise, it is known what can happen. */
const ASSUMPTIONS: readonly [string, Partial<Surroundings>][] = [
  ['an API request lives for less than a minute', { ...CALM, requestLives: 3 }],
  ['what is allowed for a pod is not done to its successor', { ...CALM, evictionsByName: true }],
  ['etcd makes no move of leadership that was given up', { lateMoves: true }],
];

describe('it rests on this', { timeout: TIMEOUT_MS }, () => {
  it.each(ASSUMPTIONS)('%s', (_, surroundings) => {
    expect(run({}, surroundings).counterexample?.at(-1)).toMatch(/ may go at any moment$/);
  });
});
