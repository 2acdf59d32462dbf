import { describe, expect, it } from 'vitest';
import { check, type PromiseName } from './check.ts';
import type { Event, EventOf, Untimed } from './history.ts';

const MEMBERS = ['etcd-0', 'etcd-1', 'etcd-2'];
/** When everything has run for a while. */
const LATER = 100_000;

type Line = readonly [t: number, event: Untimed];

/** Three members that run and take etcd-0 for their leader, and two replicas, since the moment 0. */
function peace(): readonly Line[] {
  return [
    [0, { kind: 'voters', sets: [MEMBERS] }],
    ...MEMBERS.flatMap((member): Line[] => [
      [0, { kind: 'process', member, state: 'started' }],
      [900, { kind: 'belief', member, leader: 'etcd-0', term: 2 }],
    ]),
    [0, { kind: 'replica', replica: 0, state: 'started' }],
    [0, { kind: 'replica', replica: 1, state: 'started' }],
  ];
}

function review(pod: string, t: number, more: Partial<EventOf<'review'>> = {}): Line {
  const { t: _, ...event }: EventOf<'review'> = {
    t,
    kind: 'review',
    id: `of-${pod}-at-${t}`,
    from: t - 100,
    timeoutMs: 10_000,
    replica: 0,
    operation: 'delete',
    pod,
    uid: `${pod}-1`,
    user: 'alice',
    dryRun: false,
    outcome: 'allow',
    reason: 'Spared',
    message: '',
    ...more,
  };
  return [t, event];
}

/** The pod goes, and another one of its name runs its member again. */
function replaced(pod: string, from: number): readonly Line[] {
  const uid = `${pod}-1`;
  return [
    [from, { kind: 'pod', name: pod, uid, state: 'terminating' }],
    [from + 50, { kind: 'process', member: pod, state: 'ended' }],
    [from + 100, { kind: 'pod', name: pod, uid, state: 'gone' }],
    [from + 200, { kind: 'process', member: pod, state: 'started' }],
    [from + 900, { kind: 'belief', member: pod, leader: 'etcd-0', term: 2 }],
  ];
}

function broken(...lines: readonly Line[]): readonly PromiseName[] {
  const events = [...peace(), ...lines].map(([t, event]): Event => ({ t, ...event }));
  return check(events, true).violations.map(({ promise }) => promise);
}

function belief(member: string, leader: string | null, t: number): Line {
  return [t, { kind: 'belief', member, leader, term: 3 }];
}

function process(member: string, state: EventOf<'process'>['state'], t: number): Line {
  return [t, { kind: 'process', member, state }];
}

function elected(t: number): readonly Line[] {
  return MEMBERS.map((member) => belief(member, 'etcd-1', t));
}

function found(...pairs: [string, string][]): Line {
  return [LATER + 1, { kind: 'found', pairs }];
}

function calm(more: Partial<EventOf<'liveness'>>): Line {
  const { t, ...event }: EventOf<'liveness'> = {
    t: LATER,
    kind: 'liveness',
    round: 0,
    tookMs: 9_000,
    withinMs: 60_000,
    deleted: ['etcd-1', 'etcd-2'],
    left: [],
    leaderRefused: 2,
    trouble: '',
    ...more,
  };
  return [t, event];
}

describe('the leader', () => {
  it('must not be allowed away', () => {
    expect(broken(review('etcd-0', LATER))).toContain('leader');
    expect(broken(review('etcd-1', LATER))).toEqual([]);
    expect(broken(review('etcd-0', LATER, { outcome: 'deny' }))).toEqual([]);
    expect(broken(review('etcd-0', LATER, { dryRun: true }))).toEqual([]);
  });

  it('is whom a quorum names, whatever one member says', () => {
    const alone = belief('etcd-1', 'etcd-1', LATER - 500);
    expect(broken(alone, review('etcd-0', LATER))).toEqual(['leader']);
    expect(broken(alone, review('etcd-1', LATER))).toEqual([]);
  });

  it('counts if it leads from before the review to its answer', () => {
    const events = (t: number): Event[] =>
      [...peace(), ...elected(t), review('etcd-1', LATER)].map(([at, event]) => ({
        t: at,
        ...event,
      }));
    expect(check(events(LATER - 1_000), true)).toMatchObject({
      violations: [{ promise: 'leader' }],
      electedMeanwhile: 0,
    });
    expect(check(events(LATER - 50), true)).toMatchObject({ violations: [], electedMeanwhile: 1 });
  });

  it('may go once it is dead, though followers still name it', () => {
    const dead = process('etcd-0', 'ended', LATER - 200);
    expect(broken(dead, review('etcd-0', LATER, { reason: 'KnownDown' }))).toEqual([]);
    expect(broken(review('etcd-0', LATER, { reason: 'KnownDown' }))).toContain('leader');
  });

  it('is still the leader while it is paused and all name it', () => {
    const paused = process('etcd-0', 'paused', LATER - 200);
    expect(broken(paused, review('etcd-0', LATER))).toContain('leader');
  });
});

describe('the quorum', () => {
  it('is not spared by two allowed away at once', () => {
    expect(broken(review('etcd-1', LATER), review('etcd-2', LATER + 300))).toEqual(['quorum']);
    expect(broken(review('etcd-1', LATER), review('etcd-1', LATER + 300))).toEqual([]);
  });

  it('is spared again once the first is back, not before', () => {
    const first = [review('etcd-1', LATER), ...replaced('etcd-1', LATER + 100)];
    expect(broken(...first, review('etcd-2', LATER + 1_200))).toEqual([]);
    expect(broken(...first, review('etcd-2', LATER + 900))).toEqual(['quorum']);
  });

  it('is spared again once the first can’t be used any more, not before', () => {
    const first = review('etcd-1', LATER);
    expect(broken(first, review('etcd-2', LATER + 60_500))).toEqual([]);
    expect(broken(first, review('etcd-2', LATER + 59_500))).toEqual(['quorum']);
  });

  it('is not spared while a pod goes slowly', () => {
    const going: Line = [
      LATER + 100,
      { kind: 'pod', name: 'etcd-1', uid: 'etcd-1-1', state: 'terminating' },
    ];
    expect(broken(review('etcd-1', LATER), going, review('etcd-2', LATER + 90_000))).toEqual([
      'quorum',
    ]);
  });

  it('is spared again once what was allowed is refused by something else', () => {
    const first = review('etcd-1', LATER);
    const ends = (code: number): Line => [
      LATER + 200,
      {
        kind: 'request',
        from: LATER - 200,
        actor: 'actor 0 (alice)',
        what: 'delete',
        pod: 'etcd-1',
        code,
        message: '',
      },
    ];
    expect(broken(first, ends(409), review('etcd-2', LATER + 400))).toEqual([]);
    expect(broken(first, ends(409), review('etcd-2', LATER + 150))).toEqual(['quorum']);
    expect(broken(first, ends(200), review('etcd-2', LATER + 400))).toEqual(['quorum']);
    expect(broken(first, ends(0), review('etcd-2', LATER + 400))).toEqual(['quorum']);
  });

  it('is not spared by an eviction that may take the next pod of that name', () => {
    const eviction = review('etcd-1', LATER, { operation: 'eviction', user: 'bob' });
    const others = [review('etcd-1', LATER), ...replaced('etcd-1', LATER + 100)];
    const next = review('etcd-2', LATER + 5_000);
    expect(broken(...others, next)).toEqual([]);
    expect(broken(eviction, ...others, next)).toEqual(['quorum']);
    const over: Line = [
      LATER + 4_000,
      {
        kind: 'request',
        from: LATER - 200,
        actor: 'actor 1 (bob)',
        what: 'evict',
        pod: 'etcd-1',
        code: 404,
        message: '',
      },
    ];
    expect(broken(eviction, ...others, over, next)).toEqual([]);
  });

  it.each<[string, (t: number) => Line, (t: number) => Line]>([
    ['dead', (t) => process('etcd-2', 'ended', t), (t) => belief('etcd-2', 'etcd-0', t)],
    ['paused', (t) => process('etcd-2', 'paused', t), (t) => process('etcd-2', 'resumed', t)],
    [
      'cut off',
      (t) => [t, { kind: 'link', member: 'etcd-2', state: 'cut' }],
      (t) => [t, { kind: 'link', member: 'etcd-2', state: 'joined' }],
    ],
    ['without a leader', (t) => belief('etcd-2', null, t), (t) => belief('etcd-2', 'etcd-0', t)],
  ])('is not spared by one that was %s all the time', (how, fail, mend) => {
    expect(broken(fail(LATER - 1_000), review('etcd-1', LATER))).toEqual(['quorum']);
    // What fails later than the review begins no guard can foresee.
    expect(broken(fail(LATER - 50), review('etcd-1', LATER))).toEqual([]);
    const started = how === 'dead' ? [process('etcd-2', 'started', LATER - 700)] : [];
    const mended = [fail(LATER - 1_000), ...started, mend(LATER - 500)];
    expect(broken(...mended, review('etcd-1', LATER))).toEqual([]);
  });

  it('has nothing to lose by a member that is dead, and that one must be', () => {
    const dead = process('etcd-1', 'ended', LATER - 1_000);
    const down = { reason: 'KnownDown' };
    expect(broken(dead, review('etcd-1', LATER, down))).toEqual([]);
    expect(broken(review('etcd-1', LATER, down))).toEqual(['quorum']);
    // The second time it is allowed under the entry of the first, and given its reason.
    const back = [
      process('etcd-1', 'started', LATER + 100),
      belief('etcd-1', 'etcd-0', LATER + 200),
    ];
    const again = review('etcd-1', LATER + 1_000, down);
    expect(broken(dead, review('etcd-1', LATER, down), ...back, again)).toEqual([]);
    const other = process('etcd-2', 'ended', LATER + 300);
    expect(broken(dead, review('etcd-1', LATER, down), ...back, other, again)).toEqual(['quorum']);
    const slowed: Line = [LATER - 1_000, { kind: 'link', member: 'etcd-1', state: 'slowed' }];
    expect(broken(slowed, review('etcd-1', LATER, down))).toEqual([]);
  });

  it('is that of the voters at that time, by either reading while they change', () => {
    const more = [...MEMBERS, 'etcd-3'];
    const fourth: Line[] = [
      process('etcd-3', 'started', 0),
      [900, { kind: 'belief', member: 'etcd-3', leader: 'etcd-0', term: 2 }],
      [LATER - 2_000, { kind: 'voters', sets: [MEMBERS, more] }],
    ];
    const settled: Line = [LATER - 1_000, { kind: 'voters', sets: [more] }];
    const both = [review('etcd-1', LATER), review('etcd-3', LATER + 300)];
    expect(broken(...fourth, ...both)).toEqual([]);
    expect(broken(...fourth, settled, ...both)).toEqual(['quorum']);
  });
});

describe('a review', () => {
  it('must be answered in time, by a replica that is well', () => {
    const late = review('etcd-1', LATER, { from: LATER - 10_500, outcome: 'deny' });
    expect(broken(late)).toEqual(['time']);
    const lost = review('etcd-1', LATER, { outcome: 'failed' });
    expect(broken(lost)).toEqual(['time']);
    const hungUp = review('etcd-1', LATER, { from: LATER - 10_001, outcome: 'abandoned' });
    expect(broken(hungUp)).toEqual(['time']);
    expect(broken(review('etcd-1', LATER, { outcome: 'abandoned' }))).toEqual([]);
    for (const state of ['killed', 'paused'] as const) {
      const disturbed: Line = [LATER - 50, { kind: 'replica', replica: 0, state }];
      expect(broken(disturbed, late)).toEqual([]);
      expect(broken(disturbed, lost)).toEqual([]);
      expect(broken(disturbed, review('etcd-1', LATER, { outcome: 'failed', replica: 1 }))).toEqual(
        ['time'],
      );
    }
  });
});

describe('writes', () => {
  const write: Line = [LATER, { kind: 'write', key: 'a', value: '1' }];

  it('must all be found at the end, as they were written', () => {
    expect(broken(write, found(['b', '1']), found(['a', '1']))).toEqual([]);
    expect(broken(write, found(['a', '2']))).toEqual(['writes']);
    expect(broken(write, found(['b', '1']))).toEqual(['writes']);
  });

  it('are not judged before the end', () => {
    const events = [...peace(), write].map(([t, event]): Event => ({ t, ...event }));
    expect(check(events, false).violations).toEqual([]);
  });
});

describe('liveness', () => {
  it('is each follower deleted in time, and the leader refused', () => {
    expect(broken(calm({}))).toEqual([]);
    expect(broken(calm({ left: ['etcd-2'] }))).toEqual(['liveness']);
    expect(broken(calm({ leaderRefused: 0 }))).toEqual(['liveness']);
    expect(broken(calm({ tookMs: 60_001 }))).toEqual(['liveness']);
    expect(broken(calm({ trouble: 'the cluster is not whole' }))).toEqual(['liveness']);
  });
});
