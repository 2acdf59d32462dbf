import { describe, expect, it, onTestFinished } from 'vitest';
import { explore, type Explored } from './explore.ts';
import {
  peaceOf,
  PROTOCOL,
  reservationProtocol,
  SURROUNDINGS,
  type Protocol,
  type State,
  type Surroundings,
} from './reservation-protocol.ts';

const LIMIT = 2_000_000;
/** Alone on a processor the largest takes half a minute. */
const TIMEOUT_MS = 900_000;

const CALM: Partial<Surroundings> = { handOffs: false };

function run(protocol: Partial<Protocol>, surroundings: Partial<Surroundings>): Explored {
  const model = reservationProtocol(
    { ...PROTOCOL, ...protocol },
    { ...SURROUNDINGS, ...surroundings },
  );
  const explored = explore(model, LIMIT);
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
const MUTATIONS: readonly [string, Partial<Protocol>, Partial<Surroundings>?][] = [
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
  ],
];

function thirdGoes({ requests }: State): string | null {
  return requests.some((one) => one?.target === 2 && one.review === null) ? 'it goes' : null;
}

describe('without a part of it', { timeout: TIMEOUT_MS }, () => {
  it.each(MUTATIONS)('something breaks: %s', (_, protocol, surroundings = {}) => {
    const { counterexample } = run(protocol, surroundings);
    expect(counterexample?.at(-1)).toMatch(/ may go at any moment$/);
  });

  it('each part is tried', () => {
    const parts = MUTATIONS.flatMap(([, protocol]) => Object.keys(protocol));
    // Entries go by uid for the sake of those who wait: see below. Until leadership has moved the leader
    // is reserved, which proves nobody spared: a candidate that was not protected would be refused too.
    expect([...parts, 'byUid', 'protectsCandidate'].sort()).toEqual(Object.keys(PROTOCOL).sort());
  });

  it('those who wait would wait longer, if an entry ended by pod’s name', () => {
    const surroundings = { ...SURROUNDINGS, ...CALM, timePasses: false };
    // One was let go a moment ago and is made anew; can the other one go before time passes?
    const start: State = {
      ...peaceOf(surroundings),
      pods: ['up', 'gone', 'up'],
      ledger: [null, { age: 0, to: null }, null],
    };
    const reached = (protocol: Protocol): boolean => {
      const model = reservationProtocol(protocol, surroundings);
      const way = explore({ ...model, start, broken: thirdGoes, key: JSON.stringify }, LIMIT);
      return way.counterexample !== null;
    };
    expect(reached(PROTOCOL)).toBe(true);
    expect(reached({ ...PROTOCOL, byUid: false })).toBe(false);
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
